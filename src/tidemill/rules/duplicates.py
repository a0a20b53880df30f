"""Decides which record stays current at an instant of a series under the duplicate policy `first`. Pure.

The store itself keeps the right point by its version; this module finds what the ledger needs: the superseded records.
The outcome depends neither on the order in which batches are applied nor on how records are split into batches; only
`winner_seq`, `winner_idx` name the earliest record known so far.
"""

from typing import Any, Final

import polars as pl

CURRENT: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "version": pl.Int64,
}
SUPERSEDED: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "time": pl.Int64,
    "winner_seq": pl.UInt64,
    "winner_idx": pl.UInt32,
    "stood": pl.Boolean,
}
_KEY: Final = ["series", "time"]
_RECORD: Final = ["seq", "idx"]


def keep_first_records(points: pl.DataFrame, current: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the points that stay, SUPERSEDED) of a batch. `current`: the points that the store has at the series and times
    of the batch's anchors.

    All points of a record stay, or none does. `stood` is true for a superseded record that was current until now. The
    same record twice (a batch applied again) is no duplicate of itself.
    """
    if _has_no_duplicates(points, current):
        return points, pl.DataFrame(schema=SUPERSEDED)
    anchors = points.filter("anchor").select(*CURRENT).with_columns(stood=pl.lit(False))
    stored = current.select(list(CURRENT)).with_columns(stood=pl.lit(True))
    entrants = _with_winner(stored.join(anchors, on=_KEY, how="semi"), anchors)
    superseded = entrants.filter(pl.col("seq").ne(pl.col("winner_seq")) | pl.col("idx").ne(pl.col("winner_idx")))
    return points.join(superseded, on=_RECORD, how="anti"), superseded.select(list(SUPERSEDED))


def _has_no_duplicates(points: pl.DataFrame, current: pl.DataFrame) -> bool:
    if not current.is_empty():
        return False
    series, time = points["series"].to_numpy(), points["time"].to_numpy()
    follows = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (time[1:] > time[:-1]))
    return bool(follows.all()) or points.select(_KEY).n_unique() == points.height


def _with_winner(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Every record once, with (seq, idx) of the record that stays at its series and time: the lowest; or a record that
    was stored under another policy and has a higher version."""
    entrants = pl.concat([stored, new]).unique([*_KEY, *_RECORD], keep="first", maintain_order=True)
    return entrants.sort([*_KEY, "version"], descending=[False, False, True]).with_columns(
        winner_seq=pl.col("seq").first().over(_KEY), winner_idx=pl.col("idx").first().over(_KEY)
    )
