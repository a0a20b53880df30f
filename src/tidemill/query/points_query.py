"""The query of a page of points, raw or in windows."""

from typing import Annotated, Final

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.query.parameters import (
    QUALITY_CONFLICT,
    Aggregates,
    Closed,
    Every,
    Fill,
    Format,
    Marked,
    Order,
    Quality,
    RangeParameters,
    Zone,
    limit_of_pages,
    page_cursor,
)

JSON_PAGE: Final = 10_000


class PointsQuery(RangeParameters, frozen=True):
    """A page of raw points in [start, end), or of windows with `every`, or with `agg` the aggregates of the range."""

    every: Every = None
    agg: Aggregates = ()
    closed: Closed = "left"
    tz: Zone = "UTC"
    fill: Fill = None
    order: Order = "asc"
    limit: Annotated[int | None, limit_of_pages("points or windows", JSON_PAGE, 1_000_000)] = None
    cursor: Annotated[tuple[int, int] | None, page_cursor(int, int)] = None
    format: Format = "json"
    quality: Quality = None
    marked: Marked = None

    @property
    def page(self) -> int:
        """Most points or windows of a page."""
        return self.limit or JSON_PAGE

    @property
    def is_whole_file(self) -> bool:
        """Whether the answer is a file of everything, and no page."""
        return self.format != "json" and self.limit is None and self.cursor is None

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The aggregates of a window; the mean unless the request names others."""
        return self.agg or ("mean",)


def check_points_query(query: PointsQuery) -> None:
    """Raises InputError with every fault of parameters that contradict each other."""
    faults = []
    whole = query.every is None and not query.agg
    for name, chosen in (("fill", query.fill is not None), ("closed", query.closed == "right")):
        if whole and chosen:
            message = f"'{name}' is about windows; give their length with 'every', or 'agg' for the whole range"
            faults.append(Fault(f"$query.{name}", "needs_every", message))
    if not whole and query.order == "desc":
        faults.append(Fault("$query.order", "not_with_every", "windows come in ascending order only"))
    if query.quality is not None and query.marked is not None:
        faults.append(QUALITY_CONFLICT)
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))
