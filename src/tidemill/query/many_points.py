"""Points of several series in one answer: windows (columns or rows), or raw points (rows).

All series of an answer come from one statement to the store. Columns share the times of their windows: where a series
has no points in a window of another, its values are null and its counts 0.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import polars as pl

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.model.ids import format_series
from tidemill.model.offset import Reach
from tidemill.query import answers, readers
from tidemill.query.aggregates import aggregate_units
from tidemill.query.answers import Page
from tidemill.query.chosen_series import SeriesIds, bound_series, choose_series
from tidemill.query.cursors import encode_cursor
from tidemill.query.gaps import ReasonedGap, WindowBounds, WindowEvidence
from tidemill.query.instants import format_instants
from tidemill.query.ladder import FEWEST, LADDER_TEXT, MOST, longer, window_length_for
from tidemill.query.parameters import (
    QUALITY_CONFLICT,
    Aggregates,
    Closed,
    Every,
    FeedName,
    FieldName,
    Fill,
    Format,
    Marked,
    Parameter,
    Quality,
    SeriesName,
    Tags,
    Unit,
    Zone,
    limit_to,
    one_of,
    page_cursor,
    quality_params,
    time_range,
)
from tidemill.query.parameters import End as EndParameter
from tidemill.query.parameters import Start as StartParameter
from tidemill.query.point_windows import encode_frame, ndjson
from tidemill.query.readers import WindowLength
from tidemill.query.series import Description, Hidden, SeriesFilter
from tidemill.query.window_frames import BEFORE_ALL, MAX_CELLS, align, check_cells, points_extent, span_of, window_frame
from tidemill.store.client import Store

MAX_PAGE: Final = 100_000


def _points(text: str, _: readers.Context) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and FEWEST <= int(text) <= MOST):
        raise ValueError(f"must be a whole number from {FEWEST} to {MOST}, not '{text[:40]}'")
    return int(text)


Points = Annotated[
    int | None,
    Parameter(
        f"In place of `every`: at most so many windows, of the shortest length that allows it: {LADDER_TEXT}.",
        _points,
        {"type": "integer", "minimum": FEWEST, "maximum": MOST},
    ),
]
Shape = Annotated[
    Literal["columns", "rows"] | None,
    one_of(
        "`columns`: the times once, and for each series its arrays (as json unless given; in files a column for each"
        " series and aggregate, of windows only). `rows`: a row for each series and time.",
        "columns",
        "rows",
    ),
]


Evidence = Annotated[
    bool,
    Parameter(
        "`true`: every window of the range; for each series `n`, `expected` (null: not known), `rejected`, `late`"
        " (null: without rollups) and `flagged`; and the `gaps` with their reasons. In columns as json only.",
        readers.true_or_false,
        {"type": "boolean"},
    ),
]


class ManyPointsQuery(SeriesFilter, frozen=True):
    """Points of series in [start, end): over windows (`every`, `points`, or `agg` for the whole range), or raw."""

    feed: FeedName = None
    field: FieldName = None
    name: SeriesName = None
    tags: Tags = {}
    series: SeriesIds = ()
    start: StartParameter = None
    end: EndParameter = None
    unit: Unit = None
    every: Every = None
    points: Points = None
    agg: Aggregates = ()
    closed: Closed = "left"
    tz: Zone = "UTC"
    fill: Fill = None
    shape: Shape = None
    limit: Annotated[int, limit_to(MAX_PAGE)] = 10_000
    cursor: Annotated[tuple[int, int, int] | None, page_cursor(int, int, int)] = None
    format: Format = "json"
    quality: Quality = None
    marked: Marked = None
    evidence: Evidence = False

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The aggregates of a window; the mean unless the request names others, with `points` min and max too."""
        return self.agg or (("mean", "min", "max") if self.points else ("mean",))

    @property
    def in_windows(self) -> bool:
        """Whether windows are asked for."""
        return self.every is not None or self.points is not None or bool(self.agg)

    @property
    def has_length(self) -> bool:
        """Whether windows have a length, and the range is not one window."""
        return self.every is not None or self.points is not None

    @property
    def in_columns(self) -> bool:
        """Whether the answer has the shape of columns."""
        return self.shape == "columns" or (self.shape is None and self.format == "json")


class SeriesColumns(msgspec.Struct, frozen=True):
    """A series of an answer. `columns` has an array for each aggregate, each as long as `time` of the answer; of raw
    points `value`, as long as `times`. `units`: of each aggregate that has one. `evidence` is there if asked for."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    units: dict[str, str]
    columns: dict[str, list[float | None]]
    times: list[str] | None = None
    evidence: dict[str, list[float | None]] | None = None


class PointColumns(msgspec.Struct, frozen=True):
    """Series in columns. `time`: the starts of the windows; empty for raw points, which have `times` of each series.
    `every` null: the whole range is one window, or the points are raw."""

    every: str | None
    tz: str
    time: list[str]
    series: list[SeriesColumns]
    next: str | None
    gaps: list[ReasonedGap] | None = None


class PointRow(msgspec.Struct, frozen=True):
    """A row: a raw point, with `value`; a window has a member for each aggregate instead."""

    series: str
    time: str
    value: float | None = None


class PointRows(msgspec.Struct, frozen=True):
    """Series in rows, by time, then by the order of the series."""

    every: str | None
    tz: str
    items: list[PointRow]
    next: str | None


class ManyPoints:
    """Reads points of several series."""

    def __init__(self, store: Store, hidden: Hidden, evidence: WindowEvidence, applied: Callable[[str], Reach]) -> None:
        self._store, self._hidden = store, hidden
        self._evidence, self._applied = evidence, applied

    def read_many(self, tenant: str, query: ManyPointsQuery, now_ns: int) -> Page:
        """A page; gaps end `now_ns` at the latest. Raises InputError for parameters that contradict each other,
        NotFoundError for unknown series, LimitError for a question that is too big."""
        check_many_points_query(query)
        series = choose_series(self._store, tenant, query, query.series, self._hidden)
        if query.in_windows:
            return self._windows(tenant, query, series, now_ns)
        return self._raw(tenant, query, series)

    def _windows(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], now_ns: int) -> Page:
        applied = self._applied(tenant) if query.evidence else ()  # before any point is read
        after = query.cursor[0] if query.cursor else BEFORE_ALL
        limit = min(query.limit, max(1, MAX_CELLS // len(series)))
        wanted = with_evidence(query) if query.evidence else query
        frame, every = self.windows(tenant, wanted, series, after, limit + 1)
        begins = frame["ns"].unique().sort()
        following = encode_cursor(begins[limit - 1], 0, 0) if len(begins) > limit else None
        frame = frame.filter(pl.col("ns") <= begins[limit - 1]) if following else frame
        page = frame.select("series", "ns", *query.aggregates)
        head: dict[str, Any] = {"every": every.text if every else None, "tz": query.tz}
        if query.evidence and len(begins):
            windows = _bounds(query, begins, limit, every)
            bounds = WindowBounds(**windows, now=now_ns, applied=applied)
            head["evidence"], head["gaps"] = self._evidence.read(tenant, series, frame, bounds)
        if query.in_columns:
            return _columns_page(align(page, begins.head(limit), series), series, query, head, following)
        return _rows_page(page, series, query, head, following)

    def windows(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], after: int, limit: int
    ) -> tuple[pl.DataFrame, WindowLength | None]:
        """The frame of the windows of a question, and their length; with `points` one of the ladder."""
        every = query.every
        if query.points is None:
            return window_frame(self._store, tenant, series, query, every, after=after, limit=limit)[0], every
        check_cells(len(series), query.points)
        every = self._picked(tenant, query, query.points, series)
        while True:
            frame, _ = window_frame(self._store, tenant, series, query, every, after=BEFORE_ALL, limit=query.points + 1)
            if frame["ns"].n_unique() <= query.points or every == longer(every):
                return frame.filter(pl.col("ns") > after), every
            every = longer(every)

    def _picked(self, tenant: str, query: ManyPointsQuery, points: int, series: Sequence[Description]) -> WindowLength:
        """The length of the ladder for the range of the question, else for that of its points."""
        bounds = [query.start, query.end]
        if None in bounds:
            first, last = points_extent(self._store, tenant, series, span_of(query)) or (0, 0)
            bounds = [first if query.start is None else query.start, last + 1 if query.end is None else query.end]
        assert bounds[0] is not None and bounds[1] is not None
        return window_length_for(points, bounds[0], bounds[1])

    def _raw(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]) -> Page:
        span = time_range(query.start, query.end)
        after_ns, after_series, after_ordinal = query.cursor or (BEFORE_ALL, 0, BEFORE_ALL)
        frame = self._store.frame(
            "many_points",
            tenant=tenant,
            **bound_series(series),
            first=max(span.first_ns, after_ns),
            firsts=[BEFORE_ALL] * len(series),
            last=span.last_ns,
            nulls=1,
            after_ns=after_ns,
            after_series=after_series,
            after_ordinal=after_ordinal,
            limit=query.limit + 1,
            **quality_params(query.quality, query.marked),
        )
        page = frame.head(query.limit)
        last = page.row(-1, named=True) if len(frame) > len(page) else None
        following = encode_cursor(last["ns"], last["series"], last["ordinal"]) if last else None
        head = {"every": None, "tz": query.tz}
        page = page.select("series", "ns", "value")
        if query.in_columns:
            return _raw_columns_page(page, series, query, head, following)
        return _rows_page(page, series, query, head, following)


def check_many_points_query(query: ManyPointsQuery) -> None:
    """Raises InputError with every fault of parameters that contradict each other."""
    faults = []
    if query.every is not None and query.points is not None:
        faults.append(Fault("$query.points", "contradiction", "'every' and 'points' both say how long windows are"))
    for name, chosen in (("fill", query.fill is not None), ("closed", query.closed == "right")):
        if chosen and not query.in_windows:
            message = f"'{name}' is about windows; give 'every', 'points', or 'agg' for the whole range"
            faults.append(Fault(f"$query.{name}", "needs_every", message))
    if query.shape == "columns" and query.format != "json" and not query.in_windows:
        message = "raw points of several series have no times in common; ask for shape=rows, or for windows"
        faults.append(Fault("$query.shape", "needs_every", message))
    if query.evidence and (query.quality is not None or query.marked is not None):
        faults.append(
            Fault("$query.evidence", "contradiction", "evidence is of all points; leave out quality and marked")
        )
    if query.evidence and not (query.in_columns and query.format == "json" and query.in_windows and query.has_length):
        message = "evidence comes with columns of windows as json; give 'every' or 'points'"
        faults.append(Fault("$query.evidence", "needs_every", message))
    if query.quality is not None and query.marked is not None:
        faults.append(QUALITY_CONFLICT)
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))


def with_evidence(query: ManyPointsQuery) -> ManyPointsQuery:
    """The question whose answer has every window of the range, and counts of missing samples."""
    names = tuple(dict.fromkeys((*query.aggregates, "missing")))
    return msgspec.structs.replace(query, agg=names, fill="null" if query.fill is None else query.fill)


def _bounds(query: ManyPointsQuery, begins: pl.Series, limit: int, every: WindowLength | None) -> dict[str, Any]:
    """The windows of a page and the range of time that they take; `begins` may have one more than the page."""
    assert every is not None
    span, page = span_of(query), begins.head(limit).to_list()
    end = int(begins[limit]) if len(begins) > limit else int(page[-1]) + every.nominal_ns
    right = int(query.closed == "right")
    first, last = max(span.first_ns, page[0] + right), min(span.last_ns, end - 1 + right)
    return {"begins": page, "end": end, "first": first, "last": last, "closed_right": right}


def _rows_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    rows = page.with_columns(pl.col("series").replace_strict(_ids(series), return_dtype=pl.String))
    if query.format != "json":
        body = encode_frame(rows, query.format, query.tz)
        return Page(body, answers.MEDIA_TYPES[query.format], following)
    items = answers.json_array([ndjson(rows, query.tz)])
    return Page(b"".join(answers.object_with_items(head, items, {"next": following})), next=following)


def _columns_page(
    aligned: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    """The page of a frame that has a row for each window and series, by window."""
    parts = {item.series: aligned.gather_every(len(series), offset) for offset, item in enumerate(series)}
    times = aligned["ns"].gather_every(len(series))
    if query.format != "json":
        named = {
            f"{format_series(number)}.{name}": part[name] for number, part in parts.items() for name in query.aggregates
        }
        body = encode_frame(pl.DataFrame({"ns": times, **named}), query.format, query.tz)
        return Page(body, answers.MEDIA_TYPES[query.format], following)
    evidence = head.pop("evidence", {})
    columns = [
        _series_columns(item, parts[item.series].select(query.aggregates), evidence=evidence.get(item.series))
        for item in series
    ]
    answer = PointColumns(**head, time=format_instants(times, query.tz).to_list(), series=columns, next=following)
    return answers.json_page(answer, following)


def _raw_columns_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    parts = page.partition_by("series", as_dict=True, include_key=False)
    empty = page.clear()
    columns = []
    for item in series:
        part = parts.get((item.series,), empty)
        columns.append(_series_columns(item, part.select("value"), format_instants(part["ns"], query.tz).to_list()))
    return answers.json_page(PointColumns(**head, time=[], series=columns, next=following), following)


def _series_columns(
    item: Description,
    frame: pl.DataFrame,
    times: list[str] | None = None,
    evidence: dict[str, list[Any]] | None = None,
) -> SeriesColumns:
    return SeriesColumns(
        id=format_series(item.series),
        feed=item.feed,
        name=item.name,
        field=item.field,
        tags=item.tags,
        unit=item.unit or None,
        units=aggregate_units(item.unit, frame.columns),
        columns={name: frame[name].to_list() for name in frame.columns},
        times=times,
        evidence=evidence,
    )


def _ids(series: Sequence[Description]) -> dict[int, str]:
    return {item.series: format_series(item.series) for item in series}
