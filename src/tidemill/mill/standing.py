"""Look-ups before a decision: what stands at these instants, which windows are sealed, what was decided long ago.

Most batches need none: `KnownSeries` says that nothing can be there. Keys go as server-bound arrays, in key order.
"""

from typing import Any

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.status import MillStatus
from tidemill.store.client import Store

_CHUNK = 10_000  # keys in one question: 400 kB of bound values, some 50 ms
_SEALED = {"series": pl.UInt64, "window": pl.Int64, "sealed_seq": pl.UInt64}
_STANDING: dict[str, Any] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "ordinal": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "version": pl.Int64,
    "received_ns": pl.Int64,
    "deleted_seq": pl.UInt64,
}


def standing(store: Store, status: MillStatus, tenant: str, points: pl.DataFrame) -> pl.DataFrame:
    """What the store holds at the instants of `points` (`series`, `time`, `latest`, `deleted_seq`): of each point the
    version that stands. Those of a deleted series are among them: seq <= deleted_seq."""
    keys = points.filter(pl.col("time") <= pl.col("latest")).select("series", "time", "deleted_seq")
    keys = keys.unique(["series", "time"]).sort("series", "time")
    frames = [pl.DataFrame(schema=_STANDING)]
    for start in range(0, keys.height, _CHUNK):
        part = keys[start : start + _CHUNK]
        status.lookups += 1
        found = store.frame("mill_standing", tenant=tenant, series=part["series"], times=part["time"])
        found = found.rename({"time_ns": "time"}).sort("version", descending=True)
        found = found.unique(["series", "time", "ordinal"], keep="first", maintain_order=True)
        frames.append(found.join(part, on=["series", "time"]).select(list(_STANDING)))
    return pl.concat(frames)


def sealed(store: Store, tenant: str, feed: Feed, anchors: pl.DataFrame) -> pl.DataFrame:
    """The anchors (`series`, `time`, `sealed_until`) in sealed windows, with the window's `sealed_seq`."""
    every = rollups.every_ns(feed)
    candidates = anchors.with_columns(window=rollups.window_of(every)) if every else anchors.clear()
    if every:
        candidates = candidates.filter(pl.col("window") <= pl.col("sealed_until"))
    if candidates.is_empty():
        return anchors.clear().with_columns(sealed_seq=pl.lit(None, pl.UInt64))
    windows = candidates.select("series", "window").unique().sort("series", "window")
    frames = [pl.DataFrame(schema=_SEALED)]
    for start in range(0, windows.height, _CHUNK):
        part = windows[start : start + _CHUNK]
        found = store.frame(
            "mill_sealed",
            tenant=tenant,
            every_s=every // 1_000_000_000,
            series=part["series"],
            windows=part["window"],
        )
        frames.append(found.select(pl.col("series"), pl.col("window_ns").alias("window"), pl.col("sealed_seq")))
    return candidates.join(pl.concat(frames), on=["series", "window"]).drop("window")


def earlier_rejections(store: Store, tenant: str, feed: str, records: pl.DataFrame) -> pl.DataFrame:
    """Of records (`seq`, `idx`, `time`) that were decided before their series was deleted or their window sealed:
    those that were rejected then, as they were."""
    seqs = records["seq"].unique()
    found = store.frame("mill_settled", tenant=tenant, feed=feed, seqs=seqs)
    return found.join(records.select("seq", "idx", "time").unique(["seq", "idx"]), on=["seq", "idx"])


def never_applied(store: Store, tenant: str, replaced: pl.DataFrame) -> pl.DataFrame:
    """Without the values of payloads that were applied before: what those replaced is known already."""
    late = replaced.filter(~pl.col("stood"))
    if late.is_empty():
        return replaced
    applied = store.frame("mill_applied", tenant=tenant, seqs=late["seq"].unique())
    return replaced.filter(pl.col("stood") | ~pl.col("seq").is_in(applied["seq"].implode()))
