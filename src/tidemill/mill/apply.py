"""Applies entries of the log to the store: everything that one micro-batch changes, in an order that a crash
cannot hurt.

What a batch makes of the store is decided without it (`decide.py`); here the state is read before, and the rows are
written after. First the ledger of what is superseded; then series, replaced, changes, rejections and points side by
side (the points after the others where a value that stands is replaced: only the store can tell which); the changes of
rollups, rollups; last the payloads. When a payload's row is there, all of it can be read. Every write is keyed, so
applying entries again changes nothing.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import Final

import polars as pl
from msgspec import structs

from tidemill.crash_points import reach
from tidemill.feeds.book import FeedBook
from tidemill.mill import ledger, set_aside, store_history
from tidemill.mill.batch import by_feed, transform
from tidemill.mill.context import MillContext
from tidemill.mill.costs import Like
from tidemill.mill.decide import decide
from tidemill.mill.deletion import Deleter
from tidemill.mill.insert import insert_all
from tidemill.mill.lookup import StateReader
from tidemill.mill.portions import Growth
from tidemill.mill.retention import purge
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.superseded import write_superseded
from tidemill.mill.writes import Writes
from tidemill.model.deletion import is_erased
from tidemill.model.offset import ONLY, Partition
from tidemill.model.payload import EntryKind, LogEntry

_RECORDS: Final = 50_000
_WRITE_BYTE_S: Final = 20e-9  # to write a byte of rows (1,000,000 points, 110 MB: 2 s)


class Applier:
    """The only writer of points, series, replaced, changes, rejections, rollups and payloads. Not thread-safe.

    Raises StoreUnavailableError or StoreQueryError with some of it written: apply the same entries again.
    """

    def __init__(
        self,
        context: MillContext,
        book: FeedBook,
        pipeline: TransformPipeline,
        deleter: Deleter,
        partition: Partition = ONLY,
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
        self._applied_until = partition.start  # no payload beyond was ever applied
        self._announced_until = 0  # payloads up to here may have written changes in an attempt that was cut short
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="mill-write")
        self._growth = Growth()
        self.spent = defaultdict[Like, float](float)  # seconds of the processor, since someone cleared it

    def resume(self) -> int:
        """Read from the store how far it is; returns its highest payload. Call before the first `apply`."""
        row = self._store.rows("mill_highest", **self._partition.bounds)[0]
        self.context.versions.raise_to(int(row["version"]))
        self._announced_until = int(self._store.rows("mill_changes_highest", **self._partition.bounds)[0]["seq"])
        self._applied_until = max(self._applied_until, int(row["seq"]))
        self._known.drop_all()
        return int(row["seq"])

    def recall_replays(self, after: int) -> None:
        """Payloads beyond this place are applied again: those that were replayed, under the version of their replay."""
        rows = self._store.rows("replay_applied_last", after=after, upto=self._partition.end)
        self._replays = {row["receipt"]: row["replay"] for row in rows}
        self._versions = {row["receipt"]: row["feed_version"] for row in rows}

    def take_over(self, other: "Applier") -> None:
        """Go on where another applier of the same store has been; what was remembered of the store may be old."""
        self.context.versions.raise_to(other.context.versions.highest)
        self._applied_until = max(self._applied_until, other._applied_until)
        self._announced_until = max(self._announced_until, other._announced_until)
        self._replays, self._versions = other._replays, other._versions
        self._known.drop_all()

    def apply(self, entries: Sequence[LogEntry]) -> None:
        """Make the store what it must be after these entries, which follow each other in the log."""
        highest = max((entry.seq for entry in entries), default=0)
        try:
            entries = [self._as_replayed(entry) for entry in entries] if self._replays else entries
            for deletes, run in groupby(entries, key=lambda entry: entry.payload.kind is EntryKind.DELETE):
                if deletes:
                    self._delete(list(run))
                    continue
                for together in store_history.runs(self._alive(list(run)), self._pipeline.looks_back):
                    self._apply(together)
        except BaseException:
            self._known.drop_all()  # what it remembers may not have been written
            self._announced_until = max(self._announced_until, highest)
            raise
        finally:
            self._applied_until = max(self._applied_until, highest)
        self._known.trim()

    def apply_again(self, entry: LogEntry) -> None:
        """Apply an entry that was applied before and changed nothing since: it changes nothing."""
        self._announced_until = max(self._announced_until, entry.seq)
        self.apply([entry])

    def set_aside(self, entry: LogEntry, why: str) -> None:
        """Keep a payload that cannot be applied, with the reason, and make nothing of it."""
        set_aside.set_aside(self.context, self._book, entry, why)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _as_replayed(self, entry: LogEntry) -> LogEntry:
        version = self._versions.get(entry.payload.receipt)
        if version is None:
            return entry
        payload = structs.replace(entry.payload, feed_version=version, kind=EntryKind.DATA, faults=())
        return structs.replace(entry, payload=payload)

    def _apply(self, entries: list[LogEntry]) -> None:
        for portion in self._growth.portions(entries):
            self._apply_portion(portion)

    def _apply_portion(self, entries: list[LogEntry]) -> None:
        version = self.context.versions.next()
        batch: list[Writes] = []
        rejections = []
        for (tenant, feed), of_feed in by_feed(entries):
            begun = time.thread_time()
            writes = self._decide(tenant, feed, of_feed, version)
            batch.append(writes)
            rejections.append(self._rejection_rows(of_feed, writes))
            self._growth.learn(tenant, feed, of_feed, writes.size_bytes)
            self.spent[tenant, feed, False] += time.thread_time() - begun + writes.size_bytes * _WRITE_BYTE_S
        outcomes = pl.concat([writes.outcomes for writes in batch])
        payloads = ledger.payload_rows(entries, outcomes, version, self._replays)
        reach("mill.before_insert")
        insert_all(self.context, self._pool, batch, rejections=rejections, payloads=payloads, version=version)
        self._count(batch, payloads)

    def _decide(self, tenant: str, feed: str, entries: list[LogEntry], version: int) -> Writes:
        """What to write for one feed's payloads; what must be written before it is decided of others is."""
        batch = transform(tenant, feed, entries, self._pipeline, self._history)
        with self._status.stage("decide"):
            state = self._reader.read(
                batch, applied_until=self._applied_until, announced_until=self._announced_until
            )  # fmt: skip
            writes = decide(batch, state, version=version, now=self.context.clock())
        for contest in writes.contests:
            if contest.purged:
                purge(self._store, tenant, contest.purged)
            if not contest.superseded.is_empty():
                lost, texts = contest.superseded, self._pipeline.texts
                self._status.restated += write_superseded(
                    self.context, tenant, feed, lost, texts_of=texts, version=version
                )
            self._known.learn(contest.series, contest.latest)
        return writes

    def _delete(self, entries: list[LogEntry]) -> None:
        begun = time.perf_counter()  # the store's time: it does the work
        self._deleter.apply(entries)
        for entry in entries:
            self.spent[entry.payload.tenant, entry.payload.feed, True] += (time.perf_counter() - begun) / len(entries)

    def _alive(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """Without those that were deleted. Of what only the log still knows to be erased, a payload without bytes."""
        gone: set[int] = set()
        for tenant in {entry.payload.tenant for entry in entries}:
            seqs = [entry.seq for entry in entries if entry.payload.tenant == tenant]
            gone |= self._known.tombstones.payloads(tenant, seqs)
        alive = [entry for entry in entries if entry.seq not in gone]
        erased = [entry for entry in alive if is_erased(entry.payload)]
        if erased:
            nothing = pl.DataFrame({"seq": [entry.seq for entry in erased]}, schema={"seq": pl.UInt64})
            outcomes = ledger.payload_outcomes(nothing.with_columns(records=0), ledger.concat_rejections([]), "deleted")
            self._store.insert("payloads", ledger.payload_rows(erased, outcomes, self.context.versions.next()))
        return [entry for entry in alive if not is_erased(entry.payload)]

    def _rejection_rows(self, entries: Sequence[LogEntry], writes: Writes) -> Iterator[pl.DataFrame]:
        """Rows of the ledger, with the text of each record, in parts: made when they are written, so that no more of
        them are held than go in at once."""
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
