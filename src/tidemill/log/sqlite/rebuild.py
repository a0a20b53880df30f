"""Repairs the log's files while nobody has them open: takes back a flipped bit in the WAL, and rebuilds a file whose
structure is damaged from the rows that can still be read. Keeps the damaged file beside the new one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from tidemill.durable import sync_folder
from tidemill.errors import LogCorruptError
from tidemill.log.sqlite import database, entries
from tidemill.log.sqlite.entries import CheckedEntry
from tidemill.log.sqlite.high_water import HIGH_WATER_FILE, HighWaterMark, read_mark
from tidemill.log.sqlite.page_map import Pages
from tidemill.model.deletion import ERASED_FORMAT
from tidemill.model.offset import MAX_SEQ, start_of
from tidemill.sqlite import wal
from tidemill.sqlite.copies import open_read_only

_BESIDE: Final = {"idempotency": "keys of the last 7 days", "erasure": "how far erasure is"}
_BATCH: Final = 100


def repair_files(folder: Path, known_offset: int, partition: int = 0) -> list[str]:
    """Repair the files of a partition's log in `folder` so that a server can open them; returns sentences about each
    repair. `known_offset`: the newest offset that the store or a checkpoint names. Raises LogCorruptError when no row
    can be read, apsw.Error, OSError."""
    path = folder / database.LOG_FILE
    done = []
    if wal.repair_wal(Path(f"{path}-wal")):
        done.append("log.sqlite-wal was damaged, and is read to its end again")
    if path.exists() and not _is_sound(path):
        done += _rebuild(folder, known_offset, partition)
    return done + _repair_mark(folder, known_offset)


def _is_sound(path: Path) -> bool:
    try:
        connection = open_read_only(path)
        try:
            return bool(connection.execute("PRAGMA integrity_check(1)").get == "ok")
        finally:
            connection.close(True)
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError):  # SQLError: not even the schema can be read
        return False


def _rebuild(folder: Path, known_offset: int, partition: int) -> list[str]:
    path = folder / database.LOG_FILE
    rows = _readable(path)
    if not rows and known_offset > start_of(partition):
        raise LogCorruptError(f"no entry can be read in {path}; put back a backup of it")
    new = folder / f"{database.LOG_FILE}.new"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{new}{suffix}").unlink(missing_ok=True)
    connection = database.open_writer(new)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        ordered = sorted(rows)
        for start in range(0, len(ordered), _BATCH):
            with connection:
                database.insert_rows(connection, [rows[seq].row for seq in ordered[start : start + _BATCH]])
        lost = [what for table, what in _BESIDE.items() if not _copied(path, connection, table)]
        database.skip_to_seq(connection, max(known_offset, *ordered[-1:], _sequence(path, start_of(partition))))
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close(True)
    kept = _exchange(folder, path, new)
    done = [f"log.sqlite is built anew with {len(rows)} entries; the damaged file is kept as {kept}"]
    return done + [f"{what} could not be read, and are gone" for what in lost]


def _readable(path: Path) -> dict[int, CheckedEntry]:
    """Every entry whose columns beside the body are reliable, by seq, mended where possible; of several copies of an
    entry the best one."""
    best: dict[int, CheckedEntry] = {}
    for row in Pages(path).rows():
        checked = entries.check_row(row)
        sure = checked.head and not (row[-1] is None and checked.damage)
        seq = checked.row[0]
        earlier = best.get(seq)
        if sure and (earlier is None or earlier.damage or checked.row[6] == ERASED_FORMAT):
            best[seq] = checked
    return best


def _copied(path: Path, to: apsw.Connection, table: str) -> bool:
    """Copy the rows of a small table; false if not all rows could be read."""
    try:
        for row in _rows_of(path, table):
            to.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(row))})", row)
    except (apsw.Error, UnicodeDecodeError):
        return False
    return True


def _rows_of(path: Path, table: str) -> Iterator[tuple[Any, ...]]:
    connection = open_read_only(path)
    try:
        yield from connection.execute(f"SELECT * FROM {table}")
    finally:
        connection.close(True)


def _sequence(path: Path, start: int) -> int:
    try:
        connection = open_read_only(path)
        try:
            counted = database.last_seq(connection)
        finally:
            connection.close(True)
    except apsw.Error:
        return 0
    return counted if start <= counted <= start + MAX_SEQ else 0


def _exchange(folder: Path, path: Path, new: Path) -> str:
    """Put the new file in place of the damaged one, which is kept with its WAL; returns its name."""
    number = 1
    while (kept := folder / f"{database.LOG_FILE}.damaged-{number}").exists():
        number += 1
    for suffix in ("-wal", ""):
        if Path(f"{path}{suffix}").exists():
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    new.rename(path)
    for suffix in ("-wal", "-shm"):
        Path(f"{new}{suffix}").unlink(missing_ok=True)
    sync_folder(folder)
    return kept.name


def _repair_mark(folder: Path, known_offset: int) -> list[str]:
    path = folder / HIGH_WATER_FILE
    try:
        seq, fault = read_mark(path)
    except LogCorruptError:
        seq, fault = known_offset, "unreadable"
        path.unlink()
    if not fault:
        return []
    mark = HighWaterMark(path)
    mark.note(seq)
    mark.close()
    return [f"the high-water mark is written anew: {seq}"]
