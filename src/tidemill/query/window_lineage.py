"""The lineage of a rollup window: its row with the evidence, the payloads of its points (page by page), the superseded
values, the rejected records, and the published changes in it."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.model.ids import format_series
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.query.cursors import Seals
from tidemill.query.deletions import applied_deletions
from tidemill.query.origins import Origin, Origins, ReplacedValue, Rules, judging_rules, payload_origin, replaced_value
from tidemill.query.payload_search import PayloadSearch, Wanted, without_deleted
from tidemill.query.point_changes import PublishedChange, published_changes
from tidemill.query.rollups import RollupWindow, window_begin, window_widths, windows_at
from tidemill.query.series_rows import Description
from tidemill.store.client import Store, run_parallel

_WINDOW_REPLACED: Final = 1_000


class WindowPayload(msgspec.Struct, frozen=True):
    """A payload with current points in a window: how many, and the lowest index of their records in the payload."""

    payload: Origin
    points: int
    first_index: int


class RejectedInWindow(msgspec.Struct, frozen=True):
    """Rejected records in a window, by reason; `possible`: those of the feed whose series is not known."""

    by_reason: dict[str, int]
    possible: dict[str, int]
    link: str


class WindowLineage(msgspec.Struct, frozen=True):
    """The lineage of one rollup window of a series. `payloads` is a page: `next` leads to more. The points of a sealed
    window are past retention, so it has no payloads any more. `missing` counts accepted records in the window whose
    value was null or absent, which are no points (null: not known, as too many payloads may have one). `replaced` and
    `changes` have at most 1,000 items."""

    series: str
    feed: str
    field: str
    tags: dict[str, str]
    unit: str | None
    window: RollupWindow
    rules: Rules
    payloads: list[WindowPayload]
    next: str | None
    replaced: list[ReplacedValue]
    missing: int | None
    rejected: RejectedInWindow
    changes: list[PublishedChange]
    links: dict[str, str]


ROUTE: Final = "lineage"


class WindowLineageQueries:
    """Lineage of rollup windows."""

    def __init__(self, store: Store, book: FeedBook, seals: Seals) -> None:
        self._store, self._seals = store, seals
        self._origins = Origins(store, book)
        self._search = PayloadSearch(store, self._origins)

    def window_lineage(
        self, tenant: str, described: Description, begin_ns: int, limit: int, cursor: str | None
    ) -> WindowLineage:
        """As `LineageQueries.window_lineage`, of a known series. Raises NotFoundError for a window without points."""
        feed = self._origins.feed_version(tenant, described.feed, None)
        every_s = _width(described, feed, begin_ns)
        last = begin_ns + every_s * NS_PER_S - 1
        span = {"first": begin_ns, "last": last}
        bound = {"tenant": tenant, "series": described.series, "deleted_seq": described.deleted_seq, **span}
        (after,) = self._seals.open_or_start(ROUTE, tenant, cursor, (0,))
        windows, rows, replaced, rejected, missing, changes = run_parallel(
            lambda: windows_at(self._store, tenant, described.series, begin_ns, feed),
            lambda: self._store.rows("lineage_window_payloads", **bound, after=after, limit=limit + 1),
            lambda: self._store.rows("lineage_replaced", **bound, limit=_WINDOW_REPLACED),
            lambda: self._rejected(tenant, described, span),
            lambda: self._missing(tenant, described, span),
            lambda: published_changes(
                self._store,
                tenant,
                [described.series],
                deleted_seq=described.deleted_seq,
                first_ns=begin_ns,
                last_ns=last,
                widths=(0, every_s),
            ),
        )
        if not windows:
            raise _empty(described, begin_ns, every_s)
        page = rows[:limit]
        named = {row["seq"] for row in page} | {row[name] for row in replaced for name in ("seq", "by_seq")}
        facts = self._origins.payload_facts(tenant, named)
        return WindowLineage(
            series=format_series(described.series),
            feed=described.feed,
            field=described.field,
            tags=described.tags,
            unit=described.unit or None,
            window=windows[0],
            rules=judging_rules(described.feed, feed, feed.version if feed else 0),
            payloads=[WindowPayload(payload_origin(facts.get(r["seq"])), r["points"], r["first_index"]) for r in page],
            next=self._seals.seal(ROUTE, tenant, page[-1]["seq"]) if len(rows) > len(page) else None,
            replaced=[replaced_value(row, facts) for row in replaced],
            missing=missing,
            rejected=rejected,
            changes=changes,
            links=_links(described, begin_ns, last + 1),
        )

    def _missing(self, tenant: str, described: Description, span: Mapping[str, int]) -> int | None:
        wanted = Wanted(described.feed, described.series, described.field, described.tags, span["first"], span["last"])
        found = self._search.accepted_values(tenant, wanted, only_nulls=True)
        if found.unsearched:
            return None
        deletions = applied_deletions(self._store, tenant) if found.values else []
        return len(without_deleted(found.values, wanted, described.deleted_seq, deletions))

    def _rejected(self, tenant: str, described: Description, span: Mapping[str, int]) -> RejectedInWindow:
        rows = self._store.rows(
            "lineage_window_rejected", tenant=tenant, feed=described.feed, series=described.series, **span
        )
        return RejectedInWindow(
            by_reason={row["reason"]: row["certain"] for row in rows if row["certain"]},
            possible={row["reason"]: row["possible"] for row in rows if row["possible"]},
            link=f"/v1/rejections?feed={described.feed}&series={format_series(described.series)}",
        )


def _width(described: Description, feed: Feed | None, begin_ns: int) -> int:
    """The width (s) of the feed's window that begins at an instant. Raises InputError where no window begins there."""
    if not window_widths(feed):
        keeps = "keeps no rollups" if feed else "has a definition that cannot be read"
        message = f"the feed '{described.feed}' {keeps}; ask with time= for the lineage of a point"
        raise InputError(message, (Fault("$query.window", "no_such_shape", message),))
    every_s = window_widths(feed)[0]
    start = window_begin(begin_ns, every_s)
    if start != begin_ns:
        at, of = format_instant(begin_ns), format_instant(start)
        message = f"no window of {every_s} s begins at {at}; it is in that of {of}"
        raise InputError(message, (Fault("$query.window", "invalid", message),))
    return every_s


def _empty(described: Description, begin_ns: int, every_s: int) -> NotFoundError:
    series = format_series(described.series)
    return NotFoundError(
        f"series '{series}' has no points in the window of {every_s} s from {format_instant(begin_ns)}; "
        f"/v1/feeds/{described.feed}/rollups lists the windows that there are"
    )


def _links(described: Description, begin_ns: int, end_ns: int) -> dict[str, str]:
    series, start, end = format_series(described.series), format_instant(begin_ns), format_instant(end_ns)
    return {
        "series": f"/v1/series/{series}",
        "feed": f"/v1/feeds/{described.feed}",
        "points": f"/v1/series/{series}/points?start={start}&end={end}",
    }
