"""Applies entries of the log to the store: writes all rows of a micro-batch, in an order that is safe in a crash.

Reads the state that a batch needs, has `decide.py` decide the rows without the store, and writes them: first the
rejections of superseded records; then series, replaced, changes, rejections and points in parallel (the points after
the others where a current value is replaced, because the store can no longer say which after that); then the changes of
rollups, and the rollups; last the payloads. Once the row of a payload is in the store, all of the payload can be read.
Every write is keyed, so applying entries again changes nothing. Where a portion of a batch only adds points, the next
portion is decoded and decided while it is inserted (`ahead.py`).
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby, islice
from typing import Final

import polars as pl
from msgspec import structs

from tidemill.crash_points import reach
from tidemill.feeds.book import FeedBook
from tidemill.mill import ledger, rollups, store_history
from tidemill.mill.ahead import InsertAhead
from tidemill.mill.batch import group_by_feed, transform_entries
from tidemill.mill.context import MillContext
from tidemill.mill.costs import CostKey
from tidemill.mill.decide import decide
from tidemill.mill.deletion import Deleter
from tidemill.mill.insert import insert_all
from tidemill.mill.lookup import StateReader
from tidemill.mill.portions import Growth
from tidemill.mill.retention import purge_series
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.superseded import write_superseded
from tidemill.mill.writes import Writes
from tidemill.model.deletion import is_erased
from tidemill.model.offset import ONLY, Partition
from tidemill.model.payload import EntryKind, LogEntry

_RECORDS: Final = 50_000
_POISON_TEXT_BYTES: Final = 64 << 10
_WRITE_BYTE_S: Final = 20e-9  # to write a byte of rows (1,000,000 points, 110 MB: 2 s)


class Applier:
    """The only writer of points, series, replaced, changes, rejections, rollups and payloads. Not thread-safe. `ahead`:
    null where everything is inserted before the next portion is prepared; else the store of the context waits by it.

    Raises StoreUnavailableError or StoreQueryError with some rows written: apply the same entries again.
    """

    def __init__(
        self,
        context: MillContext,
        book: FeedBook,
        pipeline: TransformPipeline,
        deleter: Deleter,
        partition: Partition = ONLY,
        *,
        ahead: InsertAhead | None = None,
        growth: Growth | None = None,
    ) -> None:
        self.context = context
        self._partition = partition
        self._store = context.store
        self._known = context.known
        self._status = context.status
        self._book = book
        self._pipeline = pipeline
        self._deleter = deleter
        self._reader = StateReader(context)
        self._history = store_history.StorePast(context)
        self._replays: dict[str, str] = {}  # by receipt, of payloads that are applied again
        self._versions: dict[str, int] = {}  # under which a replay applied them
        self._applied_until = partition.start  # no payload beyond this offset was ever applied
        self._announced_until = 0  # payloads up to this offset may have changes of an attempt that was cut short
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="mill-write")
        self._ahead = ahead
        self._growth = growth or Growth()
        self.spent = defaultdict[CostKey, float](float)  # seconds of the processor, since it was cleared

    def resume(self) -> int:
        """Read from the store what it has applied; returns the offset of its highest payload. Call it before the first
        `apply_entries`."""
        row = self._store.rows("mill_highest", **self._partition.bounds)[0]
        self.context.versions.raise_to(int(row["version"]))
        self._announced_until = int(self._store.rows("mill_highest_change", **self._partition.bounds)[0]["seq"])
        self._applied_until = max(self._applied_until, int(row["seq"]))
        self._known.drop_all()
        return int(row["seq"])

    def recall_replays(self, after: int) -> None:
        """Payloads beyond the offset `after` are applied again: read which of them were replayed, so that they are
        applied under the version of their replay."""
        rows = self._store.rows("replay_applied_last", after=after, upto=self._partition.end)
        self._replays = {row["receipt"]: row["replay"] for row in rows}
        self._versions = {row["receipt"]: row["feed_version"] for row in rows}

    def take_over(self, other: "Applier") -> None:
        """Continue after another applier of the same store. Forgets the states of series, which may be old."""
        self.context.versions.raise_to(other.context.versions.highest)
        self._applied_until = max(self._applied_until, other._applied_until)
        self._announced_until = max(self._announced_until, other._announced_until)
        self._replays, self._versions = other._replays, other._versions
        self._known.drop_all()

    def apply_entries(self, entries: Sequence[LogEntry], until: float = math.inf) -> int:
        """Make the store what it must be after these entries, which are in the order of the log. Begins no portion
        after `until` (by the monotonic clock) but the first; returns how many of the entries are applied, which are the
        first ones."""
        highest = max((entry.seq for entry in entries), default=0)
        try:
            entries = [self._as_replayed(entry) for entry in entries] if self._replays else entries
            count = self._apply_runs(entries, until)
        except BaseException:
            if self._ahead is not None:
                self._ahead.give_up()
            self._known.drop_all()  # the states may not have been written
            self._announced_until = max(self._announced_until, highest)
            self._applied_until = max(self._applied_until, highest)
            raise
        highest = max((entry.seq for entry in entries[:count]), default=0)
        self._applied_until = max(self._applied_until, highest)
        self._known.trim()
        return count

    def apply_again(self, entry: LogEntry) -> None:
        """Apply an entry once more, which was applied before. Changes nothing in the store."""
        self._announced_until = max(self._announced_until, entry.seq)
        self.apply_entries([entry])

    def set_aside(self, entry: LogEntry, why: str) -> None:
        """Keep a payload that cannot be applied, or whose bytes were lost, with the reason, and store no points of it.

        Deletes the rows that an attempt may have written (rows of `replaced` stay), then writes the rejection, then the
        row of the payload. Raises StoreUnavailableError, StoreQueryError: set the payload aside again.
        """
        self._delete_attempt(entry)
        rejections = ledger.poison_rejection(entry, why)
        text = entry.payload.body[:_POISON_TEXT_BYTES].decode("utf-8", "replace")  # whatever the payload's size
        keys = entry.payload.tenant, entry.payload.feed, ledger.payload_origins([entry])
        outcomes = ledger.outcomes_without_points(rejections, "poison")
        payloads = ledger.payload_rows([entry], outcomes, self.context.versions.next())
        self._store.insert("rejections", ledger.rejection_rows(rejections, *keys, [text]))
        self._store.insert("payloads", payloads)
        self._status.poisoned += 1
        self._status.failed(f"payload {entry.seq} is set aside: {why}", self.context.clock())

    def close(self) -> None:
        """End the threads."""
        if self._ahead is not None:
            self._ahead.close()
        self._pool.shutdown()

    def _delete_attempt(self, entry: LogEntry) -> None:
        keys = {"tenant": entry.payload.tenant, "seq": entry.seq}
        feed = entry.payload.feed
        self._store.command("mill_purge_payload_rejections", feed=feed, **keys)
        self._store.command("mill_purge_payload_changes", **keys)
        if self._store.rows("mill_payload_submissions", **keys)[0]["n"]:
            self._store.command("mill_purge_payload_submissions", **keys)
        if self._store.rows("mill_point_count", **keys)[0]["n"]:
            late = rollups.late_of(self._book, entry.payload.tenant, feed, entry.payload.feed_version)
            self._store.command(
                "mill_rollups_without_payload", version=self.context.versions.next(), late_ns=late, **keys
            )
            self._store.command("mill_purge_payload_points", **keys)

    def _as_replayed(self, entry: LogEntry) -> LogEntry:
        """The entry under the feed version that a replay applied it under last, if one did."""
        version = self._versions.get(entry.payload.receipt)
        if version is None:
            return entry
        payload = structs.replace(entry.payload, feed_version=version, kind=EntryKind.DATA, faults=())
        return structs.replace(entry, payload=payload)

    def _apply_runs(self, entries: Sequence[LogEntry], until: float) -> int:
        """Apply entries in their order; see `apply_entries`. Nothing is under way when it returns."""
        last = None
        for deletes, run in groupby(entries, key=lambda entry: entry.payload.kind is EntryKind.DELETE):
            if deletes:
                deletions = list(run)
                self._delete(deletions)
                last = deletions[-1].seq
                continue
            for separable in store_history.split_runs(self._without_deleted(list(run)), self._pipeline.looks_back):
                for portion in self._growth.cut_portions(separable):
                    if last is not None and time.monotonic() > until:
                        self._wait()
                        return next(number for number, entry in enumerate(entries, 1) if entry.seq == last)
                    self._apply_portion(portion)
                    last = portion[-1].seq
                self._wait()
        return len(entries)

    def _wait(self) -> None:
        """Wait for the insert under way. Raises what it ended with."""
        if self._ahead is not None:
            self._ahead.wait()

    def _apply_portion(self, entries: list[LogEntry]) -> None:
        version = self.context.versions.next()
        batch: list[Writes] = []
        rejections = []
        for (tenant, feed), of_feed in group_by_feed(entries):
            begun = time.thread_time()
            writes = self._decide(tenant, feed, of_feed, version)
            batch.append(writes)
            rejections.append(self._rejection_rows(of_feed, writes))
            self._growth.learn(tenant, feed, of_feed, writes.size_bytes)
            self.spent[tenant, feed, False] += time.thread_time() - begun + writes.size_bytes * _WRITE_BYTE_S
        outcomes = pl.concat([writes.outcomes for writes in batch])
        payloads = ledger.payload_rows(entries, outcomes, version, self._replays)
        reach("mill.decided")
        insert = partial(self._insert, batch, rejections, payloads, version)
        if self._ahead is not None and all(writes.adds_only for writes in batch):
            self._ahead.start(insert)
            return
        self._wait()
        insert()

    def _insert(
        self, batch: Sequence[Writes], rejections: list[Iterator[pl.DataFrame]], payloads: pl.DataFrame, version: int
    ) -> None:
        reach("mill.before_insert")
        insert_all(self.context, self._pool, batch, rejections=rejections, payloads=payloads, version=version)
        self._count(batch, payloads)

    def _decide(self, tenant: str, feed: str, entries: list[LogEntry], version: int) -> Writes:
        """The rows to write for the payloads of one feed. Writes here what the decision about the next feed depends on:
        the purge of deleted series and the superseded records."""
        batch = transform_entries(tenant, feed, entries, self._pipeline, self._history)
        with self._status.stage("decide"):
            state = self._reader.read_state(
                batch, applied_until=self._applied_until, announced_until=self._announced_until
            )  # fmt: skip
            writes = decide(batch, state, version=version, now=self.context.clock())
        for contest in writes.contests:
            if contest.purged:
                purge_series(self._store, tenant, contest.purged)
            if contest.supersedes:
                self._status.restated += write_superseded(
                    self.context,
                    tenant,
                    feed,
                    contest.superseded,
                    texts_of=self._pipeline.texts,
                    version=version,
                    repointed=contest.repointed,
                )
            self._known.learn(contest.series, contest.latest)
            self._known.submissions.learn(contest.submissions)
        return writes

    def _delete(self, entries: list[LogEntry]) -> None:
        begun = time.perf_counter()  # the store's time: it does the work
        self._deleter.apply_deletions(entries)
        for entry in entries:
            self.spent[entry.payload.tenant, entry.payload.feed, True] += (time.perf_counter() - begun) / len(entries)

    def _without_deleted(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """The entries that were not deleted. Writes a payload row without bytes for those whose bytes the log erased
        while the store has no tombstone of them."""
        deleted: set[int] = set()
        for tenant in {entry.payload.tenant for entry in entries}:
            seqs = [entry.seq for entry in entries if entry.payload.tenant == tenant]
            deleted |= self._known.tombstones.deleted_payloads(tenant, seqs)
        alive = [entry for entry in entries if entry.seq not in deleted]
        erased = [entry for entry in alive if is_erased(entry.payload)]
        if erased:
            seqs_only = pl.DataFrame({"seq": [entry.seq for entry in erased]}, schema={"seq": pl.UInt64})
            outcomes = ledger.payload_outcomes(
                seqs_only.with_columns(records=0), ledger.concat_rejections([]), "deleted"
            )
            self._store.insert("payloads", ledger.payload_rows(erased, outcomes, self.context.versions.next()))
        return [entry for entry in alive if not is_erased(entry.payload)]

    def _rejection_rows(self, entries: Sequence[LogEntry], writes: Writes) -> Iterator[pl.DataFrame]:
        """Rows of table `rejections`, with the text of each record, in parts of _RECORDS rows. Each part is made when
        it is written, so that only one is in memory."""
        tenant, feed, rejections = writes.tenant, writes.feed, writes.rejections
        origins = ledger.payload_origins(entries)
        texts = self._pipeline.each_text({entry.seq: entry for entry in entries}, rejections)
        for part in rejections.iter_slices(_RECORDS):
            if part.height:
                begun = time.thread_time()
                with self._status.stage("ledger"):
                    rows = ledger.rejection_rows(part, tenant, feed, origins, list(islice(texts, part.height)))
                self.spent[tenant, feed, False] += time.thread_time() - begun
                yield rows

    def _count(self, batch: Sequence[Writes], payloads: pl.DataFrame) -> None:
        status = self._status
        status.refused += int((payloads["state"] == "refused").sum())
        status.accepted += int(payloads["accepted"].sum())
        status.rejected += int(payloads["rejected"].sum())
        for contest in (contest for writes in batch for contest in writes.contests):
            status.points += contest.points.height
            status.replaced += contest.replaced.height
            status.changes += contest.changes.height
            status.rollups += contest.windows.windows.height if contest.windows else 0
