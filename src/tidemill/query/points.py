"""Points of one series: raw pages that the store streams. Pages of windows are in `point_windows`.

The first point after a raw page is looked up first, so that the cursor is known before the first byte is sent. The page
itself is then a range of (time, ordinal) and needs no limit.
"""

from typing import Any, Final, Literal

import msgspec

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import quality_params, time_range
from tidemill.query.point_windows import point_windows
from tidemill.query.points_query import PointsQuery, check_points_query
from tidemill.query.series import Description, SeriesQueries
from tidemill.store.client import Store

FLAGS: Final = ("fold_earlier", "fold_later", "gap_shifted", "shifted")  # a bit each, the lowest first


def flag_words(bits: int) -> list[str]:
    """The flags whose bits are set."""
    return [word for bit, word in enumerate(FLAGS) if bits >> bit & 1]


_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


class Point(msgspec.Struct, frozen=True):
    """One point; `value` is null for a missing sample. `flags` say how a local time was resolved: `fold_earlier` or
    `fold_later` (it occurs twice, and is taken as that instant), `gap_shifted` (it does not exist, and is put forward
    by the length of the gap), `shifted` (the feed's shift was added). `marks` are the reason codes of rules that
    flagged the point. In CSV both are joined by spaces."""

    time: str
    value: float | None
    flags: list[Literal["fold_earlier", "fold_later", "gap_shifted", "shifted"]]
    marks: list[str]


class PointPage(msgspec.Struct, frozen=True):
    """A page of raw points."""

    series: str
    tz: str
    items: list[Point]
    next: str | None


class PointQueries:
    """Reads the points of a series. Raises NotFoundError as `SeriesQueries` does."""

    def __init__(self, store: Store, series: SeriesQueries) -> None:
        self._store, self._series = store, series

    def read_points(self, tenant: str, series: str, query: PointsQuery) -> Page:
        """A page of points, or of windows. Raises InputError for parameters that contradict each other."""
        check_points_query(query)
        described = self._series.describe(tenant, series)
        if query.every is not None or query.agg:
            return point_windows(self._store, tenant, described, query)
        return self._raw(tenant, described, query)

    def _raw(self, tenant: str, described: Description, query: PointsQuery) -> Page:
        page, following = self._bounds(tenant, described, query)
        kind = query.format
        bound = {**page, "sign": -1 if query.order == "desc" else 1}
        if kind in answers.COLUMNAR:
            stream = self._store.stream("points_typed", answers.STORE_FORMATS[kind], **bound)
            return Page(stream, answers.MEDIA_TYPES[kind], following)
        fmt = "JSONEachRow" if kind == "json" else answers.STORE_FORMATS[kind]
        name = "points_flagged_csv" if kind == "csv" else "points_flagged"
        rows = self._store.stream(name, fmt, **bound, tz=query.tz, flags=list(FLAGS))
        if kind != "json":
            return Page(rows, answers.MEDIA_TYPES[kind], following)
        head = {"series": format_series(described.series), "tz": query.tz}
        return Page(answers.object_with_items(head, answers.json_array(rows), {"next": following}), next=following)

    def _bounds(self, tenant: str, described: Description, query: PointsQuery) -> tuple[dict[str, Any], str | None]:
        """Parameters that select the page as a range of (time, ordinal), both ends included, and the next cursor."""
        span = time_range(query.start, query.end)
        bound: dict[str, Any] = {
            "tenant": tenant,
            "series": described.series,
            "deleted_seq": described.deleted_seq,
            "first": span.first_ns,
            "last": span.last_ns,
            **quality_params(query.quality, query.marked),
        }
        low, high = _LOWEST, _HIGHEST
        descending = query.order == "desc"
        if query.cursor and descending:
            bound["last"], high = query.cursor
        elif query.cursor:
            bound["first"], low = query.cursor
        if descending:
            beyond = self._store.rows("points_behind", **bound, last_ordinal=high, limit=query.limit)
        else:
            beyond = self._store.rows("points_ahead", **bound, first_ordinal=low, limit=query.limit)
        if beyond and descending:
            bound["first"], low = beyond[0]["ns"], beyond[0]["ordinal"] + 1
        elif beyond:
            bound["last"], high = beyond[0]["ns"], beyond[0]["ordinal"] - 1
        following = encode_cursor(beyond[0]["ns"], beyond[0]["ordinal"]) if beyond else None
        return {**bound, "first_ordinal": low, "last_ordinal": high}, following
