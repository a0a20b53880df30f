"""The rollup windows that a plan concerns: as they are published, and as they would be."""

from typing import Any, Final

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.replay.places import Places
from tidemill.mill.replay.plan import Plan
from tidemill.mill.replay.present import standing
from tidemill.store.client import Store

_CHUNK: Final = 10_000
CHANGED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "window": pl.Int64,
    "old_mean": pl.Float64,
    "new_mean": pl.Float64,
    "old_count": pl.UInt64,
    "new_count": pl.UInt64,
}


def touched(feed: Feed, plan: Plan) -> pl.DataFrame:
    """`series`, `window` of what moves; empty for a feed without rollups."""
    every = rollups.every_ns(feed)
    return (
        rollups.touched(plan.moved, every) if every else pl.DataFrame(schema={"series": pl.UInt64, "window": pl.Int64})
    )


def changed(store: Store, tenant: str, feed: Feed, plan: Plan, places: Places) -> pl.DataFrame:
    """CHANGED: the windows whose mean or count would change. Reads the points of these windows; writes nothing."""
    every = rollups.every_ns(feed)
    parts = [
        _changed(_asked(store, tenant, every, part), every, part, plan, places)
        for part in touched(feed, plan).sort("series", "window").iter_slices(_CHUNK)
        if part.height
    ]
    return pl.concat([pl.DataFrame(schema=CHANGED), *parts])


def _asked(store: Store, tenant: str, every: int, windows: pl.DataFrame) -> pl.DataFrame:
    """The points that stand in these windows."""
    found = store.frame(
        "replay_windows",
        tenant=tenant,
        every_s=every // 1_000_000_000,
        series=windows["series"],
        windows=windows["window"],
    )
    return found.rename({"time_ns": "time"})


def _changed(stands: pl.DataFrame, every: int, windows: pl.DataFrame, plan: Plan, places: Places) -> pl.DataFrame:
    columns = ["series", "time", "ordinal", "seq", "idx", "value", "version"]
    offered = plan.points.select(*columns, rollups.window_of(every).alias("window"))
    offered = offered.join(windows, on=["series", "window"], how="semi").select(columns)
    after = standing(pl.concat([stands.filter(~places.has()).select(columns), offered], how="vertical_relaxed"))
    old, new = _means(stands, every, "old"), _means(after, every, "new")
    both = windows.join(old, on=["series", "window"], how="left").join(new, on=["series", "window"], how="left")
    both = both.with_columns(pl.col("old_count", "new_count").fill_null(0))
    differs = pl.col("old_mean").ne_missing(pl.col("new_mean")) | (pl.col("old_count") != pl.col("new_count"))
    return both.filter(differs).select(pl.col(name).cast(kind) for name, kind in CHANGED.items())


def _means(points: pl.DataFrame, every: int, when: str) -> pl.DataFrame:
    """Mean and count by window, as the store computes them: a mean is never outside of what it is the mean of."""
    found = points.filter(pl.col("value").is_not_null()).group_by("series", rollups.window_of(every).alias("window"))
    mean = pl.col("value").mean().clip(pl.col("value").min(), pl.col("value").max())
    return found.agg(mean.alias(f"{when}_mean"), pl.len().alias(f"{when}_count"))
