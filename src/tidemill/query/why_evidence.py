"""The evidence about one instant of a series from the store and the log, read in two rounds of parallel queries.

Finds the series of a request (also a deleted one or one that never existed), and reads its evidence and what of the
feed is not known. The times of events (`why_times.py`), the events (`why_events.py`) and the verdict (`why.py`) are
made from this evidence alone.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidemill.decode.cut_columns import needs_a_field
from tidemill.decode.plan import compile_plan
from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.log.contract import LogReader
from tidemill.model.ids import format_series, series_id
from tidemill.model.offset import Reach, partition_of_feed
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.query.deletions import AppliedDeletion, applied_deletions
from tidemill.query.lineage import MAX_POINTS, MAX_REPLACED
from tidemill.query.origins import Origins
from tidemill.query.payload_search import PayloadSearch, Wanted, without_deleted
from tidemill.query.point_changes import PublishedChange, published_changes
from tidemill.query.rollups import RollupWindow, window_begin, window_widths, windows_at
from tidemill.query.series import Hidden
from tidemill.store.client import Store, run_parallel

MAX_LISTED: Final = 20  # series in the message for a request that matches several


class Subject(msgspec.Struct, frozen=True):
    """A series. `number` is 0 where its id is not known; `known`: the store has or had the series; `deleting`: its
    deletion is acknowledged and not applied yet. Points with seq <= `deleted_seq` are deleted."""

    number: int
    feed: str
    field: str | None
    tags: dict[str, str]
    known: bool = False
    deleted: bool = False
    deleting: bool = False
    deleted_seq: int = 0

    @property
    def id(self) -> str | None:
        """The id in the form of the API, or None."""
        return format_series(self.number) if self.number else None


class Subjects:
    """Finds the series of a request."""

    def __init__(self, store: Store, book: FeedBook, hidden: Hidden) -> None:
        self._store, self._book, self._hidden = store, book, hidden

    def find_subject(
        self, tenant: str, series: int | None, feed: str | None, field: str | None, tags: Mapping[str, str]
    ) -> Subject:
        """The series that matches. Raises NotFoundError for an id or feed that is not the tenant's, and InputError
        where neither is given or several series match; its message lists them."""
        if series is None and feed is None:
            message = "say which series: by 'series', or by 'feed' with 'field' and tags (tag.NAME=VALUE)"
            raise InputError(message, (Fault("$query.series", "missing", message),))
        rows = self._store.rows(
            "why_series",
            tenant=tenant,
            series=series or 0,
            feed=feed or "",
            field=field or "",
            tag_keys=list(tags),
            tag_values=list(tags.values()),
            limit=MAX_LISTED + 1,
        )
        alive = [row for row in rows if not row["deleted"]] or rows
        if len(alive) > 1:
            raise _several(alive)
        if alive:
            return self._known(tenant, alive[0])
        if series is not None:
            raise NotFoundError(f"there is no series '{format_series(series)}' that fits")
        assert feed is not None
        return _unknown(tenant, self._book.newest(tenant, feed), field, dict(tags))

    def _known(self, tenant: str, row: dict[str, Any]) -> Subject:
        return Subject(
            number=row["series"],
            feed=row["feed"],
            field=row["field"],
            tags=row["tags"],
            known=True,
            deleted=row["deleted"],
            deleting=row["series"] in self._hidden(tenant),
            deleted_seq=row["deleted_seq"],
        )


def _unknown(tenant: str, feed: Feed, field: str | None, tags: dict[str, str]) -> Subject:
    """A series that never existed, with the id that it would have if the request has all parts of it. Raises InputError
    for a field or a tag that the feed does not have."""
    fields = SUMMARY if feed.shape.kind == "summary" else tuple(feed.fields)
    if field and fields and feed.registers is None and field not in fields:
        message = f"the feed '{feed.name}' has no field '{field[:80]}'; it has {', '.join(fields)}"
        raise InputError(message, (Fault("$field", "invalid", message),))
    unknown = None if feed.input.open else next((name for name in tags if name not in feed.tags), None)
    if unknown is not None and feed.shape.kind != "samples":
        message = f"the feed '{feed.name}' has no tag '{unknown[:80]}'; it has {', '.join(feed.tags) or 'none'}"
        raise InputError(message, (Fault("$tag", "invalid", message),))
    field = field or (fields[0] if len(fields) == 1 or fields is SUMMARY else None)
    whole = field is not None and (feed.input.open or tags.keys() == feed.tags.keys())
    return Subject(series_id(tenant, feed.name, tags, field) if whole and field else 0, feed.name, field, tags)


def _several(rows: list[dict[str, Any]]) -> InputError:
    listed = [_words(row) for row in rows[:MAX_LISTED]]
    count = f"{len(listed)}" if len(rows) <= MAX_LISTED else f"more than {MAX_LISTED}"
    faults = tuple(Fault("$query.series", "ambiguous", text) for text in listed)
    return InputError(f"{count} series fit; choose one by 'series', or name its 'field' and all of its tags", faults)


def _words(row: dict[str, Any]) -> str:
    tags = "".join(f", {name}={value}" for name, value in row["tags"].items())
    return f"series {format_series(row['series'])}: {row['field']}{tags}"


MAX_REJECTIONS: Final = 1_000  # of one instant
_LOG_COUNT: Final = 10_000  # most entries of the log that are searched for waiting payloads
_LOG_BYTES: Final = 8 << 20


class Waiting(msgspec.Struct, frozen=True):
    """Payloads of the feed in the log that are not applied yet: at least how many, and when the first was received."""

    count: int
    since_ns: int


class Doubts(msgspec.Struct, frozen=True):
    """What of a feed is not known where nothing of an instant is known: payloads that were not searched (`unsearched`),
    rejected records without a time that could be read (`untimed`, at most 1,000), payloads of which the times were not
    noted (`unnoted`), payloads that were deleted by their receipt (`deleted_payloads`), and items of parallel arrays
    that are no records, as all of their values are null (`omits_items`: the feed takes such)."""

    unsearched: int = 0
    untimed: int = 0
    unnoted: bool = False
    deleted_payloads: int = 0
    omits_items: bool = False


class InstantEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence about an instant (ns). Rows are those of the queries; `facts` are those of payloads, by offset;
    `feed` is the current definition (None: not readable); `versions` are those that judged records, by number. `nulls`
    and `expired`: values of accepted records that left no point (`payload_search.FoundValues`)."""

    subject: Subject
    at_ns: int
    feed: Feed | None
    versions: dict[int, Feed | None]
    points: list[dict[str, Any]]
    replaced: list[dict[str, Any]]
    rejections: list[dict[str, Any]]
    windows: list[RollupWindow]
    changes: list[PublishedChange]
    deletions: list[AppliedDeletion]
    facts: dict[int, dict[str, Any]]
    waiting: Waiting | None
    nulls: list[dict[str, Any]] = []
    expired: list[dict[str, Any]] = []
    doubts: Doubts = Doubts()


class Gatherer:
    """Reads the evidence."""

    def __init__(self, store: Store, log: LogReader, book: FeedBook) -> None:
        self._store, self._log = store, log
        self._origins = Origins(store, book)
        self._search = PayloadSearch(store, self._origins)

    def gather(self, tenant: str, subject: Subject, at_ns: int, applied: Reach) -> InstantEvidence:
        """The evidence about an instant of a series. `applied` is the applied offset of each partition."""
        waiting = waiting_payloads(self._log, tenant, subject.feed, applied)
        feed = self._origins.feed_version(tenant, subject.feed, None)
        bound = {"tenant": tenant, "series": subject.number, "deleted_seq": subject.deleted_seq}
        wanted = Wanted(subject.feed, subject.number, subject.field, subject.tags, at_ns, at_ns)
        points, replaced, rejections, windows, changes, deletions, found = run_parallel(
            lambda: self._store.rows("lineage_points", **bound, at=at_ns, limit=MAX_POINTS),
            lambda: self._store.rows("lineage_replaced", **bound, first=at_ns, last=at_ns, limit=MAX_REPLACED),
            lambda: self._rejections(tenant, subject, at_ns),
            lambda: windows_at(self._store, tenant, subject.number, at_ns, feed),
            lambda: self._changes(tenant, subject, feed, at_ns),
            lambda: applied_deletions(self._store, tenant),
            lambda: self._search.accepted_values(tenant, wanted, only_nulls=True),
        )
        covering = [item for item in deletions if item.covers(subject.feed, subject.number, subject.tags, at_ns)]
        if all(row["value"] is None for row in points) and self._expires(tenant, feed):
            found = self._search.accepted_values(tenant, wanted, only_nulls=False)
        known = {(row["seq"], row["idx"]) for row in [*points, *replaced]}
        alive = without_deleted(found.values, wanted, subject.deleted_seq, covering)
        pointless = [row for row in alive if (row["seq"], row["idx"]) not in known]
        doubts = Doubts(unsearched=found.unsearched)
        if not (points or replaced or pointless or covering or any(row["certain"] for row in rejections)):
            doubts = self._doubts(tenant, subject.feed, feed, deletions, found.unsearched)
        hidden = subject.deleting  # no answer contains values of a deleted series
        named = {row["seq"] for row in points} | {row[name] for row in replaced for name in ("seq", "by_seq")}
        named |= {row[name] for row in rejections for name in ("seq", "winner_seq")} | {row["seq"] for row in pointless}
        facts = self._origins.payload_facts(tenant, named)
        numbers = {row["feed_version"] for row in facts.values()}
        return InstantEvidence(
            subject=subject,
            at_ns=at_ns,
            feed=feed,
            versions={n: self._origins.feed_version(tenant, subject.feed, {"feed_version": n}) for n in numbers},
            points=[] if hidden else points,
            replaced=[] if hidden else replaced,
            rejections=rejections,
            windows=[] if hidden else windows,
            changes=[] if hidden else changes,
            deletions=covering,
            facts=facts,
            waiting=waiting,
            nulls=[] if hidden else [row for row in pointless if row["value"] is None],
            expired=[] if hidden else [row for row in pointless if row["value"] is not None],
            doubts=doubts,
        )

    def _expires(self, tenant: str, feed: Feed | None) -> bool:
        """Whether points expire under any version of a feed."""
        if feed is None:
            return False
        versions = (
            self._origins.feed_version(tenant, feed.name, {"feed_version": number})
            for number in range(1, feed.version + 1)
        )
        return bool(feed.retention.points) or any(version and version.retention.points for version in versions)

    def _doubts(
        self, tenant: str, name: str, feed: Feed | None, deletions: list[AppliedDeletion], unsearched: int
    ) -> Doubts:
        blind = self._store.rows("search_blind_spots", tenant=tenant, feed=name)[0]
        deleted = sum(item.kind == "payload" and item.selector.get("feed", name) == name for item in deletions)
        omits = feed is not None and feed.input.columns is not None and needs_a_field(compile_plan(feed))
        return Doubts(unsearched, int(blind["untimed"]), bool(blind["unnoted"]), deleted, omits)

    def _rejections(self, tenant: str, subject: Subject, at_ns: int) -> list[dict[str, Any]]:
        return self._store.rows(
            "why_rejections",
            tenant=tenant,
            feed=subject.feed,
            series=subject.number,
            at=at_ns,
            words=list(subject.tags.values()),
            limit=MAX_REJECTIONS,
        )

    def _changes(self, tenant: str, subject: Subject, feed: Feed | None, at_ns: int) -> list[PublishedChange]:
        """The changes of the point, and of the window that contains it."""
        every_s = window_widths(feed)
        return published_changes(
            self._store,
            tenant,
            [subject.number],
            deleted_seq=subject.deleted_seq,
            first_ns=window_begin(at_ns, every_s[0]) if every_s else at_ns,
            last_ns=at_ns,
            widths=(0, *every_s),
            only=True,
        )


def waiting_payloads(log: LogReader, tenant: str, feed: str, applied: Reach) -> Waiting | None:
    """The payloads of a feed that are not applied yet. Must be read before the store, so that a payload which is
    applied in between is in at least one of the two."""
    number = partition_of_feed(tenant, feed, len(log.partitions))
    read = log.partitions[number].read(applied[number], _LOG_COUNT, _LOG_BYTES)
    ours = [entry.payload for entry in read if _is_data_of_feed(entry, tenant, feed)]
    return Waiting(len(ours), ours[0].received_ns) if ours else None


def _is_data_of_feed(entry: LogEntry, tenant: str, feed: str) -> bool:
    payload = entry.payload
    return payload.tenant == tenant and payload.feed == feed and payload.kind in (EntryKind.DATA, EntryKind.REFUSED)
