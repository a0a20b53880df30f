"""Rollup windows: computed from the current points (`read_window_values`), as published (`read_stored_windows`), and
their rows. A window is never incremented: writing it twice changes nothing but its version.

Beside its aggregates a window has `late`, computed from the points, and `restated_ns` (when a published value was last
changed), which is copied from the published window (`with_restated_times`).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import polars as pl

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill.known import KnownSeries
from tidemill.model.time import NS_PER_S, duration_ns
from tidemill.store.client import Store
from tidemill.store.tables import table

KEY: Final = ["series", "window"]
# Every column of table `rollups` but these is an aggregate of a window's points.
_NO_AGGREGATES: Final = frozenset(
    {"tenant", "series", "every_s", "window", "late", "restated_at", "sealed", "sealed_seq", "version"}
)
AGGREGATES: Final[dict[str, Any]] = {
    name: kind for name, kind in table("rollups").columns.items() if name not in _NO_AGGREGATES
}
VALUES: Final[dict[str, Any]] = {"series": pl.UInt64, "window": pl.Int64, **AGGREGATES, "late": pl.UInt64}
STORED: Final[dict[str, Any]] = {**VALUES, "restated_ns": pl.Int64, "sealed": pl.Boolean, "sealed_seq": pl.UInt64}
ANNOUNCED: Final[dict[str, Any]] = {
    **{name: VALUES[name] for name in ("series", "window", "mean", "count")},
    "changed_ns": pl.Int64,
}
LATE_NS: Final = 3600 * NS_PER_S  # `late_after` of a feed without rollups
_CHUNK: Final = 10_000  # windows in one statement: 2 × 200 kB of bound values
_MOST_NS: Final = 1 << 62


def every_ns(feed: Feed) -> int:
    """The width of a feed's rollup windows, ns (whole seconds); 0 if the feed has none."""
    return duration_ns(feed.rollups.every) if feed.rollups else 0


def late_ns(feed: Feed) -> int:
    """How long after its window's end a point of this feed is received at most without being late, ns."""
    return min(_MOST_NS, duration_ns(feed.rollups.late_after)) if feed.rollups else LATE_NS


def late_of(book: FeedBook, tenant: str, feed: str, version: int) -> int:
    """`late_ns` of a feed version; `LATE_NS` where that version cannot be read."""
    try:
        return late_ns(book.version(tenant, feed, version))
    except (NotFoundError, FeedDefinitionError):
        return LATE_NS


def window_of(every: int) -> pl.Expr:
    """The begin of the window of column `time`, ns; windows are aligned to the epoch, also before it."""
    return pl.col("time") - pl.col("time") % every


def windows_of_points(points: pl.DataFrame, every: int) -> pl.DataFrame:
    """`series`, `window`: the distinct windows of points."""
    return points.select("series", window=window_of(every)).unique()


def read_window_values(
    store: Store, known: KnownSeries, *, tenant: str, every: int, windows: pl.DataFrame, late: int = LATE_NS
) -> pl.DataFrame:
    """VALUES of these windows (`series`, `window`) from the current points, without those of deleted series; a window
    without a point has no row. `late` is the feed's `late_ns`; `known` has every series.

    Raises StoreUnavailableError, StoreQueryError, as every function here that reads the store.
    """
    deleted = known.deleted(windows["series"].unique()) or {0: 0}
    bound = {
        "deleted_series": list(deleted),
        "deleted_seqs": list(deleted.values()),
        "late_ns": min(_MOST_NS, every + late),
    }
    return _joined(
        (store.frame("mill_window_values", **part, **bound) for part in _parts(tenant, every, windows)), VALUES
    )


def read_stored_windows(store: Store, *, tenant: str, every: int, windows: pl.DataFrame) -> pl.DataFrame:
    """STORED of those of these windows (`series`, `window`) that are published; `restated_ns` null: never."""
    return _joined((store.frame("mill_window_rows", **part) for part in _parts(tenant, every, windows)), STORED)


def read_announced_windows(
    store: Store, *, tenant: str, every: int, windows: pl.DataFrame, from_seq: int
) -> pl.DataFrame:
    """ANNOUNCED of these windows: the last row of each in table `changes` that a payload from `from_seq` on wrote."""
    parts = _parts(tenant, every, windows)
    return _joined((store.frame("mill_announced_windows", from_seq=from_seq, **part) for part in parts), ANNOUNCED)


def with_restated_times(present: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """VALUES with the `restated_ns` of STORED, and a window with zeros where one was published and has no points
    now."""
    if before.is_empty():
        return present.with_columns(restated_ns=pl.lit(None, pl.Int64))
    emptied = before.filter(pl.col("count") > 0).join(present, on=KEY, how="anti")
    nothing = (pl.lit(0).cast(kind).alias(name) for name, kind in VALUES.items() if name not in KEY)
    whole = pl.concat([present, emptied.select(*KEY, *nothing)])
    return whole.join(before.select(*KEY, "restated_ns"), on=KEY, how="left")


def rollup_rows(
    present: pl.DataFrame,
    before: pl.DataFrame,
    restated: pl.DataFrame,
    *,
    tenant: str,
    every: int,
    version: int,
    now: int,
    sealed_seq: int = 0,
) -> pl.DataFrame:
    """Rows of table `rollups`: VALUES in place of what is STORED. Windows that are `restated` (`series`, `window`)
    carry the time `now` (ns); `sealed_seq` above 0 seals them all. Pure."""
    fresh = restated.select(*KEY, fresh_ns=pl.lit(now, pl.Int64))
    whole = with_restated_times(present, before).join(fresh, on=KEY, how="left")
    return table("rollups").rows(
        whole.sort(KEY),
        tenant=tenant,
        every_s=every // NS_PER_S,
        restated_at=pl.coalesce("fresh_ns", "restated_ns"),
        sealed=sealed_seq > 0,
        sealed_seq=sealed_seq,
        version=version,
    )


def recompute_windows(
    store: Store,
    known: KnownSeries,
    *,
    tenant: str,
    every: int,
    windows: pl.DataFrame,
    version: int,
    late: int = LATE_NS,
    sealed_seq: int = 0,
    restated_ns: int | None = None,
) -> int:
    """Publish these windows (`series`, `window`) from the current points, all of them restated at `restated_ns` unless
    that is null; returns how many. Writes no changes."""
    present = read_window_values(store, known, tenant=tenant, every=every, windows=windows, late=late)
    before = read_stored_windows(store, tenant=tenant, every=every, windows=windows)
    written = rollup_rows(
        present,
        before,
        windows.clear() if restated_ns is None else windows,
        tenant=tenant,
        every=every,
        version=version,
        now=restated_ns or 0,
        sealed_seq=sealed_seq,
    )
    store.insert("rollups", written)
    return written.height


def _parts(tenant: str, every: int, windows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The parameters of a query for some windows at a time, in key order."""
    ordered = windows.select(KEY).sort(KEY)
    for part in ordered.iter_slices(_CHUNK):
        if part.height:
            yield {
                "tenant": tenant,
                "every_s": every // NS_PER_S,
                "series": part["series"],
                "windows": part["window"],
            }


def _joined(frames: Iterable[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    """Answers of the store as one frame of this schema."""
    columns = [pl.col(name).cast(kind) for name, kind in schema.items()]
    return pl.concat(
        [pl.DataFrame(schema=schema), *(f.rename({"window_ns": "window"}).select(columns) for f in frames)]
    )
