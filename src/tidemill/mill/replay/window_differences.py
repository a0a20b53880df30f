"""The rollup windows that a plan affects: as they are published, and as they would be."""

from typing import Final

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.compare import WINDOW_CHANGES, window_changes
from tidemill.mill.known import KnownSeries
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.plan import ReplayPlan
from tidemill.mill.replay.stored_rows import KEY, current_rows
from tidemill.model.time import NS_PER_S
from tidemill.store.client import Store

_CHUNK: Final = 10_000
_COLUMNS: Final = ["series", "time", "ordinal", "seq", "idx", "value", "version"]


def windows_of_plan(feed: Feed, plan: ReplayPlan) -> pl.DataFrame:
    """`series`, `window` of the points that these payloads have or had; empty for a feed without rollups."""
    every = rollups.every_ns(feed)
    if not every:
        return pl.DataFrame(schema={"series": pl.UInt64, "window": pl.Int64})
    parts = [frame.select("series", "time") for frame in (plan.points, plan.moved)]
    return rollups.windows_of_points(pl.concat(parts), every)


def changed_windows(
    store: Store, known: KnownSeries, plan: ReplayPlan, offsets: OffsetSet, *, tenant: str, feed: Feed
) -> pl.DataFrame:
    """WINDOW_CHANGES: the windows that would differ from what is published; publishing the plan restates exactly these.
    Reads the points of these windows; writes nothing."""
    every = rollups.every_ns(feed)
    parts = []
    for part in windows_of_plan(feed, plan).sort("series", "window").iter_slices(_CHUNK):
        if part.height:
            current = _current_points(store, known, tenant, every, part)
            published = rollups.read_stored_windows(store, tenant=tenant, every=every, windows=part)
            offered = plan.points.select(*_COLUMNS, rollups.window_of(every).alias("window"))
            offered = offered.join(part, on=rollups.KEY, how="semi").select(_COLUMNS)
            stays = current.filter(~offsets.has()).join(plan.removed, on=[*KEY, "seq", "idx"], how="anti")
            after = current_rows(pl.concat([stays, offered], how="vertical_relaxed"))
            parts.append(window_changes(_moved(plan, every, part), published, _values(after, every)))
    return pl.concat([pl.DataFrame(schema=WINDOW_CHANGES), *parts])


def _moved(plan: ReplayPlan, every: int, windows: pl.DataFrame) -> pl.DataFrame:
    """The windows with `moved`: whether a current value in them changes."""
    moved = rollups.windows_of_points(plan.moved, every).with_columns(moved=pl.lit(True))
    return windows.join(moved, on=rollups.KEY, how="left").with_columns(pl.col("moved").fill_null(False))


def _current_points(store: Store, known: KnownSeries, tenant: str, every: int, windows: pl.DataFrame) -> pl.DataFrame:
    """The current points in these windows."""
    points = store.frame(
        "replay_windows",
        tenant=tenant,
        every_s=every // NS_PER_S,
        series=windows["series"],
        windows=windows["window"],
    ).rename({"time_ns": "time"})
    ids = windows["series"].unique()
    known.load_series(tenant, ids, 0)
    alive = known.frame(ids).select("series", "deleted_seq")
    return points.join(alive, on="series").filter(pl.col("seq") > pl.col("deleted_seq")).select(_COLUMNS)


def _values(points: pl.DataFrame, every: int) -> pl.DataFrame:
    """Count, mean, min and max by window, as the store computes them: a mean is never outside of its values."""
    value = pl.col("value")
    groups = points.filter(value.is_not_null()).group_by("series", rollups.window_of(every).alias("window"))
    return groups.agg(
        mean=value.mean().clip(value.min(), value.max()), min=value.min(), max=value.max(), count=pl.len()
    )
