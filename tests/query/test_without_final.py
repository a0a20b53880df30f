"""What is read without FINAL is what FINAL reads, whatever was written, sent again, replaced, deleted and merged."""

import random
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked
from tests.support.rounds import rounds
from tidemill.model.ids import parse_series
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.parameters import TimeRange
from tidemill.query.plain_points import plain_windows_of_many, samples_frame
from tidemill.query.series_extents import NO_POINTS, SeriesExtents, unmerged_parts
from tidemill.query.series_rows import Description
from tidemill.query.whole_range import whole_range_frame
from tidemill.query.window_frames import BEFORE_ALL
from tidemill.store.client import Store
from tidemill.store.queries import packaged_queries, query

STEPS = rounds(20, 60)
SPAN = TimeRange(START, START + 600 * SECOND)
LENGTH: dict[str, Any] = {"length": 60 * SECOND, "closed_right": 0}
MORE = {
    "merge": query("merge", "OPTIMIZE TABLE points FINAL"),
    "remove": query("remove", "DELETE FROM points WHERE series = {series:UInt64} AND time < {until:DateTime64(9)}"),
}


@pytest.fixture
def merging(store: Store) -> Iterator[Store]:
    """A client of the same store that merges its parts and removes rows."""
    client = Store(store.address, queries={**packaged_queries(), **MORE})
    yield client
    client.close()


class Written:
    """Three series into which rows are written at random; the second is one of which the first submitted counts."""

    def __init__(self, writer: Writer, merging: Store, chance: random.Random) -> None:
        self.names = [writer.series("signals", "value", {"name": name}) for name in "abc"]
        self.writer, self.merging, self.chance = writer, merging, chance
        self.deleted = [0, 0, 0]
        self.seq = self.next = 0

    def described(self) -> list[Description]:
        """The series as a question chooses them."""
        rows = zip(self.names, self.deleted, strict=True)
        return [Description(parse_series(name), "signals", "", "value", {}, "", "", seq) for name, seq in rows]

    def value(self, nulls: bool) -> float | None:
        """A value, or null now and then."""
        return None if nulls and self.chance.random() < 0.2 else float(self.chance.randrange(9))

    def step(self, nulls: bool) -> None:
        """Append, repeat, merge or delete."""
        kind = self.chance.choices(["append", "repeat", "merge", "remove", "delete"], [8, 2, 3, 1, 0.5])[0]
        number = self.chance.randrange(3)
        if kind == "merge":
            self.merging.command("merge")
        elif kind == "remove":
            self.merging.command("remove", series=parse_series(self.names[number]), until="2026-01-01 00:01:00")
        elif kind == "delete":
            self.deleted[number] = self.seq
        else:
            begin = self.next if kind == "append" else self.chance.randrange(max(self.next, 1))
            count = self.chance.randrange(1, 40)
            self.next = max(self.next, begin + count) % 580
            self.seq += 1
            values = [
                None if nulls and self.chance.random() < 0.2 else float(self.chance.randrange(9)) for _ in range(count)
            ]
            for name in self.names if kind == "append" else [self.names[number]]:
                times = [START + (begin + n) * SECOND for n in range(count)]
                self.writer.points(name, times, values, seq=self.seq, first_wins=name == self.names[1])


@pytest.mark.parametrize("seed", range(rounds(2, 8)))
def test_what_is_read_without_final_is_what_final_reads(
    store: Store, writer: Writer, merging: Store, seed: int
) -> None:
    written = Written(writer, merging, random.Random(seed))
    extents, seen = SeriesExtents(store), set[str]()
    for _ in range(STEPS):
        written.step(nulls=seed % 2 == 1)
        series = written.described()
        seen |= same_windows(store, series) | same_ends(store, extents, series)
        for item in series:
            same_samples(store, item)
            same_extent(store, extents, item)
    assert {"windows", "windows with FINAL"} <= seen
    assert seed % 2 == 1 or "ends" in seen


def final_windows(store: Store, series: list[Description], agg: tuple[str, ...], unit: str) -> pl.DataFrame:
    """The windows by the statement with FINAL; `unit` "": one of all points."""
    numbers = [item.series for item in series]
    bound: dict[str, Any] = {"series": numbers, "deleted_seqs": [item.deleted_seq for item in series]}
    first = SPAN.first_ns if unit else BEFORE_ALL
    bound |= {
        "first": max(first, 0),
        "last": SPAN.last_ns,
        "firsts": [max(first, 0)] * len(series),
        "nulls": int("missing" in agg),
    }
    bound |= {"agg": list(agg), "good": 0, "mark": "", "after": BEFORE_ALL, "limit": 1000, "count": 60, "unit": unit}
    return store.frame("points_windows_utc", tenant="default", **bound, **LENGTH)


def same_windows(store: Store, series: list[Description]) -> set[str]:
    agg = ("mean", "min", "max", "sum", "count", "missing")
    within = {"first": SPAN.first_ns, "last": SPAN.last_ns, "after": BEFORE_ALL, "limit": 1000}
    plain = plain_windows_of_many(store, "default", series, agg, length=LENGTH, within=within)
    if plain is None:
        return {"windows with FINAL"}
    expected = final_windows(store, series, agg, "s").select(plain.columns)
    assert_frame_equal(plain, expected, check_dtypes=False)
    return {"windows"}


def same_ends(store: Store, extents: SeriesExtents, series: list[Description]) -> set[str]:
    query = asked(ManyPointsQuery, feed="signals", agg="first,last,count")
    frame = whole_range_frame(extents, "default", series, query)
    if frame is None:
        return set()
    expected = final_windows(store, series, query.aggregates, "")
    ns = expected["first_ns"].min() or 0
    expected = expected.with_columns(ns=pl.lit(ns, pl.Int64)).sort("ns", "series")
    assert_frame_equal(frame, expected.select(frame.columns), check_dtypes=False)
    return {"ends"} if len(frame) else set()


def same_samples(store: Store, item: Description) -> None:
    frame = samples_frame(store, "default", item, SPAN, 10_000)
    bound = {"series": item.series, "deleted_seq": item.deleted_seq, "first": SPAN.first_ns, "last": SPAN.last_ns}
    expected = store.frame("series_arrays", tenant="default", limit=10_000, **bound)
    assert_frame_equal(frame.sort("ns"), expected.sort("ns"))


def same_extent(store: Store, extents: SeriesExtents, item: Description) -> None:
    [(_, extent)] = extents.read("default", {item.series: item.deleted_seq}).items()
    rows = store.rows("series_extents", tenant="default", series=[item.series], deleted_seqs=[item.deleted_seq])
    if not rows:
        assert extent == NO_POINTS
    else:
        [row] = rows
        assert (extent.count, extent.missing) == (row["valued"], row["rows"] - row["valued"])
        assert (extent.first_ns, extent.last_ns) == (row["first_ns"], row["last_ns"])


def test_a_part_that_was_never_merged_is_known_by_its_name() -> None:
    assert unmerged_parts(["all_1_1_0", "all_1_7_2", "all_8_8_0_12", "all_1_9_3_12"]) == ["all_1_1_0", "all_8_8_0_12"]
