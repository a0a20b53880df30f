"""Disks that fail or fill up under the log: what is acknowledged is durable, and the log comes back."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.faults.failing_disk import FailingDisk
from tests.log.payloads import payload
from tidemill.errors import DiskFullError, LogUnavailableError
from tidemill.log.contract import Appended
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
FAULTS = {
    "fsync of the WAL": ("sync", "-wal", apsw.IOError, apsw.SQLITE_IOERR_FSYNC, LogUnavailableError),
    "write to the WAL": ("write", "-wal", apsw.IOError, apsw.SQLITE_IOERR_WRITE, LogUnavailableError),
    "full while writing": ("write", "-wal", apsw.FullError, apsw.SQLITE_FULL, DiskFullError),
}


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("failing")
    yield disk
    disk.close()


def accepted_again(log: SqliteLog, within_s: float = 10.0) -> Appended:
    """The first append that is acknowledged; meanwhile each must fail as unavailable."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return log.append(payload(b"after")).result(5)
        except LogUnavailableError as error:
            assert error.retry_after_s > 0
            assert time.monotonic() < deadline, "the log does not come back"
            time.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_commit_fails_all_its_waiters_and_the_log_comes_back(
    fault: str, disk: FailingDisk, tmp_path: Path
) -> None:
    operation, suffix, error, extended, raised = FAULTS[fault]
    log = SqliteLog(tmp_path, limits=LIMITS, vfs=disk.name)
    before = [log.append(payload(b"before %d" % n)).result(5).seq for n in range(5)]
    with disk.fail(operation, suffix, error, extended):
        futures = [log.append(payload(b"during %d" % n)) for n in range(20)]
        failures = [future.exception(5) for future in futures]
        assert all(isinstance(failure, LogUnavailableError) for failure in failures)
        assert any(isinstance(failure, raised) for failure in failures)
        health = log.health()
        assert not health.accepting and health.reason
        assert [entry.seq for entry in log.read(0, 5, 1 << 20)] == before
    after = accepted_again(log)
    assert log.health().accepting
    assert after.seq > before[-1]
    bodies = [entry.payload.body for entry in log.read(0, 100, 1 << 20)]
    assert bodies[:5] == [b"before %d" % n for n in range(5)] and bodies[-1] == b"after"
    log.close()
    reopened = SqliteLog(tmp_path, limits=LIMITS)
    assert [entry.payload.body for entry in reopened.read(0, 100, 1 << 20)] == bodies
    reopened.close()


def test_failed_fsync_is_not_retried_on_the_same_connection(disk: FailingDisk, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS, vfs=disk.name)
    first = log.append(payload(b"before")).result(5).seq
    with disk.fail("sync", "", apsw.IOError, apsw.SQLITE_IOERR_FSYNC):
        assert log.append(payload(b"during")).exception(5) is not None
        failures = disk.failures
        assert log.append(payload(b"refused at once")).exception(5) is not None
        time.sleep(0.5)
        assert disk.failures > failures, "the log tries to open again"
        assert not log.health().accepting
    assert accepted_again(log).seq > first + 1, "a place of the failed commit was handed out again"
    log.close()


def test_disk_that_fails_while_checkpointing_loses_nothing(disk: FailingDisk, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS, vfs=disk.name)
    acknowledged = []
    with disk.fail("sync", "log.sqlite", apsw.IOError, apsw.SQLITE_IOERR_FSYNC):
        for n in range(400):  # 8 MB: the WAL is due
            try:
                acknowledged.append(log.append(payload(b"%05d" % n * 4000)).result(5).seq)
            except LogUnavailableError:
                time.sleep(0.01)
        time.sleep(0.3)
    acknowledged.append(accepted_again(log).seq)
    log.close()
    reopened = SqliteLog(tmp_path, limits=LIMITS)
    assert set(acknowledged) <= {entry.seq for entry in reopened.read(0, 1000, 1 << 30)}
    reopened.close()


def test_too_little_free_disk_stops_accepting_but_not_reading_or_trimming(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS)
    last = log.append(payload(b"before")).result(5).seq
    log.close()
    log = SqliteLog(tmp_path, limits=LogLimits(min_free_bytes=1 << 60, keep_applied_s=0))
    with pytest.raises(DiskFullError) as raised:
        log.append(payload(b"more")).result(5)
    assert raised.value.retry_after_s > 0
    assert not log.health().accepting and "free disk" in log.health().reason
    assert [entry.seq for entry in log.read(0, 10, 1000)] == [last]
    assert log.trim(last) == 1
    log.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_refuses_and_accepts_again_when_there_is_space(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (11 << 20))
    log = SqliteLog(small_disk, limits=LIMITS)
    acknowledged = []
    with pytest.raises(DiskFullError):
        for _ in range(1000):
            acknowledged.append(log.append(payload(b"x" * 50_000)).result(5).seq)
    assert len(acknowledged) > 10
    assert [entry.seq for entry in log.read(0, 1000, 1 << 30)][: len(acknowledged)] == acknowledged
    filler.unlink()
    acknowledged.append(accepted_again(log).seq)
    log.close()
    log = SqliteLog(small_disk, limits=LIMITS)
    assert set(acknowledged) <= {entry.seq for entry in log.read(0, 1000, 1 << 30)}
    log.close()
