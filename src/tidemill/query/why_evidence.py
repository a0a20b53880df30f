"""Everything that the store and the log know of one instant of a series, gathered in two rounds of side by side
questions. The story (`why_events.py`) and the verdict (`why_verdict.py`) are made from this alone."""

from typing import Any, Final

import msgspec

from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.log.contract import LogReader
from tidemill.model.offset import Reach, partition_of_feed
from tidemill.model.payload import Kind, Logged
from tidemill.query.deletions import Deletion, deletions
from tidemill.query.lineage import MAX_POINTS, MAX_REPLACED
from tidemill.query.origins import Origins
from tidemill.query.point_changes import Change, changes_of
from tidemill.query.rollup_windows import RollupWindow, begin, widths, windows_of
from tidemill.query.together import together
from tidemill.query.why_subject import Subject
from tidemill.store.client import Store

MAX_REJECTIONS: Final = 1_000  # of one instant
_LOG_COUNT: Final = 10_000  # how far the log is looked through for payloads that wait
_LOG_BYTES: Final = 8 << 20


class Waiting(msgspec.Struct, frozen=True):
    """Payloads of the feed in the log that are not applied yet: how many at least, and when the first was received."""

    count: int
    since_ns: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an instant (ns). Rows are as the queries give them; `facts` of payloads by place; `feed` is the
    definition in force (None: it cannot be read); `rules` the versions that judged, by number."""

    subject: Subject
    at_ns: int
    feed: Feed | None
    versions: dict[int, Feed | None]
    points: list[dict[str, Any]]
    replaced: list[dict[str, Any]]
    rejections: list[dict[str, Any]]
    windows: list[RollupWindow]
    changes: list[Change]
    deletions: list[Deletion]
    facts: dict[int, dict[str, Any]]
    waiting: Waiting | None


class Gatherer:
    """Asks for the evidence."""

    def __init__(self, store: Store, log: LogReader, book: FeedBook) -> None:
        self._store, self._log = store, log
        self._origins = Origins(store, book)

    def gather(self, tenant: str, subject: Subject, at_ns: int, applied: Reach) -> Evidence:
        """What is known of an instant of a series. `applied`: of each partition, the offset up to which the store has
        it all."""
        waiting = self._waiting(tenant, subject.feed, applied)
        feed = self._origins.feed(tenant, subject.feed, None)
        bound = {"tenant": tenant, "series": subject.number, "deleted_seq": subject.deleted_seq}
        points, old, lost, windows, changes, gone = together(
            lambda: self._store.rows("lineage_points", **bound, at=at_ns, limit=MAX_POINTS),
            lambda: self._store.rows("lineage_replaced", **bound, first=at_ns, last=at_ns, limit=MAX_REPLACED),
            lambda: self._rejections(tenant, subject, at_ns),
            lambda: windows_of(self._store, tenant, subject.number, at_ns, feed),
            lambda: self._changes(tenant, subject, feed, at_ns),
            lambda: deletions(self._store, tenant),
        )
        hidden = subject.deleting  # gone from every answer, also from this one
        named = {row["seq"] for row in points} | {row[name] for row in old for name in ("seq", "by_seq")}
        named |= {row[name] for row in lost for name in ("seq", "winner_seq")}
        facts = self._origins.facts(tenant, named)
        numbers = {row["feed_version"] for row in facts.values()}
        return Evidence(
            subject=subject,
            at_ns=at_ns,
            feed=feed,
            versions={n: self._origins.feed(tenant, subject.feed, {"feed_version": n}) for n in numbers},
            points=[] if hidden else points,
            replaced=[] if hidden else old,
            rejections=lost,
            windows=[] if hidden else windows,
            changes=[] if hidden else changes,
            deletions=[one for one in gone if one.covers(subject.feed, subject.number, subject.tags, at_ns)],
            facts=facts,
            waiting=waiting,
        )

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

    def _changes(self, tenant: str, subject: Subject, feed: Feed | None, at_ns: int) -> list[Change]:
        """Of the point, and of the window that it is in."""
        every_s = widths(feed)
        return changes_of(
            self._store,
            tenant,
            [subject.number],
            deleted_seq=subject.deleted_seq,
            first_ns=begin(at_ns, every_s[0]) if every_s else at_ns,
            last_ns=at_ns,
            widths=(0, *every_s),
            only=True,
        )

    def _waiting(self, tenant: str, feed: str, applied: Reach) -> Waiting | None:
        """Looked up before the store is asked: what is applied meanwhile is in one of the two answers at least."""
        number = partition_of_feed(tenant, feed, len(self._log.partitions))
        read = self._log.partitions[number].read(applied[number], _LOG_COUNT, _LOG_BYTES)
        ours = [entry.payload for entry in read if _is(entry, tenant, feed)]
        return Waiting(len(ours), ours[0].received_ns) if ours else None


def _is(entry: Logged, tenant: str, feed: str) -> bool:
    payload = entry.payload
    return payload.tenant == tenant and payload.feed == feed and payload.kind in (Kind.DATA, Kind.REFUSED)
