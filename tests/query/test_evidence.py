"""The evidence of a rollup window: what it should have held, what was rejected, and whether the source was there."""

from typing import Any

import msgspec
import polars as pl

from tests.query.conftest import Writer, times
from tests.query.support import SECOND, START, asked, document, queries
from tidemill.feeds.definition import Feed, Rollup
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.query.feeds import RollupsQuery
from tidemill.store.client import Store

MINUTE = 60 * SECOND
FEED = load_feed(RECIPES["location"], source="location", environment={})
PLAIN = {"minute", "user_id", "lat", "long", "accuracy", "speed", "count"}


def rows(store: Store, feed: Feed = FEED, **given: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(queries(store).feeds.rollups("default", feed, asked(RollupsQuery, **given)))
    return found


def window(writer: Writer, at: int = START, count: int = 6) -> str:
    series = writer.series("location", "speed", {"user_id": "a1"})
    writer.points(series, [at + place * 5 * SECOND for place in range(count)], [1.0] * count)
    writer.rollup(series, at, 1.0, count)
    return series


def test_rows_carry_no_evidence_unless_asked(store: Store, writer: Writer) -> None:
    window(writer)
    assert set(rows(store)[0]) == PLAIN


def test_expected_is_learnt_from_the_spacing_or_declared(store: Store, writer: Writer) -> None:
    window(writer)
    (found,) = rows(store, evidence="true")
    assert (found["n"], found["expected"], found["coverage"]) == (6, 12.0, 0.5)
    assert (found["rejected"], found["late"], found["restated_at"], found["sealed"]) == (0, 0, None, False)
    assert set(found) - PLAIN == {"n", "expected", "coverage", "rejected", "late", "restated_at", "sealed"}
    often = msgspec.structs.replace(FEED, rollups=Rollup(every="1m", interval="30s"))
    (found,) = rows(store, often, evidence="true")
    assert (found["expected"], found["coverage"]) == (2.0, 1.0)


def test_lineage_of_a_window_has_the_same_evidence(store: Store, writer: Writer) -> None:
    series = window(writer)
    found = queries(store).lineage.window_lineage("default", series, START, 1).window
    assert (found.expected, found.coverage) == (12.0, 0.5)


def test_what_cannot_be_learnt_is_not_known(store: Store, writer: Writer) -> None:
    window(writer, count=2)
    (found,) = rows(store, evidence="true")
    assert (found["n"], found["expected"], found["coverage"]) == (2, None, None)


def test_rejected_counts_records_of_the_series_in_the_window_that_were_not_recovered(
    store: Store, writer: Writer
) -> None:
    series = int(window(writer), 16)
    of = pl.Series([[series]], dtype=pl.List(pl.UInt64))
    for seq, more in enumerate([{}, {}, {"recovered_by": "r"}, {"time": times([START + MINUTE])}]):
        writer.rejection(seq, 0, "location", ["range"], series=of, **more)
    writer.rejection(9, 0, "location", ["range"], series=pl.Series([[series + 1]], dtype=pl.List(pl.UInt64)))
    assert [found["rejected"] for found in rows(store, evidence="true")] == [2]


def test_a_restated_window_says_when(store: Store, writer: Writer) -> None:
    series = writer.series("location", "speed", {"user_id": "a1"})
    writer.rollup(series, START, 1.0, 3, restated_at=times([START + MINUTE]).first(), late=pl.lit(2, pl.UInt64))
    (found,) = rows(store, evidence="true")
    assert (found["restated_at"], found["late"]) == ("2026-01-01T00:01:00Z", 2)


def test_a_source_that_had_nothing_is_told_from_one_that_was_not_reached(store: Store, writer: Writer) -> None:
    window(writer)
    results = ["data", "empty", "unchanged", "timeout", "data"]
    started = [START, START + 1, START + 2, START + 3, START + MINUTE]
    count = len(results)
    polls = {"tenant": ["default"] * count, "feed": ["location"] * count, "item": [""] * count, "result": results}
    polls |= {"started_at": times(started), "sha256": [b"\0" * 32] * count, "receipt": [""] * count}
    writer.insert("polls", pl.DataFrame(polls))
    source = load_feed(
        RECIPES["meters"], source="meters", environment={"TIDEMILL_METERS_URL": "http://127.0.0.1:1/"}
    ).source
    (found,) = rows(store, msgspec.structs.replace(FEED, source=source), evidence="true")
    assert found["source"] == {"polls": 4, "data": 1, "empty": 2, "failed": 1}
