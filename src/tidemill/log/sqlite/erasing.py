"""Makes the bytes of deleted payloads leave the log's files for good, in steps between which commits can pass.

The body goes first (overwritten with zeros, as `secure_delete` is on), then the free pages, which earlier versions of
the file may have left full; then the WAL, which still held the old pages, is cut to nothing.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import apsw

from tidemill.model.deletion import ERASED
from tidemill.sqlite.copies import BUSY_MS

_WAIT_MS: Final = 200  # that commits wait for readers to leave the WAL
_PAGES: Final = 256


def empty(connection: apsw.Connection, seqs: Sequence[int]) -> None:
    """Empty the bodies of these entries in one commit; faults quote what was sent, so they go, too."""
    with _transaction(connection):
        connection.executemany(
            "UPDATE entries SET body = x'', faults = NULL, format = ?, seal = NULL WHERE seq = ? AND format != ?",
            [(ERASED, seq, ERASED) for seq in seqs],
        )


def give_back(connection: apsw.Connection) -> bool:
    """Give some free pages back to the disk; whether none is left."""
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    return bool(connection.pragma("freelist_count") == 0)


def reset_wal(connection: apsw.Connection) -> bool:
    """Move everything out of the WAL and cut the file; false when a reader is in it still."""
    connection.set_busy_timeout(_WAIT_MS)
    try:
        left, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(BUSY_MS)
    return bool(left == 0)


def note(connection: apsw.Connection, up_to: int) -> None:
    """Write down how far erasure is; it never goes back."""
    connection.execute(
        "INSERT INTO erasure VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET up_to = max(up_to, excluded.up_to)", (up_to,)
    )


def erased(connection: apsw.Connection) -> int:
    """How far erasure is; 0 also in a file of an older version."""
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
