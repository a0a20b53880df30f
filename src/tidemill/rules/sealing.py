"""Rejects records for rollup windows that are final. Which ones are, the mill knows from the store; this applies it."""

from typing import Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.model.time import duration_ns
from tidemill.rules.apply import REJECTIONS

_DETAIL: Final = "window_sealed: the rollup window of its time is final, its points are past retention"


class Unsealed(msgspec.Struct, frozen=True):
    """`points` of records whose windows are open; `rejections` of the others (columns as in `rules.apply`)."""

    points: pl.DataFrame
    rejections: pl.DataFrame


def window_of(time: pl.Expr, every_ns: int) -> pl.Expr:
    """The start (ns UTC) of the fixed window that an instant is in; windows are counted from the epoch."""
    return time.floordiv(every_ns) * every_ns


def reject_sealed(feed: Feed, points: pl.DataFrame, sealed: pl.DataFrame) -> Unsealed:
    """Take out every record whose anchor is in a sealed window (`sealed`: series u64, window i64 ns)."""
    if feed.rollups is None or sealed.is_empty():
        return Unsealed(points, pl.DataFrame(schema=REJECTIONS))
    every_ns = duration_ns(feed.rollups.every)
    anchors = points.filter("anchor").with_columns(window=window_of(pl.col("time"), every_ns))
    late = anchors.join(sealed.select("series", "window"), on=["series", "window"], how="semi")
    rejections = late.select(
        "seq", "idx", "time", pl.lit(["window_sealed"]).alias("reasons"), pl.lit(_DETAIL).alias("detail")
    )
    return Unsealed(points.join(late, on=["seq", "idx"], how="anti"), rejections.select(list(REJECTIONS)))
