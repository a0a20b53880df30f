"""Erased bytes are in no file of the data folder; the receipt says so only then."""

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mill.house import House
from tests.mill.test_worker import fix
from tests.support.engine import Engine
from tidemill.api.erasure import erase_deleted
from tidemill.mill.erase import Eraser
from tidemill.mill.progress import LogProgress
from tidemill.model.deletion import Deletion
from tidemill.model.replay import PointDifference, Replay, ReplayOutcome, ReplayRequest
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import query

QUICK = "old_parts_lifetime = 1, cleanup_delay_period = 1, max_cleanup_delay_period = 1"
TABLES = ("points", "replaced", "rejections", "payloads", "changes", "rollups")
# Bytes that no codec makes smaller, so that they stand in the files of the store as they are; no JSON, so they are
# rejected, and their beginning is in the ledger as well.
SECRET, OTHER, KEPT = (random.Random(seed).randbytes(100_000) for seed in range(3))


def holding(folder: Path, secret: bytes) -> set[str]:
    """The parts of the data folder with a file that has some of these bytes."""
    pieces = [secret[place : place + 24] for place in (0, 50_000, 99_000)]
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a part that was just merged
            content = path.read_bytes() if path.is_file() else b""
            found |= {path.relative_to(folder).parts[0]} if any(piece in content for piece in pieces) else set()
    return found


@contextlib.contextmanager
def quick_engine(path: Path) -> Iterator[StoreAddress]:
    """An engine that removes old parts after a second, not after minutes (as its tables say since its start)."""
    engine = Engine(path, database="tidemill").start()
    try:
        migrate(engine.address)
        queries = {table: query(table, f"ALTER TABLE {table} MODIFY SETTING {QUICK}") for table in TABLES}
        store = Store(engine.address, queries=queries)
        for table in TABLES:
            store.command(table)
        store.close()
        engine.stop()
        yield engine.start().address
    finally:
        engine.stop()


def receipts(house: House) -> dict[int, Any]:
    rows = house.store.rows("deletion_page", tenant=house.tenant, low=0, before=1 << 62, limit=9)
    return {row["seq"]: row for row in rows}


def test_after_a_payload_and_a_feed_are_erased_no_file_holds_their_bytes(tmp_path: Path) -> None:
    with quick_engine(tmp_path / "store") as address:
        house = House(tmp_path, address, "t")
        one = house.send("dropzone", SECRET)
        house.send("dropzone", KEPT)
        house.send("location", [fix(1), fix(1)])
        house.send("location", OTHER)
        house.work()
        assert holding(tmp_path, SECRET) == holding(tmp_path, OTHER) == {"store", "log"}
        difference = ReplayOutcome(records=1, points=(PointDifference(series="0" * 16, time_ns=0, old=1.0, new=2.0),))
        asked = ReplayRequest(feed="location", version=1, dry_run=True, start_ns=0)
        done = Replay(id="r", tenant="t", request=asked, state="done", created_ns=0, result=difference)
        house.replays.create(done)
        house.catalog.put("unsent/t", SECRET)
        house.catalog.delete("unsent/t")
        assert "catalog.sqlite-wal" in holding(tmp_path, SECRET)
        receipt = {entry.seq: entry.payload.receipt for entry in house.entries()}[house.offset(one)]
        house.ask(Deletion(kind="payload", feed="dropzone", receipt=receipt))
        last = house.ask(Deletion(kind="feed", feed="location"))
        house.work()
        checkpoint = lambda: house.mill.progress.checkpoint  # noqa: E731
        eraser = Eraser(house.mill.context.store, house.log.erased, house.clock, checkpoint, house.partition)
        for _ in range(20):
            assert eraser.run_step(), "the log has not let go yet"
        assert erase_deleted(house.store, house.log, house.catalog, LogProgress((house.mill.progress,)))
        [replayed] = house.replays.list("t")
        assert (replayed.result.points, replayed.result.records) == ((), 1), "its values are gone, not its counts"
        assert house.log.erased() == house.offset(last)
        assert {row["erased_ns"] for row in receipts(house).values()} == {None}
        for _ in range(150):
            if not eraser.run_step():
                break
            time.sleep(0.1)
        assert all(row["erased_ns"] for row in receipts(house).values())
        assert holding(tmp_path, SECRET) == holding(tmp_path, OTHER) == set()
        assert holding(tmp_path, KEPT) == {"store", "log"}
        assert not eraser.run_step()
        house.close()
    assert holding(tmp_path, SECRET) == set()
