"""Windows and points of several series in one answer, against the real engine and an oracle of plain Python."""

import io
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, EmptyLog, asked, book, document, ns, queries, whole
from tidemill.errors import InputError, LimitError, NotFoundError
from tidemill.model.time import format_instant
from tidemill.query.aggregates import AGGREGATES
from tidemill.query.as_of import PastAnswers
from tidemill.query.gaps import WindowEvidence
from tidemill.query.ladder import LADDER, longer, window_length_for
from tidemill.query.many_points import ManyPoints
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.planner import WindowPlanner
from tidemill.query.points_query import PointsQuery
from tidemill.query.series_extents import SeriesExtents
from tidemill.query.series_rows import SeriesRows
from tidemill.store.client import Store

MINUTE = 60 * SECOND
NOW = ns("2026-06-01T00:00:00Z")
ALL = (*AGGREGATES, "p0", "p5", "p33.3", "p95", "p100")


def answer(store: Store, **given: str) -> Any:
    return document(queries(store).many_points.read_many("default", asked(ManyPointsQuery, **given), NOW))


def columns(store: Store, **given: str) -> tuple[list[str], dict[str, dict[str, list[float | None]]]]:
    found = answer(store, **given)
    return found["time"], {item["id"]: item["columns"] for item in found["series"]}


@pytest.fixture
def two(writer: Writer) -> tuple[str, str]:
    """A series of three hours with every seventh sample missing, and one of an hour and a half."""
    first, second = writer.series("signals", "value"), writer.series("signals", "value", {"name": "b"})
    writer.points(first, [START + n * MINUTE for n in range(180)], [None if n % 7 == 0 else n % 5 for n in range(180)])
    writer.points(second, [START + n * MINUTE for n in range(90)], [float(n) for n in range(90)])
    return first, second


def test_series_share_the_times_of_their_windows(store: Store, two: tuple[str, str]) -> None:
    first, second = two
    time, found = columns(store, series=f"{second},{first}", every="1h", agg="mean,count,missing")
    assert time == [f"2026-01-01T0{n}:00:00Z" for n in range(3)]
    assert list(found) == [second, first], "in the order of the request"
    assert found[second] == {"mean": [29.5, 74.5, None], "count": [60, 30, 0], "missing": [0, 0, 0]}
    assert found[first]["count"] == [51, 51, 52]
    assert found[first]["missing"] == [9, 9, 8]


def test_one_series_has_what_its_own_route_says(store: Store, two: tuple[str, str]) -> None:
    given = {"every": "20m", "agg": ",".join(ALL), "tz": "Asia/Kolkata"}
    own = document(queries(store).points.read_points("default", two[0], asked(PointsQuery, **given)))["items"]
    rows = answer(store, series=",".join(two), shape="rows", **given)["items"]
    assert [{k: v for k, v in row.items() if k != "series"} for row in rows if row["series"] == two[0]] == own


@pytest.mark.parametrize("shape", ["columns", "rows"])
def test_pages_join_to_the_whole(store: Store, two: tuple[str, str], shape: str) -> None:
    given = {"feed": "signals", "every": "10m", "agg": "sum,increase", "shape": shape}
    complete = answer(store, **given)
    pages: list[Any] = []
    cursor: dict[str, str] = {}
    while not pages or cursor:
        pages.append(answer(store, limit="7", **given, **cursor))
        cursor = {"cursor": pages[-1]["next"]} if pages[-1]["next"] else {}
    assert len(pages) == 3
    if shape == "rows":
        assert [row for page in pages for row in page["items"]] == complete["items"]
        return
    assert [time for page in pages for time in page["time"]] == complete["time"]
    for n, item in enumerate(complete["series"]):
        for name, values in item["columns"].items():
            assert [value for page in pages for value in page["series"][n]["columns"][name]] == values


def test_raw_points_come_in_columns_and_rows_page_by_page(store: Store, two: tuple[str, str]) -> None:
    given = {"feed": "signals", "end": "2026-01-01T00:10:00Z"}
    complete = answer(store, **given)
    assert complete["time"] == []
    by_id = {item["id"]: item for item in complete["series"]}
    assert by_id[two[0]]["columns"]["value"] == [None if n % 7 == 0 else n % 5 for n in range(10)]
    assert len(by_id[two[1]]["times"]) == 10
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    while not rows or cursor:
        page = answer(store, limit="3", shape="rows", **given, **cursor)
        rows += page["items"]
        cursor = {"cursor": page["next"]} if page["next"] else {}
    assert len(rows) == 20
    assert [row["value"] for row in rows if row["series"] == two[1]] == [float(n) for n in range(10)]


@pytest.mark.parametrize("kind", ["ndjson", "csv", "arrow", "parquet"])
def test_every_format_has_both_shapes(store: Store, two: tuple[str, str], kind: str) -> None:
    def frame(shape: str) -> pl.DataFrame:
        query = asked(ManyPointsQuery, feed="signals", every="1h", agg="count", format=kind, shape=shape)
        body = io.BytesIO(whole(queries(store).many_points.read_many("default", query, NOW)))
        read = {"ndjson": pl.read_ndjson, "csv": pl.read_csv, "arrow": pl.read_ipc_stream, "parquet": pl.read_parquet}
        return read[kind](body)

    assert frame("rows").columns == ["series", "time", "count"]
    assert frame("rows").filter(pl.col("series") == two[1])["count"].to_list() == [60, 30]
    wide = frame("columns")
    assert set(wide.columns) == {"time", f"{two[0]}.count", f"{two[1]}.count"}
    assert wide[f"{two[1]}.count"].to_list() == [60, 30, 0]


def test_what_cannot_be_answered_is_refused_by_name(store: Store, two: tuple[str, str], writer: Writer) -> None:
    for given, code in (
        ({}, "missing"),
        ({"feed": "signals", "every": "1h", "points": "100"}, "contradiction"),
        ({"feed": "signals", "fill": "null"}, "needs_every"),
        ({"feed": "signals", "shape": "columns", "format": "csv"}, "needs_every"),
        ({"feed": "signals", "points": "9"}, "invalid"),
        ({"feed": "signals", "agg": "p101"}, "invalid"),
        ({"feed": "signals", "every": "1h", "fill": "value:nan"}, "invalid"),
        ({"series": f"{two[0]},x", "every": "1h"}, "invalid"),
    ):
        with pytest.raises(InputError) as refused:
            answer(store, **given)
        assert [fault.code for fault in refused.value.faults] == [code], given
    for given in ({"series": f"{two[0]},00000000000000aa"}, {"feed": "signals", "name": "none"}):
        with pytest.raises(NotFoundError):
            answer(store, **given)
    long = {"start": "2026-01-01", "end": "2026-01-10", "every": "1s", "fill": "null"}
    with pytest.raises(LimitError, match="More than 100000 windows"):
        answer(store, feed="signals", **long)


# --- an oracle of plain Python --------------------------------------------------------------------------------------


def window_begin(at: int, every: str, zone: str) -> str:
    """The begin of the window of an instant, by the calendar of a zone."""
    local = datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(zone))
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if every == "1w":
        day -= timedelta(days=day.weekday())
    elif every in ("1mo", "1q", "1y"):
        month = {"1mo": day.month, "1q": (day.month - 1) // 3 * 3 + 1, "1y": 1}[every]
        day = day.replace(day=1, month=month)
    return day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).isoformat().replace("+00:00", "Z")


def oracle(points: list[tuple[int, float | None]], every: str, zone: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The windows of points in order of time, each with every aggregate."""
    before: tuple[int, float] | None = None
    groups: dict[str, list[tuple[int, float | None, tuple[int, float] | None]]] = {}
    for at, value in points:
        groups.setdefault(window_begin(at, every, zone), []).append((at, value, before))
        before = before if value is None else (at, value)
    for begin, members in groups.items():
        yield begin, aggregates(members)


def aggregates(members: list[tuple[int, float | None, tuple[int, float] | None]]) -> dict[str, Any]:
    present = [(at, value, before) for at, value, before in members if value is not None]
    values = [value for _, value, _ in present]
    found: dict[str, Any] = dict.fromkeys(ALL) | {"count": len(values), "missing": len(members) - len(values)}
    if not values:
        return found
    counted = Counter(values)
    most = max(counted.values())
    found |= {
        "mean": statistics.fmean(values), "min": min(values), "max": max(values), "sum": sum(values),
        "first": values[0], "last": values[-1], "median": statistics.median(values),
        "stddev": statistics.stdev(values) if len(values) > 1 else None,
        "mode": min(value for value, times in counted.items() if times == most),
    }  # fmt: skip
    found |= {name: float(np.quantile(values, float(name[1:]) / 100)) for name in ALL if name[1:2].isdigit()}
    linked = [(at, value, *before) for at, value, before in present if before]
    if not linked:
        return found
    rises = [value - last if value >= last else max(value, 0.0) for _, value, _, last in linked]
    area = sum((value + last) / 2 * (at - since) / SECOND for at, value, since, last in linked)
    seconds = (linked[-1][0] - linked[0][2]) / SECOND
    found |= {"increase": sum(rises), "integral": area}
    return found | {"rate": sum(rises) / seconds, "time_weighted_mean": area / seconds}


@pytest.mark.parametrize("every", ["1d", "1w", "1mo", "1q", "1y"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe"])
def test_every_aggregate_of_calendar_windows_is_what_plain_python_says(
    store: Store, writer: Writer, every: str, zone: str
) -> None:
    rng = random.Random(f"{every} {zone}")
    kept: dict[str, list[tuple[int, float | None]]] = {}
    for name in ("a", "b", "c"):
        key = writer.series("signals", "value", {"name": name})
        at = sorted(rng.sample(range(ns("2025-09-20T00:00:00Z") // MINUTE, ns("2026-05-01T00:00:00Z") // MINUTE), 400))
        values = [None if rng.random() < 0.1 else rng.choice([-3.0, 0.0, 1.5, 2.25, rng.uniform(0, 9)]) for _ in at]
        kept[key] = [(minute * MINUTE, value) for minute, value in zip(at, values, strict=True)]
        writer.points(key, [ns for ns, _ in kept[key]], values)
    rows = answer(store, feed="signals", every=every, tz=zone, agg=",".join(ALL), shape="rows")["items"]
    for key, points in kept.items():
        expected = list(oracle(points, every, zone))
        found = [row for row in rows if row["series"] == key]
        assert [format_instant(ns(row["time"])) for row in found] == [begin for begin, _ in expected]
        for row, (begin, values) in zip(found, expected, strict=True):
            for name, value in values.items():
                wanted = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
                assert row[name] == wanted, (begin, name)


def test_the_whole_range_is_one_window(store: Store, two: tuple[str, str]) -> None:
    time, found = columns(store, series=",".join(two), agg="count,missing,mode,p50")
    assert time == ["2026-01-01T00:00:00Z"]
    assert found[two[0]] == {"count": [154], "missing": [26], "mode": [1.0], "p50": [2.0]}
    assert found[two[1]]["count"] == [90]
    time, found = columns(store, series=",".join(two), agg="count,mean", start="2030-01-01", end="2030-01-02")
    assert (time, found[two[0]]) == (["2030-01-01T00:00:00Z"], {"count": [0], "mean": [None]})


def test_the_server_picks_the_length_of_windows_from_its_ladder(store: Store, two: tuple[str, str]) -> None:
    found = answer(store, feed="signals", points="40")
    assert found["every"] == "5m"
    assert len(found["time"]) == 36
    assert list(found["series"][0]["columns"]) == ["mean", "min", "max"]
    year = {"start": "2025-01-01", "end": "2027-01-01", "tz": "Europe/Zurich", "fill": "value:0"}
    found = answer(store, feed="signals", points="30", agg="count,sum", **year)
    assert (found["every"], len(found["time"])) == ("1mo", 24)
    assert sum(found["series"][1]["columns"]["count"]) in (90, 154)
    assert None not in found["series"][0]["columns"]["sum"]


def test_no_range_has_more_windows_than_asked_for() -> None:
    rng = random.Random(4)
    for _ in range(2_000):
        first, length, points = rng.randrange(10**18), int(10 ** rng.uniform(0, 18)), rng.randint(10, 10_000)
        every = window_length_for(points, first, first + length)
        touched = (first + length - 1) // every.nominal_ns - first // every.nominal_ns + 1
        assert touched <= points
        shorter = LADDER[LADDER.index(every) - 1]
        assert every == LADDER[0] or (length - 1) // shorter.nominal_ns + 2 > points
    assert longer(LADDER[0]) == LADDER[1]
    assert longer(LADDER[-1]) == LADDER[-1]


def test_an_answer_says_how_it_was_made(store: Store, two: tuple[str, str]) -> None:
    found = answer(store, series=",".join(two), points="10")
    assert found["every"] in found["ladder"]
    assert found["ladder"] == [length.text for length in LADDER]
    assert found["windows"] == len(found["time"])
    assert found["points_read"] == 154 + 90, "points with values"
    assert 0 < found["took_ms"] < 60_000
    raw = answer(store, series=two[1], limit="7")
    assert (raw["windows"], raw["points_read"], raw["ladder"], raw["every"]) == (0, 7, None, None)


def read_file(body: bytes, kind: str) -> pl.DataFrame:
    read = {"ndjson": pl.read_ndjson, "csv": pl.read_csv, "arrow": pl.read_ipc_stream, "parquet": pl.read_parquet}
    return read[kind](io.BytesIO(body))


@pytest.mark.parametrize("kind", ["ndjson", "csv", "arrow", "parquet"])
def test_a_file_of_raw_points_is_whole_series_by_series(store: Store, two: tuple[str, str], kind: str) -> None:
    rows = answer(store, feed="signals", shape="rows", tz="Asia/Kolkata", limit="1000")["items"]
    query = asked(ManyPointsQuery, feed="signals", format=kind, tz="Asia/Kolkata")
    page = queries(store).many_points.read_many("default", query, NOW)
    assert page.next is None
    table = read_file(whole(page), kind)
    assert table.columns == ["series", "time", "value"]
    if kind in ("arrow", "parquet"):
        table = table.with_columns(
            pl.col("time").dt.convert_time_zone("Asia/Kolkata").dt.to_string("%Y-%m-%dT%H:%M:%S%:z")
        )
    assert table.to_dicts() == sorted(rows, key=lambda row: (row["series"], row["time"]))


@pytest.mark.parametrize("kind", ["ndjson", "csv", "arrow", "parquet"])
def test_a_file_of_nothing_has_its_columns(store: Store, two: tuple[str, str], kind: str) -> None:
    for given in ({"end": "2025-01-01"}, {"end": "2025-01-01", "every": "1h"}):
        query = asked(ManyPointsQuery, feed="signals", format=kind, **given)
        body = whole(queries(store).many_points.read_many("default", query, NOW))
        own = whole(queries(store).points.read_points("default", two[0], asked(PointsQuery, format=kind, **given)))
        if kind == "ndjson":
            assert body == own == b""
            continue
        assert read_file(body, kind).columns == ["series", "time", "mean" if "every" in given else "value"]
        assert read_file(own, kind).columns[0] == "time"


def test_windows_of_a_file_are_read_in_parts(store: Store, two: tuple[str, str]) -> None:
    asking = queries(store)
    for shape in ("rows", "columns"):
        query = asked(ManyPointsQuery, feed="signals", every="1m", agg="sum,increase,count", format="csv", shape=shape)
        evidence, planner, history = (
            WindowEvidence(store, EmptyLog(), book()),
            WindowPlanner(book()),
            PastAnswers(store, book()),
        )
        given: dict[str, Any] = {"evidence": evidence, "planner": planner, "history": history, "cells": 50}
        given |= {"rows": SeriesRows(store), "extents": SeriesExtents(store)}
        parts = ManyPoints(store, lambda _: (), lambda _: (0,), **given)
        at_once = whole(asking.many_points.read_many("default", query, NOW))
        assert whole(parts.read_many("default", query, NOW)) == at_once


@pytest.mark.parametrize("method", ["minmax", "lttb"])
def test_thinned_points_are_points_and_hide_no_extremes(store: Store, writer: Writer, method: str) -> None:
    random_ = random.Random(7)
    kept: dict[str, dict[str, float]] = {}
    for name, count in (("short", 40), ("long", 900), ("longer", 2000)):
        key = writer.series("signals", "value", {"name": name})
        at = sorted(random_.sample(range(10_000), count))
        values = [random_.gauss(0, 1) for _ in at]
        values[random_.randrange(count)], values[random_.randrange(count)] = 99.0, -99.0
        writer.points(key, [START + n * SECOND for n in at], values)
        writer.points(key, [START + 10_001 * SECOND], [None])
        kept[key] = {format_instant(START + n * SECOND): value for n, value in zip(at, values, strict=True)}
    found = answer(store, feed="signals", points="100", thin=method)
    assert (found["windows"], found["points_read"], found["ladder"]) == (0, 2940, None)
    for item in found["series"]:
        points, own = dict(zip(item["times"], item["columns"]["value"], strict=True)), kept[item["id"]]
        assert points.items() <= own.items()
        assert item["times"] == sorted(item["times"])
        assert {max(own.values()), min(own.values())} <= set(points.values())
        assert {min(own), max(own)} <= set(points)
        if len(own) <= 100:
            assert (points, item["thinned_from"]) == (own, None)
        else:
            assert 40 < len(points) <= 100
            assert item["thinned_from"] == len(own)
    rows = answer(store, feed="signals", points="100", thin=method, shape="rows")["items"]
    assert len(rows) == sum(len(item["times"]) for item in found["series"])


def test_thinning_is_the_same_where_an_instant_may_have_two_points(store: Store, writer: Writer) -> None:
    """Two questions to the store: a quick one where every instant has one point of a series, and one for any points."""
    random_, found = random.Random(5), []
    special = [0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 1.5, -1.5]
    values = [random_.choice([*special, random_.gauss(0, 1), float(random_.randint(-3, 3))]) for _ in range(1500)]
    at = [START - 700 * SECOND + n * SECOND for n in range(1500)]
    for name, ordinals in (("one", None), ("two", [0] * 1499 + [7])):
        writer.points(writer.series("signals", "value", {"name": name}), at, values, ordinals=ordinals)
    for name in ("one", "two"):
        [item] = answer(store, feed="signals", points="120", thin="minmax", tag__name=name)["series"]
        found.append((item["times"], item["columns"], item["thinned_from"]))
    assert found[0] == found[1]


def test_minmax_keeps_the_extremes_of_every_stretch(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    values = [float(n * 7919 % 1009) for n in range(1000)]
    writer.points(key, [START + n * SECOND for n in range(1000)], values)
    found = answer(store, series=key, points="42", thin="minmax")["series"][0]["columns"]["value"]
    for stretch in range(20):
        part = values[stretch * 50 : stretch * 50 + 50]
        assert {min(part), max(part)} <= set(found)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"thin": "minmax"}, "missing"),
        ({"thin": "lttb", "points": "20", "agg": "mean"}, "contradiction"),
        ({"thin": "lttb", "points": "20", "limit": "5"}, "contradiction"),
        ({"thin": "lttb", "points": "20", "fill": "null"}, "needs_every"),
        ({"thin": "middle", "points": "20"}, "invalid"),
    ],
)
def test_thinning_contradicts_windows_and_pages(
    store: Store, two: tuple[str, str], given: dict[str, str], code: str
) -> None:
    with pytest.raises(InputError) as refused:
        answer(store, feed="signals", **given)
    assert [fault.code for fault in refused.value.faults] == [code]
