"""Finds which published values changed: rows of table `changes`, for everyone who has used the old values.

A point changes when another point replaces it with a different value, or when a record that was submitted earlier
supersedes its record. A
rollup window is *restated* when it was published with points (a row with count above 0 was written for an earlier
batch) and its mean or count changes by a point that is late for it (received more than `late_after` after its end), or
by a change of one of its points. A window that grows by points in time is not restated: it is still being written.

Changes are written before the points that cause them, because the old values are read from the store. So the first
attempt at a batch may have written changes of windows that a second attempt finds changed already, or in another batch:
the second attempt compares with the changes that were written last. The key of a change is the offset of its cause, so
writing a change twice has no effect; of two rows with one key the first stays.
"""

from typing import Any, Final

import polars as pl

from tidemill.mill import rollups
from tidemill.mill.compare import window_changes
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import NS_PER_S
from tidemill.rules.shape import version_of
from tidemill.store.tables import table

# A change, of a point or a window (then `time` is its begin); `old`, `new` null: none, or a sample that is missing.
CHANGED: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "series": pl.UInt64,
    "time": pl.Int64,
    "old": pl.Float64,
    "new": pl.Float64,
    "old_count": pl.UInt64,
    "new_count": pl.UInt64,
    "why": pl.String,
}
# Windows that a batch affects: the highest (seq, idx) in the batch that does, and why it restates them (null: it does
# not).
AFFECTED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "window": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "why": pl.String,
}
_WHY: Final = ("", "late", "replaced", "overtaken")  # a later word says more
_LAST: Final = (1 << 63) - 1
_ONE: Final = pl.lit(1, pl.UInt64)


def change_rows(
    changed: pl.DataFrame, *, tenant: str, feed: str, now: int, version: int, every: int = 0
) -> pl.DataFrame:
    """Rows of table `changes` for CHANGED points, or windows of width `every` (ns). `now` is ns since the epoch."""
    return table("changes").rows(
        changed,
        tenant=tenant,
        every_s=every // NS_PER_S,
        feed=feed,
        cause_seq=pl.col("seq"),
        cause_idx=pl.col("idx"),
        replay="",
        changed_at=now,
        version=_LAST - version,
    )


def replaced_changes(values: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of values that were replaced by a value of this batch (`mill.replaced.REPLACED`)."""
    differs = pl.col("value").ne_missing(pl.col("by_value")) & ~pl.col("by_stood")
    changed = values.filter(differs).select("series", "time", seq="by_seq", idx="by_idx", old="value", new="by_value")
    return _points(changed, "replaced")


def superseded_changes(superseded: pl.DataFrame, current: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of records that were current and are superseded (`rules.duplicates.SUPERSEDED`), given their current
    points (`store_state.CURRENT`) and the `points` that this batch stores. Where the batch stores none at an instant,
    because the winner has another one, the value is gone: `new` is null and `new_count` 0."""
    new = points.select("series", "time", new="value", seq="seq", idx="idx", is_stored=pl.lit(True))
    lost = current.join(superseded.select("seq", "idx", "winner_seq", "winner_idx"), on=["seq", "idx"])
    both = lost.select("series", "time", "winner_seq", "winner_idx", old="value").join(
        new, on=["series", "time"], how="left"
    )
    changed = both.filter(pl.col("old").ne_missing(pl.col("new"))).with_columns(
        seq=pl.coalesce("seq", "winner_seq"), idx=pl.coalesce("idx", "winner_idx")
    )
    return _points(changed, "overtaken", new_count=pl.col("is_stored").fill_null(False).cast(pl.UInt64))


def windows_of_batch(points: pl.DataFrame, changed: pl.DataFrame, *, every: int, late: int) -> pl.DataFrame:
    """AFFECTED: the windows of a batch's points (columns of the shape) and of the CHANGED points."""
    window = rollups.window_of(every).alias("window")
    is_late = pl.col("received_ns") - window > every + late
    whys = pl.col("why").replace_strict(list(_WHY), range(len(_WHY)), return_dtype=pl.Int32)
    rows = pl.concat(
        [
            points.select("series", window, "seq", version_of().alias("record"), is_late.cast(pl.Int32).alias("rank")),
            changed.select("series", window, "seq", version_of().alias("record"), whys.alias("rank")),
        ]
    )
    return (
        rows.group_by("series", "window")
        .agg(pl.col("seq").max(), pl.col("record").max(), pl.col("rank").max())
        .select(
            "series",
            "window",
            "seq",
            (pl.col("record") % MAX_RECORDS).cast(pl.UInt32).alias("idx"),
            pl.when(pl.col("rank") > 0)
            .then(pl.col("rank").replace_strict(range(len(_WHY)), list(_WHY), return_dtype=pl.String))
            .alias("why"),
        )
    )


def restated_windows(present: pl.DataFrame, before: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of those AFFECTED windows with a cause that differ in `present` (VALUES) from `before` (`series`,
    `window`, `mean`, `count`, `min`, `max`); none for a window that was not published."""
    moved = windows.filter(pl.col("why").is_not_null()).with_columns(moved=pl.lit(True))
    if moved.is_empty():
        return pl.DataFrame(schema=CHANGED)
    changed = window_changes(moved, before, present).filter(pl.col("old_count") > 0)
    return (
        changed.join(moved, on=rollups.KEY, maintain_order="left")
        .rename({"window": "time", "old_mean": "old", "new_mean": "new"})
        .select(list(CHANGED))
    )


def _points(changed: pl.DataFrame, why: str, new_count: pl.Expr = _ONE) -> pl.DataFrame:
    points = changed.with_columns(old_count=_ONE, new_count=new_count, why=pl.lit(why))
    return points.select(list(CHANGED))
