"""Times of day are those of the zone's clocks, whatever happens to these."""

import pytest

from tests.sources.conftest import HERE, until
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source
from tidemill.model.time import format_instant, parse_instant
from tidemill.sources.schedule import Cron


def dues(text, tz, start, count):
    found, at = [], parse_instant(start)
    for _ in range(count):
        at = Cron(text, tz).due_ns(at)
        found.append(format_instant(at))
    return found


@pytest.mark.parametrize(
    ("text", "tz", "start", "expected"),
    [
        ("*/15 6 * * 1-5", "UTC", "2024-03-01T06:40:00.5Z", ["2024-03-01T06:45:00Z", "2024-03-04T06:00:00Z"]),
        # Zurich, 31 March 2024: 02:00 becomes 03:00; 27 October: 03:00 becomes 02:00
        ("0 6 * * *", "Europe/Zurich", "2024-03-30T05:00:00Z", ["2024-03-31T04:00:00Z", "2024-04-01T04:00:00Z"]),
        ("30 2 * * *", "Europe/Zurich", "2024-03-30T02:00:00Z", ["2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"]),
        ("30 2 * * *", "Europe/Zurich", "2024-10-26T01:00:00Z", ["2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"]),
        (
            "30 * * * *",
            "Europe/Zurich",
            "2024-10-27T00:00:00Z",
            ["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:30:00Z"],
        ),
    ],
)
def test_due_times_follow_the_clocks_of_the_zone(text, tz, start, expected):
    assert dues(text, tz, start, len(expected)) == expected


def test_source_waits_for_its_time_and_a_missed_one_is_made_up_for(web, polling, states, intake):
    now = [parse_instant("2024-03-01T05:59:00Z")]

    def state():
        return states().get("daily")

    with web.answering(lambda request: (200, {}, b'{"v": %d}' % len(web.requests))) as url:
        source = Source(url=url, cron="0 7 * * *", tz="Europe/Zurich", allow=HERE)
        feed = Feed(name="daily", source=source)
        with polling(feed, now_ns=lambda: now[0]):
            until(lambda: (s := state()) and format_instant(s.next_due_ns or 0) == "2024-03-01T06:00:00Z")
            assert web.requests == [] and state().state == "starting"
        now[0] = parse_instant("2024-03-01T06:00:10Z")
        with polling(feed, now_ns=lambda: now[0]):  # never polled: there is nothing to make up for
            until(lambda: (s := state()) and format_instant(s.next_due_ns or 0) == "2024-03-02T06:00:00Z")
            assert web.requests == []
        now[0] = parse_instant("2024-03-02T05:59:59.9Z")
        with polling(feed, now_ns=lambda: now[0]):
            until(lambda: state().next_due_ns == parse_instant("2024-03-02T06:00:00Z"))
            now[0] += 10**9
            until(lambda: state().state == "ok")
            assert format_instant(state().next_due_ns) == "2024-03-03T06:00:00Z"
        now[0] = parse_instant("2024-03-05T12:00:00Z")
        with polling(feed, now_ns=lambda: now[0]):
            until(lambda: state().state == "ok" and state().polls == 2)
            assert format_instant(state().next_due_ns) == "2024-03-06T06:00:00Z"
    assert len(intake.bodies()) == 2
