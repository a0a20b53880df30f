"""Points of one series, raw or in windows, by the cheapest question: without FINAL, where no row replaced another.

Points are nearly always sent once. Where the rows of a range show that one was sent twice (two rows of one instant),
the question is asked again with FINAL, which knows which of them counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from tidemill.query.parameters import TimeRange
from tidemill.query.series_extents import rows_that_differ, unmerged_parts
from tidemill.query.series_rows import Description
from tidemill.store.client import Store

PLAIN_AGGREGATES: Final = frozenset({"mean", "min", "max", "sum", "count", "missing"})
PLAIN_UNITS: Final = ("ns", "us", "ms", "s", "m", "h", "d")  # of windows that begin at multiples since the epoch
_COUNTS: Final = ("count", "missing")


def plain_points(
    store: Store, tenant: str, described: Description, span: TimeRange, limit: int, *, descending: bool = False
) -> pl.DataFrame | None:
    """At most `limit` points in a span in the order of (`ns`, `ordinal`), with `value`, `flags` and `marked` (how many
    marks); null where rows do not show which points count: one was replaced, or some of the series are deleted."""
    if described.deleted_seq:
        return None
    rows = store.frame(
        "points_plain_page_descending" if descending else "points_plain_page",
        tenant=tenant,
        series=described.series,
        first=span.first_ns,
        last=span.last_ns,
        limit=limit,
    )
    ns, ordinal = rows["ns"].to_numpy(), rows["ordinal"].to_numpy()
    if ((ns[1:] == ns[:-1]) & (ordinal[1:] == ordinal[:-1])).any():
        return None
    return rows


def plain_windows(
    store: Store,
    tenant: str,
    described: Description,
    aggregates: Sequence[str],
    *,
    length: Mapping[str, Any],
    within: Mapping[str, Any],
) -> pl.DataFrame | None:
    """The windows in UTC of one of PLAIN_UNITS with points: `series`, `ns`, each of `aggregates` (of PLAIN_AGGREGATES),
    and `count`; null as `plain_points`. `length` has the parameters of the windows' length, `within` those of the range
    and of the page."""
    if described.deleted_seq:
        return None
    frame = store.frame(
        "points_plain_windows",
        tenant=tenant,
        series=described.series,
        nulls=int("missing" in aggregates),
        length=length["length"],
        closed_right=length["closed_right"],
        **within,
    )
    if frame["repeated"].sum():
        return None
    counts = [pl.col(name).cast(pl.Int64) for name in _COUNTS]
    frame = frame.with_columns(*counts, series=pl.lit(described.series, pl.UInt64))
    return frame.select(list(dict.fromkeys(["series", "ns", *aggregates, "count"])))


def plain_windows_of_many(
    store: Store,
    tenant: str,
    series: Sequence[Description],
    aggregates: Sequence[str],
    *,
    length: Mapping[str, Any],
    within: Mapping[str, Any],
) -> pl.DataFrame | None:
    """The same of several series, by `ns` and series."""
    if any(item.deleted_seq for item in series):
        return None
    frame = store.frame(
        "points_plain_windows_of_series",
        tenant=tenant,
        series=[item.series for item in series],
        nulls=int("missing" in aggregates),
        length=length["length"],
        closed_right=length["closed_right"],
        **within,
    )
    fresh = unmerged_parts(frame["part"].unique())
    unsure = frame.filter(pl.col("parts").cast(pl.Boolean) | pl.col("part").is_in(fresh))
    if len(unsure) and _is_repeated(store, tenant, unsure, length, within):
        return None
    frame = frame.with_columns(pl.col(name).cast(pl.Int64) for name in _COUNTS)
    return frame.select(list(dict.fromkeys(["series", "ns", *aggregates, "count"])))


def _is_repeated(
    store: Store, tenant: str, windows: pl.DataFrame, length: Mapping[str, Any], within: Mapping[str, Any]
) -> bool:
    """Whether an instant of one of these windows may have two rows of a series. Also where a window has other rows than
    it had: a merge may have removed the second row since."""
    begins, right = windows["ns"].to_numpy(), length["closed_right"]
    counted = store.frame(
        "points_instants",
        tenant=tenant,
        series=windows["series"].unique().to_list(),
        first=max(within["first"], int(begins.min()) + right),
        last=min(within["last"], int(begins.max()) + length["length"] - 1 + right),
        length=length["length"],
        closed_right=right,
    )
    return len(rows_that_differ(windows.with_columns(had=pl.col("count") + pl.col("missing")), counted, "ns")) > 0


def samples_frame(store: Store, tenant: str, described: Description, span: TimeRange, limit: int) -> pl.DataFrame:
    """At most `limit` samples (`ns`, `value`) of a series in a span, in no order."""
    bound = {"tenant": tenant, "series": described.series, "first": span.first_ns, "last": span.last_ns, "limit": limit}
    if not described.deleted_seq:
        frame = store.frame("series_plain_arrays", **bound)
        times = frame["ns"].to_numpy()
        once = bool((times[1:] > times[:-1]).all()) or len(np.unique(times)) == len(times)
        if once and len(frame) < limit:
            return frame
    return store.frame("series_arrays", deleted_seq=described.deleted_seq, **bound)
