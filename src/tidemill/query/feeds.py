"""A whole feed in its own shape: plain points, summary rows, and rollup windows.

The caller looks up the feed's definition. A request for a shape that the feed does not have raises InputError, whose
message says where the data of the feed is.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal, Required, TypedDict

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.feeds.definition import Feed
from tidemill.model.time import duration_ns
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.feed_files import ALL_ROWS, refuse_pages, windows_file
from tidemill.query.feed_generations import FeedGenerations
from tidemill.query.kept_pages import KeptPages
from tidemill.query.parameters import (
    QUALITY_CONFLICT,
    FieldName,
    Format,
    Marked,
    Order,
    Quality,
    RangeParameters,
    Tags,
    TimeRange,
    limit_of_pages,
    one_of,
    page_cursor,
    quality_params,
    time_range,
)
from tidemill.query.point_files import points_file
from tidemill.query.rollups import window_evidence
from tidemill.query.series import Hidden
from tidemill.query.states import Known, feed_tag, tagged, unchanged
from tidemill.store.client import Store


class FeedPointsQuery(RangeParameters, frozen=True):
    """A page of the points of one field in [start, end)."""

    field: FieldName = None
    tags: Tags = {}
    quality: Quality = None
    marked: Marked = None
    limit: Annotated[int | None, limit_of_pages("points", 100_000, 1_000_000)] = None
    cursor: Annotated[tuple[int, int, int] | None, page_cursor(int, int, int)] = None
    format: Format = "json"


class RollupsQuery(RangeParameters, frozen=True):
    """A page of rollup windows."""

    order: Order = "asc"
    tags: Tags = {}
    evidence: Annotated[
        Literal["true", "false"],
        one_of("Add what each window should have held, and what became of the rest.", "true", "false"),
    ] = "false"
    limit: Annotated[int | None, limit_of_pages("windows", 1000, 10_000)] = None
    cursor: Annotated[tuple[int, str] | None, page_cursor(int, str)] = None
    format: Format = "json"


_WINDOW_NAMES: Final = {"1m": "minute", "1h": "hour", "1d": "day"}
_LOWEST: Final = -(2**63)


class FeedPoint(msgspec.Struct, frozen=True):
    """One point of a feed."""

    time: str
    value: float


class PollCounts(TypedDict):
    """Numbers of polls of a feed's source in a window, in total and by result."""

    polls: int
    data: int
    empty: int
    failed: int


class FeedWindow(TypedDict, total=False):
    """A rollup window of a feed, over one set of tags. Its begin is `minute`, `hour` or `day` for windows of that
    length, else `time`; `count` is its number of records. The members from `n` on are its evidence, if requested.

    The feed's tags, and the aggregates of its fields, are further members."""

    time: str
    minute: str
    hour: str
    day: str
    count: Required[int]
    n: int
    expected: float | None
    coverage: float | None
    rejected: int
    late: int
    restated_at: str | None
    sealed: bool
    source: PollCounts


class FeedQueries:
    """Reads a feed's points and rollups."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden
        self._generations, self._kept = FeedGenerations(store), KeptPages(store.generations)

    def points(self, tenant: str, feed: Feed, query: FeedPointsQuery, known: Known = ()) -> Page:
        """A JSON array of FeedPoint, in time order; missing samples are left out. Another format is a whole file with
        the ids of series, series by series.

        Raises InputError unless the feed has points and `field` names one of several fields.
        """
        if query.quality is not None and query.marked is not None:
            raise InputError(QUALITY_CONFLICT.message, (QUALITY_CONFLICT,))
        span, field = time_range(query.start, query.end), _chosen_field(feed, query.field)
        filters = feed_filters(tenant, feed, query.tags, self._hidden(tenant))
        if query.format != "json":
            return self._points(tenant, feed, query, known, span=span, field=field, filters=filters)
        generation = self._generations.generation(filters, field)
        question = ["feed points", filters, feed.version, field, query]
        make = partial(self._points, tenant, feed, query, known, span=span, field=field, filters=filters)
        return self._kept.answer(question, generation, make, known, has_tag=False)

    def _points(
        self,
        tenant: str,
        feed: Feed,
        query: FeedPointsQuery,
        known: Known,
        *,
        span: TimeRange,
        field: str,
        filters: Mapping[str, Any],
    ) -> Page:
        tag = feed_tag(self._store, tenant, query, feed, filters, field=field)
        if tag is not None and tag in known:
            return unchanged(tag)
        if query.format != "json":
            return tagged(self._points_file(tenant, {**filters, "field": field}, query, span), tag)
        first, series, ordinal = query.cursor or (span.first_ns, 0, _LOWEST)
        bound = {
            **filters,
            "field": field,
            "first": first,
            "first_series": series,
            "first_ordinal": ordinal,
            "last": span.last_ns,
            **quality_params(query.quality, query.marked),
            "limit": query.limit or 100_000,
        }
        beyond = self._store.rows("feed_points_ahead", **bound)
        following = encode_cursor(beyond[0]["ns"], beyond[0]["series"], beyond[0]["ordinal"]) if beyond else None
        points = answers.json_array(self._store.stream("feed_points", "JSONEachRow", **bound))
        return Page(points, next=following, etag=tag)

    def _points_file(self, tenant: str, filters: Mapping[str, Any], query: FeedPointsQuery, span: TimeRange) -> Page:
        refuse_pages(limit=query.limit, cursor=query.cursor)
        rows = self._store.rows("feed_series", **filters)
        series = {row["series"]: row["deleted_seq"] for row in rows}
        words: dict[str, Any] = {"kind": query.format, "zone": "UTC"}
        quality = quality_params(query.quality, query.marked)
        return points_file(self._store, tenant, series, span, **words, nulls=False, quality=quality)

    def rollups(self, tenant: str, feed: Feed, query: RollupsQuery, known: Known = ()) -> Page:
        """A JSON array of windows, each with its begin (`minute`, `hour` or `day` for windows of that length, else
        `time`), the tags, each field's aggregates, and `count`.

        The mean of a field has the field's own name, other aggregates `<field>_<aggregate>`. `evidence` adds its
        members. Raises InputError for a feed without rollups.
        """
        if feed.rollups is None:
            raise shape_error(feed, "rollups", "keeps no rollups")
        span, sign = time_range(query.start, query.end), -1 if query.order == "desc" else 1
        after_ns, after_tags = query.cursor or (before_first_ns(sign), "")
        filters = feed_filters(tenant, feed, query.tags, self._hidden(tenant))
        every_s, plain = duration_ns(feed.rollups.every) // 10**9, query.evidence == "false"
        bound = {
            **filters,
            "every_s": every_s,
            "first": span.first_ns,
            "last": span.last_ns,
            "sign": sign,
            "after_ns": after_ns,
            "after_tags": after_tags,
        }
        if query.format == "json" and plain:
            generation = self._generations.generation(filters)
            question = ["rollups", filters, feed.version, every_s, query]
            make = partial(self._rollups, tenant, feed, query, known, bound=bound, filters=filters)
            return self._kept.answer(question, generation, make, known, has_tag=False)
        return self._rollups(tenant, feed, query, known, bound=bound, filters=filters)

    def _rollups(
        self,
        tenant: str,
        feed: Feed,
        query: RollupsQuery,
        known: Known,
        *,
        bound: Mapping[str, Any],
        filters: Mapping[str, Any],
    ) -> Page:
        tag = None
        if query.evidence == "false":
            tag = feed_tag(self._store, tenant, query, feed, filters, every_s=bound["every_s"])
            if tag is not None and tag in known:
                return unchanged(tag)
        if query.format != "json":
            refuse_pages(limit=query.limit, cursor=query.cursor, evidence=query.evidence)
            lines = self._store.stream("rollup_rows", "JSONEachRow", **bound, limit=ALL_ROWS)
            file = windows_file(lines, feed, self._fields(tenant, feed), query.format, _begins(feed))
            return tagged(file, tag)
        limit = query.limit or 1000
        rows = self._store.rows("rollup_rows", **bound, limit=limit + 1)
        page = rows[:limit]
        following = encode_cursor(page[-1]["ns"], page[-1]["tags_text"]) if len(rows) > len(page) else None
        windows = [_window(row, feed) for row in page]
        if query.evidence == "true":
            added = window_evidence(self._store, tenant, feed, page)
            windows = [window | more for window, more in zip(windows, added, strict=True)]
        return tagged(answers.json_page(windows, following), tag)

    def _fields(self, tenant: str, feed: Feed) -> list[str]:
        """The fields of a feed, in its order; then its registers, which only the store knows."""
        if feed.registers is None:
            return list(feed.fields)
        known = {row["field"] for row in self._store.rows("feed_fields", tenant=tenant, feed=feed.name)}
        return [*feed.fields, *sorted(known - set(feed.fields))]


def feed_filters(tenant: str, feed: Feed, tags: Mapping[str, str], hidden: Collection[int]) -> dict[str, Any]:
    """The values that every query over a feed binds: tenant, feed, hidden series and tags."""
    return {
        "tenant": tenant,
        "feed": feed.name,
        "hidden": sorted(hidden),
        "tag_keys": list(tags),
        "tag_values": list(tags.values()),
    }


def shape_error(feed: Feed, shape: str, why: str) -> InputError:
    """The error for a request of a `shape` that the feed does not have; it names the route of its data."""
    has = {"summary": "rows", "points": "points", "samples": "series"}[feed.shape.kind]
    where = f"/v1/series?feed={feed.name}" if has == "series" else f"/v1/feeds/{feed.name}/{has}"
    message = f"The feed '{feed.name}' {why}; its data is at {where}"
    return InputError(message, (Fault(f"$path.{shape}", "no_such_shape", message),))


def before_first_ns(sign: int) -> int:
    """The ns before every instant in ascending (`sign` 1) or descending (-1) order."""
    return -(2**63) + 1 if sign > 0 else 2**63 - 1


def _chosen_field(feed: Feed, field: str | None) -> str:
    """The field to read: the named one, or the only one. Raises InputError."""
    if feed.shape.kind != "points":
        raise shape_error(feed, "points", "does not keep its records as points")
    if field is None and len(feed.fields) == 1 and feed.registers is None:
        return next(iter(feed.fields))
    if field is None:
        known = ", ".join(feed.fields) or "its registers"
        message = f"the feed '{feed.name}' has several fields; choose one with field= ({known})"
        raise InputError(message, (Fault("$query.field", "missing", message),))
    if field not in feed.fields and feed.registers is None:
        message = f"the feed '{feed.name}' has no field '{field[:80]}'; it has {', '.join(feed.fields)}"
        raise InputError(message, (Fault("$query.field", "invalid", message),))
    return field


def _begins(feed: Feed) -> str:
    """The name of the begin of a feed's windows."""
    return _WINDOW_NAMES.get(feed.rollups.every if feed.rollups else "", "time")


def _window(row: dict[str, Any], feed: Feed) -> dict[str, Any]:
    """The answer's members of one rollup window; fields in the feed's order, null where a field had no point."""
    aggregates = feed.rollups.aggregates if feed.rollups else ()
    columns = {name: number for number, name in enumerate(row["fields"])}
    names = [*feed.fields, *sorted(set(columns) - set(feed.fields))]
    window: dict[str, Any] = {_begins(feed): row["time"], **{tag: row["tags"].get(tag) for tag in feed.tags}}
    for name in names:
        for aggregate in aggregates:
            values = row["counts" if aggregate == "count" else f"groupArray({aggregate})"]
            key = name if aggregate == "mean" else f"{name}_{aggregate}"
            window[key] = values[columns[name]] if name in columns else None
    return {**window, "count": row["count"]}
