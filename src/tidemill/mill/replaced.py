"""Decides which values are replaced where the last record wins: at each instant a chain, the same for every order and
every cut into batches.

A value is replaced by its nearest successor, also by an equal value (a source that was read again). So every accepted
record leaves a row at its instant, and is current again when its successor is removed by a replay.
"""

import polars as pl

REPLACED = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "received_ns": pl.Int64,
    "stood": pl.Boolean,
    "by_seq": pl.UInt64,
    "by_idx": pl.UInt32,
    "by_value": pl.Float64,
    "by_stood": pl.Boolean,
}
_KEY = ["series", "time", "ordinal"]
_RECORD = ["seq", "idx"]


def last_wins(points: pl.DataFrame, current: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the points of a batch that are current afterwards, REPLACED), given the `current` points of the store at its
    instants.

    `stood`: whether the replaced value is current in the store; `by_stood`: whether its successor is in the store and
    not in the batch. A point that is in both (applied again) counts as one, which was current.
    """
    if current.is_empty() and not points.select(_KEY).is_duplicated().any():
        return points, pl.DataFrame(schema=REPLACED)
    columns = [*_KEY, *_RECORD, "version", "value", "received_ns"]
    stored = current.select(*_KEY, *_RECORD, stood=pl.lit(True))
    arrived = points.select(columns).join(stored, on=[*_KEY, *_RECORD], how="left", maintain_order="left")
    arrived = arrived.with_columns(pl.col("stood").fill_null(False), older=pl.lit(False))
    stood = current.select(columns).join(arrived, on=[*_KEY, *_RECORD], how="anti")
    stood = stood.with_columns(stood=pl.lit(True), older=pl.lit(True))
    ranked = pl.concat([arrived, stood]).sort(*_KEY, "version")
    replaced = ranked.with_columns(
        pl.col("seq").shift(-1).over(_KEY).alias("by_seq"),
        pl.col("idx").shift(-1).over(_KEY).alias("by_idx"),
        pl.col("value").shift(-1).over(_KEY).alias("by_value"),
        pl.col("older").shift(-1).over(_KEY).alias("by_stood"),
    ).filter(pl.col("by_seq").is_not_null())
    kept = points.join(replaced, on=[*_KEY, *_RECORD], how="anti")
    return kept, replaced.select(list(REPLACED))
