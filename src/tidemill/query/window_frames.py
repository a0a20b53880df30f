"""Windows of several series as one frame: the store aggregates in one statement, this module fills windows without
points. It makes no answer.

Without `fill` a frame has only windows with points. With it, windows run from `start` (else the first point) to `end`
(else the last point), the same for every series. Without `every` the whole range is one window, which begins at `start`
(else at its first point).
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import polars as pl

from tidemill.errors import LimitError
from tidemill.query.aggregates import COUNTS, FROM_THE_POINT_BEFORE, quantile_level, quantile_names
from tidemill.query.chosen_series import bound_series
from tidemill.query.counters import time_before
from tidemill.query.nearest import MAX_CELLS, MAX_SPAN, MAX_WINDOWS, too_many_windows
from tidemill.query.parameters import TimeRange, quality_params, time_range
from tidemill.query.plain_points import PLAIN_AGGREGATES, PLAIN_UNITS, plain_windows, plain_windows_of_many
from tidemill.query.readers import WindowLength
from tidemill.query.series_rows import Description
from tidemill.query.wall_clock import WallClock, wall_clock
from tidemill.store.client import Store

BEFORE_ALL: Final = -(2**63)
_FIXED: Final = ("m", "h")  # units of windows of a fixed length that follow a wall clock
_WHOLE: Final = WindowLength(1, "ns")  # in place of a length where the whole range is one window


class WindowQuery(Protocol):
    """What a query of windows says of them."""

    @property
    def start(self) -> int | None:
        """The first instant (ns), included."""

    @property
    def end(self) -> int | None:
        """The last instant (ns), excluded."""

    @property
    def tz(self) -> str:
        """The zone whose calendar the windows follow."""

    @property
    def closed(self) -> str:
        """`left` or `right`: the end that is part of a window."""

    @property
    def fill(self) -> str | float | None:
        """What windows without points become."""

    @property
    def quality(self) -> str | None:
        """`good`: only points that no rule flagged."""

    @property
    def marked(self) -> str | None:
        """Only points with this mark."""

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The names of the aggregates."""


class Windows(msgspec.Struct, frozen=True):
    """Windows of a length (None: the whole range) on a wall clock, closed at the left (`closed_right` 0) or right."""

    every: WindowLength | None
    clock: WallClock
    closed_right: int
    is_utc: bool

    @property
    def length(self) -> dict[str, Any]:
        """The parameters of the windows' length and closed end."""
        every = self.every or _WHOLE
        unit = self.every.unit if self.every else ""
        return {"count": every.count, "unit": unit, "length": every.nominal_ns, "closed_right": self.closed_right}

    @property
    def bound(self) -> dict[str, Any]:
        """The parameters of window queries that follow a wall clock."""
        return {**self.length, **self.clock.lookup_tables()}


def window_frame(
    store: Store,
    tenant: str,
    series: Sequence[Description],
    query: WindowQuery,
    every: WindowLength | None,
    *,
    after: int = BEFORE_ALL,
    limit: int,
    rollup_s: int = 0,
    as_of: int | None = None,
) -> tuple[pl.DataFrame, Windows]:
    """The windows that begin after `after` (ns) of all series, at most `limit` begins: columns `series`, `ns`, and one
    for each aggregate and `count`, in order of `ns`; values that a double cannot hold are null. `rollup_s`: the length
    (s) of the rollup windows that they are read from (0: from points), as `planner` says; `as_of` (ns): as the points
    stood then. Raises
    TooBigQuestionError before anything is read where the range has too many windows, and LimitError when `fill` would
    need more than MAX_WINDOWS or MAX_CELLS."""
    if every is not None and query.start is not None and query.end is not None:
        check_span(query, every, len(series), query.start, query.end)
    windows = _windows(store, tenant, series, query, every)
    read = partial(_aggregated, store, tenant, series, query, windows, as_of=as_of)
    if rollup_s:
        read = partial(_rolled_up, store, tenant, series, query, rollup_s)
    fill = query.fill
    if fill is None and every is None and query.start is not None:
        fill = "null"  # the range has a row, with or without points
    if fill is None:
        rows = min(limit * len(series), MAX_CELLS + len(series))
        frame = read(after=after, limit=rows)
    else:
        check_cells(len(series), 1)
        frame = read(after=BEFORE_ALL, limit=MAX_CELLS + 1)
        frame = _filled(frame, _grid(store, frame, query, windows, len(series)), series, fill)
        frame = frame.filter(pl.col("ns") > after)
    begins = frame["ns"].unique().sort()
    if len(begins) > limit:
        frame = frame.filter(pl.col("ns") <= begins[limit - 1])
    return frame.with_columns(_finite(name) for name in query.aggregates), windows


def _windows(
    store: Store, tenant: str, series: Sequence[Description], query: WindowQuery, every: WindowLength | None
) -> Windows:
    utc = wall_clock("UTC", 0, 0)
    is_utc = every is None or query.tz == "UTC" or every.of_epoch  # no change of a clock concerns the windows
    clock = utc if is_utc or every is None else _clock(store, tenant, series, query, every)
    if not is_utc and every is not None and every.unit in _FIXED and clock.agrees_with_utc(every.nominal_ns):
        is_utc, clock = True, utc  # a quarter of the time to plan
    return Windows(every, clock, int(query.closed == "right"), is_utc)


def _clock(
    store: Store, tenant: str, series: Sequence[Description], query: WindowQuery, every: WindowLength
) -> WallClock:
    """The wall clock of the request's zone, over the time that the request can select."""
    bounds = [bound for bound in (query.start, query.end) if bound is not None]
    if len(bounds) < 2:
        extent = points_extent(store, tenant, series, span_of(query))
        bounds = [*bounds, *extent] if extent or query.fill is not None else []
    if not bounds:
        return wall_clock("UTC", 0, 0)
    return wall_clock(query.tz, min(bounds) - every.nominal_ns, max(bounds))


def points_extent(store: Store, tenant: str, series: Sequence[Description], span: TimeRange) -> list[int]:
    """The first and the last time (ns) of points of the series in a range, or nothing."""
    numbers = [item.series for item in series]
    rows = store.rows("points_extent", tenant=tenant, series=numbers, first=span.first_ns, last=span.last_ns)
    return [int(row[name]) for row in rows for name in ("first", "last")]


def span_of(query: WindowQuery) -> TimeRange:
    """The range of the request's points: [start, end), or (start, end] where windows are closed at the right."""
    span = time_range(query.start, query.end)
    if query.closed == "left":
        return span
    first = span.first_ns if query.start is None else span.first_ns + 1
    return TimeRange(first, span.last_ns if query.end is None else span.last_ns + 1)


def _aggregated(
    store: Store,
    tenant: str,
    series: Sequence[Description],
    query: WindowQuery,
    windows: Windows,
    *,
    after: int,
    limit: int,
    as_of: int | None,
) -> pl.DataFrame:
    """The windows with points that start after `after` (ns), with the aggregates of the query; at most `limit` rows."""
    span, quality = span_of(query), quality_params(query.quality, query.marked)
    if as_of is None and _is_plain(series, query, windows):
        within = {"first": max(span.first_ns, after), "last": span.last_ns, "after": after, "limit": limit}
        words: dict[str, Any] = {"length": windows.length, "within": within}
        if len(series) == 1:
            plain = plain_windows(store, tenant, series[0], query.aggregates, **words)
        else:
            plain = plain_windows_of_many(store, tenant, series, query.aggregates, **words)
        if plain is not None:
            return plain
    first, quantiles = max(span.first_ns, after), quantile_names(query.aggregates)
    bound: dict[str, Any] = {**bound_series(series), "firsts": [first] * len(series), "first": first}
    kind = "spread_" if quantiles or "mode" in query.aggregates else ""
    if not FROM_THE_POINT_BEFORE.isdisjoint(query.aggregates):
        kind, bound["begin"] = "rise_", first
        bound["firsts"] = [
            time_before(store, {"tenant": tenant, "series": s.series, "deleted_seq": s.deleted_seq, **quality}, first)
            for s in series
        ]
        bound["first"] = min(bound["firsts"])
    if kind:
        bound["levels"] = [quantile_level(name) for name in quantiles]
    name = f"points_{kind}windows_utc" if windows.is_utc else f"points_{kind}windows"
    if as_of is not None:  # of plain aggregates
        name, bound["as_of"] = f"{name}_as_of", as_of
        del bound["firsts"]
    else:
        bound |= quality
    frame = store.frame(
        name,
        tenant=tenant,
        last=span.last_ns,
        agg=list(query.aggregates),
        nulls=int("missing" in query.aggregates),
        after=after,
        limit=limit,
        **bound,
        **(windows.length if windows.is_utc else windows.bound),
    )
    if windows.every is None:
        frame = frame.with_columns(
            ns=pl.lit(query.start, pl.Int64) if query.start is not None else pl.col("first_ns").min()
        )
    values = (pl.col("quantiles").list.get(i, null_on_oob=True).alias(n) for i, n in enumerate(quantiles))
    columns = list(dict.fromkeys(["series", "ns", *query.aggregates, "count"]))
    return frame.with_columns(values).select(columns).with_columns(pl.col(sorted(COUNTS & set(columns))).cast(pl.Int64))


def _is_plain(series: Sequence[Description], query: WindowQuery, windows: Windows) -> bool:
    """Whether the cheapest question answers these windows."""
    of_all = query.quality is None and query.marked is None
    fixed = windows.is_utc and windows.every is not None and windows.every.unit in PLAIN_UNITS
    return of_all and fixed and PLAIN_AGGREGATES.issuperset(query.aggregates)


def _rolled_up(
    store: Store,
    tenant: str,
    series: Sequence[Description],
    query: WindowQuery,
    rollup_s: int,
    *,
    after: int,
    limit: int,
) -> pl.DataFrame:
    """The same from rollup windows."""
    span, numbers = time_range(query.start, query.end), [item.series for item in series]
    bound = {"first": max(span.first_ns, after), "last": span.last_ns, "after": after, "limit": limit}
    frame = store.frame("rollup_windows", tenant=tenant, series=numbers, every_s=rollup_s, **bound)
    columns = list(dict.fromkeys(["series", "ns", *query.aggregates, "count"]))
    return frame.select(columns).with_columns(pl.col("count").cast(pl.Int64))


def _grid(store: Store, frame: pl.DataFrame, query: WindowQuery, windows: Windows, series: int) -> pl.Series:
    """The starts of all windows of the request, in ns, without those whose wall-clock time does not exist."""
    if windows.every is None:
        whole = [query.start] if query.start is not None else frame["ns"].unique().to_list()
        return pl.Series("ns", whole, dtype=pl.Int64)
    right = windows.closed_right
    bounds = [frame["ns"].min(), frame["ns"].max()] if len(frame) else []
    inside = [int(ns) + right for ns in bounds]  # type: ignore[arg-type]  # ints, as the column is
    if query.start is not None:
        inside.append(query.start + right)
    if query.end is not None and inside:
        newest = query.end - 1 + right
        inside.append(newest if query.start is None else max(newest, query.start + right))
    if not inside:
        return pl.Series("ns", inside, dtype=pl.Int64)
    check_span(query, windows.every, series, min(inside), max(inside) + 1)
    first, last = (_window_start(store, windows, ns) for ns in (min(inside), max(inside)))
    return _starts(first, last, windows.every, windows.clock)


def _window_start(store: Store, windows: Windows, at_ns: int) -> tuple[int, int]:
    """(ns, wall-clock ns) of the start of the window that contains an instant."""
    [row] = store.rows("window_start", at=at_ns, **windows.bound)
    return int(row["ns"]), int(row["label"])


def _starts(first: tuple[int, int], last: tuple[int, int], every: WindowLength, clock: WallClock) -> pl.Series:
    """Window starts from `first` to `last` (pairs of ns and wall-clock ns): equidistant since the epoch for lengths up
    to seconds, else on the wall clock."""
    (first_ns, first_wall), (last_ns, last_wall) = first, last
    if every.of_epoch:
        return pl.Series("ns", range(first_ns, last_ns + 1, every.nominal_ns), dtype=pl.Int64)
    ends = pl.Series([first_wall, max(last_wall, first_wall)], dtype=pl.Datetime("ns"))
    # Two days more: the last start may have an earlier wall-clock time than one before it, where clocks were put back.
    naive = pl.datetime_range(ends[0], ends[1] + timedelta(days=2), every.text, time_unit="ns", eager=True)
    times = naive.to_physical().to_numpy()
    starts = np.unique(np.concatenate([clock.first_instants(times), clock.second_instants(times, every.nominal_ns)]))
    return pl.Series("ns", starts[(starts >= first_ns) & (starts <= last_ns)], dtype=pl.Int64)


def _filled(frame: pl.DataFrame, grid: pl.Series, series: Sequence[Description], fill: str | float) -> pl.DataFrame:
    """The windows of `frame` and `grid` in order, for every series. A window without points has counts of 0; its other
    values are filled, but for those that need the point before."""
    joined = align(frame, pl.concat([frame["ns"], grid]).unique().sort(), series)
    values = [name for name in frame.columns if name not in ("series", "ns", *COUNTS, *FROM_THE_POINT_BEFORE)]
    if fill == "previous":
        return joined.with_columns(pl.col(values).forward_fill().over("series"))
    if fill == "linear":
        return joined.with_columns(pl.col(name).interpolate_by("ns").over("series") for name in values)
    if isinstance(fill, float):
        empty = pl.col("count") == 0
        return joined.with_columns(pl.when(empty).then(fill).otherwise(pl.col(name)).alias(name) for name in values)
    return joined


def align(frame: pl.DataFrame, begins: pl.Series, series: Sequence[Description]) -> pl.DataFrame:
    """The rows of a frame for each of these begins and each series, by `ns` and series in their order; a pair that
    `frame` lacks has counts of 0 and nulls. Raises LimitError for more than MAX_CELLS pairs."""
    check_cells(len(series), len(begins))
    numbers = pl.DataFrame({"series": pl.Series([item.series for item in series], dtype=pl.UInt64)})
    every = pl.DataFrame({"ns": begins}).join(numbers, how="cross").select("series", "ns")
    counts = pl.col(sorted(COUNTS & set(frame.columns))).fill_null(0)
    return every.join(frame, on=["series", "ns"], how="left", maintain_order="left").with_columns(counts)


def check_span(query: WindowQuery, every: WindowLength, series: int, start_ns: int, end_ns: int) -> None:
    """Raises TooBigQuestionError where [start, end) has more windows than can be filled, or than any answer tells."""
    count, filled = (end_ns - start_ns) // every.nominal_ns, query.fill is not None
    most = min(MAX_WINDOWS, MAX_CELLS // max(series, 1))
    if count < (most if filled else MAX_SPAN):
        return
    if not filled:
        limit, allowed, what = "max_span", MAX_SPAN, f"{count} windows are more than {MAX_SPAN}, the most of a range"
    elif count >= MAX_WINDOWS:
        limit, allowed, what = "max_windows", MAX_WINDOWS, f"More than {MAX_WINDOWS} windows to fill"
    else:
        limit, allowed = "max_cells", MAX_CELLS
        what = f"{count} windows of {series} series are more than {MAX_CELLS} values of an aggregate"
    raise too_many_windows(limit, allowed, what, every=every, start_ns=start_ns, end_ns=end_ns, most=most)


def check_cells(series: int, windows: int) -> None:
    """Raises LimitError for more than MAX_CELLS values of an aggregate."""
    if series * windows > MAX_CELLS:
        message = f"{windows} windows of {series} series are more than {MAX_CELLS} values of an aggregate; "
        raise LimitError("max_cells", MAX_CELLS, message + "ask for fewer series, a shorter range or longer windows")


def _finite(name: str) -> pl.Expr:
    """An aggregate with null instead of a value that a double cannot hold (a sum of huge values)."""
    column = pl.col(name)
    return column if name in COUNTS else pl.when(column.is_finite()).then(column).alias(name)
