"""Tells which published values became others: rows of table `changes`, for everyone who has used the old ones.

A point changes when another replaces it by a different value, or when a record submitted earlier takes its place. A
rollup window is *restated* when it was published with points (a row with count above 0 was written for an earlier
batch) and its mean or count changes by a point that is late for it (received more than `late_after` after its end), or
by a change of one of its points. A window that grows by points in time is not restated: it is still being written.

What is told is written before what it tells of: afterwards the old value is gone. So a batch that was cut short has
told of windows that a second attempt finds changed already, or in another batch: it goes by what was told last.
Keys are the places of the causes in the log, so telling twice is telling once; of two the first stays.
"""

from typing import Any, Final

import polars as pl

from tidemill.mill import rollups
from tidemill.mill.compare import window_changes
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import NS_PER_S
from tidemill.rules.shape import place
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
# Windows that a batch touched: the highest place in it that did, and why that restates them (null: it does not).
AFFECTED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "window": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "why": pl.String,
}
_WHY: Final = ("", "late", "replaced", "overtaken")  # a later word says more
_LAST: Final = (1 << 63) - 1


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


def replaced(values: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of values that were replaced by another one of this batch (`mill.replaced.REPLACED`)."""
    differs = pl.col("value").ne_missing(pl.col("by_value")) & ~pl.col("by_stood")
    changed = values.filter(differs).select("series", "time", seq="by_seq", idx="by_idx", old="value", new="by_value")
    return _points(changed, "replaced")


def superseded(lost: pl.DataFrame, current: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of records that stood and lost (`rules.duplicates.LOSERS`) to `points` of this batch, given what stood at
    the instants of these (`state.CURRENT`)."""
    winners = points.join(
        lost.select("time", seq="winner_seq", idx="winner_idx", lost_seq="seq", lost_idx="idx"),
        on=["time", "seq", "idx"],
    )
    both = winners.join(
        current.select("series", "time", pl.col("value").alias("old"), lost_seq="seq", lost_idx="idx"),
        on=["series", "time", "lost_seq", "lost_idx"],
    ).filter(pl.col("old").ne_missing(pl.col("value")))
    return _points(both.rename({"value": "new"}), "overtaken")


def affected(points: pl.DataFrame, changed: pl.DataFrame, *, every: int, late: int) -> pl.DataFrame:
    """AFFECTED: the windows of a batch's points (columns of the shape) and of the CHANGED points."""
    window = rollups.window_of(every).alias("window")
    is_late = pl.col("received_ns") - window > every + late
    whys = pl.col("why").replace_strict(list(_WHY), range(len(_WHY)), return_dtype=pl.Int32)
    rows = pl.concat(
        [
            points.select("series", window, "seq", place().alias("place"), is_late.cast(pl.Int32).alias("rank")),
            changed.select("series", window, "seq", place().alias("place"), whys.alias("rank")),
        ]
    )
    return (
        rows.group_by("series", "window")
        .agg(pl.col("seq").max(), pl.col("place").max(), pl.col("rank").max())
        .select(
            "series",
            "window",
            "seq",
            (pl.col("place") % MAX_RECORDS).cast(pl.UInt32).alias("idx"),
            pl.when(pl.col("rank") > 0)
            .then(pl.col("rank").replace_strict(range(len(_WHY)), list(_WHY), return_dtype=pl.String))
            .alias("why"),
        )
    )


def restated(present: pl.DataFrame, before: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of those AFFECTED windows with a cause that are in `present` (VALUES) another than `before` (`series`,
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


def _points(changed: pl.DataFrame, why: str) -> pl.DataFrame:
    one = pl.lit(1, pl.UInt64)
    named = changed.with_columns(one.alias("old_count"), one.alias("new_count"), pl.lit(why).alias("why"))
    return named.select(list(CHANGED))
