"""Recomputes rollups: exactly the windows that a batch touched, from the points that stand, by one statement each.

Writing a window twice changes nothing but its version.
"""

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill.known import KnownSeries
from tidemill.model.time import duration_ns
from tidemill.store.client import Store

_CHUNK = 10_000  # windows in one statement: 2 × 200 kB of bound values


def every_ns(feed: Feed) -> int:
    """The width of a feed's rollup windows, ns (whole seconds); 0 if it has none."""
    return duration_ns(feed.rollups.every) if feed.rollups else 0


def window_of(every: int) -> pl.Expr:
    """The begin of the window of column `time`, ns; windows are aligned to the epoch, also before it."""
    return pl.col("time") - pl.col("time") % every


def touched(points: pl.DataFrame, every: int) -> pl.DataFrame:
    """`series`, `window`: the distinct windows of points."""
    return points.select("series", window=window_of(every)).unique()


def recompute(
    store: Store,
    known: KnownSeries,
    *,
    tenant: str,
    every: int,
    windows: pl.DataFrame,
    version: int,
    sealed_seq: int = 0,
) -> int:
    """Write the rollups of these windows (`series`, `window`); `sealed_seq` above 0 seals them. Returns how many."""
    gone = known.deleted(windows["series"].unique()) or {0: 0}
    ordered = windows.sort("series", "window")
    for start in range(0, ordered.height, _CHUNK):
        part = ordered[start : start + _CHUNK]
        store.command(
            "mill_rollups",
            tenant=tenant,
            series=part["series"],
            windows=part["window"],
            every_s=every // 1_000_000_000,
            sealed_seq=sealed_seq,
            version=version,
            deleted_series=list(gone),
            deleted_seqs=list(gone.values()),
        )
    return ordered.height
