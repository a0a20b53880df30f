"""The question of `GET /v1/points`: its parameters, and which of them contradict each other."""

from typing import Annotated, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.query import readers
from tidemill.query.aggregates import FROM_THE_POINT_BEFORE, quantile_names
from tidemill.query.chosen_series import SeriesIds
from tidemill.query.ladder import FEWEST, LADDER_TEXT, MOST
from tidemill.query.parameters import (
    INSTANT,
    QUALITY_CONFLICT,
    Aggregates,
    Closed,
    End,
    Every,
    FeedName,
    FieldName,
    Fill,
    Format,
    Marked,
    Parameter,
    Quality,
    SeriesName,
    Start,
    Tags,
    Unit,
    Zone,
    limit_of_pages,
    one_of,
    page_cursor,
)
from tidemill.query.series import SeriesFilter

MAX_PAGE: Final = 100_000
JSON_PAGE: Final = 10_000


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


PageLimit = Annotated[int | None, limit_of_pages("windows or points", JSON_PAGE, MAX_PAGE)]


AsOf = Annotated[
    int | None,
    Parameter(
        "The answer as it stood at this instant, by what had been received; refused where that cannot be known, because"
        " points were deleted, replayed or expired since. Without `thin`, `evidence`, `quality` and `marked`; of"
        " windows the aggregates mean, min, max, sum, count, missing, first, last, stddev and median.",
        readers.instant,
        INSTANT,
    ),
]
Thin = Annotated[
    Literal["minmax", "lttb"] | None,
    one_of(
        "With `points`: raw points, at most so many of each series. `minmax` chooses the smallest and the largest of"
        " equal stretches of time, `lttb` those with the largest triangles; both keep the first and the last point, and"
        " the smallest and the largest value. Missing samples are left out.",
        "minmax",
        "lttb",
    ),
]


class ManyPointsQuery(SeriesFilter, frozen=True):
    """Points of series in [start, end): over windows (`every`, `points`, or `agg` for the whole range), or raw."""

    feed: FeedName = None
    field: FieldName = None
    name: SeriesName = None
    tags: Tags = {}
    series: SeriesIds = ()
    start: Start = None
    end: End = None
    unit: Unit = None
    every: Every = None
    points: Points = None
    thin: Thin = None
    agg: Aggregates = ()
    closed: Closed = "left"
    tz: Zone = "UTC"
    fill: Fill = None
    shape: Shape = None
    limit: PageLimit = None
    cursor: Annotated[tuple[int, int, int] | None, page_cursor(int, int, int)] = None
    format: Format = "json"
    quality: Quality = None
    marked: Marked = None
    evidence: Evidence = False
    as_of: AsOf = None

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The aggregates of a window; the mean unless the request names others, with `points` min and max too."""
        return self.agg or (("mean", "min", "max") if self.points else ("mean",))

    @property
    def page(self) -> int:
        """Most windows or points of a page."""
        return self.limit or JSON_PAGE

    @property
    def is_whole_file(self) -> bool:
        """Whether the answer is a file of everything, and no page."""
        return self.format != "json" and self.limit is None and self.cursor is None

    @property
    def in_windows(self) -> bool:
        """Whether windows are asked for."""
        return self.has_length or bool(self.agg)

    @property
    def has_length(self) -> bool:
        """Whether windows have a length, and the range is not one window."""
        return self.every is not None or (self.points is not None and self.thin is None)

    @property
    def in_columns(self) -> bool:
        """Whether the answer has the shape of columns."""
        return self.shape == "columns" or (self.shape is None and self.format == "json")


def check_many_points_query(query: ManyPointsQuery) -> None:
    """Raises InputError with every fault of parameters that contradict each other."""
    faults = []
    if query.every is not None and query.points is not None:
        faults.append(Fault("$query.points", "contradiction", "'every' and 'points' both say how long windows are"))
    faults += _thin_faults(query) + _as_of_faults(query)
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


def _thin_faults(query: ManyPointsQuery) -> list[Fault]:
    if query.thin is None:
        return []
    if query.points is None:
        return [Fault("$query.thin", "missing", "say with 'points' how many points of each series are kept")]
    others = {"every": query.every, "agg": query.agg, "limit": query.limit, "cursor": query.cursor}
    return [
        Fault(f"$query.{name}", "contradiction", f"'thin' answers raw points on one page, without '{name}'")
        for name, value in others.items()
        if value
    ]


def _as_of_faults(query: ManyPointsQuery) -> list[Fault]:
    if query.as_of is None:
        return []
    others = {"thin": query.thin, "evidence": query.evidence, "quality": query.quality, "marked": query.marked}
    if query.is_whole_file and not query.in_windows:
        others["format"] = query.format
    faults = [
        Fault(f"$query.{name}", "contradiction", f"what '{name}' asks for is known of now only, without 'as_of'")
        for name, value in others.items()
        if value
    ]
    dear = [name for name in query.agg if name == "mode" or name in FROM_THE_POINT_BEFORE or quantile_names([name])]
    if dear:
        message = f"'{dear[0]}' is computed of now only, without 'as_of'"
        faults.append(Fault("$query.agg", "contradiction", message))
    return faults


def with_evidence(query: ManyPointsQuery) -> ManyPointsQuery:
    """The question whose answer has every window of the range, and counts of missing samples."""
    names = tuple(dict.fromkeys((*query.aggregates, "missing")))
    return msgspec.structs.replace(query, agg=names, fill="null" if query.fill is None else query.fill)
