"""The rejection ledger for administrators: pages, newest first, files, and counts by reason.

Order: offset descending, then index in the payload descending. A cursor has the last (seq, idx) of each partition of
the log, so that new rejections do not change the following pages. A page over several partitions is merged by times of
receipt; a file has one partition after the other.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.errors import Fault, InputError, LimitError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.paths import parse_path
from tidemill.model.ids import format_series
from tidemill.model.offset import partition_of
from tidemill.model.time import parse_instant
from tidemill.query import answers, readers
from tidemill.query.answers import AnyJson, Page
from tidemill.query.cursors import PROCESS_SEALS, Seals, merge_partitions
from tidemill.query.instants import format_instants
from tidemill.query.parameters import (
    time_range,
)
from tidemill.query.receipts import receipts_by_seq
from tidemill.query.record_texts import json_or_text
from tidemill.query.rejected_values import NOTHING_READ, ReadMembers, read_members
from tidemill.query.rejection_parameters import (
    DEFAULT_PAGE,
    MAX_EXPORTED,
    MAX_PAGE,
    RejectionFilters,
    RejectionsQuery,
    RejectionSummaryQuery,
)
from tidemill.query.series_search import FacetValue
from tidemill.query.wall_clock import WallClock, wall_clock
from tidemill.store.client import Store, run_parallel

RejectionKeys = tuple[tuple[int, int], ...]  # (seq, idx) for each partition of the log

_NEWEST: Final = (2**64 - 1, 2**32 - 1)
_OLDEST: Final = (0, 0)  # no rejection is before this key
ROUTE: Final = "rejections"

_QUERIES: Final = {"csv": "rejections_csv", "ndjson": "rejections_text", "parquet": "rejections_typed"}
MAX_FACET_VALUES: Final = 100  # of a facet in an answer
MAX_WINDOWS: Final = 10_000
MAX_PATH_KEYS: Final = 2  # of the path of a tag that is looked up in the JSON of records


class Winner(msgspec.Struct, frozen=True):
    """The record that a rejected duplicate duplicates: its payload (null: no longer kept) and its index in it."""

    receipt: str | None
    index: int


class Rejection(msgspec.Struct, frozen=True):
    """A record that did not become points. `time` is null where none could be read; `record` is its JSON, in which NaN
    and infinities, which JSON does not have, are texts, or else the raw text, ending with `…` after 64 KiB, empty where
    the payload could not be cut (`detail` says both); `record_text` is what was sent where `record` is JSON that
    differs from it; `values` (by field) and `tags` are those that can be read of it, whatever else is wrong with it;
    `series` are those that its points would have belonged to, as far as known; `winner` is null unless a reason is
    `duplicate`; `recovered_by` is the replay that made points of the record after all."""

    feed: str
    receipt: str
    index: int
    received_at: str
    time: str | None
    reasons: list[str]
    detail: str
    record: AnyJson
    record_text: str | None
    values: dict[str, float]
    tags: dict[str, str]
    rules_version: int
    series: list[str]
    winner: Winner | None
    recovered_by: str | None
    recovered_at: str | None


class RejectionPage(msgspec.Struct, frozen=True):
    """A page of the ledger."""

    items: list[Rejection]
    next: str | None


class RejectionWindow(msgspec.Struct, frozen=True):
    """How many records were rejected in the window that begins at `time`."""

    time: str
    total: int
    by_reason: dict[str, int]


class RejectionSummary(msgspec.Struct, frozen=True):
    """Counts of rejected records; one with two reasons counts under both. `windows`: with `every`, in order of time,
    those with rejections only (null without). `facets`: those of `by`, each with its most frequent values, at most
    100."""

    total: int
    by_reason: dict[str, int]
    by_feed: dict[str, int]
    every: str | None
    windows: list[RejectionWindow] | None
    facets: dict[str, list[FacetValue]]


class RejectionQueries:
    """Reads the ledger."""

    def __init__(
        self, store: Store, book: FeedBook | None = None, seals: Seals = PROCESS_SEALS, partitions: int = 1
    ) -> None:
        self._store, self._book, self._seals = store, book, seals
        self._newest: RejectionKeys = (_NEWEST,) * partitions

    def list_rejections(self, tenant: str, query: RejectionsQuery) -> RejectionPage:
        """A page; `start` and `end` are times of receipt. Raises InputError for a limit too high."""
        count = query.limit or DEFAULT_PAGE
        if count > MAX_PAGE:
            message = f"a page has at most {MAX_PAGE} records; format=csv, ndjson or parquet gives more at once"
            raise InputError(message, (Fault("$query.limit", "invalid", message),))
        filters, before = self._filters(tenant, query), self._before(tenant, query)
        rows = [
            self._store.rows("rejections", **filters, **_bound(_only_partition(before, number)), limit=count + 1)
            for number in range(len(before))
        ]
        taken = merge_partitions(rows, count, lambda row: -parse_instant(row["received_at"]))
        page = [row for _, row in taken]
        more = sum(map(len, rows)) > len(page)
        receipts = receipts_by_seq(self._store, tenant, (row["winner_seq"] for row in page if row["winner_seq"]))
        ended = dict(enumerate(before)) | {number: (row["seq"], row["idx"]) for number, row in taken}
        following = self._cursor(tenant, tuple(ended.values())) if more else None
        members = [] if self._book is None else read_members(self._book, tenant, page)
        read = members or [NOTHING_READ] * len(page)
        return RejectionPage(
            [_rejection(row, receipts, known) for row, known in zip(page, read, strict=True)], following
        )

    def answer_rejections(self, tenant: str, query: RejectionsQuery, kind: str) -> Page:
        """The selection: a RejectionPage as `json`, else a file in the format `kind`."""
        if kind != "json":
            before, limit = self._before(tenant, query), query.limit or MAX_EXPORTED
            chosen = self._filters(tenant, query) | _bound(before)
            return export_rejections(
                self._store, chosen, kind, limit, lambda row: self._cursor(tenant, _keys_after_row(before, row))
            )
        page = self.list_rejections(tenant, query)
        return answers.json_page(page, page.next)

    def summary(self, tenant: str, query: RejectionSummaryQuery) -> RejectionSummary:
        """Counts by reason and by feed."""
        filters = self._filters(tenant, query)
        rows, windows, facets = run_parallel(
            lambda: self._store.rows("rejections_summary", **filters),
            lambda: self._windows(query, filters),
            lambda: self._facets(query, filters),
        )
        every = None if query.every is None else query.every.text
        return RejectionSummary(**rows[0], every=every, windows=windows, facets=facets)

    def _windows(self, query: RejectionSummaryQuery, filters: dict[str, Any]) -> list[RejectionWindow] | None:
        """The windows of a summary. Raises LimitError for more than MAX_WINDOWS."""
        if query.every is None:
            return None
        of_record = {"of_record": query.windows_of == "time"}
        clock = self._clock(query, query.every, filters | of_record)
        length = {"count": query.every.count, "unit": query.every.unit, "length": query.every.nominal_ns}
        bound = {**filters, **of_record, **length, "closed_right": 0, **clock.lookup_tables()}
        rows = self._store.rows("rejections_windows", **bound, limit=MAX_WINDOWS + 1)
        if len(rows) > MAX_WINDOWS:
            message = f"that makes more than {MAX_WINDOWS:,} windows; ask for longer ones, or for a shorter range"
            raise LimitError("max_windows", MAX_WINDOWS, message)
        times = format_instants(pl.Series([row["ns"] for row in rows], dtype=pl.Int64), query.tz).to_list()
        return [RejectionWindow(time, row["total"], row["by_reason"]) for time, row in zip(times, rows, strict=True)]

    def _clock(self, query: RejectionSummaryQuery, every: readers.WindowLength, filters: dict[str, Any]) -> WallClock:
        """The wall clock of the request's zone, over the time of the windows."""
        if query.tz == "UTC" or every.of_epoch:
            return wall_clock("UTC", 0, 0)
        rows = self._store.rows("rejections_extent", **filters)
        first, last = (rows[0]["first"], rows[0]["last"]) if rows else (0, 0)
        return wall_clock(query.tz, first - every.nominal_ns, last)

    def _facets(self, query: RejectionSummaryQuery, filters: dict[str, Any]) -> dict[str, list[FacetValue]]:
        if not query.by:
            return {}
        tagged = any(facet.startswith("tag.") for facet in query.by)
        bound = {**filters, "facets": list(query.by), "tagged": tagged, "limit": MAX_FACET_VALUES}
        facets: dict[str, list[FacetValue]] = {facet: [] for facet in query.by}
        for row in self._store.rows("rejections_facets", **bound):
            facets[row["facet"]].append(FacetValue(row["value"], row["count"]))
        return facets

    def _filters(self, tenant: str, query: RejectionFilters) -> dict[str, Any]:
        """The parameters that the queries bind for the filters of a request."""
        span, times = time_range(query.start, query.end), time_range(query.time_start, query.time_end)
        tags = set(query.tags) | {name.removeprefix("tag.") for name in getattr(query, "by", ())}
        return {
            "tenant": tenant,
            "feed": query.feed or "",
            "receipt": query.receipt or "",
            "reasons": list(query.reason),
            "series": query.series or 0,
            "recovered": query.recovered,
            "first": span.first_ns,
            "last": span.last_ns,
            "timed": query.time_start is not None or query.time_end is not None,
            "first_time": times.first_ns,
            "last_time": times.last_ns,
            "tag_keys": list(query.tags),
            "tag_values": list(query.tags.values()),
            **self._tag_paths(tenant, query.feed, tags),
        }

    def _tag_paths(self, tenant: str, feed: str | None, tags: set[str]) -> dict[str, list[str]]:
        """Where tags of these names are in the records of the tenant's feeds, as far as a path of one or two keys says:
        `path_of`, `path_first`, `path_second`, as the queries bind them."""
        paths: list[tuple[str, str, str]] = []
        for each in self._book.list(tenant) if tags and self._book is not None else ():
            for name in tags & each.tags.keys() if feed in (None, each.name) else ():
                keys = parse_path(each.tags[name].path or "$")
                if 1 <= len(keys) <= MAX_PATH_KEYS and all(isinstance(key, str) for key in keys):
                    paths.append((f"{each.name}\n{name}", str(keys[0]), str(keys[1]) if keys[1:] else ""))
        names = ("path_of", "path_first", "path_second")
        return {name: [path[number] for path in paths] for number, name in enumerate(names)}

    def _cursor(self, tenant: str, ended: RejectionKeys) -> str:
        return self._seals.seal(ROUTE, tenant, *chain(*ended))

    def _before(self, tenant: str, query: RejectionsQuery) -> RejectionKeys:
        """The key at which the last page ended in each partition. Raises InputError for an invalid cursor."""
        parts = self._seals.open_or_start(ROUTE, tenant, query.cursor, tuple(chain(*self._newest)))
        return tuple(zip(parts[::2], parts[1::2], strict=True))


def _bound(before: RejectionKeys) -> dict[str, Any]:
    """The parameters that the queries bind to select the rejections before these keys."""
    seq, idx = max(before)
    several = before if len(before) > 1 else ()
    lists = {"before_seqs": [key[0] for key in several], "before_idxs": [key[1] for key in several]}
    return {"before_seq": seq, "before_idx": idx, **lists}


def _only_partition(before: RejectionKeys, partition: int) -> RejectionKeys:
    """The keys that select the rejections of one partition only."""
    return tuple(key if number == partition else _OLDEST for number, key in enumerate(before))


def _keys_after_row(before: RejectionKeys, row: dict[str, Any]) -> RejectionKeys:
    """The keys after a row of a file, which has the highest partition first."""
    last = partition_of(row["seq"])
    above = (row["seq"], row["idx"]), *(_OLDEST for _ in before[last + 1 :])
    return (*before[:last], *above)


def _rejection(row: dict[str, Any], receipts: dict[int, str], read: ReadMembers) -> Rejection:
    record = json_or_text(row["record"])
    winner = Winner(receipts.get(row["winner_seq"]), row["winner_idx"]) if row["winner_seq"] else None
    return Rejection(
        feed=row["feed"],
        receipt=row["receipt"],
        index=row["idx"],
        received_at=row["received_at"],
        time=row["time"],
        reasons=row["reasons"],
        detail=row["detail"],
        record=record,
        record_text=None if isinstance(record, str | msgspec.Raw) else row["record"],
        values=read.values,
        tags=read.tags,
        rules_version=row["rules_version"],
        series=[format_series(number) for number in row["series"]],
        winner=winner,
        recovered_by=row["recovered_by"] or None,
        recovered_at=row["recovered_at"],
    )


def export_rejections(
    store: Store, chosen: dict[str, Any], kind: str, limit: int, cursor: Callable[[dict[str, Any]], str]
) -> Page:
    """A file of the format `kind` with at most `limit` rejections, selected by the parameters `chosen`.

    In CSV a text that a spreadsheet would take for a formula begins with an apostrophe. `next` is the `cursor` of the
    last row in the file; it is None where no row follows.
    """
    beyond = store.rows("rejections_beyond", **chosen, offset=limit - 1)
    following = cursor(beyond[0]) if len(beyond) > 1 else None
    stream = store.stream(_QUERIES[kind], answers.STORE_FORMATS[kind], **chosen, limit=limit)
    return Page(stream, answers.MEDIA_TYPES[kind], following)
