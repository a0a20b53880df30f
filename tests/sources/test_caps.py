"""A server that gives less than was asked for loses nothing: it is found out, and the rest is asked for."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.conftest import HERE, until
from tidemill.feeds.definition import Feed, Field, Input, Tag, TimePolicy
from tidemill.feeds.source import Source, SourceWindow
from tidemill.sources.caps import is_capped, may_be_capped, record_keys

BEGIN, STEP_S = 1_700_000_000, 3600


def feed(url, size="30d", **more):
    window = SourceWindow(start="2023-11-14T22:13:20Z", size=size, lag="0s", format="unix_s")
    params = {"from": "{start}", "to": "{stop}", **more}
    return Feed(
        name="plant",
        input=Input(records="$.rows"),
        time=TimePolicy(path="$.t"),
        tags={"unit": Tag(path="$.unit", required=False)},
        fields={"v": Field(path="$.v")},
        source=Source(url=url, params=params, window=window, every="1h", allow=HERE, max_backoff="50ms"),
    )


def record(at):
    return {"t": datetime.fromtimestamp(at, UTC).isoformat(), "unit": "a", "v": at}


def server(cap, count, *, newest_first=False, last_of=False):
    """Hourly records from BEGIN on; at most `cap` of them at once."""

    def answer(request):
        first, stop = int(request.query["from"]), int(request.query["to"])
        there = [at for at in range(BEGIN, BEGIN + count * STEP_S, STEP_S) if first <= at < stop]
        there = there[::-1] if newest_first else there
        shown = there[-cap:] if last_of else there[:cap]
        return 200, {}, json.dumps({"rows": [record(at) for at in shown], "made": len(there)}).encode()

    return answer


def at_rest(states):
    """Whether the window that ends now was read: the next poll is an hour away."""
    state = states().get("plant")
    return state and state.cursor and state.next_due_ns and state.next_due_ns - time.time_ns() > 60 * 10**9


def taken(intake):
    return [row["v"] for body in intake.bodies() for row in json.loads(body)["rows"]]


@pytest.mark.parametrize("sort", [{}, {"newest_first": True}, {"last_of": True}], ids=["oldest", "newest", "last"])
def test_a_cap_below_the_asked_limit_loses_nothing(sort, web, polling, intake, states):
    rows = []
    with web.answering(server(100, 1000, **sort)) as url, polling(feed(url, limit="5000"), record=rows.extend):
        until(lambda: at_rest(states))
    assert sorted(taken(intake)) == list(range(BEGIN, BEGIN + 1000 * STEP_S, STEP_S)), "each once"
    cut_off = [row for row in rows if row.result == "truncated"]
    assert cut_off and all("at most 100 records" in row.detail and row.records == 100 for row in cut_off)


def test_what_is_whole_is_asked_for_once_more_only_and_known_after_a_restart(web, polling, intake, states):
    with web.answering(server(10**6, 1000)) as url:
        for _ in range(2):
            with polling(feed(url)):
                until(lambda: at_rest(states))
        asked = [(int(one.query["from"]), int(one.query["to"])) for one in web.requests]
    whole = [bounds for bounds in asked if bounds[1] - bounds[0] == 30 * 86_400]
    assert len(whole) == len(set(whole)), "each window once"
    assert len(asked) - len(whole) <= 2 + 2, "two halves of the first, and the window that ends now"
    assert sorted(taken(intake)) == list(range(BEGIN, BEGIN + 1000 * STEP_S, STEP_S))


def test_buckets_as_wide_as_the_window_allows_are_no_cap(web, polling, intake, states):
    def buckets(request):
        first, stop = int(request.query["from"]), int(request.query["to"])
        width = (stop - first) / 24
        return 200, {}, json.dumps({"rows": [record(first + n * width) for n in range(24)]}).encode()

    with web.answering(buckets) as url, polling(feed(url)):
        until(lambda: at_rest(states))
    assert states()["plant"].failures == 0 and len(taken(intake)) == 24 * len(intake.bodies())


records = st.lists(st.integers(0, 300), unique=True, min_size=10).map(sorted)


@given(records, st.integers(1, 300), st.integers(10, 400), st.booleans(), st.booleans())
def test_a_cap_is_found_whichever_way_the_server_sorts(there, middle, cap, newest_first, last_of):
    def asked(first, stop):
        found = [at for at in there if first <= at < stop]
        found = found[::-1] if newest_first else found
        return [b"%d" % at for at in (found[-cap:] if last_of else found[:cap])]

    whole, first, second = asked(0, 301), asked(0, middle), asked(middle, 301)
    assert not is_capped(whole, whole, whole)
    if first and second:  # else all of it may be in one half, which is halved again
        assert is_capped(whole, first, second) == (len(there) > cap)


@pytest.mark.parametrize("day", [0, 20])
def test_records_in_a_small_part_of_the_window_are_looked_for(day, web, polling, intake, states):
    """150 records within a few hours of a month, of which the server gives 100."""
    there = [BEGIN + day * 86_400 + n * 60 for n in range(150)]

    def answer(request):
        first, stop = int(request.query["from"]), int(request.query["to"])
        return 200, {}, json.dumps({"rows": [record(at) for at in there if first <= at < stop][:100]}).encode()

    with web.answering(answer) as url, polling(feed(url)):
        until(lambda: at_rest(states))
    assert sorted(taken(intake)) == there


def test_records_are_told_apart_by_time_and_tags():
    body = [b'{"t": 1, "a": {"b": "x"}, "made": 5}', b'{"a": {"b": "x"}, "made": 6, "t": 1}', b'{"t": 1}', b"NaN"]
    first, second, third, odd = record_keys(body, (("t",), ("a", "b")))
    assert first == second != third and odd == b"NaN"
    assert record_keys(body, ()) == body


def test_a_window_that_grows_is_not_looked_at_each_time():
    assert (
        not may_be_capped(9, 0, last=False)
        and may_be_capped(10, 9, last=False)
        and not may_be_capped(10, 10, last=False)
    )
    assert (
        not may_be_capped(101, 99, last=True)
        and may_be_capped(100, 99, last=True)
        and may_be_capped(130, 99, last=True)
    )
