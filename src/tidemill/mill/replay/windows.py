"""The rollup windows that a plan concerns: as they are published, and as they would be."""

from typing import Any, Final

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.known import KnownSeries
from tidemill.mill.replay.places import Places
from tidemill.mill.replay.plan import Plan
from tidemill.mill.replay.present import standing
from tidemill.model.time import NS_PER_S
from tidemill.store.client import Store

_CHUNK: Final = 10_000
_ROUNDING: Final = 1e-12  # the store sums in another order
_COLUMNS: Final = ["series", "time", "ordinal", "seq", "idx", "value", "version"]
CHANGED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "window": pl.Int64,
    "old_mean": pl.Float64,
    "new_mean": pl.Float64,
    "old_count": pl.UInt64,
    "new_count": pl.UInt64,
}


def touched(feed: Feed, plan: Plan) -> pl.DataFrame:
    """`series`, `window` of all that these payloads have or had; empty for a feed without rollups."""
    every = rollups.every_ns(feed)
    if not every:
        return pl.DataFrame(schema={"series": pl.UInt64, "window": pl.Int64})
    parts = [frame.select("series", "time") for frame in (plan.points, plan.moved)]
    return rollups.touched(pl.concat(parts), every)


def changed(store: Store, known: KnownSeries, plan: Plan, places: Places, *, tenant: str, feed: Feed) -> pl.DataFrame:
    """CHANGED: the windows whose mean or count would be another than what is published. Reads the points of these
    windows; writes nothing."""
    every = rollups.every_ns(feed)
    parts = []
    for part in touched(feed, plan).sort("series", "window").iter_slices(_CHUNK):
        if part.height:
            stands = _standing(store, known, tenant, every, part)
            published = rollups.stored(store, tenant=tenant, every=every, windows=part)
            offered = plan.points.select(*_COLUMNS, rollups.window_of(every).alias("window"))
            offered = offered.join(part, on=rollups.KEY, how="semi").select(_COLUMNS)
            after = standing(pl.concat([stands.filter(~places.has()), offered], how="vertical_relaxed"))
            parts.append(_changed(part, published, _means(after, every)))
    return pl.concat([pl.DataFrame(schema=CHANGED), *parts])


def _standing(store: Store, known: KnownSeries, tenant: str, every: int, windows: pl.DataFrame) -> pl.DataFrame:
    """The points that stand in these windows."""
    found = store.frame(
        "replay_windows",
        tenant=tenant,
        every_s=every // NS_PER_S,
        series=windows["series"],
        windows=windows["window"],
    ).rename({"time_ns": "time"})
    ids = windows["series"].unique()
    known.load(tenant, ids, 0)
    alive = known.frame(ids).select("series", "deleted_seq")
    return found.join(alive, on="series").filter(pl.col("seq") > pl.col("deleted_seq")).select(_COLUMNS)


def _changed(windows: pl.DataFrame, published: pl.DataFrame, means: pl.DataFrame) -> pl.DataFrame:
    """CHANGED of these windows: as they are published (STORED), and by their new `means`."""
    old = published.filter(pl.col("count") > 0).select(
        *rollups.KEY, pl.col("mean").alias("old_mean"), pl.col("count").alias("old_count")
    )
    both = windows.join(old, on=rollups.KEY, how="left").join(means, on=rollups.KEY, how="left")
    both = both.with_columns(pl.col("old_count", "new_count").fill_null(0))
    near = (pl.col("old_mean") - pl.col("new_mean")).abs() <= pl.col("old_mean").abs() * _ROUNDING
    differs = (pl.col("old_count") != pl.col("new_count")) | ~near.fill_null(
        pl.col("old_mean").is_null() & pl.col("new_mean").is_null()
    )
    return both.filter(differs).select(pl.col(name).cast(kind) for name, kind in CHANGED.items())


def _means(points: pl.DataFrame, every: int) -> pl.DataFrame:
    """Mean and count by window, as the store computes them: a mean is never outside of what it is the mean of."""
    found = points.filter(pl.col("value").is_not_null()).group_by("series", rollups.window_of(every).alias("window"))
    mean = pl.col("value").mean().clip(pl.col("value").min(), pl.col("value").max())
    return found.agg(mean.alias("new_mean"), pl.len().alias("new_count"))
