"""Erases the bytes of deleted payloads from the log's files, in steps between which the writer can commit.

First the bodies are emptied (SQLite overwrites them with zeros, because `secure_delete` is on). Then the free pages,
which earlier versions of Tidemill left with content, go back to the disk (`retention.return_free_pages`). Then the WAL,
which still holds the old pages, is truncated.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import apsw

from tidemill.model.deletion import ERASED_FORMAT
from tidemill.sqlite.copies import BUSY_MS

_WAIT_MS: Final = 200  # for which commits wait until readers have left the WAL


def empty_bodies(connection: apsw.Connection, seqs: Sequence[int]) -> None:
    """Empty the bodies of these entries in one commit; also their faults, because these quote what was sent."""
    with _transaction(connection):
        connection.executemany(
            "UPDATE entries SET body = x'', faults = NULL, format = ?, seal = NULL WHERE seq = ? AND format != ?",
            [(ERASED_FORMAT, seq, ERASED_FORMAT) for seq in seqs],
        )


def reset_wal(connection: apsw.Connection) -> bool:
    """Copy the whole WAL into the main file and truncate it; false while a reader is in the WAL."""
    connection.set_busy_timeout(_WAIT_MS)
    try:
        left, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(BUSY_MS)
    return bool(left == 0)


def note_erased(connection: apsw.Connection, upto_offset: int) -> None:
    """Save the offset up to which everything is erased; a smaller one than the saved changes nothing."""
    connection.execute(
        "INSERT INTO erasure VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET up_to = max(up_to, excluded.up_to)",
        (upto_offset,),
    )


def read_erased(connection: apsw.Connection) -> int:
    """The offset up to which everything is erased; 0: nothing yet, or the file is of an older version."""
    if connection.pragma("user_version") < 3:
        return 0
    return connection.execute("SELECT max(up_to) FROM erasure").get or 0


@contextlib.contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
