"""The mill keeps still for a backup, for no longer than the backup wants it, and clears up behind one that died."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tidemill.errors import StoreUnavailableError
from tidemill.lock import FolderLock
from tidemill.mill.backup_hold import FOLDER, HELD, HOLD, LINKS, LOCK, BackupHold, Held

DEADLINE_S = 60
LOCKED = (
    "import sys, time; from pathlib import Path; from tidemill.lock import FolderLock;"
    "lock = FolderLock(Path(sys.argv[1]), sys.argv[2]); print('locked', flush=True); time.sleep(600)"
)


class Mill:
    """A mill's loop that does nothing but keep still when it is wanted."""

    def __init__(self, folder: Path, freeze: Callable[[], str] = lambda: "26.9") -> None:
        self.frozen = folder / "store" / "frozen"
        self.hold = BackupHold(folder, self.frozen, freeze)
        self.stop = threading.Event()
        self.rounds = self.turns = 0

    def run(self) -> None:
        while not self.stop.wait(0.001):
            self.hold.hold_still(42, self.turn, self.stop)
            self.rounds += 1

    def turn(self) -> None:
        self.turns += 1


@contextmanager
def running(mill: Mill) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=mill.run)
    thread.start()
    try:
        yield thread
    finally:
        mill.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def answer(desk: Path, mine: str) -> Held:
    def held() -> Held | None:
        path = desk / HELD
        known = msgspec.json.decode(path.read_bytes(), type=Held) if path.exists() else None
        return known if known and known.id == mine else None

    until(held)
    known = held()
    assert known is not None
    return known


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


def test_without_a_backup_the_mill_goes_on(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    with running(mill):
        until(lambda: mill.rounds > 10)
    assert mill.turns == 0


def test_the_mill_keeps_still_until_the_hold_is_removed(tmp_path: Path, desk: Path) -> None:
    mill, lock = Mill(tmp_path), FolderLock(desk, LOCK)
    with running(mill):
        for mine in ("a", "b"):
            (desk / HOLD).write_text(mine)
            held = answer(desk, mine)
            assert (held.offset, held.engine, held.error) == (42, "26.9", "")
            still, turns = mill.rounds, mill.turns
            until(lambda turns=turns: mill.turns > turns + 5)
            assert mill.rounds == still
            (desk / HOLD).unlink()
            until(lambda still=still: mill.rounds > still)
    lock.release()


def test_a_freeze_that_fails_is_answered(tmp_path: Path, desk: Path) -> None:
    def away() -> str:
        raise StoreUnavailableError("The store is away")

    mill, lock = Mill(tmp_path, away), FolderLock(desk, LOCK)
    (desk / HOLD).write_text("a")
    with running(mill):
        assert answer(desk, "a").error == "The store is away"
    lock.release()


def test_a_hold_of_a_backup_that_is_no_more_is_removed(tmp_path: Path, desk: Path) -> None:
    (desk / HOLD).write_text("a")
    mill = Mill(tmp_path)
    with running(mill):
        until(lambda: not (desk / HOLD).exists() and mill.rounds > 3)
    assert not (desk / HELD).exists()


def test_the_mill_goes_on_when_the_backup_is_killed_and_removes_its_links(tmp_path: Path, desk: Path) -> None:
    mill = Mill(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", LOCKED, str(desk), LOCK], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"locked\n"
    for path in (mill.frozen, desk / LINKS):
        path.mkdir(parents=True)
        (path / "file").write_bytes(b"deleted")
    (desk / HOLD).write_text("a")
    with running(mill):
        answer(desk, "a")
        still = mill.rounds
        process.kill()
        process.wait()
        process.stdout.close()
        until(lambda: mill.rounds > still)
        until(lambda: not mill.frozen.exists() and not (desk / LINKS).exists())
    assert not (desk / HOLD).exists()


def test_links_of_a_backup_that_runs_stay(tmp_path: Path, desk: Path) -> None:
    mill, lock = Mill(tmp_path), FolderLock(desk, LOCK)
    mill.frozen.mkdir(parents=True)
    with running(mill):
        until(lambda: mill.rounds > 50)
    assert mill.frozen.exists()
    lock.release()


def test_a_mill_that_is_to_stop_does_not_wait(tmp_path: Path, desk: Path) -> None:
    mill, lock = Mill(tmp_path), FolderLock(desk, LOCK)
    (desk / HOLD).write_text("a")
    with running(mill) as thread:
        answer(desk, "a")
        mill.stop.set()
        thread.join(10)
        assert not thread.is_alive()
    assert not (desk / HOLD).exists()  # by which the backup knows
    lock.release()
