"""Points of one series: raw pages that the store streams, or windows.

Where a page ends is asked first, so that its cursor is known before the first byte is sent; the page itself is then a
range of places and needs no limit.
"""

from typing import Any, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursor import encode
from tidemill.query.flags import FLAGS
from tidemill.query.parameters import (
    AGG,
    CLOSED,
    END,
    EVERY,
    FILL,
    FORMAT,
    MARKED,
    ORDER,
    QUALITY,
    START,
    UNIT,
    ZONE,
    Asked,
    limit,
    page_cursor,
    time_range,
)
from tidemill.query.series import Description, SeriesQueries
from tidemill.query.windows import windows
from tidemill.store.client import Store

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1

POINTS_PARAMETERS: Final = (
    START,
    END,
    UNIT,
    EVERY,
    AGG,
    CLOSED,
    ZONE,
    FILL,
    ORDER,
    limit(10_000, 1_000_000),
    page_cursor(int, int),
    FORMAT,
    QUALITY,
    MARKED,
)


class Point(msgspec.Struct, frozen=True):
    """One point; `value` is null for a sample that is present but missing. `flags` say what was decided about a local
    time: `fold_earlier` or `fold_later` (it was twice, and is taken as that one), `gap_shifted` (it never was, and is
    put forward by the length of the gap), `shifted` (the feed's shift was added). `marks` are the reason codes of rules
    that flagged it. In CSV both are joined by spaces. With `every`, it is a window instead: of `time` only, and what
    `agg` asks for."""

    time: str
    value: float | None = None
    flags: list[Literal["fold_earlier", "fold_later", "gap_shifted", "shifted"]] = []
    marks: list[str] = []
    mean: float | None = None
    min: float | None = None
    max: float | None = None
    sum: float | None = None
    count: int | None = None
    first: float | None = None
    last: float | None = None
    stddev: float | None = None
    median: float | None = None


class PointPage(msgspec.Struct, frozen=True):
    """A page of raw points. With `every`, items hold `time` (the window's start) and one member for each of `agg`."""

    series: str
    items: list[Point]
    next: str | None
    every: str | None = None
    tz: str = "UTC"


class PointQueries:
    """Reads the points of a series. Raises NotFoundError as `SeriesQueries` does."""

    def __init__(self, store: Store, series: SeriesQueries) -> None:
        self._store, self._series = store, series

    def page(self, tenant: str, series: str, asked: Asked) -> Page:
        """A page by POINTS_PARAMETERS. Raises InputError for combinations that make no sense."""
        check(asked)
        described = self._series.describe(tenant, series)
        if asked["every"] is not None:
            return windows(self._store, tenant, described, asked)
        return self._raw(tenant, described, asked)

    def _raw(self, tenant: str, described: Description, asked: Asked) -> Page:
        places, following = self._places(tenant, described, asked)
        kind = asked["format"]
        bound = {**places, "sign": -1 if asked["order"] == "desc" else 1}
        if kind in answers.COLUMNAR:
            stream = self._store.stream("points_typed", answers.STORE_FORMATS[kind], **bound)
            return Page(stream, answers.MEDIA_TYPES[kind], following)
        fmt = "JSONEachRow" if kind == "json" else answers.STORE_FORMATS[kind]
        name = "points_flagged_csv" if kind == "csv" else "points_flagged"
        rows = self._store.stream(name, fmt, **bound, tz=asked["tz"], flags=list(FLAGS))
        if kind != "json":
            return Page(rows, answers.MEDIA_TYPES[kind], following)
        head = {"series": format_series(described.series), "tz": asked["tz"]}
        return Page(answers.framed(head, "items", answers.array(rows), {"next": following}), next=following)

    def _places(self, tenant: str, described: Description, asked: Asked) -> tuple[dict[str, Any], str | None]:
        """The page as a range of places (both ends included), and the cursor of the next one."""
        span = time_range(asked)
        bound: dict[str, Any] = {
            "tenant": tenant,
            "series": described.series,
            "deleted_seq": described.deleted_seq,
            "first": span.first_ns,
            "last": span.last_ns,
            **marks(asked),
        }
        low, high = _LOWEST, _HIGHEST
        descending = asked["order"] == "desc"
        if asked["cursor"] and descending:
            bound["last"], high = asked["cursor"]
        elif asked["cursor"]:
            bound["first"], low = asked["cursor"]
        if descending:
            found = self._store.rows("points_behind", **bound, last_ordinal=high, limit=asked["limit"])
        else:
            found = self._store.rows("points_ahead", **bound, first_ordinal=low, limit=asked["limit"])
        if found and descending:
            bound["first"], low = found[0]["ns"], found[0]["ordinal"] + 1
        elif found:
            bound["last"], high = found[0]["ns"], found[0]["ordinal"] - 1
        following = encode(found[0]["ns"], found[0]["ordinal"]) if found else None
        return {**bound, "first_ordinal": low, "last_ordinal": high}, following


def marks(asked: Asked) -> dict[str, Any]:
    """What the queries bind for the quality that a request asks for."""
    return {"good": int(asked["quality"] == "good"), "mark": asked["marked"] or ""}


def check(asked: Asked) -> None:
    """Raise InputError, naming every fault, for parameters that do not go together."""
    faults = []
    if asked["every"] is None and asked["fill"] is not None:
        faults.append(Fault("$query.fill", "needs_every", "'fill' is about windows; give their length with 'every'"))
    if asked["every"] is None and asked["closed"] == "right":
        faults.append(
            Fault("$query.closed", "needs_every", "'closed' is about windows; give their length with 'every'")
        )
    if asked["every"] is not None and asked["order"] == "desc":
        faults.append(Fault("$query.order", "not_with_every", "windows come in ascending order only"))
    if asked["quality"] is not None and asked["marked"] is not None:
        faults.append(Fault("$query.quality", "contradiction", "no point is both good and marked; ask for one of them"))
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))
