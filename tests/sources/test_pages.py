"""A source that is read page by page: every page once, in order, across restarts, and no way out of its origin."""

import msgspec
import pytest

from tests.sources.conftest import HERE, until
from tests.sources.web import Web
from tidemill.feeds.definition import Feed, Input
from tidemill.feeds.source import Source, SourcePaging
from tidemill.feeds.validate_source import source_faults
from tidemill.simulate.server import running

PAGES = 6


def feed(url, page, **more):
    options = {"every": "40ms", "max_backoff": "40ms", "allow": HERE, **more}
    return Feed(name="paged", input=Input(records="$.data"), source=Source(url=url, page=page, **options))


def by_cursor(**more):
    return SourcePaging(by="cursor", cursor_path="$.next", **{"param": "after", **more})


def page(number, following, records=1):
    return msgspec.json.encode({"data": [{"page": number}] * records, "next": following})


def numbers(bodies):
    return [msgspec.json.decode(body)["data"][0]["page"] for body in bodies]


def book(request):
    """Six pages; the cursor is the number of the next one."""
    number = int(request.query.get("after") or 0)
    return 200, {}, page(number, str(number + 1) if number + 1 < PAGES else None)


@pytest.fixture
def shown(states):
    return lambda: states().get("paged")


def test_round_ends_at_the_page_without_a_next_one_and_begins_anew(web, polling, intake, shown):
    with web.answering(book) as url, polling(feed(url, by_cursor())):
        until(lambda: len(intake.bodies()) >= 2 * PAGES)
    assert numbers(intake.bodies())[: 2 * PAGES] == 2 * list(range(PAGES))
    assert web.requests[0].query == {} and web.requests[1].query == {"after": "1"}
    assert shown().state == "ok"


def test_restart_goes_on_at_the_page_that_was_not_taken(web, polling, intake, shown):
    with web.answering(book) as url:
        with polling(feed(url, by_cursor(max_pages=2), every="1h")):
            until(lambda: (s := shown()) and s.cursor == "2" and s.next_due_ns)
        intake.up = False
        with polling(feed(url, by_cursor(), every="1h")):
            until(lambda: shown().reason == "intake_unavailable")
        assert shown().cursor == "2", "what was not taken is not behind us"
        intake.up = True
        with polling(feed(url, by_cursor(), every="1h")):
            until(lambda: len(intake.bodies()) == PAGES and shown().cursor is None)
    assert numbers(intake.bodies()) == list(range(PAGES))
    assert sum(request.query == {} for request in web.requests) == 1


def test_last_cursor_is_kept_for_the_next_round(web, polling, intake, shown):
    known = [page(0, "s1"), page(1, "s2"), page(2, "s2", records=0)]

    def since(request):
        place = int(request.query["since"].removeprefix("s") or 0)
        return 200, {}, known[min(place, len(known) - 1)]

    with web.answering(since) as url:
        with polling(feed(f"{url}/?since={{cursor}}", SourcePaging(by="cursor", cursor_path="$.next", keep=True))):
            until(lambda: (s := shown()) and s.state == "empty" and s.empty > 2)
            assert shown().cursor == "s2"
        known[2] = page(2, "s3")
        known.append(page(3, "s3", records=0))
        with polling(feed(f"{url}/?since={{cursor}}", SourcePaging(by="cursor", cursor_path="$.next", keep=True))):
            until(lambda: shown().cursor == "s3" and shown().state == "empty")
    assert numbers(intake.bodies()) == [0, 1, 2]
    assert [request.query["since"] for request in web.requests].count("") == 1


def test_links_are_followed_until_there_is_none(web, polling, intake, shown):
    def linked(request):
        number = int(request.query.get("page", 0))
        header = {} if number + 1 == PAGES else {"link": f'</data?page={number + 1}>; rel="next", </>; rel="first"'}
        return 200, header, page(number, None)

    with web.answering(linked) as url:
        with polling(feed(f"{url}/data", SourcePaging(by="link", max_pages=4), every="1h")):
            until(lambda: (s := shown()) and s.cursor == f"{url}/data?page=4" and s.next_due_ns)
        with polling(feed(f"{url}/data", SourcePaging(by="link"), every="1h")):
            until(lambda: len(intake.bodies()) == PAGES and shown().cursor is None)
    assert numbers(intake.bodies()) == list(range(PAGES))


@pytest.mark.parametrize(
    "link",
    [
        ("http://192.0.2.1/data", "foreign_link"),
        ("/data", "loop"),
        ("", "loop"),
    ],
)
def test_link_that_leads_away_or_back_is_a_failure(web, link, polling, intake, shown):
    target, reason = link

    def answer(request):
        return 200, {"link": f'<{target}>; rel="next"'}, page(0, None)

    with web.answering(answer) as url, polling(feed(f"{url}/data", SourcePaging(by="link"))):
        until(lambda: (s := shown()) and s.failures_in_a_row >= 3)
    assert (shown().state, shown().reason) == ("failing", reason)
    assert numbers(intake.bodies()) == [0], "the page itself is taken, once"


def test_cursors_that_lead_in_a_circle_are_a_failure(web, polling, intake, shown):
    def circle(request):
        number = int(request.query.get("after") or 0)
        return 200, {}, page(number, str(1 + number % 3))

    with web.answering(circle) as url, polling(feed(url, by_cursor())):
        until(lambda: (s := shown()) and s.failures_in_a_row >= 3)
    assert (shown().state, shown().reason) == ("failing", "loop")
    assert numbers(intake.bodies()) == [0, 1, 2, 3]


def test_cursor_that_the_server_forgot_begins_the_round_anew(web, polling, intake, shown):
    forgotten = [True]

    def answer(request):
        if request.query.get("after") == "2" and forgotten:
            forgotten.clear()
            return 410, {}, b""
        return book(request)

    with web.answering(answer) as url, polling(feed(url, by_cursor(), every="1h")):
        until(lambda: len(intake.bodies()) == 2 + PAGES)
    assert numbers(intake.bodies()) == [0, 1, *range(PAGES)]
    assert shown().failures == 1


def test_page_that_is_garbage_is_handed_in_once(web, polling, intake, shown):
    def answer(request):
        return (200, {}, b"<html>") if request.query else book(request)

    with web.answering(answer) as url, polling(feed(url, by_cursor())):
        until(lambda: (s := shown()) and s.failures_in_a_row >= 3)
    assert (shown().reason, shown().cursor) == ("garbage", "1")
    assert intake.calls == 2


def test_first_page_may_say_that_there_is_nothing(web, polling, intake, shown):
    with web.answering(lambda request: (404, {}, b"")) as url, polling(feed(url, by_cursor())):
        until(lambda: (s := shown()) and s.empty > 1)
    assert shown().state == "empty" and intake.bodies() == []


def listed(numbers, **more):
    return msgspec.json.encode({"data": [{"page": number} for number in numbers], **more})


def by_body_url(request):
    number = int(request.query.get("p") or 0)
    following = f"http://{request.headers['host']}/?p={number + 1}" if number % 2 else f"?p={number + 1}"
    return 200, {}, listed([number], next=following if number + 1 < PAGES else None)


def by_header(request):
    number = int(request.query.get("after") or 0)
    return 200, {"X-Next": str(number + 1)} if number + 1 < PAGES else {}, listed([number])


def by_number(request):
    number = int(request.query["p"]) - 1
    return 200, {}, listed([number] if number < PAGES else [])


def by_number_that_ends(request):
    number = int(request.query["p"]) - 1
    return (200, {}, listed([number])) if number < PAGES else (404, {}, b'{"detail": "Invalid page."}')


def by_offset(request):
    first = int(request.query["skip"])
    return 200, {}, listed(range(PAGES)[first : first + 2])


@pytest.fixture
def served(web, polling, intake, shown):
    return web, polling, intake, shown


@pytest.mark.parametrize(
    ("answer", "way", "asked"),
    [
        (by_body_url, SourcePaging(by="url", cursor_path="$.next"), ["", "1", "2", "3", "4", "5"]),
        (by_header, SourcePaging(by="cursor", cursor_header="X-Next", param="after"), ["", "1", "2", "3", "4", "5"]),
        (by_number, SourcePaging(by="page", param="p"), ["1", "2", "3", "4", "5", "6", "7"]),
        (by_number_that_ends, SourcePaging(by="page", param="p"), ["1", "2", "3", "4", "5", "6", "7"]),
        (by_number, SourcePaging(by="page", param="p", start="3", size=2), ["3", "4", "5", "6", "7"]),
        (by_number, SourcePaging(by="page", param="p", start="3", size=1), ["3", "4", "5", "6", "7"]),
        (by_offset, SourcePaging(by="offset", param="skip"), ["0", "2", "4", "6"]),
        (by_offset, SourcePaging(by="offset", param="skip", size=4, start="1"), ["1", "3", "5", "6"]),
        (by_offset, SourcePaging(by="offset", param="skip", size=2, start="1"), ["1", "3", "5"]),
    ],
    ids=["url", "header", "page", "404", "capped page", "full page", "offset", "capped offset", "full offset"],
)
def test_every_way_to_page_reads_each_page_once_a_round(answer, way, asked, served):
    web, polling, intake, shown = served
    with web.answering(answer) as url, polling(feed(url.replace("//", "//reader:pass%20word@"), way)):
        until(lambda: len(web.requests) > len(asked))
    sent = [next(iter(request.query.values()), "") for request in web.requests]
    assert sent[: len(asked) + 1] == [*asked, asked[0]]
    taken = [one["page"] for body in intake.bodies() for one in msgspec.json.decode(body)["data"]]
    if way.start == "":
        assert taken[:PAGES] == list(range(PAGES))
    logins = {request.headers["authorization"] for request in web.requests}
    assert logins == {"Basic cmVhZGVyOnBhc3Mgd29yZA=="}, "also where a page is a whole URL"
    assert "pass" not in str(shown())


def test_behind_the_last_counted_page_the_source_waits_for_its_time(web, polling, intake, shown):
    with web.answering(by_number_that_ends) as url:
        with polling(feed(url, SourcePaging(by="page", param="p"), every="1h")):
            state = until(lambda: (s := shown()) and len(web.requests) > PAGES and s.next_due_ns and s)
        assert (state.state, state.reason) == ("ok", None)
    assert len(intake.bodies()) == PAGES


def test_a_server_that_knows_no_pages_is_found_out(web, polling, intake, shown):
    with web.answering(lambda request: (200, {}, listed([1, 2]))) as url:
        with polling(feed(url, SourcePaging(by="page", param="p", start="0"))):
            state = until(lambda: (s := shown()) and s.reason and s)
        assert (state.reason, "same as the one before" in state.detail) == ("loop", True)


def test_another_origin_is_followed_only_where_it_is_allowed_and_without_credentials(web, polling, intake, shown):
    def elsewhere(request):
        return 200, {}, listed([2])

    with (
        running(other := Web(elsewhere)) as far,
        web.answering(lambda _: (200, {}, listed([1], next=f"{far}/2"))) as url,
    ):
        login = {"headers": {"X-Api-Key": "hush"}}
        with polling(feed(url, SourcePaging(by="url", cursor_path="$.next"), **login)):
            assert until(lambda: (s := shown()) and s.reason and s).reason == "foreign_link"
        assert other.requests == []
        with polling(feed(url, SourcePaging(by="url", cursor_path="$.next", origins=(far,)), **login)):
            until(lambda: other.requests)
    assert {"x-api-key"} <= web.requests[-1].headers.keys()
    assert not any("x-api-key" in request.headers for request in other.requests)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ({"by": "url"}, "cursor_path"),
        ({"by": "url", "cursor_path": "$.next", "param": "p"}, "param"),
        ({"by": "cursor", "cursor_path": "$.a", "cursor_header": "b", "param": "p"}, "cursor_path"),
        ({"by": "page"}, "param"),
        ({"by": "page", "param": "p", "start": "one"}, "start"),
        ({"by": "offset", "param": "p", "size": 0}, "size"),
        ({"by": "url", "cursor_path": "$.next", "origins": ("there",)}, "origins"),
    ],
)
def test_ways_to_page_are_checked(way, name):
    found = [finding.key for finding in source_faults(feed("http://x/", SourcePaging(**way)))]
    assert any(key[:3] == ("source", "page", name) for key in found)
