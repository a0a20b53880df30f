"""Opens the log again after an error, without trusting the page cache.

After a failed fsync the kernel may treat pages as clean that never reached the disk. So the WAL's cached pages are
dropped (the next read comes from the disk), the tail is verified against what was acknowledged, and a checkpoint writes
everything to the main file, with its own fsync, before the log accepts payloads again.
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
from tidemill.log.loss import advice_after_loss
from tidemill.log.sqlite import database, entries, reading

_TAIL: Final = 64  # entries that are verified before the log accepts payloads
_FAR: Final = 1 << 32  # more offsets than a mark can lag behind


def reopen(path: Path, vfs: str | None, durable: int, damages: Damages) -> tuple[apsw.Connection, int]:
    """Open the log again and verify it; returns the connection and the log's last seq.

    Raises LogCorruptError when the log ends before `durable`, else apsw.Error or OSError while the disk fails.
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
    """Check that the log reaches `durable`; returns the newest seq ever committed. Adds the damage of its last entries
    to `damages`; such damage does not keep later payloads from being acknowledged.

    Raises LogCorruptError.
    """
    last = _last_seq(connection, durable, damages)
    if last < durable:
        raise LogCorruptError(
            f"the log ends at {last} but was durable up to {durable}: entries that were acknowledged are gone. "
            f"If its files are damaged: {HOW_TO_REPAIR}. {advice_after_loss(durable)}"
        )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    try:
        newest = connection.execute("SELECT seq FROM entries ORDER BY seq DESC LIMIT ?", (_TAIL,)).fetchall()
        for seq in (int(row[0] or 0) for row in newest):
            checked = entries.check_row(reading.read_row(connection, seq))
            if checked.damage or checked.mended:
                damages.add(entries.damage_of(seq, checked))
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its newest entries: {error}"))
    return last


def _last_seq(connection: apsw.Connection, durable: int, damages: Damages) -> int:
    """The newest seq, by SQLite's sequence and by the entries, because either may be damaged."""
    sequence, newest = 0, 0
    try:
        sequence = database.last_seq(connection)
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its sequence: {error}"))
    try:
        newest = connection.execute("SELECT max(seq) FROM entries").get or 0
    except apsw.CorruptError as error:
        damages.add(LogDamage(0, f"SQLite cannot read its newest entries: {error}"))
    known = max(newest, durable)
    if sequence > known + _FAR:
        damages.add(LogDamage(0, f"its sequence says {sequence}, and its newest entry is {known}"))
        return known
    return max(sequence, newest)


def close_quietly(connection: apsw.Connection) -> None:
    """Close a connection and ignore errors of its disk; uncommitted work is lost in any case."""
    with suppress(apsw.Error, OSError):
        connection.close(True)


def as_unavailable(error: BaseException, path: Path) -> LogUnavailableError:
    """The error for clients of an error of SQLite or of the system."""
    full = isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
    if full or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:  # the WAL's index could not grow
        return DiskFullError(f"the disk under {path} is full; nothing was acknowledged", 5.0)
    return LogUnavailableError(f"the log {path} could not be written ({error}); nothing was acknowledged", 1.0)


@contextmanager
def as_startup_error(path: Path) -> Iterator[None]:
    """Raise errors of SQLite inside the `with` block, which opens the log, as LogCorruptError or StartupError."""
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
