"""Points aggregated over windows: the store aggregates; this module fills windows without points and writes the answer.

A page without `fill` has only windows with points. With `fill`, windows run from `start` (else the first point) to
`end` (else the last point). The whole range is filled before it is cut into pages, so that page limits change no value.
"""

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Required, TypedDict

import msgspec
import numpy as np
import polars as pl

from tidemill.errors import LimitError
from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.counters import time_before
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import OF_COUNTERS, TimeRange, quality_params, time_range
from tidemill.query.points_query import PointsQuery
from tidemill.query.readers import WindowLength
from tidemill.query.series import Description
from tidemill.query.wall_clock import WallClock, wall_clock
from tidemill.store.client import Store

MAX_WINDOWS: Final = 100_000  # windows that one request fills, before it is cut into pages
_BEFORE_ALL: Final = -(2**63)


class PointWindow(TypedDict, total=False):
    """A window of points: its start, and one member for each aggregate that `agg` asks for."""

    time: Required[str]
    mean: float | None
    min: float | None
    max: float | None
    sum: float | None
    count: int
    first: float | None
    last: float | None
    stddev: float | None
    median: float | None
    increase: float | None
    rate: float | None


class WindowPage(msgspec.Struct, frozen=True):
    """A page of windows of a length `every` that follow the calendar of `tz`. `units`: of each aggregate in `agg`, if
    the series has a unit; `count` has none."""

    series: str
    every: str
    tz: str
    units: dict[str, str]
    items: list[PointWindow]
    next: str | None


def point_windows(store: Store, tenant: str, described: Description, query: PointsQuery, every: WindowLength) -> Page:
    """A page of windows of the length `every`. Raises LimitError when `fill` would need more than MAX_WINDOWS."""
    clock = _clock(store, tenant, described, query, every)
    windows = _Windows(every, clock, int(query.closed == "right"))
    after = query.cursor[0] if query.cursor else _BEFORE_ALL
    limit = query.limit + 1
    if query.fill is None:
        frame = _aggregated(store, tenant, described, query, windows, after=after, limit=limit)
    else:
        frame = _aggregated(store, tenant, described, query, windows, after=_BEFORE_ALL, limit=MAX_WINDOWS + 1)
        frame = _filled(frame, _grid(store, frame, query, windows), query.fill)
        frame = frame.filter(pl.col("ns") > after).head(limit)
    page = frame.head(query.limit)
    following = encode_cursor(page["ns"][-1], 0) if len(frame) > len(page) else None
    chosen = page.select("ns", *(_finite(name) for name in query.aggregates))
    head: dict[str, Any] = {"series": format_series(described.series), "every": every.text, "tz": query.tz}
    head["units"] = units_of(described.unit, query.aggregates)
    return _encode_page(chosen, head, query, following)


def window_values(
    store: Store, tenant: str, described: Description, query: PointsQuery, every: WindowLength, *, limit: int
) -> pl.DataFrame:
    """The starts (`ns`) of at most `limit` windows with points, with the aggregates of the query; null for a value that
    a double cannot hold."""
    windows = _Windows(every, _clock(store, tenant, described, query, every), int(query.closed == "right"))
    frame = _aggregated(store, tenant, described, query, windows, after=_BEFORE_ALL, limit=limit)
    return frame.select("ns", *(_finite(name) for name in query.aggregates))


def units_of(unit: str, aggregates: Sequence[str]) -> dict[str, str]:
    """The unit of each aggregate of a series of this unit that has one."""
    named = [name for name in aggregates if unit and name != "count"]
    return {name: f"{unit}/s" if name == "rate" else unit for name in named}


class _Windows(msgspec.Struct, frozen=True):
    """Windows of a length on a wall clock, closed at the left (`closed_right` 0) or at the right (1)."""

    every: WindowLength
    clock: WallClock
    closed_right: int

    @property
    def length(self) -> dict[str, Any]:
        """The parameters of the windows' length and closed end."""
        every = {"count": self.every.count, "unit": self.every.unit, "length": self.every.nominal_ns}
        return {**every, "closed_right": self.closed_right}

    @property
    def bound(self) -> dict[str, Any]:
        """The parameters of window queries that follow a wall clock."""
        return {**self.length, **self.clock.lookup_tables()}


def _is_utc(query: PointsQuery, every: WindowLength) -> bool:
    """Whether no change of a clock concerns the windows."""
    return query.tz == "UTC" or every.of_epoch


def _clock(store: Store, tenant: str, described: Description, query: PointsQuery, every: WindowLength) -> WallClock:
    """The wall clock of the request's zone, over the time that the request can select."""
    if _is_utc(query, every):
        return wall_clock("UTC", 0, 0)
    span = _span(query)
    limits = {"tenant": tenant, "series": described.series, "first": span.first_ns, "last": span.last_ns}
    bounds = [row[name] for row in store.rows("points_extent", **limits) for name in ("first", "last")]
    bounds += [bound for bound in (query.start, query.end) if query.fill is not None and bound is not None]
    if not bounds:
        return wall_clock("UTC", 0, 0)
    return wall_clock(query.tz, min(bounds) - every.nominal_ns, max(bounds))


def _span(query: PointsQuery) -> TimeRange:
    """The range of the request's points: [start, end), or (start, end] where windows are closed at the right."""
    span = time_range(query.start, query.end)
    if query.closed == "left":
        return span
    first = span.first_ns if query.start is None else span.first_ns + 1
    return TimeRange(first, span.last_ns if query.end is None else span.last_ns + 1)


def _aggregated(
    store: Store, tenant: str, described: Description, query: PointsQuery, windows: _Windows, *, after: int, limit: int
) -> pl.DataFrame:
    """The windows with points that start after `after` (ns), with the aggregates of the query; at most `limit`."""
    span = _span(query)
    is_utc = _is_utc(query, windows.every)
    first = max(span.first_ns, after)
    chosen = {
        "tenant": tenant,
        "series": described.series,
        "deleted_seq": described.deleted_seq,
        **quality_params(query.quality, query.marked),
    }
    kind, counter = "", {}
    if not OF_COUNTERS.isdisjoint(query.aggregates):
        kind, counter = "counter_", {"begin": first}
        first = time_before(store, chosen, first)
    return store.frame(
        f"points_{kind}windows_utc" if is_utc else f"points_{kind}windows",
        first=first,
        last=span.last_ns,
        agg=list(query.aggregates),
        after=after,
        limit=limit,
        **chosen,
        **counter,
        **(windows.length if is_utc else windows.bound),
    )


def _grid(store: Store, frame: pl.DataFrame, query: PointsQuery, windows: _Windows) -> pl.Series:
    """The starts of all windows of the request, in ns, without those whose wall-clock time does not exist."""
    right = windows.closed_right
    bounds = [frame["ns"][0], frame["ns"][-1]] if len(frame) else []
    inside = [ns + right for ns in bounds]
    if query.start is not None:
        inside.append(query.start + right)
    if query.end is not None and inside:
        newest = query.end - 1 + right
        inside.append(newest if query.start is None else max(newest, query.start + right))
    if not inside:
        return pl.Series("ns", inside, dtype=pl.Int64)
    first, last = (_window_start(store, windows, ns) for ns in (min(inside), max(inside)))
    return _starts(first, last, windows.every, windows.clock)


def _window_start(store: Store, windows: _Windows, at_ns: int) -> tuple[int, int]:
    """(ns, wall-clock ns) of the start of the window that contains an instant."""
    [row] = store.rows("window_start", at=at_ns, **windows.bound)
    return int(row["ns"]), int(row["label"])


def _starts(first: tuple[int, int], last: tuple[int, int], every: WindowLength, clock: WallClock) -> pl.Series:
    """Window starts from `first` to `last` (pairs of ns and wall-clock ns): equidistant since the epoch for lengths up
    to seconds, else on the wall clock. Raises LimitError for more than MAX_WINDOWS."""
    (first_ns, first_wall), (last_ns, last_wall) = first, last
    if (last_ns - first_ns) // every.nominal_ns >= MAX_WINDOWS:
        message = f"More than {MAX_WINDOWS} windows to fill; ask for a shorter range or longer windows"
        raise LimitError("max_windows", MAX_WINDOWS, message)
    if every.of_epoch:
        return pl.Series("ns", range(first_ns, last_ns + 1, every.nominal_ns), dtype=pl.Int64)
    ends = pl.Series([first_wall, max(last_wall, first_wall)], dtype=pl.Datetime("ns"))
    # Two days more: the last start may have an earlier wall-clock time than one before it, where clocks were put back.
    naive = pl.datetime_range(ends[0], ends[1] + timedelta(days=2), every.text, time_unit="ns", eager=True)
    times = naive.to_physical().to_numpy()
    starts = np.unique(np.concatenate([clock.first_instants(times), clock.second_instants(times, every.nominal_ns)]))
    return pl.Series("ns", starts[(starts >= first_ns) & (starts <= last_ns)], dtype=pl.Int64)


def _filled(frame: pl.DataFrame, grid: pl.Series, fill: str) -> pl.DataFrame:
    """The windows of `frame` and `grid` in order. A window of `grid` alone has count 0; its other values are filled."""
    every = pl.DataFrame({"ns": pl.concat([frame["ns"], grid]).unique().sort()})
    joined = every.join(frame, on="ns", how="left", maintain_order="left").with_columns(pl.col("count").fill_null(0))
    values = [name for name in frame.columns if name not in ("ns", "count", *OF_COUNTERS)]
    if fill == "previous":
        return joined.with_columns(pl.col(values).forward_fill())
    if fill == "linear":
        return joined.with_columns(pl.col(name).interpolate_by("ns") for name in values)
    return joined


def _finite(name: str) -> pl.Expr:
    """An aggregate with null instead of a value that a double cannot hold (a sum of huge values)."""
    column = pl.col(name)
    return column if name == "count" else pl.when(column.is_finite()).then(column).alias(name)


def _encode_page(frame: pl.DataFrame, head: dict[str, Any], query: PointsQuery, following: str | None) -> Page:
    """The page in the format of the query, with `time` as the first column."""
    kind = query.format
    buffer = io.BytesIO()
    if kind in answers.COLUMNAR:
        times = frame["ns"].cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").alias("time")
        typed = frame.drop("ns").insert_column(0, times)
        if kind == "arrow":
            typed.write_ipc_stream(buffer)
        else:
            typed.write_parquet(buffer)
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    texts = frame.drop("ns").insert_column(0, format_instants(frame["ns"], query.tz).alias("time"))
    if kind == "csv":  # as the store writes CSV: texts in quotes, numbers without, null empty
        buffer.write((",".join(f'"{name}"' for name in texts.columns) + "\n").encode())
        texts.write_csv(buffer, include_header=False, quote_style="non_numeric")
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    texts.write_ndjson(buffer)
    if kind == "ndjson":
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    body = answers.object_with_items(head, answers.json_array([buffer.getvalue()]), {"next": following})
    return Page(b"".join(body), next=following)


def format_instants(ns: pl.Series, zone: str = "UTC") -> pl.Series:
    """RFC 3339 texts of ns since the epoch, with as few fraction digits as possible and `Z` or the zone's offset."""
    local = ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    digits = local.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
    return digits + ("Z" if zone == "UTC" else local.dt.to_string("%:z"))
