"""How many points series have, and when the first and the last one are, kept for as long as nothing is written of each.

Points are counted without FINAL, part by part of the table, where that is exact: no part has a row twice, and the times
of a series in its parts do not overlap. That is so where points come in order and each once, and takes a tenth of the
time. The other series are counted with FINAL.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.query.kept import Kept
from tidemill.store.client import Store
from tidemill.store.generations import POINTS

_EXTENT_BYTES: Final = 200
_MOST_BYTES: Final = 16 << 20
_LEVEL: Final = 3  # the item of a part's name (all_1_7_2) that says how often it was merged


class Extent(msgspec.Struct, frozen=True):
    """`count`: points with a value; `missing`: samples without one; the times of the first and the last (ns; null where
    there is none)."""

    count: int
    missing: int
    first_ns: int | None
    last_ns: int | None


NO_POINTS: Final = Extent(0, 0, None, None)


class SeriesExtents:
    """Reads extents of series. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Kept[Extent] = Kept(store.generations, _MOST_BYTES, _EXTENT_BYTES)
        self._kept_values: Kept[float] = Kept(store.generations, _MOST_BYTES, _EXTENT_BYTES)

    def read(self, tenant: str, deleted_seqs: Mapping[int, int]) -> dict[int, Extent]:
        """The extent of each of these series, whose points up to an offset are deleted."""
        extents, unknown = dict[int, Extent](), dict[int, int]()
        for series, deleted_seq in deleted_seqs.items():
            kept = self._kept.get((tenant, series, deleted_seq))
            if kept is None:
                unknown[series] = deleted_seq
            else:
                extents[series] = kept
        if unknown:
            generations = {series: self._store.generations.of_series(POINTS, [series]) for series in unknown}
            for series, extent in self._read(tenant, unknown).items():
                extents[series] = extent
                self._kept.put((tenant, series, unknown[series]), generations[series], extent, _EXTENT_BYTES)
        return extents

    def values_at_ends(self, tenant: str, extents: Mapping[int, Extent], *, newest: bool) -> dict[int, float | None]:
        """The values of series at their last (`newest`) or first time; all of their points have one."""
        ends = {
            series: extent.last_ns if newest else extent.first_ns for series, extent in extents.items() if extent.count
        }
        kept = {series: self._kept_values.get((tenant, series, at, newest)) for series, at in ends.items()}
        unknown = [series for series, value in kept.items() if value is None]
        if unknown:
            generations = {series: self._store.generations.of_series(POINTS, [series]) for series in unknown}
            times = [ends[series] for series in unknown]
            bound: dict[str, Any] = {"series": unknown, "times": times, "newest": int(newest)}
            frame = self._store.frame("series_values_at", tenant=tenant, **bound)
            for series, value in zip(frame["series"].to_list(), frame["value"].to_list(), strict=True):
                kept[series] = value
                self._kept_values.put((tenant, series, ends[series], newest), generations[series], value, _EXTENT_BYTES)
        return kept

    def _read(self, tenant: str, deleted_seqs: Mapping[int, int]) -> dict[int, Extent]:
        """Extents of series by the store."""
        whole = [series for series, deleted_seq in deleted_seqs.items() if not deleted_seq]
        extents, unsure = dict[int, Extent](), {*deleted_seqs}.difference(whole)
        if whole:
            frame = self._store.frame("series_extents_by_part", tenant=tenant, series=whole)
            unsure |= self._repeated(tenant, frame)
            counted = frame.filter(~pl.col("series").is_in(unsure)).group_by("series")
            extents |= _extents(
                counted.agg(pl.col("rows", "valued").sum(), pl.col("first_ns").min(), pl.col("last_ns").max())
            )
        if unsure:
            numbers = sorted(unsure)
            bound = {"series": numbers, "deleted_seqs": [deleted_seqs[number] for number in numbers]}
            extents |= _extents(self._store.frame("series_extents", tenant=tenant, **bound))
        return {series: extents.get(series, NO_POINTS) for series in deleted_seqs}

    def _repeated(self, tenant: str, frame: pl.DataFrame) -> set[int]:
        """The series that may have two rows of one instant, by their rows in each part, in order of their times."""
        before = pl.col("last_ns").cum_max().shift(1).over("series")
        unsure = set[int](frame.filter(pl.col("first_ns") <= before)["series"].to_list())
        fresh = frame.filter(pl.col("part").is_in(unmerged_parts(frame["part"].unique())))
        if len(fresh):
            bound = {"series": fresh["series"].unique().to_list(), "parts": fresh["part"].unique().to_list()}
            counted = self._store.frame("series_instants_in_parts", tenant=tenant, **bound)
            unsure |= set(rows_that_differ(fresh.rename({"rows": "had"}), counted, "part")["series"].to_list())
        return unsure


def unmerged_parts(names: Iterable[str]) -> Sequence[str]:
    """Of parts of a table those that were never merged, which may have two rows of one key."""
    return [name for name in names if name.split("_")[_LEVEL] == "0"]


def rows_that_differ(earlier: pl.DataFrame, counted: pl.DataFrame, unit: str) -> pl.DataFrame:
    """The rows of `earlier` (series, `unit`, and how many rows of the table each `had`) of which `counted` does not say
    that each of just so many rows has an instant of its own (`rows`, `instants`): an instant has two, or had."""
    both = earlier.join(counted.select("series", unit, "rows", "instants"), on=["series", unit], how="left")
    same = (pl.col("rows") == pl.col("had")) & (pl.col("instants") == pl.col("had"))
    return both.filter(~same.fill_null(value=False))


def _extents(frame: pl.DataFrame) -> dict[int, Extent]:
    columns = (frame[name].to_list() for name in ("series", "rows", "valued", "first_ns", "last_ns"))
    return {
        series: Extent(valued, rows - valued, first, last)
        for series, rows, valued, first, last in zip(*columns, strict=True)
    }
