"""Windows follow the wall clock of their zone, wherever it goes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.conftest import Writer
from tests.query.support import asked, document, ns, queries
from tests.support.calendar_windows import compare_windows, step_minutes, window_start
from tidemill.errors import InputError
from tidemill.query.points_query import PointsQuery
from tidemill.query.wall_clock import wall_clock
from tidemill.rules.zones import to_wall_ns
from tidemill.store.client import Store

HOUR = 3600 * 10**9
YEAR = 365 * 24 * HOUR


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("Asia/Kathmandu", ("30m", "20m", "1h", "1d")),
        ("Australia/Lord_Howe", ("20m", "30m", "1h", "90m", "1d")),
        ("Pacific/Chatham", ("15m", "1h", "90m", "12h")),
        ("Europe/Berlin", ("20m", "1h", "90m", "2h", "1w")),
        ("America/Havana", ("1h", "2h", "1d")),
        ("Africa/Casablanca", ("1h", "1d", "1mo")),
    ],
)
def test_windows_begin_where_the_standard_library_says(
    store: Store, writer: Writer, name: str, steps: tuple[str, ...]
) -> None:
    assert compare_windows(store, writer, name, range(2026, 2027), steps) > 10


def windows(store: Store, key: str, **given: str) -> list[tuple[str, object]]:
    found = document(queries(store).points.read_points("default", key, asked(PointsQuery, **given)))["items"]
    return [(item.pop("time"), *item.values()) for item in found]


def test_the_hour_that_comes_twice_has_two_windows_of_an_hour_and_one_of_two(store: Store, writer: Writer) -> None:
    key = writer.series("meters", "x")
    writer.points(key, [ns("2026-10-24T22:00:00Z") + n * HOUR // 2 for n in range(12)], [1.0] * 12)
    given = {"tz": "Europe/Berlin", "agg": "count"}
    assert windows(store, key, every="1h", **given)[2:4] == [
        *(("2026-10-25T02:00:00+02:00", 2), ("2026-10-25T02:00:00+01:00", 2))
    ]
    assert windows(store, key, every="2h", **given) == [
        *(("2026-10-25T00:00:00+02:00", 4), ("2026-10-25T02:00:00+02:00", 6), ("2026-10-25T04:00:00+01:00", 2))
    ]


@pytest.mark.parametrize(
    ("zone", "every", "span", "expected"),
    [
        ("Asia/Kathmandu", "30m", ("2026-01-10T00:00:00Z", "2026-01-10T01:00:00Z"), 3),
        ("Australia/Lord_Howe", "1h", ("2026-04-04T13:00:00Z", "2026-04-04T17:30:00Z"), 4),  # 01:00 lasts 90 minutes
        ("Australia/Lord_Howe", "30m", ("2026-04-04T13:00:00Z", "2026-04-04T17:00:00Z"), 8),
        ("Europe/Berlin", "1h", ("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"), 3),
        ("Europe/Berlin", "90m", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 16),
        ("Europe/Berlin", "1h", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 25),
    ],
)
def test_windows_without_points_begin_where_those_with_points_do(
    store: Store, writer: Writer, zone: str, every: str, span: tuple[str, str], *, expected: int
) -> None:
    start, end = span
    given = {"every": every, "tz": zone, "start": start, "end": end, "agg": "count"}
    empty, full = (writer.series("meters", "x", {"is": one}) for one in ("empty", "full"))
    times = range(ns(start), ns(end), HOUR // 12)
    writer.points(full, list(times), [1.0] * len(times))
    filled = [time for time, _ in windows(store, empty, fill="null", **given)]
    assert filled == [time for time, _ in windows(store, full, **given)]
    assert [time for time, _ in windows(store, full, fill="null", **given)] == filled
    assert len(filled) == expected


def test_windows_closed_at_the_right_have_their_end(store: Store, writer: Writer) -> None:
    key = writer.series("meters", "x")
    stamps = ["2020-08-23T22:00:00Z", "2020-08-23T22:30:00Z", "2020-08-24T21:30:00Z", "2020-08-24T22:00:00Z"]
    writer.points(key, [ns(stamp) for stamp in stamps], [8.0, 1.0, 2.0, 4.0])
    given = {"every": "1d", "tz": "Europe/Paris", "agg": "sum", "closed": "right"}
    days = [("2020-08-23T00:00:00+02:00", 8.0), ("2020-08-24T00:00:00+02:00", 7.0)]
    assert windows(store, key, **given) == days
    assert windows(store, key, fill="null", **given) == days
    assert windows(store, key, start=stamps[0], end=stamps[-1], **given) == days[1:]
    assert windows(store, key, fill="null", start=stamps[0], end=stamps[-1], **given) == days[1:]
    assert windows(store, key, every="30m", tz="UTC", agg="count", closed="right")[0] == ("2020-08-23T21:30:00Z", 1)
    with pytest.raises(InputError, match="'closed' is about windows"):
        windows(store, key, closed="right")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["Australia/Lord_Howe", "Europe/Dublin", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca"]),
    st.lists(st.integers(-60 * YEAR, 200 * YEAR), min_size=1, max_size=20),
)
def test_every_instant_is_found_by_what_the_clock_shows_then(zone: str, given: list[int]) -> None:
    clock = wall_clock(zone, min(given), max(given))
    instants = np.array(given)
    walls = to_wall_ns(instants, zone)
    again = set(clock.second_instants(walls, 1).tolist())
    first = clock.first_instants(walls)
    assert all(one == ns or ns in again for one, ns in zip(first.tolist(), given, strict=True))
    tables = clock.lookup_tables()
    assert len(tables["by_change"]) < 5000


@settings(deadline=None)
@given(
    st.sampled_from(["Europe/Zurich", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Pacific/Chatham"]),
    st.sampled_from(["10m", "15m", "20m", "30m", "1h", "90m", "2h"]),
    st.integers(ns("2024-01-01T00:00:00Z") // 10**9, ns("2027-01-01T00:00:00Z") // 10**9),
)
def test_windows_of_a_clock_that_agrees_with_utc_are_those_of_utc(name: str, step: str, second: int) -> None:
    minutes = step_minutes(step)
    if wall_clock(name, ns("2024-01-01T00:00:00Z"), ns("2027-01-01T00:00:00Z")).agrees_with_utc(minutes * HOUR // 60):
        start = window_start(datetime.fromtimestamp(second, UTC), ZoneInfo(name), step)
        assert int(start.timestamp()) == second - second % (60 * minutes)


def test_the_hours_of_most_zones_agree_with_utc() -> None:
    year = ns("2026-01-01T00:00:00Z"), ns("2027-01-01T00:00:00Z")
    agree = [wall_clock(name, *year).agrees_with_utc(HOUR) for name in ("Europe/Zurich", "Asia/Kathmandu")]
    assert agree == [True, False]
    assert not wall_clock("Europe/Zurich", *year).agrees_with_utc(2 * HOUR)
