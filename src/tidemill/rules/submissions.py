"""Decides which records stay current where they are compared by instant and by the local time as it was sent. Pure.

A record is a duplicate if an earlier record of its series, in the order of the log, has its instant or its local time,
whether or not that earlier record is a duplicate itself. So one more record can only make others duplicates and never
brings one back: what is decided about a set of records does not depend on the order in which they become known. (Were
only current records compared, a record that is superseded would bring back its own duplicates, whose points would have
to be made again from payloads that were decided long ago.)

The winner of a duplicate is the earliest record that has its instant or its local time.
"""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.rules.duplicates import SUPERSEDED

# What the store knows of records: an instant or (`local`) a local time `at` of a series, the record, its instant.
SUBMITTED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "local": pl.Boolean,
    "at": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "time": pl.Int64,
}
_KEY: Final = ["series", "local", "at"]
_RECORD: Final = ["seq", "idx"]
REPOINTED: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "winner_seq": pl.UInt64,
    "winner_idx": pl.UInt32,
}


class Contested(msgspec.Struct, frozen=True):
    """`points`: those that stay. `superseded` (`duplicates.SUPERSEDED`): the duplicates of the batch, and the records
    that were current until now (`stood`). `repointed` (REPOINTED): duplicates in the store that have a record of the
    batch as their earliest now."""

    points: pl.DataFrame
    superseded: pl.DataFrame
    repointed: pl.DataFrame


def keep_first_submissions(points: pl.DataFrame, current: pl.DataFrame, submitted: pl.DataFrame) -> Contested:
    """Decide a batch. `current`: the points that the store has at the series and times of the batch's anchors and of
    the `submitted` (SUBMITTED) records; these are, of each time of an anchor, the first in the store and all that are
    later than some record of the batch.

    All points of a record stay, or none does. The same record twice is no duplicate of itself."""
    anchors = points.filter("anchor")
    here = submission_keys(anchors)
    if current.is_empty() and submitted.is_empty() and here.select(_KEY).n_unique() == here.height:
        return Contested(points, pl.DataFrame(schema=SUPERSEDED), pl.DataFrame(schema=REPOINTED))
    stored = current.join(anchors.select("series").unique(), on="series", how="semi")
    current_records = stored.select(_RECORD).unique().with_columns(stood=pl.lit(True))
    mine = anchors.select(_RECORD).unique().with_columns(mine=pl.lit(True))
    losers = (
        _with_winner(pl.concat([here, _at_instants(stored), submitted.select(list(SUBMITTED))]))
        .filter(pl.col("seq").ne(pl.col("winner_seq")) | pl.col("idx").ne(pl.col("winner_idx")))
        .join(current_records, on=_RECORD, how="left")
        .join(mine, on=_RECORD, how="left")
        .with_columns(pl.col("stood", "mine").fill_null(False))
    )
    superseded = losers.filter(pl.col("mine") | pl.col("stood")).sort(_RECORD)
    winners = mine.select(winner_seq="seq", winner_idx="idx")
    others = losers.filter(~pl.col("mine") & ~pl.col("stood")).join(
        winners, on=["winner_seq", "winner_idx"], how="semi"
    )
    return Contested(
        points.join(superseded, on=_RECORD, how="anti"),
        superseded.select(list(SUPERSEDED)),
        others.select(list(REPOINTED)).sort(_RECORD),
    )


def submission_keys(anchors: pl.DataFrame) -> pl.DataFrame:
    """SUBMITTED of records: of each its instant, and its local time if it has one."""
    local = anchors.filter(pl.col("local_ns").is_not_null())
    return pl.concat(
        [
            _at_instants(anchors),
            local.select("series", pl.lit(True).alias("local"), pl.col("local_ns").alias("at"), *_RECORD, "time"),
        ]
    )


def _at_instants(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("series", pl.lit(False).alias("local"), pl.col("time").alias("at"), *_RECORD, "time")


def _with_winner(entries: pl.DataFrame) -> pl.DataFrame:
    """Every record once, with its instant and the earliest record at one of its keys."""
    ordered = entries.unique([*_KEY, *_RECORD], keep="first", maintain_order=True).sort(*_KEY, *_RECORD)
    first = ordered.with_columns(
        winner_seq=pl.col("seq").first().over(_KEY), winner_idx=pl.col("idx").first().over(_KEY)
    )
    earliest = first.sort("winner_seq", "winner_idx").unique(_RECORD, keep="first", maintain_order=True)
    return earliest.select(*_RECORD, "time", "winner_seq", "winner_idx")
