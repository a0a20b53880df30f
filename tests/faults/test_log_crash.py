"""SIGKILL of the process that owns the log, and of those that read it: whatever was acknowledged is there."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.errors import LogCorruptError, LogUnavailableError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, SqliteLogReader

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
TASKS = 16


def start_child(data: Path, crash_at: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TIDEMILL_CRASH_AT": crash_at}
    command = [sys.executable, "-m", "tests.faults.log_child", str(data), str(TASKS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def run_until_killed(data: Path, crash_at: str, after_s: float = 30.0) -> dict[int, str]:
    """Let a child append until it kills itself at `crash_at`, or is killed after a while; what it acknowledged."""
    child = start_child(data, crash_at)
    killer = threading.Timer(after_s, child.kill)
    killer.start()
    out, _ = child.communicate()
    killer.cancel()
    assert child.returncode == -signal.SIGKILL
    lines = out.decode().split("\n")[:-1]  # the last line may be cut short
    return {int(seq): receipt for seq, receipt in (line.split() for line in lines)}


class Follower:
    """Reads the log beside its writer, as the mill does; what it saw must never have been taken back."""

    def __init__(self, data: Path) -> None:
        self._reader = SqliteLogReader(data)
        self._ended = threading.Event()
        self.seen: dict[int, str] = {}
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        after = 0
        while not self._ended.wait(0.005):
            try:
                entries = self._reader.read(after, 100, 1 << 20)
            except LogUnavailableError:
                continue
            for entry in entries:
                if entry.seq <= after or entry.payload.body[:36] != entry.payload.receipt.encode():
                    self.faults.append(f"{entry.seq} after {after}")
                self.seen[entry.seq] = entry.payload.receipt
                after = entry.seq

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._reader.close()


@contextmanager
def followed(data: Path) -> Iterator[Follower]:
    follower = Follower(data)
    try:
        yield follower
    finally:
        follower.end()


def test_everything_acknowledged_survives_sigkill_at_every_point(tmp_path: Path) -> None:
    randomness = random.Random(7)
    points = [f"log.{point}:{n}" for point in ("before_commit", "after_commit") for n in (1, 2, 40, 300)]
    acknowledged: dict[int, str] = {}
    with followed(tmp_path) as follower:
        for point in [*points, "", ""]:
            now = run_until_killed(tmp_path, point, 30.0 if point else 0.3 + randomness.random() / 2)
            assert not now.keys() & acknowledged.keys(), "a place was handed out twice"
            acknowledged |= now
        log = SqliteLog(tmp_path, limits=LIMITS)
        kept = {entry.seq: entry.payload.receipt for entry in log.read(0, 10**6, 1 << 30)}
        time.sleep(0.1)
    log.close()
    assert len(acknowledged) > 1000
    assert acknowledged.items() <= kept.items()
    assert follower.faults == []
    assert follower.seen.items() <= kept.items()
    assert len(set(kept.values())) == len(kept), "a payload is in the log twice"


def test_killed_reader_harms_neither_writer_nor_wal(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS)
    read_for_ever = (
        "import sys; from pathlib import Path; from tidemill.log.sqlite import SqliteLogReader\n"
        "reader = SqliteLogReader(Path(sys.argv[1])); reader.read(0, 1, 1); print('reading', flush=True)\n"
        "while True: reader.read(0, 1000, 1 << 30)"
    )
    try:
        log.append(payload(b"first")).result(5)
        for _ in range(3):
            child = subprocess.Popen([sys.executable, "-c", read_for_ever, str(tmp_path)], stdout=subprocess.PIPE)
            assert child.stdout is not None and child.stdout.readline() == b"reading\n"
            for future in [log.append(payload(b"x" * 20_000)) for _ in range(200)]:
                future.result(5)
            child.kill()
            child.communicate()
        assert log.last_seq() == 601
        assert_wal_starts_anew(log, tmp_path)
    finally:
        log.close()


def test_stopped_reader_delays_no_commit_and_the_wal_recovers_from_it(tmp_path: Path) -> None:
    """A reader that is stopped inside a read transaction holds the WAL; commits go on meanwhile."""
    log = SqliteLog(tmp_path, limits=LIMITS)
    stop_inside = (
        "import os, signal, sys; from pathlib import Path; from tidemill.log.sqlite import database\n"
        "from tidemill.sqlite.copies import open_read_only\n"
        "connection = open_read_only(Path(sys.argv[1]) / database.LOG_FILE)\n"
        "connection.execute('BEGIN'); connection.execute('SELECT count(*) FROM entries').get\n"
        "print('inside', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    child = subprocess.Popen([sys.executable, "-c", stop_inside, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"inside\n"
        for _ in range(400):
            log.append(payload(b"x" * 20_000)).result(60)  # while the reader is stopped for good
        child.kill()
        child.wait()
        assert_wal_starts_anew(log, tmp_path)
    finally:
        child.kill()
        child.communicate()
        log.close()


def assert_wal_starts_anew(log: SqliteLog, data: Path) -> None:
    """The WAL's header changes its salt when it starts anew; its size then stays."""
    wal = data / "log.sqlite-wal"
    header = wal.read_bytes()[:32]
    deadline = time.monotonic() + 60
    while wal.read_bytes()[:32] == header:
        assert time.monotonic() < deadline, "the WAL only grows"
        for future in [log.append(payload(b"x" * 20_000)) for _ in range(50)]:
            future.result(5)
    assert wal.stat().st_size < 64 << 20


def test_deleted_wal_is_a_loss_and_said_so(tmp_path: Path) -> None:
    run_until_killed(tmp_path, "log.after_commit:100")
    (tmp_path / "log.sqlite-wal").unlink()
    with pytest.raises(LogCorruptError, match="acknowledged are gone"):
        SqliteLog(tmp_path, limits=LIMITS)
