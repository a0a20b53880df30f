"""What a server is told of a window, in every format: never less than it, whatever the clocks of the zone do."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.conftest import HERE, until
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source, SourceWindow
from tidemill.feeds.validate_source import source_faults
from tidemill.model.time import NS_PER_S, parse_instant
from tidemill.sources.bounds import Bounds
from tidemill.sources.poll_windows import PollWindow, PollWindows

ZONES = ["UTC", "Europe/Amsterdam", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "Africa/Cairo"]
PATTERNS = {"date": "%Y-%m-%d", "local": "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M": "%d.%m.%Y %H:%M"}
instants = st.integers(1_700_000_000_000_000_000, 1_780_000_000_000_000_000)
UNITS = {"date": timedelta(days=1), "local": timedelta(seconds=1), "%d.%m.%Y %H:%M": timedelta(minutes=1)}


def readings(text, pattern, zone):
    """Every instant (s since the epoch) that a server may take a clock time for."""
    wall = datetime.strptime(text, pattern)
    return [wall.replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() for fold in (0, 1)]


@given(instants, st.integers(1, 10**15), st.sampled_from(ZONES), st.sampled_from(sorted(PATTERNS)), st.booleans())
def test_clock_times_never_leave_out_an_instant(start, length, zone, pattern, inclusive):
    stop = start + length
    bounds = Bounds(pattern, zone, inclusive)
    assert max(readings(bounds.text(start), PATTERNS[pattern], zone)) * NS_PER_S <= start
    told = bounds.text(stop, stop=True)
    if inclusive:
        wall = datetime.strptime(told, PATTERNS[pattern]) + UNITS[pattern]
        told = wall.strftime(PATTERNS[pattern])
    assert min(readings(told, PATTERNS[pattern], zone)) * NS_PER_S >= stop


@given(instants, st.sampled_from([("unix_s", NS_PER_S), ("unix_ms", 10**6)]), st.booleans())
def test_epoch_numbers_are_rounded_outward(ns, form, inclusive):
    name, unit = form
    bounds = Bounds(name, inclusive=inclusive)
    assert 0 <= ns - int(bounds.text(ns)) * unit < unit
    assert 0 <= (int(bounds.text(ns, stop=True)) + inclusive) * unit - ns < unit


@pytest.mark.parametrize(
    ("bounds", "start", "stop"),
    [
        (Bounds("unix_ms"), "1793491200000", "1794096000000"),
        (Bounds("unix_s", inclusive=True), "1793491200", "1794095999"),
        (Bounds("date", "Europe/Amsterdam"), "2026-11-01", "2026-11-09"),
        (Bounds("date", inclusive=True), "2026-11-01", "2026-11-07"),
        (Bounds("local", "Asia/Kathmandu"), "2026-11-01T05:45:00", "2026-11-08T05:45:00"),
        (Bounds("%d.%m.%Y %H:%M", "Europe/Amsterdam", True), "01.11.2026 01:00", "08.11.2026 00:59"),
        (Bounds(inclusive=True), "2026-11-01T00:00:00Z", "2026-11-07T23:59:59.999999999Z"),
    ],
)
def test_a_week_in_every_format(bounds, start, stop):
    window = PollWindow(parse_instant("2026-11-01T00:00:00Z"), parse_instant("2026-11-08T00:00:00Z"), False)
    windows = PollWindows(start_ns=0, size_ns=1, bounds=bounds)
    assert windows.placeholder_values(window) == {"start": start, "stop": stop}


@given(st.integers(0, 365 * 5), st.integers(1, 40), st.sampled_from(ZONES))
def test_halves_of_local_days_meet_at_a_midnight(day, days, zone):
    first = datetime(2023, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
    last = first + timedelta(days=days)
    window = PollWindow(int(first.timestamp()) * NS_PER_S, int(last.timestamp()) * NS_PER_S, True)
    pair = PollWindows(start_ns=0, size_ns=1, bounds=Bounds("date", zone)).halves(window)
    if pair is None:
        assert days == 1
    else:
        local = datetime.fromtimestamp(pair[0].stop_ns // NS_PER_S, ZoneInfo(zone))
        assert local.date() not in (first.date(), last.date()) and (local - timedelta(seconds=1)).date() != local.date()


def test_windows_tile_for_a_server_that_counts_the_end_in(web, polling, intake, states):
    """One record a second: each is asked for once, by a server that takes both ends."""
    begin = 1_700_000_000
    windows = PollWindows(start_ns=begin * NS_PER_S, size_ns=50 * NS_PER_S, bounds=Bounds("unix_s", inclusive=True))
    cursor, asked = None, []
    while (part := windows.next_window(cursor, (begin + 175) * NS_PER_S)) is not None:
        values = windows.placeholder_values(part)
        asked += range(int(values["start"]), int(values["stop"]) + 1)
        cursor = part.stop_ns
    assert asked == list(range(begin, begin + 175))
    window = SourceWindow(start="2023-11-14T22:13:20Z", size="60d", format="unix_s", end="inclusive")
    params = {"from": "{start}", "to": "{stop}"}
    with web.answering(lambda request: (200, {}, b"[]")) as url:
        source = Source(url=url, params=params, window=window, every="1h", allow=HERE)
        with polling(Feed(name="ends", source=source)):
            until(lambda: len(web.requests) > 2)
    bounds = [(int(one.query["from"]), int(one.query["to"])) for one in web.requests]
    assert bounds[0][0] == begin and bounds[1][0] == bounds[0][1] + 1


@pytest.mark.parametrize(
    ("window", "key"),
    [
        ({"format": "unix"}, "format"),
        ({"format": "%Q"}, "format"),
        ({"format": "local", "zone": "Europe/Nowhere"}, "zone"),
        ({"format": "unix_s", "zone": "Europe/Zurich"}, "zone"),
    ],
)
def test_formats_are_checked(window, key):
    source = Source(url="http://x/{start}", window=SourceWindow(start="2026-01-01T00:00:00Z", **window))
    assert [one.key for one in source_faults(Feed(name="x", source=source))] == [("source", "window", key)]


@pytest.mark.parametrize("pattern", ["%m/%Y", "%Y", "%H:%M", "%d.%m.%Y %I:%M"])
def test_a_pattern_that_writes_several_bounds_alike_is_refused(pattern: str) -> None:
    window = SourceWindow(start="2026-01-01T00:00:00Z", size="1h", format=pattern)
    source = Source(url="http://127.0.0.1:1/?from={start}&to={stop}", every="1h", window=window)
    assert "bad_pattern" in {fault.code for fault in source_faults(Feed(name="f", source=source))}
