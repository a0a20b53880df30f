"""The increase and the rate of counters over windows, against a plain computation with the standard library."""

import csv
import io
import json
import math
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, document, ns, queries, whole
from tests.support.rounds import rounds
from tidemill.model.time import format_instant
from tidemill.query.points_query import PointsQuery
from tidemill.store.client import Store

MINUTE = 60 * SECOND
Reading = tuple[int, float | None]
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe")


def windows(store: Store, series: str, **given: str) -> list[tuple[object, ...]]:
    given = {"agg": "increase,rate", **given}
    page = document(queries(store).points.read_points("default", series, asked(PointsQuery, **given)))
    return [tuple(item.values()) for item in page["items"]]


def window_key(at_ns: int, zone: str, every: str, closed: str) -> str:
    """The window of an instant, named by what the clock shows (and the offset, for hours that come twice)."""
    local = datetime.fromtimestamp((at_ns - (closed == "right")) // SECOND, ZoneInfo(zone))
    return local.strftime("%Y-%m-%d" if every == "1d" else "%Y-%m-%dT%H %z")


def plain_windows(
    readings: Sequence[Reading], start: int, end: int, *, zone: str, every: str, closed: str
) -> dict[str, tuple[float | None, float | None]]:
    """(increase, rate) of each window with readings, read plainly: one pair of neighbours after the other."""
    held = sorted((at, value) for at, value in readings if value is not None)
    rises: dict[str, list[tuple[int, int, float]]] = {}
    late = int(closed == "right")
    for number, (at, value) in enumerate(held):
        if not start + late <= at < end + late:
            continue
        pairs = rises.setdefault(window_key(at, zone, every, closed), [])
        if number:
            before, least = held[number - 1]
            pairs.append((before, at, value - least if value >= least else value))
    found: dict[str, tuple[float | None, float | None]] = {}
    for key, pairs in rises.items():
        increase = math.fsum(rise for _, _, rise in pairs) if pairs else None
        seconds = (pairs[-1][1] - pairs[0][0]) / SECOND if pairs else 0
        found[key] = (increase, None if increase is None else increase / seconds)
    return found


@st.composite
def counters(draw: st.DrawFn) -> list[Reading]:
    """Readings at odd times around a change of clocks; now and then one falls, and some have no value."""
    at = draw(st.sampled_from([ns("2026-03-28T20:00:00Z"), ns("2026-10-24T21:00:00Z"), ns("2026-04-04T12:00:00Z")]))
    value, readings = draw(st.sampled_from([0.0, 10432.1])), list[Reading]()
    for _ in range(draw(st.integers(1, 25))):
        at += draw(st.sampled_from([1, 7, 15, 30, 60, 300])) * MINUTE
        value = draw(st.floats(0, value)) if draw(st.integers(0, 5)) == 0 else value + draw(st.integers(0, 40)) / 8
        readings.append((at, None if draw(st.integers(0, 7)) == 0 else value))
    return readings


@settings(max_examples=rounds(20, 200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=counters(),
    zone=st.sampled_from(ZONES),
    every=st.sampled_from(["1h", "1d"]),
    closed=st.sampled_from(["left", "right"]),
    bounds=st.tuples(st.integers(0, 20), st.integers(0, 60)),
)
def test_windows_have_what_a_plain_sum_of_rises_says(
    store: Store,
    writer: Writer,
    *,
    readings: list[Reading],
    zone: str,
    every: str,
    closed: str,
    bounds: tuple[int, int],
) -> None:
    key = writer.series("meters", "total", {"muid": str(uuid4())})
    writer.points(key, [at for at, _ in readings], [value for _, value in readings])
    start = readings[0][0] + bounds[0] * 20 * MINUTE
    end = start + bounds[1] * 45 * MINUTE
    given = {"tz": zone, "every": every, "closed": closed, "start": format_instant(start), "end": format_instant(end)}
    found = {
        window_key(ns(str(time)) + (closed == "right"), zone, every, closed): values
        for time, *values in windows(store, key, **given)
    }
    expected = plain_windows(readings, start, end, zone=zone, every=every, closed=closed)
    assert found.keys() == expected.keys()
    for window, values in expected.items():
        assert found[window] == [
            None if value is None else pytest.approx(value, rel=1e-12, abs=1e-12) for value in values
        ]
    paged, cursor = [], ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        given_page = asked(PointsQuery, **given, agg="increase,rate", limit="1", **more)
        page = document(queries(store).points.read_points("default", key, given_page))
        paged += [list(item.values())[1:] for item in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert paged == list(found.values())


METER = [10432.1, 10432.6, 0.0, 0.3, 0.7, 9.7, 9.9]  # a dip, and the first reading of another meter


@pytest.fixture
def meter(writer: Writer) -> str:
    key = writer.series("meters", "total", unit="kWh")
    hours = [8.0, 8.25, 8.5, 8.75, 9.0, 32.75, 33.0]
    writer.points(key, [START + int(hour * 60) * MINUTE for hour in hours], METER)
    return key


def test_a_day_has_what_was_used_in_it_whatever_lies_between_days(store: Store, meter: str) -> None:
    first, second = windows(store, meter, every="1d")
    assert first == ("2026-01-01T00:00:00Z", pytest.approx(1.2), pytest.approx(1.2 / 3600))
    assert second == ("2026-01-02T00:00:00Z", pytest.approx(9.2), pytest.approx(9.2 / 86400))
    assert windows(store, meter, every="1d", start="2026-01-02")[0][1] == pytest.approx(9.2)


def test_a_window_without_points_has_no_increase_and_the_first_point_none_either(store: Store, meter: str) -> None:
    for fill in ("null", "previous", "linear"):
        hours = windows(store, meter, every="15m", fill=fill, agg="increase,count", end="2026-01-01T09:30:00Z")
        assert [increase for _, increase, _ in hours] == [None, *map(pytest.approx, (0.5, 0.0, 0.3, 0.4)), None]
        assert [count for *_, count in hours] == [1, 1, 1, 1, 1, 0]


def test_a_dip_that_a_rule_flagged_is_passed_over_by_quality(store: Store, writer: Writer) -> None:
    key = writer.series("meters", "total")
    writer.points(key, [START + n * MINUTE for n in (0, 1, 3, 4)], [100.0, 101.0, 102.0, 104.0])
    writer.points(key, [START + 2 * MINUTE], [0.0], seq=2, marks=["counter_reset"])
    assert [row[1] for row in windows(store, key, every="1d")] == [105.0]
    assert [row[1] for row in windows(store, key, every="1d", quality="good")] == [4.0]


def test_the_point_before_is_one_that_still_counts(store: Store, writer: Writer) -> None:
    key = writer.series("meters", "total")
    writer.points(key, [START + n * SECOND for n in range(200)], [float(n) for n in range(200)])
    writer.points(key, [START + n * SECOND for n in range(10, 200)], [None] * 190, seq=2)
    writer.points(key, [START + 3600 * SECOND], [30.0], seq=3)
    assert windows(store, key, every="1h", start="2026-01-01T01:00:00Z") == [("2026-01-01T01:00:00Z", 21.0, 21 / 3591)]


def test_the_unit_is_said_and_every_format_has_the_numbers(store: Store, meter: str) -> None:
    read = queries(store).points.read_points
    asked_for = {"every": "1d", "agg": "increase,rate,last"}
    page = document(read("default", meter, asked(PointsQuery, **asked_for)))
    assert page["units"] == {"increase": "kWh", "rate": "kWh/s", "last": "kWh"}
    expected = [(item["increase"], item["rate"], item["last"]) for item in page["items"]]
    lines = whole(read("default", meter, asked(PointsQuery, **asked_for, format="ndjson"))).splitlines()
    assert [(row["increase"], row["rate"], row["last"]) for row in map(json.loads, lines)] == expected
    text = whole(read("default", meter, asked(PointsQuery, **asked_for, format="csv"))).decode()
    assert [tuple(map(float, list(row.values())[1:])) for row in csv.DictReader(io.StringIO(text))] == expected
    assert document(read("default", meter, asked(PointsQuery, every="1d", agg="count")))["units"] == {}
