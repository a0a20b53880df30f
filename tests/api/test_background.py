"""Beside the requests: waiting for the mill, pending deletions, trimming, and an orderly end."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.api.samples import body, fix, row
from tests.support.api import Api, running_api, services
from tidemill.api import lifecycle
from tidemill.api.applied import IDLE_LOOK_S, AppliedOffsets
from tidemill.api.pending_deletions import PendingDeletions
from tidemill.hints import Hints
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.mill.status import Heartbeat, MillStatus
from tidemill.model.deletion import Deletion
from tidemill.model.payload import EntryKind, Payload


def until(true: Callable[[], bool]) -> None:
    """Wait until it is so; fail after some seconds."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_wait_ends_when_the_mill_says_so_or_in_time() -> None:
    async def story() -> None:
        ours, theirs = Hints.pair()
        checkpoint = 3
        applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(checkpoint),)), ours)
        applied.start()
        assert await applied.wait_until_applied("t", 3, 0)
        assert not await applied.wait_until_applied("t", 4, 0.01)
        waits = [asyncio.create_task(applied.wait_until_applied("t", seq, 5)) for seq in (9, 5, 7)]
        await asyncio.sleep(0.01)
        checkpoint = 7
        theirs.send(7)
        assert await asyncio.wait_for(waits[1], 1)
        assert await asyncio.wait_for(waits[2], 1)
        assert not waits[0].done()
        applied.stop()
        assert not await waits[0]

    asyncio.run(story())


def test_a_lost_hint_costs_a_moment() -> None:
    async def story() -> None:
        checkpoint = 0
        applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(checkpoint),)))
        applied.start()
        waiting = asyncio.create_task(applied.wait_until_applied("t", 2, 5))
        await asyncio.sleep(0.01)
        checkpoint = 2
        began = time.monotonic()
        assert await waiting
        assert time.monotonic() - began < 4.5
        applied.stop()

    asyncio.run(story())


def test_growth_is_told_once_a_turn_of_the_loop() -> None:
    async def story() -> None:
        ours, theirs = Hints.pair()
        applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(0),)), ours)
        for seq in (4, 9, 6):
            applied.log_grew(seq)
        await asyncio.sleep(0)
        assert theirs.receive() == 9
        applied.log_grew(10)
        await asyncio.sleep(0)
        assert theirs.receive() == 10

    asyncio.run(story())


def _series(number: int) -> Deletion:
    return Deletion(kind="series", feed="signals", series=f"{number:016x}")


def _entry(number: int, kind: EntryKind) -> Payload:
    """A payload with the body of a deletion of a series."""
    text = msgspec.json.encode(_series(number))
    return Payload(f"r{number}", "t", "signals", 1, 0, "x", text, hashlib.sha256(text).digest(), kind)


def test_pending_deletions_are_known_after_a_restart(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    for number, kind in enumerate([EntryKind.DELETE, EntryKind.DATA, EntryKind.DELETE]):
        log.append(_entry(number, kind)).result()
    checkpoint = 0
    applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(checkpoint),)))
    pending = PendingDeletions(applied, log, lambda tenant, feed: [7])
    assert pending.hidden_series("t") == {0, 2}
    assert pending.hidden_series("other") == frozenset()
    assert pending.hides_series("t", 2) and not pending.hides_series("t", 1) and not pending.hides_series("other", 2)
    checkpoint = 1
    applied.refresh()
    assert pending.hidden_series("t") == {2}
    checkpoint = 3
    applied.refresh()
    assert pending.hidden_series("t") == frozenset()
    text = msgspec.json.encode(Deletion(kind="feed", feed="signals"))
    log.append(Payload("r9", "t", "signals", 1, 0, "x", text, hashlib.sha256(text).digest(), EntryKind.DELETE)).result()
    assert pending.hidden_series("t") == {7}, "the series of the feed, as another process deleted it"
    log.close()


def test_deletions_are_read_while_others_are_added(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    pending = PendingDeletions(
        AppliedOffsets(lambda: LogProgress((PartitionProgress(0),))), log, lambda tenant, feed: []
    )
    faults: list[Exception] = []
    done = threading.Event()

    def read_in_a_loop() -> None:
        try:
            while not done.is_set():
                pending.hidden_series("t")
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=read_in_a_loop) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1500):
        pending.add_deletion("t", _series(number), number + 1)
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert len(pending.hidden_series("t")) == 1500
    log.close()


def test_deletions_come_back_when_the_mill_goes_back(tmp_path: Path) -> None:
    state = FileMillState(tmp_path)
    with running_api(tmp_path) as api:
        for number in (1, 2):
            api.services.log.append(_entry(number, EntryKind.DELETE)).result()
        state.save_progress(PartitionProgress(2))
        until(lambda: api.services.applied.progress.partitions[0].checkpoint == 2)
        api.services.pending_deletions.add_deletion("t", _series(9), 2)  # drops those that are applied
        assert api.services.pending_deletions.hidden_series("t") == frozenset()
        state.save_progress(PartitionProgress(1))
        until(lambda: api.services.pending_deletions.hidden_series("t") == {2, 9})
        assert api.services.applied.progress.partitions[0].checkpoint == 1


def test_a_hint_of_an_earlier_start_is_not_believed() -> None:
    async def story() -> None:
        ours, theirs = Hints.pair()
        theirs.send(9)
        applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(3),)), ours)
        applied.start()
        assert not await applied.wait_until_applied("t", 5, 0.05)
        assert applied.progress.partitions[0].checkpoint == 3
        applied.stop()

    asyncio.run(story())


def test_a_wait_after_the_mill_went_back_is_not_over_too_early() -> None:
    async def story() -> None:
        checkpoint = 9
        applied = AppliedOffsets(lambda: LogProgress((PartitionProgress(checkpoint),)))
        applied.start()
        assert await applied.wait_until_applied("t", 9, 0)
        checkpoint = 4
        await asyncio.sleep(2 * IDLE_LOOK_S)
        waiting = asyncio.create_task(applied.wait_until_applied("t", 9, 5))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        checkpoint = 9
        assert await waiting
        applied.stop()

    asyncio.run(story())


def test_what_a_running_mill_has_confirmed_is_trimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "TRIM_EVERY_S", 0.02)
    limits = LogLimits(keep_applied_s=0, min_free_bytes=0, min_free_ratio=0)
    state = FileMillState(tmp_path)
    state.beat(MillStatus(state="idle", looped_at_ns=1))  # of an earlier start
    state.save_progress(PartitionProgress(5))
    state.save_confirmed(PartitionProgress(5))
    with running_api(tmp_path, limits=limits) as api:
        for _ in range(5):
            api.client.put("/location", json=fix())
        time.sleep(0.2)
        state.beat(MillStatus(state="starting"))
        time.sleep(0.2)
        assert api.services.log.first_seq() == 1, "no mill has compared this store with the checkpoint"
        state.save_progress(PartitionProgress(3))
        state.beat(MillStatus(state="idle", looped_at_ns=2))
        until(lambda: api.services.log.first_seq() == 4)
        state.beat(MillStatus(state="applying", looped_at_ns=3))
        time.sleep(0.2)
        assert api.services.log.first_seq() == 4, "the checkpoint is below"


@pytest.mark.parametrize(
    ("before", "now", "confirmed", "offset"),
    [
        (None, None, 7, 0),
        (None, Heartbeat(2, "idle"), 7, 7),
        (None, Heartbeat(2, "idle"), 12, 9),
        (None, Heartbeat(2, "idle"), 0, 0),
        (Heartbeat(2, "idle"), Heartbeat(2, "idle"), 7, 0),
        (Heartbeat(2, "idle"), Heartbeat(0, "waiting_for_store"), 7, 0),
        (Heartbeat(2, "idle"), Heartbeat(3, "stopped"), 7, 0),
        (Heartbeat(2, "idle"), Heartbeat(3, "applying"), 7, 7),
    ],
)
def test_how_far_the_log_may_be_trimmed(
    before: Heartbeat | None, now: Heartbeat | None, confirmed: int, offset: int
) -> None:
    assert lifecycle.trimmable(PartitionProgress(9), PartitionProgress(confirmed), before, now) == offset


def test_at_the_end_waits_are_cut_short_and_the_log_is_closed(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []

    def wait(api: Api) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            answers.append(client.post(f"{api.url}/v1/feeds/dropzone", json=row(), headers={"Prefer": "wait=15"}))

    began = time.monotonic()
    with running_api(tmp_path) as api:
        waiting = threading.Thread(target=wait, args=(api,))
        waiting.start()
        while api.services.log.last_seq() == 0:
            time.sleep(0.01)
    waiting.join()
    assert time.monotonic() - began < 14
    assert [answer.status_code for answer in answers] == [202]
    parts = services(tmp_path)  # the folder's lock is free, and what was acknowledged is there
    assert parts.log.find("default", answers[0].json()["id"]) is not None
    parts.log.close()
    parts.keys.close()
    parts.catalog.close()


PROGRAM = """
import json, socket, sys
from pathlib import Path
from tests.support.api import services
from tidemill.api.app import create_app
from tidemill.api.server import build_server
parts = services(Path(sys.argv[1]))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
build_server(create_app(parts), parts.settings, parts.applied.stop).run([listener])
parts.keys.close()
parts.catalog.close()
"""


def test_sigterm_under_load_ends_with_success_and_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    process = subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    receipts: list[str] = []

    def send_until_the_end() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
            try:
                while True:
                    receipts.append(client.put("/location", content=body(fix())).json()["id"])
            except (httpx.HTTPError, json.JSONDecodeError):
                return

    loads = [threading.Thread(target=send_until_the_end) for _ in range(4)]
    for each in loads:
        each.start()
    deadline = time.monotonic() + 60
    while len(receipts) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    for each in loads:
        each.join()
    parts = services(tmp_path)
    assert len(receipts) >= 50
    assert all(parts.log.find("default", receipt) for receipt in receipts)
    parts.log.close()
    parts.keys.close()
    parts.catalog.close()
