"""Lineage of points and windows: from a value to the bytes that made it, to what it replaced and to what lost to it."""

import json
from typing import Any

import msgspec
import polars as pl
import pytest

from tests.query.conftest import Writer, ids, times
from tests.query.support import asked, book, document, ns, queries
from tidemill.errors import InputError, NotFoundError
from tidemill.query.lineage import LineageQuery
from tidemill.store.client import Store

T = "2026-01-01T00:00:30Z"
WINDOW = "2026-01-01T00:00:00Z"
RULED = """
name = "ruled"
duplicates = "last"

[input]
on_fault = "reject"

[time]
path = "$.t"

[tags.id]
path = "$.id"

[fields.v]
path = "$.v"

[[rules]]
check = "range"
options = { field = "v", max = 100 }

[[rules]]
check = "range"
reason = "unlikely"
action = "flag"
options = { field = "v", max = 50 }

[rollups]
every = "1m"
interval = "15s"
"""
RECORDS = [{"t": T, "id": "a", "v": 60.5}, {"t": T, "id": "b", "v": 1}]


def of(store: Store, series: str, **given: str) -> Any:
    areas = queries(store, book=book(ruled=RULED))
    return document(areas.lineage.answer_lineage("default", series, asked(LineageQuery, **given)))


def test_a_point_leads_to_its_record_rules_and_replaced_values(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"}, unit="kW")
    for seq in (5, 9):
        writer.payload(seq, "ruled", json.dumps(RECORDS).encode())
    writer.points(series, [ns(T)], [7.25], seq=5)
    writer.points(series, [ns(T)], [60.5], seq=9, marks=["unlikely"], flags=[1])
    writer.replaced(series, ns(T), 7.25, seq=5, by_seq=9)
    writer.rollup(series, ns(WINDOW), 60.5, 1)
    writer.change(series, ns(T), 7.25, 60.5, "replaced")
    found = of(store, series, time=T)
    assert (found["feed"], found["tags"], found["unit"], found["time"]) == ("ruled", {"id": "a"}, "kW", T)
    (point,) = found["points"]
    assert (point["value"], point["flags"], point["marks"]) == (60.5, ["fold_earlier"], ["unlikely"])
    assert (point["index"], point["record"]) == (0, RECORDS[0])
    assert point["payload"]["receipt"] == "r9"
    assert point["payload"]["links"]["payload"] == "/v1/receipts/r9/payload"
    assert point["rules"]["definition"] == "/v1/feeds/ruled?version=3"
    assert [(r["check"], r["reason"], r["action"], r["flagged"]) for r in point["rules"]["passed"]] == [
        ("range", "outside_range", "reject", False),
        ("range", "unlikely", "flag", True),
    ]
    assert "100" in point["rules"]["passed"][0]["broken_when"]
    (old,) = found["replaced"]
    assert (old["value"], old["payload"]["receipt"], old["replaced_by"]["receipt"]) == (7.25, "r5", "r9")
    assert old["replaced_at"] == point["payload"]["received_at"] == "2026-01-02T03:04:05.000000009Z"
    assert [(c["old"], c["new"], c["why"], c["every_s"]) for c in found["changes"]] == [(7.25, 60.5, "replaced", None)]
    (window,) = found["windows"]
    assert (window["window"], window["count"], window["expected"], window["coverage"]) == (WINDOW, 1, 4, 0.25)
    assert of(store, series, window=WINDOW)["window"] == window


def test_the_records_that_lost_are_named_and_not_shown(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", {"user_id": "a1"})
    writer.payload(4, "location", b"{}")
    writer.points(series, [ns(T)], [47.0], seq=4, first_wins=True)
    writer.rejection(6, 2, "location", ["duplicate"], time=times([ns(T)]), winner_seq=4, winner_idx=0)
    writer.rejection(7, 0, "location", ["duplicate"], time=times([ns(T)]), winner_seq=3, winner_idx=0)
    assert of(store, series, time=T)["duplicates"] == [
        {
            "receipt": "r6",
            "index": 2,
            "received_at": "2026-01-02T03:04:05.000000006Z",
            "winner": "r4",
            "winner_index": 0,
        }
    ]


def test_points_that_share_an_instant_are_all_there(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.points(series, [ns(T)] * 2, [1.0, None], seq=4, ordinals=[1, 2])
    assert [point["value"] for point in of(store, series, time=T)["points"]] == [1.0, None]


def test_a_payload_that_is_deleted_says_since_when(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"})
    writer.payload(9, "ruled", b"", state="deleted")
    writer.points(series, [ns(T)], [1.0], seq=9)
    writer.deletion(12, "payload", {"receipt": "r9"})
    (point,) = of(store, series, time=T)["points"]
    assert (point["record"], point["payload"]["state"]) == (None, "deleted")
    assert point["payload"]["bytes_gone_at"] == "2026-01-05T00:00:00Z"


def test_a_payload_that_a_wider_deletion_took_along_says_since_when(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"})
    writer.payload(9, "ruled", b"", state="deleted")
    writer.points(series, [ns(T)], [1.0], seq=9)
    for seq, feed in ((8, "ruled"), (12, "ruled"), (13, "location")):
        writer.deletion(seq, "range", {"feed": feed})
    assert of(store, series, time=T)["points"][0]["payload"]["bytes_gone_at"] == "2026-01-05T00:00:00Z"
    writer.deletion(14, "range", {"feed": "ruled"})
    assert of(store, series, time=T)["points"][0]["payload"]["bytes_gone_at"] is None  # which of the two, nobody knows


def test_a_payload_or_feed_that_is_not_known_any_more_fails_nothing(store: Store, writer: Writer) -> None:
    series = writer.series("forgotten", "v")
    writer.points(series, [ns(T)], [1.0], seq=9)
    (point,) = of(store, series, time=T)["points"]
    assert (point["payload"]["receipt"], point["record"], point["rules"]["passed"]) == (None, None, [])


def test_nothing_there_names_the_neighbours_and_why(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"})
    with pytest.raises(NotFoundError, match=f"no points. /v1/why.series={series}&time="):
        of(store, series, time=T)
    writer.points(series, [ns(T) - 2, ns(T) - 1, ns(T) + 5], [1.0, 2.0, 3.0])
    message = "at 2026-01-01T00:00:29.999999999Z and 2026-01-01T00:00:30.000000005Z"
    with pytest.raises(NotFoundError, match=message):
        of(store, series, time=T)
    with pytest.raises(NotFoundError, match="no points in the window"):
        of(store, series, window=WINDOW)


def test_what_was_deleted_has_no_lineage(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"}, deleted_seq=6)
    writer.points(series, [ns(T)], [1.0], seq=5)
    writer.replaced(series, ns(T), 3.0, seq=4, by_seq=5)
    with pytest.raises(NotFoundError, match="it has no points"):
        of(store, series, time=T)
    writer.points(series, [ns(T)], [2.0], seq=7)
    assert of(store, series, time=T)["replaced"] == []


def test_another_tenants_series_is_one_that_never_was(store: Store, writer: Writer) -> None:
    theirs = Writer(store, "elsewhere")
    series = theirs.series("ruled", "v", {"id": "a"})
    theirs.points(series, [ns(T)], [1.0])
    for given in ({"time": T}, {"window": WINDOW}):
        with pytest.raises(NotFoundError, match="there is no series"):
            of(store, series, **given)


def test_a_window_leads_to_its_payloads_page_by_page(store: Store, writer: Writer) -> None:
    series, other = writer.series("ruled", "v", {"id": "a"}), writer.series("ruled", "v", {"id": "b"})
    for seq in (3, 4, 5):
        writer.payload(seq, "ruled")
        writer.points(series, [ns(WINDOW) + seq, ns(WINDOW) + 10 * seq], [1.0, 2.0], seq=seq)
    writer.points(series, [ns("2026-01-01T00:01:00Z")], [9.0], seq=8)
    writer.rollup(series, ns(WINDOW), 1.5, 6, late=2, restated_at=times([ns("2026-01-04T00:00:00Z")]))
    for seq, named in ((10, [series]), (11, [other]), (12, [])):
        writer.rejection(seq, 0, "ruled", ["outside_range"], series=ids(*named))
    writer.rejection(13, 0, "ruled", ["outside_range"], series=ids(series), recovered_by="replay1")
    writer.change(series, ns(WINDOW), 1.0, 1.5, "late", every_s=pl.lit(60, pl.UInt32))
    first = of(store, series, window=WINDOW, limit="2")
    assert [(p["payload"]["receipt"], p["points"]) for p in first["payloads"]] == [("r3", 2), ("r4", 2)]
    second = of(store, series, window=WINDOW, limit="2", cursor=first["next"])
    assert [p["payload"]["receipt"] for p in second["payloads"]] == ["r5"]
    assert second["next"] is None
    assert (first["window"]["late"], first["window"]["restated_at"]) == (2, "2026-01-04T00:00:00Z")
    rejected = first["rejected"]
    assert (rejected["by_reason"], rejected["possible"]) == ({"outside_range": 1}, {"outside_range": 1})
    assert rejected["link"] == f"/v1/rejections?feed=ruled&series={series}"
    assert [(c["every_s"], c["new"]) for c in first["changes"]] == [(60, 1.5)]


def test_questions_that_make_no_sense_say_so(store: Store, writer: Writer) -> None:
    series, bare = writer.series("ruled", "v", {"id": "a"}), writer.series("telemetry", "value")
    for given, message in (
        ({}, "one of the two"),
        ({"time": T, "window": T}, "one of the two"),
        ({"window": T}, "it is in that of 2026-01-01T00:00:00Z"),
    ):
        with pytest.raises(InputError, match=message):
            of(store, series, **given)
    with pytest.raises(InputError, match="keeps no rollups"):
        of(store, bare, window=WINDOW)


def test_a_record_is_spelled_as_it_came(store: Store, writer: Writer) -> None:
    series = writer.series("ruled", "v", {"id": "a"})
    text = '{"t": "2026-01-01T00:00:30Z", "id": "a", "v": 60.50}'
    writer.payload(9, "ruled", f"[{text}]".encode())
    writer.points(series, [ns(T)], [60.5], seq=9)
    areas = queries(store, book=book(ruled=RULED))
    (point,) = areas.lineage.point_lineage("default", series, ns(T)).points
    assert msgspec.json.encode(point.record).decode() == text
