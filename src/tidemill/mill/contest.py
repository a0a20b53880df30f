"""Duplicates: compares a batch with itself and with what stands in the store. Every decision is by version alone, so
the order of application does not matter. Pure; the look-ups are in `standing.py`.

`first`: a record wins or loses as a whole, by its anchor point. `last`: each point for itself. `keep`: no contest.
"""

import msgspec
import polars as pl

_RECORD = ("seq", "idx")
_INSTANT = ("series", "time")
_POINT = ("series", "time", "ordinal")


class Contest(msgspec.Struct, frozen=True):
    """The outcome. `points`: what is to be stored. `losers`: records of the batch that lost (`seq`, `idx`, `time`,
    `winner_seq`, `winner_idx`). `overtaken`: the same for records that stood, with `series` and `version` (the
    winner's). `replaced`: values that stand no more (`series`, `time`, `seq`, `idx`, `value`, `by_seq`, `by_idx`,
    `received_ns`, `stood`: whether it is in the store)."""

    points: pl.DataFrame
    losers: pl.DataFrame
    overtaken: pl.DataFrame
    replaced: pl.DataFrame


def first_wins(points: pl.DataFrame, standing: pl.DataFrame) -> Contest:
    """Of several records at one instant the one submitted first stays, with all its fields."""
    anchors = points.filter("anchor").select(*_INSTANT, *_RECORD, "version").with_columns(stood=pl.lit(False))
    stood = standing.select(*_INSTANT, *_RECORD, "version").with_columns(stood=pl.lit(True))
    stood = stood.join(
        anchors, on=[*_INSTANT, *_RECORD], how="anti"
    )  # a record applied again is no duplicate of itself
    all_of_them = pl.concat([anchors, stood])
    best = (
        all_of_them.sort("version", descending=True)
        .unique(_INSTANT, keep="first", maintain_order=True)
        .select(*_INSTANT, winner_seq="seq", winner_idx="idx", winner_version="version")
    )
    lost = all_of_them.join(best, on=_INSTANT).filter(pl.col("version") != pl.col("winner_version"))
    losers = lost.filter(~pl.col("stood"))
    if not losers.is_empty():
        points = points.join(losers, on=_RECORD, how="anti")
    overtaken = lost.filter("stood").drop("version").rename({"winner_version": "version"})
    return Contest(points, losers, overtaken, _no_replaced(points))


def last_wins(points: pl.DataFrame, standing: pl.DataFrame) -> Contest:
    """Of several points at one instant the one submitted last stays. A value that differs from its successor's is
    replaced; the same value again is not."""
    columns = [*_POINT, *_RECORD, "version", "value", "received_ns"]
    arrived = points.select(columns).with_columns(stood=pl.lit(False))
    stood = standing.select(columns).with_columns(stood=pl.lit(True))
    none = pl.DataFrame(schema={"series": pl.UInt64, "time": pl.Int64, **dict.fromkeys(_RECORD, pl.UInt64)})
    if stood.is_empty() and not points.select(_POINT).is_duplicated().any():
        return Contest(points, none, none, _no_replaced(points))
    stood = stood.join(arrived, on=[*_POINT, *_RECORD], how="anti")
    ranked = pl.concat([arrived, stood]).sort(*_POINT, "version")
    after = ranked.with_columns(
        pl.col("seq").shift(-1).over(_POINT).alias("by_seq"),
        pl.col("idx").shift(-1).over(_POINT).alias("by_idx"),
        pl.col("value").shift(-1).over(_POINT).alias("by_value"),
    )
    beaten = after.filter(pl.col("by_seq").is_not_null())
    replaced = beaten.filter(pl.col("value").ne_missing(pl.col("by_value"))).drop("by_value", "version", "ordinal")
    kept = points.join(beaten.filter(~pl.col("stood")), on=[*_POINT, *_RECORD], how="anti")
    return Contest(kept, none, none, replaced)


def keep_all(points: pl.DataFrame) -> Contest:
    """Every point stays: the feed's ordinal makes each its own."""
    none = points.clear()
    return Contest(points, none, none, _no_replaced(points))


def _no_replaced(points: pl.DataFrame) -> pl.DataFrame:
    return (
        points.clear()
        .select("series", "time", "seq", "idx", "value", "received_ns")
        .with_columns(by_seq=pl.lit(None, pl.UInt64), by_idx=pl.lit(None, pl.UInt32), stood=pl.lit(None, pl.Boolean))
    )
