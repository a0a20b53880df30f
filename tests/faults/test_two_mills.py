"""A mill is put to sleep at any of its crash points, taken for dead, and wakes up after its successor has finished: it
changes nothing any more, says so, and ends. What is stored is what one mill that nobody disturbed would have stored."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.test_deletion_cut import PAYLOADS, prepared
from tests.mill.house import House
from tests.mill.test_crash import more_traffic, traffic
from tests.mill.test_order import strip
from tests.mill.test_replay import PAYLOADS as REPLAYED
from tests.mill.test_replay import build_with
from tests.mill.test_worker import fix
from tests.mill.verifying import prove
from tests.support.rounds import rounds
from tests.support.stopped import wait_until_stopped
from tidemill.model.deletion import Deletion
from tidemill.model.ids import new_receipt
from tidemill.model.replay import Replay, ReplayRequest

Build = Callable[..., House]
LIVE = ("before_insert", "after_points", "after_told", "after_insert", "after_checkpoint")
DELETIONS = [
    *(("begun", "payload"), ("tombstones_written", "range"), ("in_between", "series"), ("before_applied", "feed")),
    *(("in_between", "range"), ("tombstones_written", "payload"), ("begun", "range"), ("in_between", "feed")),
    *(("before_applied", "payload"), ("begun", "series"), ("before_applied", "range"), ("begun", "feed")),
]
REPLAYS = ("planned", "after_ledger", "after_points", "after_rollups")
LOST = ("belongs to another mill", "holds the partition")


class Sleeper:
    """A mill in a process of its own, asleep at a crash point."""

    def __init__(self, house: House, point: str) -> None:
        environment = os.environ | {"TIDEMILL_STOP_AT": point}
        address = msgspec.json.encode(house.store.address).decode()
        command = [sys.executable, "-m", "tests.mill.process", str(house.folder), address, str(house.partition.number)]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_until_stopped(self.process, point)

    def wake(self) -> subprocess.CompletedProcess[str]:
        """Let it go on to its end."""
        self.process.send_signal(signal.SIGCONT)
        output, errors = self.process.communicate(timeout=60)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, output, errors)


@contextmanager
def sleeping(house: House, point: str) -> Iterator[Sleeper]:
    sleeper = Sleeper(house, point)
    try:
        yield sleeper
    finally:
        sleeper.process.kill()
        sleeper.process.wait()


def wakes_in_vain(house: House, sleeper: Sleeper, *, at_work: bool = True) -> None:
    """The sleeper goes on: nothing is changed by it, in the store or in the file that says how far the mill is.
    `at_work`: it has something left to write, and so it finds out."""
    position = house.folder / "mill" / "position"
    before, saved = _all(house), position.read_bytes()
    ended = sleeper.wake()
    assert _all(house) == before
    assert position.read_bytes() == saved
    if at_work:
        assert ended.returncode == 1, ended.stdout
        assert any(words in ended.stderr for words in LOST), ended.stderr


def _all(house: House) -> dict[str, Any]:
    return house.everything() | {"changes": house.all("changes"), "restated": house.all("restated")}


def outcome(house: House) -> dict[str, Any]:
    """Everything that is stored, without what differs between two houses: ids of replays, of series in deletions."""
    rows = strip(house.everything() | {"changes": house.all("changes")})
    for row in (row for table in rows.values() for row in table):
        row |= {name: bool(row[name]) for name in ("body", "sha256", "replay", "recovered_by") if name in row}
    return {table: sorted(map(repr, lines)) for table, lines in rows.items()}


@pytest.mark.parametrize("point", LIVE)
def test_a_mill_that_sleeps_in_a_batch_wakes_in_vain(build: Build, point: str) -> None:
    calm, shared = build(), build()
    for house in (calm, shared):
        traffic(house)
        house.work()
        more_traffic(house)
    with sleeping(shared, f"mill.{point}") as old:
        shared.new_mill()
        for house in (calm, shared):
            house.work()
            house.send("location", fix(9, speed=9.0))
            house.work()
        wakes_in_vain(shared, old)
    for house in (calm, shared):
        house.send("location", [fix(9, speed=8.0), fix(10)])
        house.work()
    assert outcome(shared) == outcome(calm)
    assert shared.state.progress().checkpoint == shared.offset(7)
    prove(shared)


@pytest.mark.parametrize("point", ["before_insert", "after_points", "after_insert"])
def test_what_a_successor_deleted_and_replayed_is_not_brought_back(build: Build, point: str) -> None:
    """The sleeper holds points that its successor applies, deletes, and replays under another version."""
    houses = [build_with(build, "last", 1000, 20) for _ in range(2)]
    calm, shared = houses
    for house in houses:
        for body in REPLAYED:
            house.send("location", body, feed_version=2)
    with sleeping(shared, f"mill.{point}") as old:
        shared.new_mill()
        for house in houses:
            house.work()
            last = house.entries()[-1].payload.receipt
            house.ask(Deletion(kind="payload", feed="location", receipt=last))
            house.work()
            house.replay("location", 3, start_ns=0)
            house.send("location", REPLAYED[0], feed_version=2)
            house.work()
        wakes_in_vain(shared, old)
    assert outcome(shared) == outcome(calm)
    prove(shared)


@pytest.mark.parametrize(("point", "kind"), DELETIONS[: rounds(4, len(DELETIONS))])
def test_a_mill_that_sleeps_in_a_deletion_wakes_in_vain(build: Build, point: str, kind: str) -> None:
    calm, shared = prepared(build, kind), prepared(build, kind)
    with sleeping(shared, f"deletion.{point}") as old:
        shared.new_mill()
        for house in (calm, shared):
            house.work()
            for body in PAYLOADS[:2]:  # at the instants of what was deleted
                house.send("location", body, feed_version=2)
            house.work()
        wakes_in_vain(shared, old)
    assert outcome(shared) == outcome(calm)
    prove(shared)


@pytest.mark.parametrize("point", REPLAYS[: rounds(2, len(REPLAYS))])
def test_a_mill_that_sleeps_in_a_replay_wakes_in_vain(build: Build, point: str) -> None:
    calm, shared = (build_with(build, "last", 1000, 20) for _ in range(2))
    for house in (calm, shared):
        for body in REPLAYED:
            house.send("location", body, feed_version=2)
        house.work()
        asked = ReplayRequest(feed="location", version=3, dry_run=False, start_ns=0)
        house.replays.create(
            Replay(id=new_receipt(house.clock()), tenant=house.tenant, request=asked, state="queued", created_ns=0)
        )
    with sleeping(shared, f"replay.{point}") as old:
        shared.new_mill()
        for house in (calm, shared):
            house.work_replays()
            house.send("location", REPLAYED[0], feed_version=2)
            house.work()
            assert [one.state for one in house.replays.list(house.tenant)] == ["done"]
        wakes_in_vain(shared, old, at_work=False)  # it finds the replay done, and its plan gone
    assert outcome(shared) == outcome(calm)
    prove(shared)
