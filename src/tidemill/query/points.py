"""Points of one series: raw pages that the store streams, or windows that it aggregates and this module fills.

Where a raw page ends is looked up first, so that its cursor is known before the first byte is sent; the page itself is
then a range of places and needs no limit. A page of windows without `fill` has only windows with points. With it,
windows run from `start` (else the first point) to `end` (else the last point), and the whole range is filled before it
is cut into pages: where a page ends changes no value.
"""

import io
from typing import Annotated, Any, Final, Literal, Required, TypedDict

import msgspec
import polars as pl

from tidemill.errors import Fault, InputError, LimitError, count_of_faults
from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursors import encode
from tidemill.query.parameters import (
    AGGREGATES,
    Aggregates,
    Every,
    Fill,
    Format,
    Marked,
    Order,
    Quality,
    RangeParameters,
    Zone,
    limit_to,
    page_cursor,
    time_range,
)
from tidemill.query.readers import WindowLength
from tidemill.query.series import Description, SeriesQueries
from tidemill.store.client import Store

FLAGS: Final = ("fold_earlier", "fold_later", "gap_shifted")  # of the bits, the lowest first


def flag_words(bits: int) -> list[str]:
    """The words of the bits that are set."""
    return [word for place, word in enumerate(FLAGS) if bits >> place & 1]


_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


class PointsQuery(RangeParameters, frozen=True):
    """A page of raw points in [start, end), or with `every` of windows."""

    every: Every = None
    agg: Aggregates = ("mean",)
    tz: Zone = "UTC"
    fill: Fill = None
    order: Order = "asc"
    limit: Annotated[int, limit_to(1_000_000)] = 10_000
    cursor: Annotated[tuple[int, int] | None, page_cursor(int, int)] = None
    format: Format = "json"
    quality: Quality = None
    marked: Marked = None


class Point(msgspec.Struct, frozen=True):
    """One point; `value` is null for a sample that is present but missing. `flags` say what was decided about a local
    time: `fold_earlier` or `fold_later` (it was twice, and is taken as that one), `gap_shifted` (it never was, and is
    put forward by the length of the gap). `marks` are the reason codes of rules that flagged it. In CSV both are joined
    by spaces."""

    time: str
    value: float | None
    flags: list[Literal["fold_earlier", "fold_later", "gap_shifted"]]
    marks: list[str]


class PointPage(msgspec.Struct, frozen=True):
    """A page of raw points."""

    series: str
    tz: str
    items: list[Point]
    next: str | None


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


class WindowPage(msgspec.Struct, frozen=True):
    """A page of windows of a length `every` that follow the calendar of `tz`."""

    series: str
    every: str
    tz: str
    items: list[PointWindow]
    next: str | None


class PointQueries:
    """Reads the points of a series. Raises NotFoundError as `SeriesQueries` does."""

    def __init__(self, store: Store, series: SeriesQueries) -> None:
        self._store, self._series = store, series

    def page(self, tenant: str, series: str, query: PointsQuery) -> Page:
        """A page of points or windows. Raises InputError for combinations that make no sense."""
        _check(query)
        described = self._series.describe(tenant, series)
        if query.every is not None:
            return _windows(self._store, tenant, described, query, query.every)
        return self._raw(tenant, described, query)

    def _raw(self, tenant: str, described: Description, query: PointsQuery) -> Page:
        places, following = self._places(tenant, described, query)
        kind = query.format
        bound = {**places, "sign": -1 if query.order == "desc" else 1}
        if kind in answers.COLUMNAR:
            stream = self._store.stream("points_typed", answers.STORE_FORMATS[kind], **bound)
            return Page(stream, answers.MEDIA_TYPES[kind], following)
        fmt = "JSONEachRow" if kind == "json" else answers.STORE_FORMATS[kind]
        name = "points_flagged_csv" if kind == "csv" else "points_flagged"
        rows = self._store.stream(name, fmt, **bound, tz=query.tz, flags=list(FLAGS))
        if kind != "json":
            return Page(rows, answers.MEDIA_TYPES[kind], following)
        head = {"series": format_series(described.series), "tz": query.tz}
        return Page(answers.framed(head, "items", answers.array(rows), {"next": following}), next=following)

    def _places(self, tenant: str, described: Description, query: PointsQuery) -> tuple[dict[str, Any], str | None]:
        """The page as a range of places (both ends included), and the cursor of the next one."""
        span = time_range(query.start, query.end)
        bound: dict[str, Any] = {
            "tenant": tenant,
            "series": described.series,
            "deleted_seq": described.deleted_seq,
            "first": span.first_ns,
            "last": span.last_ns,
            **_marks(query),
        }
        low, high = _LOWEST, _HIGHEST
        descending = query.order == "desc"
        if query.cursor and descending:
            bound["last"], high = query.cursor
        elif query.cursor:
            bound["first"], low = query.cursor
        if descending:
            found = self._store.rows("points_behind", **bound, last_ordinal=high, limit=query.limit)
        else:
            found = self._store.rows("points_ahead", **bound, first_ordinal=low, limit=query.limit)
        if found and descending:
            bound["first"], low = found[0]["ns"], found[0]["ordinal"] + 1
        elif found:
            bound["last"], high = found[0]["ns"], found[0]["ordinal"] - 1
        following = encode(found[0]["ns"], found[0]["ordinal"]) if found else None
        return {**bound, "first_ordinal": low, "last_ordinal": high}, following


def _marks(query: PointsQuery) -> dict[str, Any]:
    """What the queries bind for the quality that a request asks for."""
    return {"good": int(query.quality == "good"), "mark": query.marked or ""}


def _check(query: PointsQuery) -> None:
    """Raise InputError, naming every fault, for parameters that do not go together."""
    faults = []
    if query.every is None and query.fill is not None:
        faults.append(Fault("$query.fill", "needs_every", "'fill' is about windows; give their length with 'every'"))
    if query.every is not None and query.order == "desc":
        faults.append(Fault("$query.order", "not_with_every", "windows come in ascending order only"))
    if query.quality is not None and query.marked is not None:
        faults.append(Fault("$query.quality", "contradiction", "no point is both good and marked; ask for one of them"))
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))


MAX_WINDOWS: Final = 100_000  # windows that one request fills, before it is cut into pages
_BEFORE_ALL: Final = -(2**63)


def _windows(store: Store, tenant: str, described: Description, query: PointsQuery, every: WindowLength) -> Page:
    """A page of windows. Raises LimitError when more than MAX_WINDOWS would have to be filled."""
    after = query.cursor[0] if query.cursor else _BEFORE_ALL
    limit = query.limit + 1
    if query.fill is None:
        frame = _aggregated(store, tenant, described, query, every, after=after, limit=limit)
    else:
        frame = _aggregated(store, tenant, described, query, every, after=_BEFORE_ALL, limit=MAX_WINDOWS + 1)
        frame = _filled(frame, _grid(store, frame, query, every), query.fill)
        frame = frame.filter(pl.col("ns") > after).head(limit)
    page = frame.head(query.limit)
    following = encode(page["ns"][-1], 0) if len(frame) > len(page) else None
    chosen = page.select("ns", *(_finite(name) for name in query.agg))
    head = {"series": format_series(described.series), "every": every.text, "tz": query.tz}
    return _written(chosen, head, query, following)


def _aggregated(
    store: Store,
    tenant: str,
    described: Description,
    query: PointsQuery,
    every: WindowLength,
    *,
    after: int,
    limit: int,
) -> pl.DataFrame:
    """Windows with points whose start is after `after`, with every aggregate."""
    span = time_range(query.start, query.end)
    return store.frame(
        "points_windows",
        tenant=tenant,
        series=described.series,
        deleted_seq=described.deleted_seq,
        first=max(span.first_ns, after),
        last=span.last_ns,
        good=int(query.quality == "good"),
        mark=query.marked or "",
        count=every.count,
        unit=every.unit,
        tz=query.tz,
        agg=list(query.agg),
        after=after,
        limit=limit,
    )


def _grid(store: Store, frame: pl.DataFrame, query: PointsQuery, every: WindowLength) -> pl.Series:
    """The starts of all windows of the request, in ns; those of a wall clock that never was are left out."""
    bounds = [frame["ns"][0], frame["ns"][-1]] if len(frame) else []
    if query.start is not None:
        bounds.append(_window_start(store, every, query.tz, query.start))
    if query.end is not None and (bounds or query.start is not None):
        bounds.append(_window_start(store, every, query.tz, max(query.end - 1, query.start or query.end - 1)))
    if len(bounds) < 2:
        return pl.Series("ns", bounds, dtype=pl.Int64)
    return _starts(min(bounds), max(bounds), every, query.tz)


def _window_start(store: Store, every: WindowLength, zone: str, at_ns: int) -> int:
    rows = store.rows("window_start", count=every.count, unit=every.unit, tz=zone, at=at_ns)
    return int(rows[0]["ns"])


def _starts(first_ns: int, last_ns: int, every: WindowLength, zone: str) -> pl.Series:
    """Window starts from `first_ns` to `last_ns`, which are window starts themselves.

    Up to an hour windows are evenly spaced in UTC; longer ones are even on the wall clock of the zone.
    """
    if (last_ns - first_ns) // every.nominal_ns >= MAX_WINDOWS:
        message = f"More than {MAX_WINDOWS} windows to fill; ask for a shorter range or longer windows"
        raise LimitError("max_windows", MAX_WINDOWS, message)
    if every.nominal_ns <= 3600 * 10**9:
        return pl.Series("ns", range(first_ns, last_ns + 1, every.nominal_ns), dtype=pl.Int64)
    ends = pl.Series([first_ns, last_ns], dtype=pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone)
    wall = ends.dt.replace_time_zone(None)
    naive = pl.select(
        pl.datetime_range(pl.lit(wall[0:1]).first(), pl.lit(wall[1:2]).first(), every.text, time_unit="ns").alias("ns")
    )
    utc = pl.col("ns").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return naive.select(utc.dt.convert_time_zone("UTC").drop_nulls().dt.epoch("ns"))["ns"]


def _filled(frame: pl.DataFrame, grid: pl.Series, fill: str) -> pl.DataFrame:
    """The windows of `frame` and of `grid` in order; where only `grid` has one, count is 0 and the rest is filled."""
    every = pl.DataFrame({"ns": pl.concat([frame["ns"], grid]).unique().sort()})
    joined = every.join(frame, on="ns", how="left", maintain_order="left").with_columns(pl.col("count").fill_null(0))
    values = [name for name in AGGREGATES if name != "count"]
    if fill == "previous":
        return joined.with_columns(pl.col(values).forward_fill())
    if fill == "linear":
        return joined.with_columns(pl.col(name).interpolate_by("ns") for name in values)
    return joined


def _finite(name: str) -> pl.Expr:
    """An aggregate with what a double cannot hold (a sum of huge values) as null."""
    column = pl.col(name)
    return column if name == "count" else pl.when(column.is_finite()).then(column).alias(name)


def _written(frame: pl.DataFrame, head: dict[str, Any], query: PointsQuery, following: str | None) -> Page:
    """The page in the format asked for, `time` first."""
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
    texts = frame.drop("ns").insert_column(0, instants(frame["ns"], query.tz).alias("time"))
    if kind == "csv":
        texts.write_csv(buffer)
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    texts.write_ndjson(buffer)
    if kind == "ndjson":
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    body = answers.framed(head, "items", answers.array([buffer.getvalue()]), {"next": following})
    return Page(b"".join(body), next=following)


def instants(ns: pl.Series, zone: str = "UTC") -> pl.Series:
    """Ns since the epoch -> RFC 3339 with only as many fraction digits as needed, and `Z` or the zone's offset."""
    local = ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    digits = local.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
    return digits + ("Z" if zone == "UTC" else local.dt.to_string("%:z"))
