"""The list of series, its count, one series in full, and its metrics, against the real engine."""

import io
import json

import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, queries, whole
from tidemill.analysis.statistics import time_metrics
from tidemill.errors import LimitError, NotFoundError
from tidemill.model.ids import parse_series
from tidemill.query import series as series_module
from tidemill.query.series import (
    FullSeriesQuery,
    MetricsQuery,
    SeriesFilter,
    SeriesMetrics,
    SeriesQuery,
    series_metrics,
)
from tidemill.store.client import Store


def metrics_of(store: Store, key: str, query: MetricsQuery) -> SeriesMetrics:
    areas = queries(store).series
    described = areas.describe("default", key)
    times, values = areas.arrays("default", described, query)
    return series_metrics(described, times, time_metrics(times, values, query.q), None, "")


def test_a_series_comes_back_with_every_sample(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value", {"pump": "3"}, name="pump-3", unit="g")
    writer.points(key, [START, START + 39_062_500, START + 78_125_000], [1.0, None, 1e308])
    page = queries(store).series.read_series("default", key, asked(FullSeriesQuery))
    found = json.loads(whole(page))
    assert found == {
        "id": key,
        "feed": "signals",
        "name": "pump-3",
        "field": "value",
        "tags": {"pump": "3"},
        "unit": "g",
        "description": None,
        "count": 2,
        "missing": 1,
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-01T00:00:00.078125Z",
        "values": [1.0, None, 1e308],
        "times": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0390625Z", "2026-01-01T00:00:00.078125Z"],
    }


def test_a_series_without_points_is_empty_not_unknown(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    found = json.loads(whole(queries(store).series.read_series("default", key, asked(FullSeriesQuery))))
    assert (found["count"], found["start"], found["end"], found["values"], found["times"]) == (0, None, None, [], [])
    metrics = metrics_of(store, key, asked(MetricsQuery))
    assert (metrics.count, metrics.mean, metrics.start) == (0, None, None)


@pytest.mark.parametrize("kind", ["ndjson", "csv", "arrow", "parquet"])
def test_a_series_in_other_formats(store: Store, writer: Writer, kind: str) -> None:
    key = writer.series("signals", "value")
    writer.points(key, [START, START + 500_000_000], [0.1, None])
    body = whole(queries(store).series.read_series("default", key, asked(FullSeriesQuery, format=kind)))
    if kind == "ndjson":
        assert [json.loads(line) for line in body.splitlines()] == [
            {"time": "2026-01-01T00:00:00Z", "value": 0.1},
            {"time": "2026-01-01T00:00:00.5Z", "value": None},
        ]
    elif kind == "csv":
        assert body.decode() == '"time","value"\n"2026-01-01T00:00:00Z",0.1\n"2026-01-01T00:00:00.5Z",\n'
    else:
        frame = pl.read_ipc_stream(io.BytesIO(body)) if kind == "arrow" else pl.read_parquet(io.BytesIO(body))
        assert frame.schema["time"] == pl.Datetime("ns", "UTC")
        assert frame["time"].dt.epoch("ns").to_list() == [START, START + 500_000_000]
        assert frame["value"].to_list() == [0.1, None]


def test_deleted_points_and_series_are_in_no_answer(store: Store, writer: Writer) -> None:
    gone = writer.series("signals", "value", {"n": "1"})
    again = writer.series("signals", "value", {"n": "2"}, deleted_seq=5)
    pending = writer.series("signals", "value", {"n": "3"})
    writer.series("signals", "value", {"n": "1"}, deleted_seq=9, deleted=True, version=9)
    writer.points(gone, [START], [1.0], seq=3)
    writer.points(again, [START, START + 1], [1.0, 2.0], seq=5)
    writer.points(again, [START + 2], [3.0], seq=6)
    found = queries(store, hidden=lambda tenant: {parse_series(pending)} if tenant == "default" else set())
    assert found.series.count_series("default", asked(SeriesFilter)).count == 1
    items = found.series.list_series("default", asked(SeriesQuery)).items
    assert [(item.id, item.count) for item in items] == [(again, 1)]
    assert json.loads(whole(found.series.read_series("default", again, asked(FullSeriesQuery))))["values"] == [3.0]
    for key in (gone, pending):
        with pytest.raises(NotFoundError):
            found.series.read_series("default", key, asked(FullSeriesQuery))


def test_list_has_counts_and_times_of_present_points(store: Store, writer: Writer) -> None:
    key = writer.series("location", "lat", {"user_id": "a1"}, unit="deg")
    writer.points(key, [START, START + SECOND], [1.0, None], seq=1)
    writer.points(key, [START], [2.0], seq=2)
    empty = writer.series("location", "long", {"user_id": "a1"})
    items = queries(store).series.list_series("default", asked(SeriesQuery)).items
    assert (items[0].missing, items[1].missing) == (1, 0)
    assert (items[0].id, items[0].count, items[0].first, items[0].last, items[0].unit, items[0].tags) == (
        key, 1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "deg", {"user_id": "a1"}
    )  # fmt: skip
    assert (items[1].id, items[1].count, items[1].first, items[1].unit) == (empty, 0, None, None)


def test_list_filters_and_pages(store: Store, writer: Writer) -> None:
    made = {
        (user, field): writer.series("location", field, {"user_id": user})
        for user in "abc"
        for field in ("lat", "long")
    }
    writer.series("other", "lat", {"user_id": "a"}, name="x")
    Writer(store, "elsewhere").series("location", "lat", {"user_id": "a"})
    areas = queries(store).series
    ids = [
        item.id for item in areas.list_series("default", asked(SeriesQuery, feed="location", tag__user_id="b")).items
    ]
    assert sorted(ids) == sorted([made["b", "lat"], made["b", "long"]])
    assert areas.count_series("default", asked(SeriesFilter, field="lat")).by_feed == {"location": 3, "other": 1}
    assert areas.count_series("default", asked(SeriesFilter, name="x")).count == 1
    seen: list[str] = []
    page = areas.list_series("default", asked(SeriesQuery, limit="3"))
    while True:
        seen += [item.id for item in page.items]
        if page.next is None:
            break
        page = areas.list_series("default", asked(SeriesQuery, limit="3", cursor=page.next))
    assert len(seen) == len(set(seen)) == 7


def test_metrics_of_a_range(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value", unit="g")
    writer.points(key, [START + n * SECOND for n in range(10)], [float(n) if n != 4 else None for n in range(10)])
    found = metrics_of(
        store, key, asked(MetricsQuery, start="2026-01-01T00:00:02Z", end="2026-01-01T00:00:06Z", q="0.5")
    )
    assert (found.id, found.unit, found.count, found.missing, found.mean) == (key, "g", 3, 1, 10 / 3)
    assert (found.start, found.end, found.duration_s) == ("2026-01-01T00:00:02Z", "2026-01-01T00:00:05Z", 3.0)
    assert found.quantiles == {"0.5": 3.0}


def test_another_tenants_series_looks_like_none(store: Store, writer: Writer) -> None:
    theirs = Writer(store, "elsewhere")
    key = theirs.series("signals", "value")
    theirs.points(key, [START], [1.0])
    with pytest.raises(NotFoundError):
        queries(store).series.read_series("default", key, asked(FullSeriesQuery))
    with pytest.raises(NotFoundError):
        queries(store).analysis.subject("default", key, None, None)
    for text in ("", "xyz", "0" * 17, "A" * 16, "'; drop", "0000000000000000"):
        with pytest.raises(NotFoundError):
            queries(store).series.describe("default", text)


def test_too_many_samples_for_one_document(store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_module, "MAX_ARRAY_SAMPLES", 2)
    key = writer.series("signals", "value")
    writer.points(key, [START, START + 1, START + 2], [1.0, 2.0, 3.0])
    with pytest.raises(LimitError, match="3 samples"):
        queries(store).series.read_series("default", key, asked(FullSeriesQuery))
    assert whole(queries(store).series.read_series("default", key, asked(FullSeriesQuery, format="csv")))


def test_rows_that_others_replaced_are_no_samples_too_many(
    store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_module, "MAX_ARRAY_SAMPLES", 2)
    key = writer.series("signals", "value")
    for value in (1.0, 2.0):
        writer.points(key, [START, START + 1], [value, value])
    found = json.loads(whole(queries(store).series.read_series("default", key, asked(FullSeriesQuery))))
    assert (found["count"], found["values"]) == (2, [2.0, 2.0])


def test_the_list_counts_what_came_after_each_deletion(store: Store, writer: Writer) -> None:
    kept, gone, again = (
        writer.series("signals", "value", {"n": str(n)}, deleted_seq=deleted_seq)
        for n, deleted_seq in enumerate((0, 5, 7))
    )
    for key in (kept, gone, again):
        writer.points(key, [START, START + SECOND], [1.0, 2.0], seq=5)
        writer.points(key, [START + 2 * SECOND], [3.0], seq=7 if key != again else 8)
    page = queries(store).series.list_series("default", asked(SeriesQuery))
    assert {item.id: item.count for item in page.items} == {kept: 3, gone: 1, again: 1}
    assert {item.first for item in page.items if item.id != kept} == {"2026-01-01T00:00:02Z"}
