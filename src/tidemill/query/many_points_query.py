"""The question of `GET /v1/points`: its parameters, and which of them contradict each other."""

from typing import Annotated, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.query import readers
from tidemill.query.chosen_series import SeriesIds
from tidemill.query.ladder import FEWEST, LADDER_TEXT, MOST
from tidemill.query.parameters import (
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
    limit_to,
    one_of,
    page_cursor,
)
from tidemill.query.series import SeriesFilter

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
    start: Start = None
    end: End = None
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
