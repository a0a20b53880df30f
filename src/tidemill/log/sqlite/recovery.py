"""Opening the log again after an error: never trusting what only the page cache says.

After a failed fsync the kernel may call pages clean that never reached the disk. So the WAL's cached pages are dropped
(what is read next is what the disk has), the tail is verified against what was acknowledged, and a checkpoint writes
everything to the main file afresh, with its own fsync, before the log accepts anything again.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from tidemill.errors import DiskFullError, LogCorruptError, LogUnavailableError, StartupError
from tidemill.log.damage import HOW_TO_REPAIR, Damages, LogDamage
from tidemill.log.loss import how_to_go_on
from tidemill.log.sqlite import database, entries, reading

_TAIL: Final = 64  # entries that are verified before the log serves
_FAR: Final = 1 << 32  # more places than a mark can lag behind


def reopen(path: Path, vfs: str | None, durable: int, damages: Damages) -> tuple[apsw.Connection, int]:
    """A verified connection and the log's last seq.

    Raises LogCorruptError when entries up to `durable` are not all there, else apsw.Error or OSError while the disk
    does not do its work.
    """
    _drop_cached_pages(Path(f"{path}-wal"))
    connection = database.open_writer(path, vfs)
    try:
        last = verify_tail(connection, durable, damages)
        with suppress(apsw.BusyError):  # a reader is in the WAL: it was checkpointed as far as that reader allows
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    except BaseException:
        close_quietly(connection)
        raise
    return connection, last


def verify_tail(connection: apsw.Connection, durable: int, damages: Damages) -> int:
    """Check that the log reaches `durable`; returns the newest seq ever committed. Entries at its end that are not what
    they say are noted: damage in them keeps no payload that comes later from being acknowledged.

    Raises LogCorruptError.
    """
    last = _last_seq(connection, durable, damages)
    if last < durable:
        raise LogCorruptError(
            f"the log ends at {last} but was durable up to {durable}: entries that were acknowledged are gone. "
            f"If its files are damaged: {HOW_TO_REPAIR}. {how_to_go_on(durable)}"
        )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    try:
        newest = connection.execute("SELECT seq FROM entries ORDER BY seq DESC LIMIT ?", (_TAIL,)).fetchall()
        for seq in (int(row[0] or 0) for row in newest):
            checked = entries.check(reading.row_at(connection, seq))
            if checked.damage or checked.mended:
                damages.add(entries.damage_of(seq, checked))
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its newest entries: {error}"))
    return last


def _last_seq(connection: apsw.Connection, durable: int, damages: Damages) -> int:
    """The newest seq, by the sequence and by the entries: one of the two may be damaged."""
    counted, held = 0, 0
    try:
        counted = database.last_seq(connection)
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its sequence: {error}"))
    try:
        held = connection.execute("SELECT max(seq) FROM entries").get or 0
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its newest entries: {error}"))
    known = max(held, durable)
    if counted > known + _FAR:
        damages.add(LogDamage(0, f"its sequence says {counted}, and its newest entry is {known}"))
        return known
    return max(counted, held)


def close_quietly(connection: apsw.Connection) -> None:
    """Close a connection whose disk may be failing; what it did not commit is gone in any case."""
    with suppress(apsw.Error, OSError):
        connection.close(True)


def as_unavailable(error: BaseException, path: Path) -> LogUnavailableError:
    """An error of SQLite or the system as what a client is told."""
    full = isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
    if full or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:  # the WAL's index could not grow
        return DiskFullError(f"the disk under {path} is full; nothing was acknowledged", 5.0)
    return LogUnavailableError(f"the log {path} could not be written ({error}); nothing was acknowledged", 1.0)


@contextmanager
def as_startup_error(path: Path) -> Iterator[None]:
    """While opening at start: what SQLite says of the file becomes LogCorruptError or StartupError."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise LogCorruptError(
            f"{path} is damaged ({error}): {HOW_TO_REPAIR}, or put a complete copy of it and its -wal back"
        ) from error
    except apsw.Error as error:
        raise StartupError(f"the log {path} cannot be opened: {error}") from error


def _drop_cached_pages(path: Path) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
