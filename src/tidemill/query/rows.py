"""Rows of feeds with shape `summary`, and the lineage of a row: its payload and every row that it superseded."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict, cast

import msgspec

from tidemill.errors import InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.model.ids import parse_series, series_id
from tidemill.model.time import parse_instant
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.feed_files import ALL_ROWS, refuse_pages, rows_file
from tidemill.query.feeds import before_first_ns, feed_filters, shape_error
from tidemill.query.origins import Origins, Rules, judging_rules
from tidemill.query.parameters import (
    Format,
    Order,
    QueryParameters,
    RangeParameters,
    Tags,
    TimeRange,
    limit_of_pages,
    page_cursor,
    time_range,
)
from tidemill.query.point_changes import PublishedChange, published_changes
from tidemill.query.receipts import Links, receipt_links
from tidemill.query.series import Hidden
from tidemill.query.states import Known, feed_tag, tagged, unchanged
from tidemill.store.client import Store

MAX_REPLACED: Final = 10_000


class RowsQuery(RangeParameters, frozen=True):
    """A page of rows in [start, end)."""

    order: Order = "asc"
    tags: Tags = {}
    limit: Annotated[int | None, limit_of_pages("rows", 1000, 10_000)] = None
    cursor: Annotated[tuple[int, str] | None, page_cursor(int, str)] = None
    format: Format = "json"


class RowLineageQuery(QueryParameters, frozen=True):
    """The tags that select one of the rows at a time."""

    tags: Tags = {}


class SummaryRow(TypedDict):
    """A summary of the numbers of one record. `stddev` divides by n - 1 and is null for one number, `stddev_pop` by n.
    `receipt` is that of the record's payload. A feed's tags are further members."""

    time: str
    mean: float | None
    stddev: float | None
    stddev_pop: float | None
    count: int | None
    receipt: str | None


class ReplacedRow(msgspec.Struct, frozen=True):
    """A superseded row: its values, its payload and index in it, and the record that replaced it."""

    mean: float | None
    stddev: float | None
    stddev_pop: float | None
    count: int | None
    receipt: str | None
    index: int
    sha256: str | None
    received_at: str
    payload: str | None
    replaced_by: str | None
    replaced_by_index: int


class RowChange(PublishedChange, frozen=True):
    """A published change of one member of a row; `field` is the member's name."""

    field: str


class RowLineage(msgspec.Struct, frozen=True):
    """The lineage of a row. `index` is the record's index in the payload, `sha256` that of the payload (hexadecimal).
    `changes` are published changes of the row's values."""

    row: SummaryRow
    receipt: str | None
    index: int
    received_at: str
    sha256: str | None
    links: Links | None
    rules: Rules
    replaced: list[ReplacedRow]
    changes: list[RowChange]


class RowQueries:
    """Reads rows of summaries."""

    def __init__(self, store: Store, hidden: Hidden, book: FeedBook) -> None:
        self._store, self._hidden = store, hidden
        self._origins = Origins(store, book)

    def read_rows(self, tenant: str, feed: Feed, query: RowsQuery, known: Known = ()) -> Page:
        """A JSON array of SummaryRow; another format is a whole file. Raises InputError for a feed of another shape."""
        sign = -1 if query.order == "desc" else 1
        after, span = query.cursor or (before_first_ns(sign), ""), time_range(query.start, query.end)
        filters = feed_filters(tenant, feed, query.tags, self._hidden(tenant))
        tag = feed_tag(self._store, tenant, query, feed, filters)
        if tag is not None and tag in known:
            return unchanged(tag)
        if query.format != "json":
            refuse_pages(limit=query.limit, cursor=query.cursor)
            bound = self._bound(tenant, feed, query.tags, span, sign=sign, after=after)
            lines = self._store.stream("summary_rows", "JSONEachRow", **bound, limit=ALL_ROWS)
            return tagged(rows_file(lines, feed, query.format), tag)
        limit = query.limit or 1000
        rows = self._rows(tenant, feed, query.tags, span, limit + 1, sign=sign, after=after)
        page = rows[:limit]
        following = encode_cursor(page[-1]["ns"], page[-1]["tags_text"]) if len(rows) > len(page) else None
        return tagged(answers.json_page([_row(row, feed) for row in page], following), tag)

    def lineage(self, tenant: str, feed: Feed, time: str, query: RowLineageQuery) -> RowLineage:
        """The lineage of the row at `time` (RFC 3339, any offset). A feed with tags needs those that select one row.

        Raises NotFoundError where there is no row or `time` is no time, InputError for several rows or another shape.
        """
        try:
            ns = parse_instant(time)
        except ValueError:
            raise NotFoundError(f"there is no row at '{time[:64]}' in '{feed.name}': that is no time") from None
        rows = self._rows(tenant, feed, query.tags, TimeRange(ns, ns), 2)
        if not rows:
            raise NotFoundError(f"there is no row at {time[:64]} in '{feed.name}'")
        if len(rows) > 1:
            raise InputError(f"several rows of '{feed.name}' are at {time[:64]}; name one by its tags (tag.NAME=VALUE)")
        row = rows[0]
        version = row["feed_version"] or feed.version
        judged = self._origins.feed_version(tenant, feed.name, {"feed_version": version})
        return RowLineage(
            row=_row(row, feed),
            receipt=row["receipt"] or None,
            index=row["idx"],
            received_at=row["received_at"],
            sha256=row["sha256"] or None,
            links=receipt_links(row["receipt"]) if row["receipt"] else None,
            rules=judging_rules(feed.name, judged, version, row["marks"]),
            replaced=self._replaced(tenant, feed, ns, row["tags_text"]),
            changes=self._changes(tenant, feed, ns, row),
        )

    def _changes(self, tenant: str, feed: Feed, ns: int, row: dict[str, Any]) -> list[RowChange]:
        fields = {series_id(tenant, feed.name, row["tags"], field): field for field in SUMMARY}
        deleted = row["deleted_seq"]
        changes = published_changes(self._store, tenant, fields, deleted_seq=deleted, first_ns=ns, last_ns=ns)
        return [RowChange(**msgspec.structs.asdict(c), field=fields[parse_series(c.series)]) for c in changes]

    def _rows(
        self,
        tenant: str,
        feed: Feed,
        tags: Mapping[str, str],
        span: TimeRange,
        count: int,
        *,
        sign: int = 1,
        after: tuple[int, str] = (before_first_ns(1), ""),
    ) -> list[dict[str, Any]]:
        """At most `count` rows with these tags after `after` (ns, tags), ascending (`sign` 1) or descending (-1)."""
        bound = self._bound(tenant, feed, tags, span, sign=sign, after=after)
        return self._store.rows("summary_rows", **bound, limit=count)

    def _bound(
        self, tenant: str, feed: Feed, tags: Mapping[str, str], span: TimeRange, *, sign: int, after: tuple[int, str]
    ) -> dict[str, Any]:
        """The parameters of the query summary_rows but for its limit. Raises InputError for a feed of another shape."""
        if feed.shape.kind != "summary":
            raise shape_error(feed, "rows", "has no rows")
        return {
            **feed_filters(tenant, feed, tags, self._hidden(tenant)),
            "first": span.first_ns,
            "last": span.last_ns,
            "sign": sign,
            "after_ns": after[0],
            "after_tags": after[1],
        }

    def _replaced(self, tenant: str, feed: Feed, ns: int, tags_text: str) -> list[ReplacedRow]:
        rows = self._store.rows(
            "summary_replaced",
            tenant=tenant,
            feed=feed.name,
            hidden=sorted(self._hidden(tenant)),
            tags=tags_text,
            ns=ns,
            limit=MAX_REPLACED,
        )
        return [_replaced_row(row) for row in rows]


def _row(row: dict[str, Any], feed: Feed) -> SummaryRow:
    """A SummaryRow, with the feed's tags after the time."""
    tags = {tag: row["tags"].get(tag) for tag in feed.tags}
    values = {name: row[name] for name in ("mean", "stddev", "stddev_pop", "count")}
    return cast("SummaryRow", {"time": row["time"], **tags, **values, "receipt": row["receipt"] or None})


def _replaced_row(row: dict[str, Any]) -> ReplacedRow:
    receipt = row["receipt"] or None
    return ReplacedRow(
        mean=row["mean"],
        stddev=row["stddev"],
        stddev_pop=row["stddev_pop"],
        count=row["count"],
        receipt=receipt,
        index=row["idx"],
        sha256=row["sha256"] or None,
        received_at=row["received_at"],
        payload=receipt_links(receipt).payload if receipt else None,
        replaced_by=row["by_receipt"] or None,
        replaced_by_index=row["by_idx"],
    )
