"""Who stays at an instant of a series where the first submission does: the pure part of that duplicate policy.

What stands in the store is decided by versions and needs none of this; this finds the ledger's side of it: which
records lost. The outcome does not depend on the order in which batches are applied, nor on how records are split into
batches; only `winner` names the best known so far.
"""

from typing import Any, Final

import polars as pl

CURRENT: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
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


def keep_first_records(points: pl.DataFrame, standing: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the points that stay, LOSERS) of a batch and `standing`: what is in the store at the series and times of the
    batch's anchors. A record loses or stays as a whole. `stood`: it was in the store until now.

    The same record twice (a batch applied again) is no duplicate of itself.
    """
    if _nothing_to_decide(points, standing):
        return points, pl.DataFrame(schema=SUPERSEDED)
    anchors = points.filter("anchor").select(*CURRENT).with_columns(stood=pl.lit(False))
    stood = standing.select(list(CURRENT)).with_columns(stood=pl.lit(True))
    entrants = _ranked(stood.join(anchors, on=_KEY, how="semi"), anchors)
    lost = entrants.filter(pl.col("seq").ne(pl.col("winner_seq")) | pl.col("idx").ne(pl.col("winner_idx")))
    return points.join(lost, on=_RECORD, how="anti"), lost.select(list(SUPERSEDED))


def _nothing_to_decide(points: pl.DataFrame, standing: pl.DataFrame) -> bool:
    if not standing.is_empty():
        return False
    series, time = points["series"].to_numpy(), points["time"].to_numpy()
    follows = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (time[1:] > time[:-1]))
    return bool(follows.all()) or points.select(_KEY).n_unique() == points.height


def _ranked(stood: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Every entrant once, with the place of the one that stays at its series and time: the lowest."""
    entrants = pl.concat([stood, new]).unique([*_KEY, *_RECORD], keep="first", maintain_order=True)
    return entrants.sort([*_KEY, *_RECORD]).with_columns(
        winner_seq=pl.col("seq").first().over(_KEY), winner_idx=pl.col("idx").first().over(_KEY)
    )
