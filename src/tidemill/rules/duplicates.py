"""Who stays at an instant of a series: the pure part of the duplicate policy.

What stands in the store is decided by versions and needs none of this; this finds the ledger's side of it: which
records lost (first wins) and which values were replaced (last wins). The outcome does not depend on the order in which
batches are applied, nor on how records are split into batches; only `winner` and `by` name the best known so far.
"""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed

STANDING: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "version": pl.Int64,
}
LOSERS: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "time": pl.Int64,
    "winner_seq": pl.UInt64,
    "winner_idx": pl.UInt32,
    "stood": pl.Boolean,
}
REPLACED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "by_seq": pl.UInt64,
    "by_idx": pl.UInt32,
}
_KEY: Final = ["series", "time"]
_PLACE: Final = ["seq", "idx"]


class Contest(msgspec.Struct, frozen=True):
    """`points`: those to write. `losers` (first wins): records that are `duplicate`: seq, idx, time, winner_seq,
    winner_idx, and `stood` for one that was in the store until now. `replaced` (last wins): values that gave way:
    series, time, seq, idx, value, by_seq, by_idx."""

    points: pl.DataFrame
    losers: pl.DataFrame
    replaced: pl.DataFrame


def contest(feed: Feed, points: pl.DataFrame, standing: pl.DataFrame) -> Contest:
    """Decide between the points of a batch and `standing`: what is in the store at their series and times (the anchors'
    are enough where the first wins). The same record twice (a batch applied again) is no duplicate of itself."""
    if feed.duplicates == "keep" or _nothing_to_decide(points, standing):
        return Contest(points, pl.DataFrame(schema=LOSERS), pl.DataFrame(schema=REPLACED))
    stood = standing.select(list(STANDING)).with_columns(stood=pl.lit(True))
    if feed.first_wins:
        return _first_wins(points, stood)
    return _last_wins(points, stood)


def _nothing_to_decide(points: pl.DataFrame, standing: pl.DataFrame) -> bool:
    if not standing.is_empty():
        return False
    series, time = points["series"].to_numpy(), points["time"].to_numpy()
    follows = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (time[1:] > time[:-1]))
    return bool(follows.all()) or points.select(_KEY).n_unique() == points.height


def _first_wins(points: pl.DataFrame, stood: pl.DataFrame) -> Contest:
    anchors = points.filter("anchor").select(*STANDING).with_columns(stood=pl.lit(False))
    entrants = _ranked(stood.join(anchors, on=_KEY, how="semi"), anchors, descending=False)
    lost = entrants.filter(pl.col("seq").ne(pl.col("best_seq")) | pl.col("idx").ne(pl.col("best_idx")))
    losers = lost.rename({"best_seq": "winner_seq", "best_idx": "winner_idx"}).select(list(LOSERS))
    return Contest(points.join(losers, on=_PLACE, how="anti"), losers, pl.DataFrame(schema=REPLACED))


def _last_wins(points: pl.DataFrame, stood: pl.DataFrame) -> Contest:
    entrants = _ranked(stood, points.select(*STANDING).with_columns(stood=pl.lit(False)), descending=True)
    lost = entrants.filter(pl.col("seq").ne(pl.col("best_seq")) | pl.col("idx").ne(pl.col("best_idx")))
    replaced = lost.rename({"best_seq": "by_seq", "best_idx": "by_idx"}).select(list(REPLACED))
    kept = points.join(replaced, on=[*_KEY, *_PLACE], how="anti")
    return Contest(kept, pl.DataFrame(schema=LOSERS), replaced)


def _ranked(stood: pl.DataFrame, new: pl.DataFrame, *, descending: bool) -> pl.DataFrame:
    """Every entrant once, with the place of the one that stays at its series and time."""
    entrants = pl.concat([stood, new]).unique([*_KEY, *_PLACE], keep="first", maintain_order=True)
    ordered = entrants.sort([*_KEY, *_PLACE], descending=[False, False, descending, descending])
    return ordered.with_columns(best_seq=pl.col("seq").first().over(_KEY), best_idx=pl.col("idx").first().over(_KEY))
