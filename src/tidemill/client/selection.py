"""Which points a caller wants: the arguments of `points`, as query parameters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, TypedDict

import msgspec

from tidemill.client.documents import SeriesInfo
from tidemill.errors import Fault, InputError, NotFoundError

Instant = str | datetime | date
Progress = Callable[[int, int | None], None]  # points read so far, and of how many (null: not known)
PAGE_POINTS: Final = 200_000  # some 3 MB as Arrow
_SHOWN: Final = 5  # series that a message names


class PointsReply(msgspec.Struct, frozen=True):
    """A page of points as bytes: whether it is the first, and how many points all pages have (null: not known)."""

    body: bytes
    first: bool
    total: int | None


class CountedProgress:
    """Calls a `progress` with the sum of the pages so far."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._count = progress, 0

    def add(self, count: int, total: int | None) -> None:
        """One more page was read."""
        self._count += count
        if self._progress is not None:
            self._progress(self._count, total)


class PointSelection(TypedDict, total=False):
    """The series by `feed`, `field` and `tags` where its id is not given; the range [start, end); windows of `every`
    with the aggregates `agg`, on the calendar of `tz`, which is also the zone of the times of the result; `fill`,
    `closed`, `quality` and `marked` as in `GET /v1/series/{id}/points`."""

    feed: str
    field: str
    tags: Mapping[str, str]
    start: Instant | None
    end: Instant | None
    every: str | None
    agg: str | Sequence[str] | None
    tz: str | None
    fill: Literal["null", "previous", "linear"] | None
    closed: Literal["left", "right"] | None
    quality: Literal["good"] | None
    marked: str | None


def instant_text(instant: Instant | None, name: str) -> str | None:
    """An instant as a query has it. Raises InputError for a datetime without a zone: it would be guessed."""
    if isinstance(instant, datetime) and instant.tzinfo is None:
        message = f"{name} is a datetime without a zone; give it one, such as tzinfo=timezone.utc"
        raise InputError(message, (Fault(name, "no_zone", message),))
    return instant.isoformat() if isinstance(instant, date) else instant


def query_of(selection: PointSelection) -> dict[str, Any]:
    """The query parameters of a selection, without those that name the series."""
    agg = selection.get("agg")
    return {
        "start": instant_text(selection.get("start"), "start"),
        "end": instant_text(selection.get("end"), "end"),
        "every": selection.get("every"),
        "agg": agg if agg is None or isinstance(agg, str) else ",".join(agg),
        "tz": selection.get("tz"),
        "fill": selection.get("fill"),
        "closed": selection.get("closed"),
        "quality": selection.get("quality"),
        "marked": selection.get("marked"),
    }


def is_whole(selection: PointSelection) -> bool:
    """Whether a selection is of every point of its series."""
    return not any(selection.get(name) for name in ("start", "end", "every", "quality", "marked"))


def only_series(matching: Sequence[SeriesInfo], wanted: str) -> SeriesInfo:
    """The one series that matches. Raises NotFoundError for none, InputError for several, naming some."""
    if not matching:
        raise NotFoundError(f"There is no series of {wanted}.")
    if len(matching) > 1:
        shown = "; ".join(f"{item.id} ({item.field} of {_tags_text(item.tags)})" for item in matching[:_SHOWN])
        more = ", and more" if len(matching) > _SHOWN else ""
        message = f"{len(matching)} series are of {wanted}; name one by field and tags, or by its id: {shown}{more}"
        raise InputError(message, (Fault("series", "ambiguous", message),))
    return matching[0]


def wanted_text(feed: str | None, field: str | None, tags: Mapping[str, str] | None) -> str:
    """A selection of series in words."""
    parts = [f"feed '{feed}'" if feed else "any feed", f"field '{field}'" if field else "", _tags_text(tags or {})]
    return ", ".join(part for part in parts if part)


def _tags_text(tags: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in tags.items())


def next_cursor(link: str) -> str | None:
    """The cursor in a `Link` header that leads to the next page."""
    from urllib.parse import parse_qs, urlsplit

    target, mark, relation = link.partition(">")
    if not mark or 'rel="next"' not in relation:
        return None
    return parse_qs(urlsplit(target.lstrip("<")).query).get("cursor", [None])[0]
