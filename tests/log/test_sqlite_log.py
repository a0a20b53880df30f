"""What is particular to the SQLite log: its one owner, its mark, its limits, its file."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.log.payloads import NOW_NS, payload
from tidemill.errors import LogCorruptError, LogUnavailableError, StartupError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, SqliteLogReader, database
from tidemill.sqlite.copies import open_read_only

FREE = {"min_free_bytes": 0, "min_free_ratio": 0.0}
LIMITS = LogLimits(**FREE)


def filled(folder: Path, count: int = 5) -> int:
    log = SqliteLog(folder, limits=LIMITS)
    for future in [log.append(payload(b"%d" % n)) for n in range(count)]:
        future.result(5)
    log.close()
    return count


def test_second_owner_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from tidemill.log.sqlite import SqliteLog\n"
        "log = SqliteLog(Path(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"ready\n"
        with pytest.raises(StartupError, match=rf"pid {owner.pid}\b"):
            SqliteLog(tmp_path, limits=LIMITS)
        owner.kill()
    SqliteLog(tmp_path, limits=LIMITS).close()


def test_log_that_is_shorter_than_its_mark_is_refused_until_a_person_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, 3)
    older = (tmp_path / "log.sqlite").read_bytes()
    filled(tmp_path, 4)
    (tmp_path / "log.sqlite").write_bytes(older)
    for _ in range(2):
        with pytest.raises(LogCorruptError, match=r"ends at 3 but was durable up to 7.*TIDEMILL_ACCEPT_LOSS=7"):
            SqliteLog(tmp_path, limits=LIMITS)
    monkeypatch.setenv("TIDEMILL_ACCEPT_LOSS", "6")
    with pytest.raises(LogCorruptError):
        SqliteLog(tmp_path, limits=LIMITS)
    monkeypatch.setenv("TIDEMILL_ACCEPT_LOSS", "7")
    for seq in (8, 9):  # set longer than needed, it changes nothing
        log = SqliteLog(tmp_path, limits=LIMITS)
        assert log.append(payload()).result(5).seq == seq
        log.close()
    assert caplog.text.count("entries 4 to 7 of the log are lost") == 1
    (tmp_path / "log.sqlite").write_bytes(older)
    with pytest.raises(LogCorruptError, match="TIDEMILL_ACCEPT_LOSS=9"):
        SqliteLog(tmp_path, limits=LIMITS)


def test_log_that_ends_before_what_was_applied_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log and mark are gone together: the mill's position still knows."""
    with pytest.raises(LogCorruptError, match=r"ends at 0 but was durable up to 40.*TIDEMILL_ACCEPT_LOSS=40"):
        SqliteLog(tmp_path, limits=LIMITS, known_offset=40)
    monkeypatch.setenv("TIDEMILL_ACCEPT_LOSS", "40")
    log = SqliteLog(tmp_path, limits=LIMITS, known_offset=40)
    assert log.last_seq() == 40
    assert log.append(payload()).result(5).seq == 41
    assert [entry.seq for entry in log.read(40, 10, 1000)] == [41]
    log.close()


@pytest.mark.parametrize("value", ["yes", "-1", "1e3", "9" * 30])
def test_loss_that_is_no_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TIDEMILL_ACCEPT_LOSS", value)
    with pytest.raises(StartupError, match="TIDEMILL_ACCEPT_LOSS"):
        SqliteLog(tmp_path, limits=LIMITS)


def test_missing_log_beside_its_mark_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "log.sqlite").unlink()
    with pytest.raises(LogCorruptError):
        SqliteLog(tmp_path, limits=LIMITS)


def test_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    connection = apsw.Connection(str(tmp_path / "log.sqlite"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StartupError, match="newer"):
        SqliteLog(tmp_path, limits=LIMITS)


def test_log_of_version_1_is_brought_to_what_a_fresh_one_is(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    connection = apsw.Connection(str(tmp_path / "log.sqlite"))
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    fresh = connection.execute(schema).fetchall()
    connection.execute("DROP INDEX entries_deletions; DROP TABLE erasure; ALTER TABLE entries DROP COLUMN seal")
    connection.pragma("user_version", 1)
    connection.close()
    filled(tmp_path, 4)
    connection = apsw.Connection(str(tmp_path / "log.sqlite"))
    assert connection.execute(schema).fetchall() == fresh
    assert connection.pragma("user_version") == database.SCHEMA_VERSION
    plan = connection.execute(f"EXPLAIN QUERY PLAN {database.SELECT_DELETIONS}", (0,)).fetchall()
    assert [row[3] for row in plan] == ["SEARCH entries USING INDEX entries_deletions (seq>?)"]
    connection.close()


def test_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"hello, I am a text" * 1000)
    with pytest.raises(LogCorruptError, match="damaged"):
        SqliteLog(tmp_path, limits=LIMITS)
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="--data"):
        SqliteLog(tmp_path / "file" / "data")


def test_folder_that_vanishes_stops_the_log_from_accepting(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "data", limits=LIMITS)
    log.append(payload()).result(5)
    (tmp_path / "data").rename(tmp_path / "moved")
    deadline = time.monotonic() + 60
    while log.append(payload()).exception(5) is None:
        assert time.monotonic() < deadline
    assert not log.health().accepting and log.health().reason
    log.close()


def test_writer_is_as_durable_as_promised(tmp_path: Path) -> None:
    connection = database.open_writer(tmp_path / "log.sqlite")
    assert (connection.pragma("synchronous"), connection.pragma("journal_mode")) == (2, "wal")
    connection.close()
    log = SqliteLog(tmp_path, limits=LIMITS)
    details = log.health().details
    assert details["sqlite_version"] == apsw.sqlite_lib_version()
    assert (details["journal_mode"], details["synchronous"]) == ("wal", "full")
    log.close()


def test_sqlite_older_than_needed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST_SQLITE", (99, 0, 0))
    with pytest.raises(StartupError, match=r"99\.0\.0"):
        SqliteLog(tmp_path, limits=LIMITS)


def test_appends_beyond_the_queue_are_refused_at_once_and_the_queued_go_through(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LogLimits(max_waiting=10, **FREE))
    held = threading.Event()
    busy = log._writer.run_between_commits(lambda _: held.wait(10))
    futures = [log.append(payload()) for _ in range(30)]
    refused = [future for future in futures if future.done()]
    held.set()
    assert busy.result(5)
    assert len(refused) in (20, 21)  # what holds the writer may be in the queue or out of it
    assert all(isinstance(future.exception(), LogUnavailableError) for future in refused)
    assert len({future.result(5).seq for future in futures if future not in refused}) == 30 - len(refused)
    log.close()


@pytest.mark.parametrize("key", [None, "k"])
def test_payload_that_cannot_be_written_fails_alone_in_a_shared_commit(tmp_path: Path, key: str | None) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS)
    held = threading.Event()
    busy = log._writer.run_between_commits(lambda _: held.wait(10))
    good = [log.append(payload(b"%d" % n), idempotency_key=key and f"{key}{n}") for n in range(3)]
    bad = log.append(payload(tenant="\ud800"), idempotency_key=key)
    good += [log.append(payload(b"%d" % n), idempotency_key=key and f"{key}{n}") for n in range(3, 6)]
    held.set()
    assert busy.result(5)
    assert isinstance(bad.exception(5), LogUnavailableError)
    answers = [future.result(5) for future in good]
    assert not any(answer.replayed for answer in answers)
    assert [entry.payload.body for entry in log.read(0, 100, 1000)] == [b"%d" % n for n in range(6)]
    assert log.health().accepting
    log.close()


def test_queue_is_bounded_by_bytes_too(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LogLimits(max_waiting_bytes=1000, **FREE))
    assert isinstance(log.append(payload(b"x" * 1001)).exception(5), LogUnavailableError)
    for _ in range(5):
        assert log.append(payload(b"x" * 900)).result(5).seq
    log.close()


def test_expired_keys_are_deleted_in_passing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.log.sqlite.upkeep.EXPIRE_EVERY_S", 0.05)
    clock = [NOW_NS]
    limits = LogLimits(keep_keys_s=60, **FREE)
    log = SqliteLog(tmp_path, limits=limits, now_ns=lambda: clock[0], monotonic=lambda: clock[0] / 1e9)
    for n in range(20):
        log.append(payload(b"%d" % n), idempotency_key=str(n)).result(5)
    clock[0] += 61 * 10**9
    reader = open_read_only(tmp_path / "log.sqlite")
    deadline = time.monotonic() + 60
    while reader.execute("SELECT count(*) FROM idempotency").get:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    reader.close()
    assert len(log.read(0, 100, 1000)) == 20
    log.close()


@pytest.mark.parametrize("jump_s", [10 * 365 * 86_400, -50 * 365 * 86_400])
def test_a_clock_that_jumps_trims_nothing_by_age_until_it_ran_steadily(tmp_path: Path, jump_s: int) -> None:
    wall, passed = [NOW_NS], [0.0]
    clocks: dict[str, Any] = {"now_ns": lambda: wall[0], "monotonic": lambda: passed[0]}
    log = SqliteLog(tmp_path, limits=LogLimits(keep_applied_s=86_400, **FREE), **clocks)
    last = log.append(payload(b"before")).result(5).seq
    wall[0] += jump_s * 10**9
    assert log.trim(last) == 0
    assert "jumped" in log.health().clock_doubt
    assert log.append(payload(b"x" * 1_000_000, wall[0])).result(5).seq > last, "the log goes on accepting"
    log.close()
    log = SqliteLog(tmp_path, limits=LogLimits(keep_applied_s=86_400, keep_bytes=500_000, **FREE), **clocks)
    assert log.trim(last + 1) == 2, "what is too bulky goes all the same, whatever a clock says"
    last = log.append(payload(b"after", wall[0])).result(5).seq
    for moved in (wall, passed):
        moved[0] += 73 * 3600 * (10**9 if moved is wall else 1)
    assert log.trim(last) == 1
    assert log.health().clock_doubt == ""
    log.close()


def test_keys_outlive_a_clock_that_jumps_and_expire_all_the_same(tmp_path: Path) -> None:
    wall, passed = [NOW_NS], [0.0]
    log = SqliteLog(tmp_path, limits=LIMITS, now_ns=lambda: wall[0], monotonic=lambda: passed[0])
    first = log.append(payload(b"{}"), idempotency_key="k").result(5)
    for jump_s in (10 * 365 * 86_400, -60 * 365 * 86_400):
        wall[0] += jump_s * 10**9
        assert log.append(payload(b"{}"), idempotency_key="k").result(5).receipt == first.receipt
    passed[0] += 8 * 86_400
    assert log.append(payload(b"{}"), idempotency_key="k").result(5).receipt != first.receipt
    log.close()


def test_backlog_that_was_worked_off_goes_back_to_the_disk(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LogLimits(keep_applied_s=0, **FREE))
    body = b"x" * 1_000_000
    for future in [log.append(payload(body)) for _ in range(100)]:
        last = future.result(10).seq
    while log.trim(last):
        pass
    log.close()
    assert (tmp_path / "log.sqlite").stat().st_size < 80 << 20


def test_reader_may_come_before_the_log_and_outlive_it(tmp_path: Path) -> None:
    reader = SqliteLogReader(tmp_path)
    with pytest.raises(LogUnavailableError):
        reader.last_seq()
    filled(tmp_path, 5)
    assert reader.last_seq() == 5
    filled(tmp_path, 2)
    assert [entry.seq for entry in reader.read(5, 10, 1000)] == [6, 7]
    reader.close()
    assert reader.first_seq() == 1
    reader.close()


def test_wal_stays_bounded_under_load_with_a_busy_reader(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, limits=LIMITS)
    reader = SqliteLogReader(tmp_path)
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.002):
            reader.read(max(0, log.last_seq() - 200), 1000, 1 << 20)

    thread = threading.Thread(target=read)
    thread.start()
    written = 0
    deadline = time.monotonic() + 60
    while written < 40 << 20 or int(log.health().details["wal_bytes"]) > written // 2:
        assert time.monotonic() < deadline, f"the WAL has grown to half of {written} bytes"
        assert written < 512 << 20, "the WAL grows with what is written"
        for future in [log.append(payload(b"x" * 20_000)) for _ in range(16)]:
            future.result(60)
        written += 16 * 20_000
    ended.set()
    thread.join()
    reader.close()
    log.close()
