"""A small house for tests of the mill: the real log, the real engine, the real recipes, a clock of the test's."""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tests.log.payloads import NOW_NS, payload
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.hints import Hints
from tidemill.log.contract import BacklogReader, IntakeLog
from tidemill.log.limits import LogLimits
from tidemill.log.opening import open_partition_reader
from tidemill.log.sqlite import SqliteLog
from tidemill.mill.parts import MillParts
from tidemill.mill.rollups import AGGREGATES
from tidemill.mill.state_files import FileMillState
from tidemill.mill.worker import Mill
from tidemill.model.deletion import Deletion, deletion_payload
from tidemill.model.ids import new_receipt
from tidemill.model.offset import MAX_SEQ, Partition, partition_of, seq_of
from tidemill.model.payload import LogEntry
from tidemill.model.replay import Replay, ReplayRequest
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import Query, packaged_queries, query

__all__ = ["NOW_NS", "House", "Payload"]

Payload = dict[str, Any]
TABLES = {
    "points": "tenant, series, time, ordinal, value, {seq}, idx, flags, received_at, attributes",
    "series": "tenant, series, feed, name, field, tags, unit, deleted, {deleted_seq}",
    "rejections": "tenant, feed, {seq}, idx, time, reasons, record, rules_version, {winner_seq}, winner_idx, "
    "recovered_by",
    "payloads": "tenant, {seq}, receipt, feed, feed_version, state, accepted, rejected, reasons, hex(body) AS body, "
    "hex(sha256) AS sha256, faults",
    "rollups": f"tenant, series, window, {', '.join(AGGREGATES)}, late, sealed",
    "replaced": "tenant, series, time, {seq}, idx, value, {by_seq}, by_idx",
}
# What depends on how payloads were split into batches: which values were published in between.
EVIDENCE = {
    "changes": "{seq}, idx, series, every_s, time, feed, old, new, old_count, new_count, toString(why) AS why, "
    "{cause_seq}, cause_idx, replay, tenant",
    "restated": "series, window, restated_at, tenant",
}
PLANS = {"replay_plans": "replay, name, part"}


def _within_partition(columns: str) -> str:
    """Columns with `{seq}` as places in their partition: those of two houses are compared."""
    return re.sub(r"\{(\w+)\}", rf"bitAnd(\1, {MAX_SEQ}) AS \1", columns)


def _questions() -> dict[str, Query]:
    return {
        f"all_{table}": query(
            f"all_{table}",
            f"SELECT {_within_partition(columns)} FROM {'rollups' if table == 'restated' else table} FINAL"
            " WHERE tenant = {tenant:String}" + (" AND count > 0" if table == "rollups" else "") + " ORDER BY ALL",
        )
        for table, columns in (TABLES | EVIDENCE | PLANS).items()
    }


def questions() -> dict[str, Query]:
    """The product's queries and those of the tests."""
    return dict(packaged_queries()) | _questions()


_numbers = itertools.count(1)  # 0 is for tests that have an engine of their own


class House:
    """One log, one mill, one tenant of its own on an engine that may be shared: partitions of its own keep the houses
    apart, as they do the mills of one log."""

    def __init__(
        self,
        folder: Path,
        address: StoreAddress,
        tenant: str,
        *,
        clock: Callable[[], int] | None = None,
        log: IntakeLog | None = None,
        open_reader: Callable[[], BacklogReader] | None = None,
        partition: Partition | None = None,
        **bounds: Any,
    ) -> None:
        self.bounds = bounds  # of a batch: see MillParts
        self.folder = folder
        self.tenant = tenant
        self.clock = clock or (lambda: NOW_NS)
        limits = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
        if log is not None:
            partition = Partition(partition_of(log.partitions[0].last_seq()))
        self.partition = partition or Partition(next(_numbers))
        self.log: IntakeLog = log or SqliteLog(
            folder / "log", limits=limits, now_ns=self.clock, partition=self.partition.number
        )
        self.open_reader = open_reader or (lambda: open_partition_reader(folder, 0))
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")
        self.texts = CatalogFeeds(self.catalog)
        self.texts.install(tenant, RECIPES)
        self.book = FeedBook(self.texts, {})
        self.replays = CatalogReplays(self.catalog)
        self.store = Store(address, queries=questions())
        self.ours, theirs = Hints.pair()
        self.mill = self.new_mill(theirs)

    def new_mill(self, hints: Hints | None = None) -> Mill:
        """A mill that starts from the position on disk, as after a restart."""
        end = hints or Hints.pair()[1]
        self.state = FileMillState(self.folder / "mill", self.partition.start, self.catalog)
        self.mill = Mill(
            MillParts(
                self.open_reader(),
                self.store,
                self.book,
                self.state,
                end,
                work=self.folder / "mill" / "replays",
                clock=self.clock,
                replays=self.replays,
                partition=self.partition,
                **self.bounds,
            )
        )
        return self.mill

    @property
    def applied(self) -> int:
        """The place in the partition up to which everything is applied."""
        return seq_of(self.mill.progress.checkpoint)

    def offset(self, seq: int) -> int:
        """The offset of a place in the house's partition."""
        return self.partition.start + seq

    def send(self, feed: str, body: Any, **other: Any) -> int:
        """Append one payload (a body that is no bytes is sent as JSON); its place in the partition."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"tenant": self.tenant, "feed": feed} | other
        return seq_of(self.log.append(payload(raw, **sent)).result(10).seq)

    def neighbour(self, name: str) -> str:
        """Another tenant of this house, with the recipes."""
        tenant = f"{self.tenant}~{name}"
        self.texts.install(tenant, RECIPES)
        return tenant

    def delete(self, series: int, feed: str = "signals") -> int:
        """Append the deletion of a series; its place."""
        alone = feed == "signals"
        return self.ask(Deletion(kind="series", feed=feed, series=f"{series:016x}", alone=alone))

    def ask(self, deletion: Deletion) -> int:
        """Append a deletion; its place."""
        now = self.clock()
        entry = deletion_payload(
            deletion, tenant=self.tenant, receipt=new_receipt(now), received_ns=now, feed_version=1
        )
        return seq_of(self.log.append(entry).result(10).seq)

    def work(self) -> int:
        """Apply all that the log holds."""
        count = 0
        while (done := self.mill.apply_batch()) or self.mill.holding:
            count += done
            if not done:
                time.sleep(0.01)
        return count

    def replay(self, feed: str, version: int, *, dry_run: bool = False, **which: Any) -> Replay:
        """Replay payloads of a feed, to the end of it."""
        asked = ReplayRequest(feed=feed, version=version, dry_run=dry_run, **which)
        replay = Replay(id=new_receipt(self.clock()), tenant=self.tenant, request=asked, state="queued", created_ns=0)
        self.replays.create(replay)
        self.work_replays()
        return self.replays.get(self.tenant, replay.id)

    def work_replays(self) -> None:
        """Work on replays until there is none."""
        self.work()
        assert self.mill.replays is not None
        self.mill.replays.wake()
        while self.mill.replays.step(self.mill.progress):
            self.work()

    def entries(self) -> list[LogEntry]:
        return self.open_reader().read(self.partition.start, 100_000, 1 << 30)

    def apply(self, batches: Iterator[Sequence[LogEntry]] | list[Sequence[LogEntry]]) -> None:
        """Apply entries in these batches, whatever their order in the log."""
        applier = self.mill._applier
        applier.resume()
        for batch in batches:
            applier.apply_entries(batch)

    def all(self, table: str, tenant: str = "") -> list[dict[str, Any]]:
        return self.store.rows(f"all_{table}", tenant=tenant or self.tenant)

    def everything(self, *without: str, tenant: str = "") -> dict[str, list[dict[str, Any]]]:
        return {table: self.all(table, tenant) for table in TABLES if table not in without}

    def values(self, field: str) -> dict[int, float | None]:
        """time -> value of the only series of this field."""
        ids = {row["series"] for row in self.all("series") if row["field"] == field and not row["deleted"]}
        assert len(ids) == 1, ids
        return {row["time"]: row["value"] for row in self.all("points") if row["series"] in ids}

    def frame(self, table: str) -> pl.DataFrame:
        return self.store.frame(f"all_{table}", tenant=self.tenant)

    def close(self) -> None:
        self.log.close()
        self.store.close()
        self.catalog.close()
