"""What a host asks for is heard: `Retry-After` in full and by all who ask it, and a rate that is shared."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.conftest import HERE, until
from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed
from tidemill.feeds.durations import requests_per_second
from tidemill.feeds.source import Source
from tidemill.feeds.validate_source import source_faults
from tidemill.sources.hosts import retry_after_s

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def source(name, url, **more):
    return Feed(name=name, source=Source(url=url, **{"every": "20ms", "max_backoff": "20ms", "allow": HERE, **more}))


@given(st.integers(-100_000, 200_000), st.booleans(), st.integers(-5000, 5000))
def test_seconds_and_dates_mean_the_same(seconds, dated, skew):
    """A date is compared with the server's own clock, however wrong that is."""
    expected = float(min(max(seconds, 0), 86_400))
    assert retry_after_s({"retry-after": str(max(seconds, 0))}) == expected
    server = NOON + timedelta(seconds=skew if dated else 0)
    headers = {"retry-after": format_datetime(server + timedelta(seconds=seconds), usegmt=True)}
    headers |= {"date": format_datetime(server, usegmt=True)} if dated else {}
    assert retry_after_s(headers, now=lambda: NOON) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "٣", "Sun, 99 Nov 2026 00:00:00 GMT", "9" * 400])
def test_what_cannot_be_read_is_none_or_a_day(text):
    assert retry_after_s({"retry-after": text}) in (None, 86_400.0)


def in_three_seconds():
    return format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)


@pytest.mark.parametrize("written", [lambda: "3", in_three_seconds], ids=["seconds", "date"])
def test_a_host_is_left_alone_by_every_item_whatever_max_backoff(written, web, polling, states):
    times = []

    def answer(request):
        if request.path == "/other":
            return 200, {}, b'{"v": 1}'
        times.append(time.monotonic())
        if len(times) == 1:
            return 429, {"retry-after": written()}, b""
        return 200, {}, b'{"v": 1}'

    with web.answering(answer) as url:
        more = {"open_after": 1, "open_for": "10ms"}
        first = source("one", f"{url}/{{unit}}", each={"unit": "a"}, **more)
        both = source("one", f"{url}/{{unit}}", each={"unit": "a,b"}, **more)
        with polling(first):
            held = until(lambda: (s := states().get("one/unit=a")) and s.retry_ns and s)
        with polling(both, source("two", f"{url}/other")):  # a restart, and another item, do not ask earlier either
            until(lambda: (s := states().get("two")) and s.state == "ok")
            asked_by_others = len(times) == 1
            until(lambda: len(times) > 2)
            free = until(lambda: (s := states()["one/unit=a"]) and s.state == "ok" and s)
    assert asked_by_others, "another feed may have another account: it does not wait"
    assert times[1] - times[0] >= 1.9  # a date has whole seconds only
    assert held.retry_host == url.rstrip("/") and abs(held.next_due_ns - held.retry_ns) < 10**9
    assert "asks to be left alone for" in held.detail
    assert (free.retry_ns, free.retry_host) == (None, None)


def test_a_rate_is_shared_by_the_sources_of_a_host(web, polling, intake):
    times = []

    def answer(request):
        times.append(time.monotonic())
        return 200, {}, b'{"v": 1}'

    with web.answering(answer) as url:
        feeds = [source("one", f"{url}/1", rate="300/1m"), source("two", f"{url}/2")]
        with polling(*feeds):
            until(lambda: len(times) >= 9)
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 20
    first = times[:9]
    assert first[-1] - first[1] >= 7 * 0.2 - 0.05, "300 a minute are 0.2 s apart, both sources together"
    assert {request.path for request in web.requests} == {"/1", "/2"}


def test_rates_are_a_count_and_a_duration():
    assert requests_per_second("60/1h") == 1 / 60
    for bad in ("60", "0/1h", "x/1h", "1/h", "-1/1s", "1.5/1s"):
        found = list(source_faults(source("x", "http://x", rate=bad)))
        assert [one for one in found if isinstance(one, DefinitionFault) and one.key == ("source", "rate")], bad
