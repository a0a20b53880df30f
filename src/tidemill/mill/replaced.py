"""Which values the last submission replaced, exactly: a chain, whatever the order and however records are batched.

A value is replaced by its nearest successor, also by one that does not differ (reading a source again): so every
accepted record leaves a trace at its instant, and takes its place again should its successor be withdrawn.
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
_PLACE = ["seq", "idx"]


def last_wins(points: pl.DataFrame, standing: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the points that stand after all, REPLACED) of a batch and what stands in the store at its instants.

    `stood` tells a replaced value that stands in the store from one that does not; `by_stood` whether its successor is
    not of the batch. The same point in both is one point: one that is applied again beside its successor did stand.
    """
    if standing.is_empty() and not points.select(_KEY).is_duplicated().any():
        return points, pl.DataFrame(schema=REPLACED)
    columns = [*_KEY, *_PLACE, "version", "value", "received_ns"]
    there = standing.select(*_KEY, *_PLACE, stood=pl.lit(True))
    arrived = points.select(columns).join(there, on=[*_KEY, *_PLACE], how="left", maintain_order="left")
    arrived = arrived.with_columns(pl.col("stood").fill_null(False), older=pl.lit(False))
    stood = standing.select(columns).join(arrived, on=[*_KEY, *_PLACE], how="anti")
    stood = stood.with_columns(stood=pl.lit(True), older=pl.lit(True))
    ranked = pl.concat([arrived, stood]).sort(*_KEY, "version")
    beaten = ranked.with_columns(
        pl.col("seq").shift(-1).over(_KEY).alias("by_seq"),
        pl.col("idx").shift(-1).over(_KEY).alias("by_idx"),
        pl.col("value").shift(-1).over(_KEY).alias("by_value"),
        pl.col("older").shift(-1).over(_KEY).alias("by_stood"),
    ).filter(pl.col("by_seq").is_not_null())
    kept = points.join(beaten, on=[*_KEY, *_PLACE], how="anti")
    return kept, beaten.select(list(REPLACED))
