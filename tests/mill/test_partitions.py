"""Mills side by side on one store, one for each partition of a log: what four of them leave is what one leaves."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.log.payloads import NOW_NS, payload
from tests.mill.house import questions
from tests.mill.test_worker import fix
from tidemill.api.applied import AppliedOffsets
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.hints import Hints
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import PartitionedLog, PartitionedReader
from tidemill.log.partitions import log_folder
from tidemill.log.sqlite import SqliteLog, SqliteLogReader
from tidemill.mill.crew import Crew
from tidemill.mill.parts import MillParts
from tidemill.mill.progress import LogProgress
from tidemill.mill.state_files import FileMillState, mill_folder, position_file
from tidemill.mill.turns import Turns
from tidemill.mill.verify.verifier import Verifier, VerifyScope
from tidemill.mill.worker import Mill
from tidemill.model.deletion import Deletion, deletion_payload
from tidemill.model.ids import new_receipt
from tidemill.model.offset import Partition, partition_of
from tidemill.model.replay import Replay, ReplayRequest
from tidemill.model.verification import VerifyReport
from tidemill.store.client import Store, StoreAddress

NAMES = ("a", "b", "c", "d", "e", "f")
_logs = itertools.count(1 << 18)  # numbers apart from those of houses


class Yard:
    """A log of `count` partitions, a mill for each, and the same tenants for whatever count."""

    def __init__(self, folder: Path, address: StoreAddress, count: int) -> None:
        self.folder, self.count, self.address = folder, count, address
        base = next(_logs) * 16
        self.partitions = [Partition(base + number, count) for number in range(count)]
        limits = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
        self.log = PartitionedLog(
            [
                SqliteLog(log_folder(folder, index), limits=limits, now_ns=lambda: NOW_NS, partition=one.number)
                for index, one in enumerate(self.partitions)
            ]
        )
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")
        self.texts = CatalogFeeds(self.catalog)
        self.replays = CatalogReplays(self.catalog)
        self.store = Store(address, queries=questions())
        for name in NAMES:
            self.texts.install(self.tenant(name), RECIPES)
        self.mills = self.new_mills()

    def tenant(self, name: str) -> str:
        return f"{self.folder.name}-{name}"

    def new_mills(self) -> list[Mill]:
        turns, book = Turns(self.count), FeedBook(self.texts, {})
        self.mills = [
            Mill(
                MillParts(
                    SqliteLogReader(log_folder(self.folder, index)),
                    Store(self.address, queries=questions()),
                    book,
                    FileMillState(mill_folder(self.folder, index), one.start, self.catalog),
                    Hints.pair()[1],
                    work=mill_folder(self.folder, index) / "replays",
                    clock=lambda: NOW_NS,
                    replays=self.replays,
                    partition=one,
                ),
                turns=turns,
            )
            for index, one in enumerate(self.partitions)
        ]
        return self.mills

    def send(self, name: str, feed: str, body: Any) -> int:
        raw = json.dumps(body).encode()
        return self.log.append(payload(raw, tenant=self.tenant(name), feed=feed)).result(10).seq

    def delete(self, name: str, deletion: Deletion) -> None:
        entry = deletion_payload(
            deletion, tenant=self.tenant(name), receipt=new_receipt(NOW_NS), received_ns=NOW_NS, feed_version=1
        )
        self.log.append(entry).result(10)

    def work(self) -> None:
        """Let all mills run side by side until everything is applied and no replay is under way."""
        stop = threading.Event()
        running = threading.Thread(target=Crew(self.mills).run_until, args=(stop,))
        running.start()
        deadline = time.monotonic() + 60
        try:
            while not self.is_done():
                errors = [(mill.status.state, mill.status.last_error) for mill in self.mills]
                assert running.is_alive() and time.monotonic() < deadline, (errors, self.progress)
                time.sleep(0.02)
        finally:
            stop.set()
            running.join(30)

    def is_done(self) -> bool:
        ends = [partition.last_seq() for partition in self.log.partitions]
        applied = [mill.progress.checkpoint for mill in self.mills]
        return applied == ends and not self.replays.under_way()

    @property
    def progress(self) -> LogProgress:
        return LogProgress(tuple(mill.progress for mill in self.mills))

    def open_reader(self) -> PartitionedReader:
        return PartitionedReader([SqliteLogReader(log_folder(self.folder, index)) for index in range(len(self.mills))])

    def verify(self) -> list[VerifyReport]:
        book = FeedBook(self.texts, {})
        verifier = Verifier(self.store, book, self.open_reader, lambda: self.progress, clock=lambda: NOW_NS)
        return [verifier.verify(VerifyScope(tenant=self.tenant(name))) for name in NAMES]

    def left(self, name: str) -> dict[str, list[str]]:
        """What a tenant has in the store, without places and ids."""
        tenant = self.tenant(name)
        series = {
            row["series"]: f"{row['feed']} {row['field']} {row['tags']}"
            for row in self.store.rows("all_series", tenant=tenant)
        }
        found = {}
        for table in ("points", "rejections", "payloads", "rollups", "replaced", "changes"):
            rows = self.store.rows(f"all_{table}", tenant=tenant)
            bare = [{key: value for key, value in row.items() if key not in UNLIKE} for row in rows]
            named = [row | {"series": series.get(row.get("series", 0))} for row in bare]
            found[table] = sorted(map(repr, named))
        return found

    def close(self) -> None:
        self.log.close()
        self.catalog.close()


UNLIKE = {"tenant", "receipt", "seq", "winner_seq", "by_seq", "cause_seq", "deleted_seq", "replay"}
Build = Callable[[int], Yard]


@pytest.fixture
def yard(engine: StoreAddress, tmp_path: Path) -> Iterator[Build]:
    built: list[Yard] = []

    def one(count: int) -> Yard:
        folder = tmp_path / f"{tmp_path.name}-{count}"
        folder.mkdir()
        built.append(Yard(folder, engine, count))
        return built[-1]

    yield one
    for each in built:
        each.close()


def traffic(yard: Yard, seed: int) -> None:
    """Fixes with duplicates and bad records, files that replace each other, samples."""
    chance = Random(seed)
    for number in range(30):
        name = chance.choice(NAMES)
        kind = chance.random()
        if kind < 0.5:
            body: Any = [fix(chance.randrange(8), lat=chance.choice([40.7, 400.0]), speed=chance.randrange(3) * 1.0)]
            yard.send(name, "location", body)
        elif kind < 0.8:
            stamp = f"2019-05-01T06:0{chance.randrange(5)}:00Z"
            yard.send(name, "dropzone", {"time_stamp": stamp, "data": [chance.random(), 2.0]})
        else:
            yard.send(name, "telemetry", [{"nonsense": number}])


def test_what_four_mills_leave_is_what_one_leaves(yard: Build) -> None:
    """With restarts where the positions are older, deletions of each kind, and replays."""
    one, four = yard(1), yard(4)
    for each in (one, four):
        traffic(each, 1)
        each.work()
        for position in (position_file(each.folder, number) for number in range(each.count)):
            position.unlink()  # as in a power cut before any was saved
        each.new_mills()
        traffic(each, 2)
        each.delete("a", Deletion(kind="feed", feed="location"))
        each.delete("b", Deletion(kind="range", feed="dropzone", start_ns=0, end_ns=1_556_690_460_000_000_000))
        each.work()
        each.new_mills()
        for name in NAMES:
            wanted = ReplayRequest(feed="location", version=1, dry_run=False, start_ns=0)
            replay = Replay(
                id=new_receipt(NOW_NS), tenant=each.tenant(name), request=wanted, state="queued", created_ns=0
            )
            each.replays.create(replay)
        traffic(each, 3)
        each.work()
    used = {partition_of(row["seq"]) for name in NAMES for row in payloads(four, name)}
    assert used == {partition.number for partition in four.partitions}, "some partition had nothing to do"
    for name in NAMES:
        assert four.left(name) == one.left(name)
    for each in (one, four):
        assert [report.counts for report in each.verify()] == [{}] * len(NAMES)
        assert sum(report.totals.waiting for report in each.verify()) == 0


def payloads(yard: Yard, name: str) -> list[dict[str, Any]]:
    asked = {"tenant": yard.tenant(name), "low": 0, "high": (1 << 63) - 1}
    return yard.store.rows("verify_offsets", **asked)


def test_a_mill_that_goes_back_takes_no_other_along(yard: Build) -> None:
    four = yard(4)
    traffic(four, 4)
    four.work()
    applied = AppliedOffsets(lambda: four.progress)
    before = [mill.progress.checkpoint for mill in four.mills]
    mill = four.mills[2]
    mill._checkpoint.save(mill.progress.checkpoint - 1)
    applied.refresh()
    assert applied.went_back.is_set()
    for name in NAMES:
        through = applied.through(four.tenant(name))
        assert through == (before[0], before[1], before[2] - 1, before[3])
    four.new_mills()
    four.work()
    assert [mill.progress.checkpoint for mill in four.mills] == before
