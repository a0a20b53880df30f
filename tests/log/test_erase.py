"""Erased bytes are in none of the log's files any more, and everything else is as it was."""

from pathlib import Path

import apsw

from tests.log.payloads import payload
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, SqliteLogReader
from tidemill.model.deletion import is_erased

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
SMALL, LARGE, KEPT = b"small-secret", b"large-secret" * 5_000, b"stays-here"


def holding(folder: Path, text: bytes) -> list[str]:
    return [path.name for path in folder.iterdir() if text in path.read_bytes()]


def filled(folder: Path, **options: object) -> tuple[SqliteLog, list[int]]:
    log = SqliteLog(folder, limits=LIMITS, **options)  # type: ignore[arg-type]
    return log, [log.append(payload(body)).result(5).seq for body in (SMALL, LARGE, KEPT)]


def test_erased_bytes_are_in_no_file_and_the_rest_stays(tmp_path: Path) -> None:
    log, (small, large, _) = filled(tmp_path)
    reader = SqliteLogReader(tmp_path)
    before = reader.read(0, 10, 1 << 20)
    assert holding(tmp_path, b"secret")
    assert log.erased() == 0
    assert log.erase([small, large, 4711], upto_offset=9)
    assert holding(tmp_path, b"secret") == []
    assert holding(tmp_path, KEPT)
    after = reader.read(0, 10, 1 << 20)
    assert [is_erased(entry.payload) for entry in after] == [True, True, False]
    assert [entry.payload.body for entry in after] == [b"", b"", KEPT]
    for old, new in zip(before, after, strict=True):
        assert (old.seq, old.payload.receipt, old.payload.sha256) == (new.seq, new.payload.receipt, new.payload.sha256)
    assert reader.erased() == log.erased() == 9
    assert log.erase([small], upto_offset=3)
    assert log.erased() == 9, "it never goes back"
    log.close()


def test_an_erased_tail_verifies_at_the_next_start(tmp_path: Path) -> None:
    log, (small, large, kept) = filled(tmp_path)
    log.erase([small, large, kept], upto_offset=kept)
    log.close()
    log = SqliteLog(tmp_path, limits=LIMITS)
    assert log.append(payload(b"on it goes")).result(5).seq == kept + 1
    log.close()


def test_a_reader_in_the_old_pages_only_delays_it(tmp_path: Path) -> None:
    log, (small, _, kept) = filled(tmp_path)
    other = apsw.Connection(str(tmp_path / "log.sqlite"), apsw.SQLITE_OPEN_READONLY)
    rows = other.execute("SELECT seq FROM entries")
    next(rows)
    assert not log.erase([small], upto_offset=kept)
    assert log.erased() == 0
    rows.close()
    other.close()
    assert log.erase([small], upto_offset=kept)
    assert holding(tmp_path, SMALL) == []
    log.close()


def test_trimmed_bytes_are_gone_too(tmp_path: Path) -> None:
    log, seqs = filled(tmp_path, now_ns=lambda: 1 << 62)
    assert log.trim(seqs[1]) == 2
    assert log.erase([], upto_offset=seqs[1])
    assert holding(tmp_path, b"secret") == []
    log.close()


def test_a_log_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    filled(tmp_path)[0].close()
    with apsw.Connection(str(tmp_path / "log.sqlite")) as connection:
        connection.execute("DROP TABLE erasure; ALTER TABLE entries DROP COLUMN seal; PRAGMA user_version = 2")
    connection.close()
    assert SqliteLogReader(tmp_path).erased() == 0
    log = SqliteLog(tmp_path, limits=LIMITS)
    assert log.erase([1], upto_offset=1) and log.erased() == 1
    log.close()
