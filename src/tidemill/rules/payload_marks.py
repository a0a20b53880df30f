"""What the row of a payload says of its records that passed the rules: how many were late, and how many a rule flagged.
Pure; depends on the payload and its feed version only."""

from typing import Any, Final

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.model.time import duration_ns

MARKS: Final[dict[str, Any]] = {"late": pl.UInt32, "flagged": pl.UInt32}
_MOST_NS: Final = 1 << 61


def payload_marks(feed: Feed, records: pl.DataFrame) -> pl.DataFrame:
    """`seq` and MARKS (no row: both are 0) of the payloads of records (`seq`, `time` and `received_ns` in ns, `marks`)
    that passed the rules. Late is a record that was received more than the feed's `late_after` after the end of its
    rollup window; a feed without rollups has none."""
    late, flagged = _late(feed), _flagged(records)
    if late is None and flagged is None:
        return pl.DataFrame(schema={"seq": pl.UInt64, **MARKS})
    none = pl.lit(0, pl.UInt32)
    counts = (none if late is None else late).alias("late"), (none if flagged is None else flagged).alias("flagged")
    return records.group_by("seq").agg(counts)


def _late(feed: Feed) -> pl.Expr | None:
    if feed.rollups is None:
        return None
    every = duration_ns(feed.rollups.every)
    allowed = min(_MOST_NS, every + duration_ns(feed.rollups.late_after))
    begin = pl.col("time") - pl.col("time") % every
    return (pl.col("received_ns") - begin > allowed).sum().cast(pl.UInt32)


def _flagged(records: pl.DataFrame) -> pl.Expr | None:
    if "marks" not in records.columns or records["marks"].null_count() == records.height:
        return None
    return (pl.col("marks").list.len() > 0).sum().cast(pl.UInt32)
