"""Rollup windows with their evidence: how many points a window should have, how many it has, and why some are missing.

A page needs three queries, however many rows. `expected` is calculated from the feed's declared interval, else from
the median spacing of the last 1,000 points of the series in the hundred windows up to the end of the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tidemill.feeds.definition import Feed
from tidemill.model.ids import format_series
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, duration_ns, format_instant
from tidemill.store.client import Store

_LEARN_WINDOWS: Final = 100
_NO_POLLS: Final = {"polls": 0, "data": 0, "empty": 0, "failed": 0}


def window_evidence(store: Store, tenant: str, feed: Feed, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The evidence of each row of `rollup_rows`, in the order of the rows: n, expected, coverage (at most 1), rejected,
    late, restated_at, sealed, and `source` where the feed has a source. `expected` null: not known."""
    if not rows or feed.rollups is None:
        return []
    every = duration_ns(feed.rollups.every)
    low, high = min(row["ns"] for row in rows), max(row["ns"] for row in rows)
    span = {"tenant": tenant, "first": max(low, MIN_NS), "end": min(high + every, MAX_NS)}
    of_feed = {**span, "feed": feed.name, "every_ns": every}
    series = sorted({number for row in rows for number in row["series"]})
    rejected = {
        (row["series"], row["window_ns"]): row["n"]
        for row in store.rows("evidence_rejected", **of_feed, series=series)
    }  # fmt: skip
    spacing = _spacing(store, feed, rows, span, every)
    polls = {row["window_ns"]: row for row in store.rows("evidence_polls", **of_feed)} if feed.source else None
    return [_evidence(row, every, spacing.get(_anchor(row)), rejected, polls) for row in rows]


def expected_points(
    store: Store, tenant: str, feed: Feed, series: int, *, begin_ns: int, count: int
) -> tuple[float | None, float | None]:
    """`expected` and `coverage` of one window of a series with `count` points, calculated as in `window_evidence`."""
    if feed.rollups is None:
        return None, None
    every = duration_ns(feed.rollups.every)
    span = {"tenant": tenant, "first": max(begin_ns, MIN_NS), "end": min(begin_ns + every, MAX_NS)}
    spacing = _spacing(store, feed, [{"counts": [count], "series": [series]}], span, every)
    return _coverage(count, every, spacing.get(series))


def _coverage(count: int, every: int, spacing: int | None) -> tuple[float | None, float | None]:
    if not spacing:
        return None, None
    return round(every / spacing, 6), min(1.0, count * spacing / every)


def _anchor(row: Mapping[str, Any]) -> int:
    """The series with the most points in a row."""
    _, series = max(zip(row["counts"], row["series"], strict=True))
    return int(series)


def _spacing(
    store: Store, feed: Feed, rows: Sequence[Mapping[str, Any]], span: Mapping[str, Any], every: int
) -> dict[int, int]:
    """The time between points (ns) of the anchor series of each row, as the feed declares or as it was measured."""
    anchors = sorted({_anchor(row) for row in rows})
    if feed.rollups is not None and feed.rollups.interval is not None:
        return dict.fromkeys(anchors, duration_ns(feed.rollups.interval))
    first = max(MIN_NS, min(span["first"], span["end"] - _LEARN_WINDOWS * every))
    bound = {**span, "first": first, "series": anchors, "firsts": [first] * len(anchors)}
    spacings = store.rows("evidence_spacing", **bound)
    return {row["series"]: row["spacing_ns"] for row in spacings}


def _evidence(
    row: Mapping[str, Any],
    every: int,
    spacing: int | None,
    rejected: Mapping[tuple[int, int], int],
    polls: Mapping[int, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    expected, coverage = _coverage(row["count"], every, spacing)
    restated = row["restated_ns"]
    evidence = {
        "n": row["count"],
        "expected": expected,
        "coverage": coverage,
        "rejected": max(rejected.get((series, row["ns"]), 0) for series in row["series"]),
        "late": row["late"],
        "restated_at": None if restated is None else format_instant(restated),
        "sealed": row["sealed"],
    }
    if polls is not None:
        of_window = polls.get(row["ns"], _NO_POLLS)
        evidence["source"] = {name: of_window[name] for name in _NO_POLLS}
    return evidence


class RollupWindow(msgspec.Struct, frozen=True):
    """A rollup window: aggregates of `count` points. `expected` and `coverage` are calculated from the time between
    points that the feed declares or that is usual for the series (null: not known); `late` points were received more
    than the feed's `late_after` after the end of the window."""

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


def window_widths(feed: Feed | None) -> list[int]:
    """The widths (s) of the rollup windows of a feed: one, or none for a feed without rollups."""
    return [duration_ns(feed.rollups.every) // NS_PER_S] if feed and feed.rollups else []


def window_begin(at_ns: int, every_s: int) -> int:
    """The start (ns) of the window of this width that contains an instant."""
    return at_ns - at_ns % (every_s * NS_PER_S)


def windows_at(store: Store, tenant: str, series: int, at_ns: int, feed: Feed | None) -> list[RollupWindow]:
    """The rollup window that contains an instant; none for a feed without rollups or a window without points."""
    if feed is None or not window_widths(feed):
        return []
    (every_s,) = window_widths(feed)
    begin = window_begin(at_ns, every_s)
    rows = store.rows("lineage_windows", tenant=tenant, series=series, every_s=every_s, begin=begin)
    return [
        _window(series, row, *expected_points(store, tenant, feed, series, begin_ns=row["begin"], count=row["count"]))
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
