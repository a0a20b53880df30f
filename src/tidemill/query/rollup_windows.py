"""Rollup windows of one series, found by their widths and starts, with their evidence."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tidemill.feeds.definition import Feed
from tidemill.model.ids import format_series
from tidemill.model.time import NS_PER_S, duration_ns, format_instant
from tidemill.query.evidence import expectation
from tidemill.store.client import Store


class RollupWindow(msgspec.Struct, frozen=True):
    """A rollup window: aggregates of `count` points. `expected` and `coverage` go by how far its points are apart, as
    the feed declares or as is usual for the series (null: not known); `late` points were received after the window
    had been over for a while."""

    window: str
    every_s: int
    count: int
    mean: float
    min: float
    max: float
    sum: float
    expected: float | None
    coverage: float | None
    late: int
    restated_at: str | None
    sealed: bool
    links: dict[str, str]


def widths(feed: Feed | None) -> list[int]:
    """The widths in s of the windows that a feed keeps: one or none."""
    return [duration_ns(feed.rollups.every) // NS_PER_S] if feed and feed.rollups else []


def begin(at_ns: int, every_s: int) -> int:
    """The start (ns) of the window of this width that an instant is in."""
    return at_ns - at_ns % (every_s * NS_PER_S)


def windows_of(store: Store, tenant: str, series: int, at_ns: int, feed: Feed | None) -> list[RollupWindow]:
    """The window of the feed that an instant is in; none where the feed keeps none, or the series lacks points."""
    if feed is None or not widths(feed):
        return []
    (every_s,) = widths(feed)
    rows = store.rows("lineage_windows", tenant=tenant, series=series, every_s=every_s, begin=begin(at_ns, every_s))
    return [
        _window(series, row, *expectation(store, tenant, feed, series, begin_ns=row["begin"], count=row["count"]))
        for row in rows
    ]


def _window(series: int, row: Mapping[str, Any], expected: float | None, coverage: float | None) -> RollupWindow:
    window, text = format_instant(row["begin"]), format_series(series)
    return RollupWindow(
        window=window,
        every_s=row["every_s"],
        **{name: row[name] for name in ("count", "mean", "min", "max", "sum", "late", "sealed")},
        expected=expected,
        coverage=coverage,
        restated_at=None if row["restated_at"] is None else format_instant(row["restated_at"]),
        links={"lineage": f"/v1/series/{text}/lineage?window={window}", "series": f"/v1/series/{text}"},
    )
