"""Applies entries of the log to the store: everything that one micro-batch changes, in an order that a crash
cannot hurt.

First the ledger of what is overtaken; then series, replaced, changes, rejections and points side by side (the points
after the others where a value that stands is replaced: only the store can tell which); the changes of rollups, rollups;
last the payloads. When a payload's row is there, all of it can be read. Every write is keyed, so applying entries again
changes nothing.
"""

import hashlib
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
from tidemill.feeds.definition import Feed
from tidemill.mill import changes, ledger, overtaken, past, restate, rollups
from tidemill.mill.context import MillContext
from tidemill.mill.costs import Like
from tidemill.mill.decide import Decider
from tidemill.mill.deletion import Deleter
from tidemill.mill.portions import Growth
from tidemill.mill.restate import Touched
from tidemill.mill.series import remember, series_rows
from tidemill.mill.stages import TransformedBatch, TransformPipeline
from tidemill.mill.writes import Writes, point_rows, replaced_rows
from tidemill.model.deletion import is_erased
from tidemill.model.offset import ONLY, Partition
from tidemill.model.payload import Kind, Logged

_POISON_TEXT: Final = 64 << 10
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
        self._clock = context.clock
        self._book = book
        self._pipeline = pipeline
        self._deleter = deleter
        self._decider = Decider(context)
        self._past = past.StorePast(context)
        self._replays: dict[str, str] = {}  # by receipt, of payloads that are applied again
        self._versions: dict[str, int] = {}  # under which a replay applied them
        self._told_until = 0  # payloads up to here may have told of changes in an attempt that was cut short
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="mill-write")
        self._growth = Growth()
        self.spent = defaultdict[Like, float](float)  # seconds of the processor, since someone cleared it

    def resume(self) -> int:
        """Read from the store how far it is; returns its highest payload. Call before the first `apply`."""
        row = self._store.rows("mill_highest", **self._partition.bounds)[0]
        self.context.versions.raise_to(int(row["version"]))
        self._told_until = int(self._store.rows("mill_changes_highest", **self._partition.bounds)[0]["seq"])
        self._known.forget()
        return int(row["seq"])

    def recall_replays(self, after: int) -> None:
        """Payloads beyond this place are applied again: those that were replayed, under the version of their replay."""
        rows = self._store.rows("replay_applied_last", after=after, upto=self._partition.end)
        self._replays = {row["receipt"]: row["replay"] for row in rows}
        self._versions = {row["receipt"]: row["feed_version"] for row in rows}

    def take_over(self, other: "Applier") -> None:
        """Go on where another applier of the same store has been; what was remembered of the store may be old."""
        self.context.versions.raise_to(other.context.versions.highest)
        self._told_until = max(self._told_until, other._told_until)
        self._replays, self._versions = other._replays, other._versions
        self._known.forget()

    def apply(self, entries: Sequence[Logged]) -> None:
        """Make the store what it must be after these entries, which follow each other in the log."""
        try:
            entries = [self._as_replayed(entry) for entry in entries] if self._replays else entries
            for deletes, run in groupby(entries, key=lambda entry: entry.payload.kind is Kind.DELETE):
                if deletes:
                    self._delete(list(run))
                    continue
                for together in past.runs(self._alive(list(run)), self._pipeline.looks_back):
                    self._apply(together)
        except BaseException:
            self._known.forget()  # what it remembers may not have been written
            self._told_until = max(self._told_until, *(entry.seq for entry in entries))
            raise
        self._known.trim()

    def apply_again(self, entry: Logged) -> None:
        """Apply an entry that was applied before and changed nothing since: it changes nothing."""
        self._told_until = max(self._told_until, entry.seq)
        self.apply([entry])

    def _as_replayed(self, entry: Logged) -> Logged:
        version = self._versions.get(entry.payload.receipt)
        if version is None:
            return entry
        payload = structs.replace(entry.payload, feed_version=version, kind=Kind.DATA, faults=())
        return structs.replace(entry, payload=payload)

    def set_aside(self, entry: Logged, why: str) -> None:
        """Keep a payload that cannot be applied, with the reason, and make nothing of it: what an attempt at it may
        have written goes. (What its values replaced stays in `replaced`.)"""
        self._withdraw(entry)
        rejections = ledger.poison(entry, why)
        writes = Writes(self._store, self._pool, self._status)
        text = entry.payload.body[:_POISON_TEXT].decode("utf-8", "replace")  # of any size, it must not fail for it
        of = entry.payload.tenant, entry.payload.feed, ledger.origins([entry])
        writes.rejections.append([ledger.rejection_rows(rejections, *of, [text])])
        found = ledger.outcomes_without_points(rejections, "poison")
        writes.payloads = ledger.payload_rows([entry], found, self.context.versions.next())
        writes.run([])
        self._status.poisoned += 1
        self._status.failed(f"payload {entry.seq} is set aside: {why}", self._clock())

    def from_store(self, entry: Logged) -> Logged | None:
        """An entry whose bytes the log has lost, with those of the store; None where the store has not those either."""
        payload = entry.payload
        body = self._store.raw("payload_body", "RawBLOB", tenant=payload.tenant, receipt=payload.receipt)
        if hashlib.sha256(body).digest() != payload.sha256:
            return None
        return Logged(entry.seq, structs.replace(payload, body=body))

    def _withdraw(self, entry: Logged) -> None:
        tenant, feed = entry.payload.tenant, entry.payload.feed
        self._store.command("mill_withdraw_rejections", tenant=tenant, feed=feed, seq=entry.seq)
        self._store.command("mill_withdraw_changes", tenant=tenant, seq=entry.seq)
        if self._store.rows("mill_points_of", tenant=tenant, seq=entry.seq)[0]["n"]:
            late = rollups.late_of(self._book, tenant, feed, entry.payload.feed_version)
            version = self.context.versions.next()
            self._store.command("mill_rollups_without", tenant=tenant, seq=entry.seq, version=version, late_ns=late)
            self._store.command("mill_withdraw_points", tenant=tenant, seq=entry.seq)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _apply(self, entries: list[Logged]) -> None:
        for portion in self._growth.portions(entries):
            self._apply_portion(portion)

    def _apply_portion(self, entries: list[Logged]) -> None:
        version = self.context.versions.next()
        writes = Writes(self._store, self._pool, self._status)
        outcomes = [pl.DataFrame(schema=ledger.OUTCOMES)]
        touched: list[list[Touched]] = []
        for (tenant, feed), of_feed in _by_feed(entries):
            begun, before = time.thread_time(), writes.size_bytes
            data = [entry for entry in of_feed if entry.payload.kind is Kind.DATA]
            refused = [entry for entry in of_feed if entry.payload.kind is Kind.REFUSED]
            rejections = [self._pipeline.refused(entry) for entry in refused]
            outcomes.append(ledger.outcomes_without_points(ledger.rejected(rejections), "refused"))
            if data:
                found, windows = self._data(tenant, feed, data, writes, version)
                outcomes.append(ledger.outcomes(*found, "applied"))
                rejections.append(found[1])
                touched.append(windows)
            told = self._known.buried.unburied(tenant, feed, ledger.rejected(rejections))
            writes.rejections.append(self._rejection_rows(tenant, feed, of_feed, told))
            writes.size_bytes += int(told.estimated_size())
            self._growth.learn(tenant, feed, of_feed, writes.size_bytes - before)
            written = (writes.size_bytes - before) * _WRITE_BYTE_S
            self.spent[tenant, feed, False] += time.thread_time() - begun + written
        writes.payloads = ledger.payload_rows(entries, pl.concat(outcomes), version, self._replays)
        reach("mill.before_insert")
        writes.run([partial(self._publish, windows, version) for windows in touched if windows])
        self._count(writes, touched)

    def _data(
        self, tenant: str, feed: str, entries: list[Logged], writes: Writes, version: int
    ) -> tuple[tuple[pl.DataFrame, pl.DataFrame], list[Touched]]:
        """Mill one feed's payloads into `writes`; returns their counts and rejections, and the windows touched."""
        milled = [
            self._pipeline.run(tenant, feed, number, list(of_version), self._past)
            for number, of_version in groupby(
                sorted(entries, key=lambda e: e.payload.feed_version), key=lambda e: e.payload.feed_version
            )
        ]
        rejections = [one.rejections for one in milled]
        touched: list[Touched] = []
        for same in _by_policy(milled):
            points = pl.concat([one.points for one in same])
            if points.is_empty():
                continue
            with self._status.stage("decide"):
                since = points["time"].min()
                self._known.load(tenant, points["series"].unique(), since if isinstance(since, int) else 0)
                decision = self._decider.decide(tenant, same[-1].feed, points)
            rejections.append(decision.rejections)
            kept = decision.points
            changed = changes.replaced(decision.replaced)
            if not decision.overtaken.is_empty():
                self._overtake(tenant, feed, decision.overtaken, version)
                lost = changes.overtaken(self._store, self._status, tenant, decision.overtaken, kept)
                changed = pl.concat([changed, lost])
            with self._status.stage("frames"):
                writes.points.append(point_rows(tenant, kept))
                writes.size_bytes += int(writes.points[-1].estimated_size())
                writes.replaced.append(replaced_rows(tenant, decision.replaced))
                writes.size_bytes += int(writes.replaced[-1].estimated_size())
                writes.stood |= bool(decision.replaced["stood"].any()) or not changed.is_empty()
                writes.changes.append(
                    changes.change_rows(changed, tenant=tenant, feed=feed, now=self._clock(), version=version)
                )
                writes.series.append(series_rows(self._known, tenant, pl.concat([m.series for m in same]), kept))
                if same[-1].feed.rollups:
                    touched.append(self._touched(tenant, same[-1].feed, entries, kept, changed))
                remember(self._known, kept)
        return (pl.concat([one.counts for one in milled]), ledger.rejected(rejections)), touched

    def _touched(
        self, tenant: str, feed: Feed, entries: Sequence[Logged], kept: pl.DataFrame, changed: pl.DataFrame
    ) -> Touched:
        """The windows of one feed's points, and whether an earlier attempt at them may have told of any."""
        seqs = pl.Series([entry.seq for entry in entries], dtype=pl.UInt64)
        first = min(entry.seq for entry in entries)
        from_seq = first if first <= self._told_until else 0
        if from_seq:
            changed = pl.concat([changed, changes.told_of_points(self._store, tenant, feed.name, seqs)])
        every, late = rollups.every_ns(feed), rollups.late_ns(feed)
        windows = restate.touched(self._known, kept, changed, every=every, late=late)
        return Touched(tenant=tenant, feed=feed.name, every=every, late=late, windows=windows, from_seq=from_seq)

    def _publish(self, touched: Sequence[Touched], version: int) -> None:
        """The windows of one feed, one after the other: those of versions with other policies may be the same."""
        for one in touched:
            one.publish(self._store, self._known, self._status, version, self._clock)

    def _overtake(self, tenant: str, feed: str, lost: pl.DataFrame, version: int) -> None:
        """Write the ledger of records that stood and lost, before anything else."""
        rows, seqs = overtaken.rejections_of(self._store, tenant, feed, lost, self._pipeline.texts)
        self._store.insert("rejections", rows)
        overtaken.restate(self._store, tenant, feed, lost, seqs=seqs, version=version)
        self._status.restated += len(seqs)

    def _delete(self, entries: list[Logged]) -> None:
        begun = time.perf_counter()  # the store's time: it does the work
        self._deleter.apply(entries)
        for entry in entries:
            self.spent[entry.payload.tenant, entry.payload.feed, True] += (time.perf_counter() - begun) / len(entries)

    def _alive(self, entries: Sequence[Logged]) -> list[Logged]:
        """Without those that were deleted. Of what only the log still knows to be erased, a payload without bytes."""
        gone: set[int] = set()
        for tenant in {entry.payload.tenant for entry in entries}:
            seqs = [entry.seq for entry in entries if entry.payload.tenant == tenant]
            gone |= self._known.buried.payloads(tenant, seqs)
        alive = [entry for entry in entries if entry.seq not in gone]
        erased = [entry for entry in alive if is_erased(entry.payload)]
        if erased:
            nothing = pl.DataFrame({"seq": [entry.seq for entry in erased]}, schema={"seq": pl.UInt64})
            found = ledger.outcomes(nothing.with_columns(records=0), ledger.rejected([]), "deleted")
            self._store.insert("payloads", ledger.payload_rows(erased, found, self.context.versions.next()))
        return [entry for entry in alive if not is_erased(entry.payload)]

    def _rejection_rows(
        self, tenant: str, feed: str, entries: Sequence[Logged], rejections: pl.DataFrame
    ) -> Iterator[pl.DataFrame]:
        """Rows of the ledger, with the text of each record, in parts: made when they are written, so that no more of
        them are held than go in at once."""
        origins = ledger.origins(entries)
        texts = self._pipeline.each_text({entry.seq: entry for entry in entries}, rejections)
        for part in rejections.iter_slices(_RECORDS):
            if part.height:
                begun = time.thread_time()
                with self._status.stage("ledger"):
                    rows = ledger.rejection_rows(part, tenant, feed, origins, list(islice(texts, part.height)))
                self.spent[tenant, feed, False] += time.thread_time() - begun
                yield rows

    def _count(self, writes: Writes, touched: list[list[Touched]]) -> None:
        status = self._status
        status.refused += int((writes.payloads["state"] == "refused").sum())
        status.accepted += int(writes.payloads["accepted"].sum())
        status.rejected += int(writes.payloads["rejected"].sum())
        status.points += sum(frame.height for frame in writes.points)
        status.replaced += sum(frame.height for frame in writes.replaced)
        status.changes += sum(frame.height for frame in writes.changes)
        status.rollups += sum(one.windows.height for windows in touched for one in windows)


def _by_feed(entries: Sequence[Logged]) -> Iterator[tuple[tuple[str, str], list[Logged]]]:
    groups: dict[tuple[str, str], list[Logged]] = {}
    for entry in entries:
        groups.setdefault((entry.payload.tenant, entry.payload.feed), []).append(entry)
    yield from groups.items()


def _by_policy(milled: list[TransformedBatch]) -> Iterator[list[TransformedBatch]]:
    """Versions of a feed whose points contend with each other, newest last."""
    for _, same in groupby(sorted(milled, key=lambda m: m.feed.duplicates), key=lambda m: m.feed.duplicates):
        yield sorted(same, key=lambda m: m.feed.version)
