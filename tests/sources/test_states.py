"""What a source's state says: nothing new, nothing at all, too slow, not to be reached."""

import logging
import time

import msgspec
import pytest

from tests.sources.conftest import HERE, closed_port, until
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source
from tidemill.sources.state import Cursor, Unsent

BODY = b'{"v": 1}'


def plain(url, **more):
    options = {"every": "30ms", "max_backoff": "30ms", "timeout": "2s", "allow": HERE, **more}
    return Feed(name="plain", source=Source(url=url, **options))


@pytest.fixture
def shown(states):
    return lambda: states().get("plain")


def versioned(version):
    """A server that knows its version, and says so when it is asked with it."""

    def answer(request):
        tag = f'"{version[0]}"'
        if request.headers.get("if-none-match") == tag:
            return 304, {"etag": tag}, b""
        return 200, {"etag": tag, "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, b'{"v": %d}' % version[0]

    return answer


def test_not_modified_is_unchanged_also_after_a_restart(web, polling, intake, shown):
    version, rows = [1], []
    with web.answering(versioned(version)) as url:
        with polling(plain(url), record=rows.extend):
            until(lambda: (s := shown()) and s.state == "unchanged" and s.unchanged > 1)
        asked = len(web.requests)
        with polling(plain(url), record=rows.extend):
            until(lambda: len(web.requests) > asked + 1)
            version[0] = 2
            until(lambda: len(intake.bodies()) == 2)
        assert "if-modified-since" in web.requests[asked].headers
        assert web.requests[asked].headers["if-none-match"] == '"1"'
    assert intake.bodies() == [b'{"v": 1}', b'{"v": 2}']
    assert {(row.result, row.status, row.records) for row in rows} == {("data", 200, 1), ("unchanged", 304, 0)}
    assert all(row.next_due_ns and row.next_due_ns > row.started_ns for row in rows if row != rows[-1])


def test_answer_that_was_not_taken_is_asked_for_again(web, polling, intake, shown, catalog):
    intake.up = False
    with web.answering(versioned([1])) as url:
        with polling(plain(url)):
            until(lambda: (s := shown()) and s.reason == "intake_unavailable")
        with polling(plain(url)):
            until(lambda: shown().reason == "intake_unavailable")
        assert not any("if-none-match" in request.headers for request in web.requests)
        assert catalog.get("sources/default/plain/-/cursor") is None


def test_another_url_is_asked_without_what_the_old_one_said(web, polling, intake, shown):
    with web.answering(versioned([1])) as url:
        with polling(plain(f"{url}/a")):
            until(lambda: (s := shown()) and s.unchanged)
        with polling(plain(f"{url}/b")):
            until(lambda: len(intake.bodies()) == 2)
        assert "if-none-match" not in next(one for one in web.requests if one.path == "/b").headers


def test_unconditional_poll_sends_no_version(web, polling, intake):
    with web.answering(versioned([1])) as url, polling(plain(url, conditional=False)):
        until(lambda: len(intake.bodies()) == 3)
    assert not any("if-none-match" in request.headers for request in web.requests)


def test_repeated_value_is_data_unless_it_is_to_be_skipped(web, polling, intake, shown):
    with web.answering(lambda request: (200, {}, BODY)) as url:
        with polling(plain(url)):
            until(lambda: len(intake.bodies()) == 3)
        with polling(plain(url, skip_unchanged=True)):
            until(lambda: shown().state == "unchanged")
        taken = len(intake.bodies())
        with polling(plain(url, skip_unchanged=True)):
            until(lambda: shown().state == "unchanged")
        assert len(intake.bodies()) == taken, "it is remembered across a restart"


@pytest.mark.parametrize("answer", [(204, {}, b""), (404, {}, b"gone"), (200, {}, b"[]"), (200, {}, b"\n")])
def test_nothing_is_no_failure_and_no_payload(web, answer, polling, intake, shown):
    with web.answering(lambda request: answer) as url:
        for drain in (False, True):
            with polling(plain(url, drain=drain)):
                until(lambda drain=drain: (s := shown()) and s.state == "empty" and s.empty >= 2 + 2 * drain)
            assert (shown().state, shown().failures, intake.calls) == ("empty", 0, 0)


def test_slow_answer_is_data_and_says_so(web, polling, intake, shown):
    def answer(request):
        time.sleep(0.05)
        return 200, {}, BODY

    with web.answering(answer) as url:
        with polling(plain(url, slow_after="20ms")):
            until(lambda: (s := shown()) and s.state == "slow")
            assert shown().detail.startswith("the answer took 0.")
            until(lambda: len(intake.bodies()) > 1)
        with polling(plain(url)):
            until(lambda: shown().state == "ok")


def test_what_keeps_failing_is_left_alone_then_tried_once(web, polling, intake, shown):
    up = []

    def answer(request):
        return (200, {}, BODY) if up else (500, {}, b"")

    resting = {"open_after": 3, "open_for": "400ms", "max_backoff": "100ms"}
    with web.answering(answer) as url, polling(plain(url, **resting)):
        state = until(lambda: (s := shown()) and s.state == "open" and s)
        assert (state.reason, state.failures_in_a_row) == ("bad_status", 3)
        left_s = (state.next_due_ns - state.last_poll_ns) / 1e9
        assert 0.39 < left_s < 2
        asked = len(web.requests)
        until(lambda: shown().failures_in_a_row == 4)
        assert len(web.requests) == asked + 1 and shown().since_ns == state.since_ns
        up.append(True)
        until(lambda: shown().state == "ok")
        assert shown().failures_in_a_row == 0 and shown().reason is None


def test_rest_is_five_times_the_longest_back_off(polling, shown):
    with polling(plain(closed_port(), open_after=1, max_backoff="10s")):
        state = until(lambda: (s := shown()) and s.state == "open" and s.next_due_ns and s)
    assert 49 < (state.next_due_ns - state.last_poll_ns) / 1e9 < 51


def test_log_tells_of_what_keeps_failing_and_when_it_is_over(web, polling, shown, caplog):
    caplog.set_level(logging.INFO, "tidemill.sources.tracker")
    up = []

    def answer(request):
        return (200, {}, BODY) if up else (500, {}, b"")

    with web.answering(answer) as url, polling(plain(url, open_after=100)):
        until(lambda: (s := shown()) and s.failures_in_a_row >= 5)
        up.append(True)
        until(lambda: shown().state == "ok")
    facts = {"tenant": "default", "feed": "plain"}
    why = {"reason": "bad_status", "detail": "the server answered 500"}
    told = [(record.getMessage(), record.facts) for record in caplog.records]
    assert told == [("a source fails", {**facts, **why}), ("a source answers again", facts)]


def test_stored_cursors_and_payloads_keep_their_names_in_the_catalog():
    cursor, unsent = Cursor(taken_upto_ns=5, request_sha256="ab"), Unsent(b"1", "text/plain", "k", {"meter": "m1"})
    stored = msgspec.json.decode(msgspec.json.encode(cursor))
    assert (stored["position_ns"], stored["asked"]) == (5, "ab")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(unsent))["asked"] == {"meter": "m1"}
