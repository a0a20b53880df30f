"""Power cuts under the log: what was acknowledged is there, whatever the disk made of what was not yet forced to it.

One run of a log is recorded and then cut thousands of times, in the middle of commits, checkpoints, trimming, erasing,
giving pages back, closing and opening; the next run goes on from one of those disks.
"""

import hashlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.power_cut import Event, Image, Recorder, images
from tests.log.payloads import NOW_NS, payload
from tests.support.rounds import rounds
from tidemill.errors import ConflictError, TidemillError
from tidemill.log.contract import Appended
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, upkeep
from tidemill.log.waiters import Waiter, settle_waiters
from tidemill.model.deletion import ERASED_FORMAT
from tidemill.model.payload import Payload

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0, keep_applied_s=0, keep_bytes=0)
CUTS_A_RUN = 200
ENOUGH = 20


@dataclass(frozen=True)
class Acknowledged:
    seq: int
    payload: Payload
    key: str | None


@dataclass
class Known:
    """What a client and the owner of a log know at a moment: `gone` up to where trimming may have come, `erasing` what
    may have lost its body, `erased` what must have."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    gone: int = 0
    erasing: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)

    def learn(self, notes: list[Event]) -> "Known":
        more = Known(list(self.acknowledged), self.gone, set(self.erasing), set(self.erased))
        for event in notes:
            note: Any = event.note
            match event.name:
                case "acknowledged":
                    more.acknowledged.append(note)
                case "trimming":
                    more.gone = max(more.gone, note)
                case "erasing":
                    more.erasing |= note
                case "erased":
                    more.erased |= note
        return more

    def still_kept(self) -> "Known":
        """Without what trimming took, but the newest: the next places must be above it."""
        highest = max((one.seq for one in self.acknowledged), default=0)
        kept = [one for one in self.acknowledged if one.seq > self.gone or one.seq == highest]
        return Known(kept, self.gone, self.erasing, self.erased)


class Load:
    """Uses a log on a recorded disk in every way there is, by chance."""

    def __init__(self, recorder: Recorder, randomness: random.Random, known: Known) -> None:
        self.recorder, self.randomness = recorder, randomness
        self.seqs = [one.seq for one in known.acknowledged]
        self.log = self.open()

    def open(self) -> SqliteLog:
        return SqliteLog(self.recorder.folder, limits=LIMITS, vfs=self.recorder.name, now_ns=lambda: NOW_NS + 10**9)

    def append(self, count: int) -> None:
        """Append some payloads at once and wait for all."""
        futures = [self._append() for _ in range(count)]
        self.seqs += [future.result(30).seq for future in futures]

    def _append(self) -> Future[Appended]:
        size = self.randomness.choice((10, 200, 200, 200, 3000, 9000))
        sent = payload(self.randomness.randbytes(16).hex().encode() + self.randomness.randbytes(size))
        key = sent.receipt if self.randomness.random() < 0.4 else None
        future = self.log.append(sent, idempotency_key=key)
        future.add_done_callback(lambda done: self._acknowledged(done, sent, key))  # in the writer's thread
        return future

    def _acknowledged(self, done: Future[Appended], sent: Payload, key: str | None) -> None:
        if done.exception() is None:
            self.recorder.note("acknowledged", Acknowledged(done.result().seq, sent, key))

    def trim(self) -> None:
        up_to = self.randomness.choice(self.seqs[: max(1, len(self.seqs) - 10)])
        self.recorder.note("trimming", up_to)
        self.log.trim(up_to)

    def erase(self) -> None:
        seqs = set(self.randomness.sample(self.seqs, min(3, len(self.seqs))))
        self.recorder.note("erasing", seqs)
        if self.log.erase(sorted(seqs), max(self.seqs)):
            self.recorder.note("erased", seqs)

    def restart(self) -> None:
        self.log.close()
        self.log = self.open()

    def run(self, steps: int) -> None:
        self.append(1)
        ways: list[Callable[[], None]] = [self.trim, self.erase, self.restart]
        for _ in range(steps):
            self.append(self.randomness.choice((1, 1, 1, 2, 5, 20)))
            if self.randomness.random() < 0.25:
                self.randomness.choice(ways)()
        self.log.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: the disk is the rig's."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def faults(folder: Path, image: Image, known: Known, randomness: random.Random) -> list[str]:
    """What is wrong with the log that opens on this disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in image.items():
        (folder / name).write_bytes(content)
    try:
        log = SqliteLog(folder, limits=LIMITS, now_ns=lambda: NOW_NS)
    except TidemillError as error:
        return [f"the log does not open: {error.message}"]
    try:
        return [*_lost(log, known), *_answered_wrongly(log, known, randomness), *_kept(image, known)]
    finally:
        log.close()


def _lost(log: SqliteLog, known: Known) -> Iterator[str]:
    stored = {entry.seq: entry.payload for entry in log.read(0, 1 << 20, 1 << 40)}
    for one in known.acknowledged:
        found = stored.get(one.seq)
        if found is None and one.seq > known.gone:
            yield f"{one.seq} is lost"
        elif found is not None and found.format == ERASED_FORMAT:
            if one.seq not in known.erasing:
                yield f"{one.seq} was erased and nobody wanted it"
        elif found is not None and found != one.payload:
            yield f"{one.seq} is another payload"
    for seq, found in stored.items():
        if found.format != ERASED_FORMAT and hashlib.sha256(found.body).digest() != found.sha256:
            yield f"{seq} is damaged"


def _answered_wrongly(log: SqliteLog, known: Known, randomness: random.Random) -> Iterator[str]:
    """Sends a payload again, another one under its key, and a new one, all in one commit."""
    keyed = [one for one in known.acknowledged if one.key]
    again = randomness.choice(keyed) if keyed else None
    if again:
        same = log.append(again.payload, idempotency_key=again.key)
        other = log.append(payload(b"other"), idempotency_key=again.key)
    new = log.append(payload(b"new")).result(30).seq
    if again and (same.result(30).seq, same.result(30).receipt) != (again.seq, again.payload.receipt):
        yield f"the key of {again.seq} is forgotten"
    if again and not isinstance(other.exception(30), ConflictError):
        yield f"the key of {again.seq} takes another body"
    if new <= max((one.seq for one in known.acknowledged), default=0):
        yield f"place {new} is handed out again"
    if int(log.health().details["high_water"]) != new:
        yield "the high-water mark is not at the newest place"


def _kept(image: Image, known: Known) -> Iterator[str]:
    secrets = [one for one in known.acknowledged if one.seq in known.erased]
    for content in image.values():
        for one in secrets:
            if one.payload.body[:32] in content:
                yield f"bytes of {one.seq} are still on the disk"


Plant = Callable[[SqliteLog], object]


@dataclass
class Outcome:
    """How often there was something to lose, what the disk was made to do, and the faults (some of many)."""

    at_stake: int = 0
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def cut_often(folder: Path, cuts: int, seed: int, plant: Plant = lambda log: None, unsynced: str = "") -> Outcome:
    """Cut recorded runs `cuts` times in all. Syncs of the file `unsynced` are taken out of the record."""
    randomness, outcome, known = random.Random(seed), Outcome(), Known()
    disk, after = folder / "disk", folder / "after"
    disk.mkdir()
    for run in range(cuts // CUTS_A_RUN):
        events = record(disk, f"power-{seed}-{run}", randomness, known, plant)
        outcome.done.update((event.what, event.name) for event in events if event.what != "note")
        first = 1 + next(n for n, event in enumerate(events) if event.what == "folder")
        events = [event for n, event in enumerate(events) if n < first or event != Event("sync", unsynced)]
        places = sorted(randomness.randint(first, len(events)) for _ in range(CUTS_A_RUN))
        image, learnt = Image(), known
        for cut, notes, image in images(events, places, randomness):
            learnt = known.learn(notes)
            outcome.at_stake += bool(learnt.acknowledged)
            outcome.faults += [f"run {run}, cut {cut}: {fault}" for fault in faults(after, image, learnt, randomness)]
            if len(outcome.faults) > ENOUGH:
                return outcome
        shutil.rmtree(disk)
        disk.mkdir()
        for name, content in image.items():
            (disk / name).write_bytes(content)
        known = learnt.still_kept()
    return outcome


def record(disk: Path, name: str, randomness: random.Random, known: Known, plant: Plant) -> list[Event]:
    """What one run of a log did to its disk."""
    recorder = Recorder(name, disk)
    try:
        load = Load(recorder, randomness, known)
        plant(load.log)
        load.run(15)
    finally:
        recorder.unregister()
    return recorder.events


@pytest.mark.parametrize("seed", range(rounds(2, 5)))
def test_ten_thousand_power_cuts_lose_nothing_that_was_acknowledged(
    seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_FRAMES", 60)  # so that a short run has many checkpoints
    cuts = rounds(2_000, 40_000)
    outcome = cut_often(folder, cuts, seed)
    assert outcome.faults == []
    assert outcome.at_stake > cuts * 0.9
    done = outcome.done
    assert done["write", "log.sqlite"] > 100, "it was cut in checkpoints"
    assert done["truncate", "log.sqlite"] > 2, "and while pages were given back"
    assert done["truncate", "log.sqlite-wal"] > 2 and done["delete", "log.sqlite-wal"] > 2


def without_sync(log: SqliteLog) -> None:
    log._writer.run_between_commits(lambda connection: connection.pragma("synchronous", 0)).result(30)


def sync_at_checkpoints_only(log: SqliteLog) -> None:
    log._writer.run_between_commits(lambda connection: connection.pragma("synchronous", 1)).result(30)


def acknowledge_before_the_commit(log: SqliteLog) -> None:
    commit = log._writer._commit

    def early(batch: list[Waiter]) -> None:
        first = log._writer.last_seq + 1
        unkeyed = [waiter for waiter in batch if waiter.key is None]
        settle_waiters(
            unkeyed, [Appended(first + n, w.payload.receipt, w.payload.received_ns) for n, w in enumerate(unkeyed)]
        )
        commit(unkeyed and [Waiter(w.payload, None, Future(), None) for w in unkeyed])
        commit([waiter for waiter in batch if waiter.key is not None])

    log._writer._commit = early  # type: ignore[method-assign]  # the fault that is planted


@pytest.mark.parametrize("plant", [without_sync, sync_at_checkpoints_only, acknowledge_before_the_commit])
def test_a_loss_that_was_planted_is_seen(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_FRAMES", 60)
    assert any(map(is_a_loss, cut_often(folder, 2_000, 7, plant).faults))


@pytest.mark.parametrize("file", ["log.sqlite", "log.sqlite-wal"])
def test_a_disk_that_does_not_do_what_sync_means_is_seen(
    file: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_FRAMES", 60)
    assert any(map(is_a_loss, cut_often(folder, 2_000, 7, unsynced=file).faults))


def is_a_loss(fault: str) -> bool:
    return any(words in fault for words in ("is lost", "acknowledged are gone", "is damaged"))
