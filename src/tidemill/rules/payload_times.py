"""What the row of a payload says of its records: how many of their values are null, and from when to when they are.
Pure."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from tidemill.decode.batch import Batch
from tidemill.feeds.definition import Feed

TIMES: Final[dict[str, Any]] = {
    "nulls": pl.UInt32,
    "first_time": pl.Datetime("ns", "UTC"),
    "last_time": pl.Datetime("ns", "UTC"),
}


def payload_times(feed: Feed, timed: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """`seq` and TIMES of the payloads of a batch that have well-formed records, those that a rule rejects included.
    `timed`: the frame of the batch with `time` (i64 ns; null: the record has no instant, which no rule lets pass)."""
    names = [name for name in _nullable(feed) if timed[name].null_count()]
    if batch.null_registers is not None and batch.null_registers.height:
        of_record = batch.null_registers.group_by("seq", "idx").agg(null_registers=pl.len())
        timed = timed.join(of_record, on=["seq", "idx"], how="left")
    counted = [pl.col(name).is_null().sum() for name in names]
    counted += [pl.col("null_registers").sum()] if "null_registers" in timed.columns else []
    grouped = timed.group_by("seq").agg(
        pl.col("time").min().alias("first_time"),
        pl.col("time").max().alias("last_time"),
        *(expression.cast(pl.UInt32).alias(f"null.{number}") for number, expression in enumerate(counted)),
    )
    total = pl.sum_horizontal(f"null.{number}" for number in range(len(counted))) if counted else pl.lit(0)
    counted_by_payload = grouped.select("seq", total.alias("nulls"), "first_time", "last_time")
    return counted_by_payload.with_columns(pl.col(name).cast(kind) for name, kind in TIMES.items())


def _nullable(feed: Feed) -> Sequence[str]:
    """The columns of a feed's frame whose nulls are values that came as null, or did not come."""
    if feed.shape.kind == "samples":
        return ("f.value",)
    if feed.shape.kind == "summary":
        return ()
    return tuple(f"f.{name}" for name, field in feed.fields.items() if not field.required)
