"""Copies a SQLite file from one read transaction, page by page while other processes go on writing, and checks copies.

Raises errors of SQLite as OSError.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

BUSY_MS: Final = 5_000
_PAGES: Final = 256  # a step: 1 MiB


def open_read_only(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open an existing file read-only, from any process. Raises apsw.CantOpenError when there is no file."""
    connection = apsw.Connection(
        path.absolute().as_uri() + "?mode=ro", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs
    )
    connection.set_busy_timeout(BUSY_MS)
    return connection


class FileSnapshot:
    """A snapshot of the file at `path`, taken by the first query after `begin`. Raises OSError when the file cannot be
    opened."""

    def __init__(self, path: Path) -> None:
        with as_os_error():
            self._connection = open_read_only(path)

    def begin(self) -> None:
        """Begin a read transaction, which ends an earlier one: the next query fixes what all later queries see."""
        with as_os_error():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

    def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row of a query."""
        with as_os_error():
            return self._connection.execute(sql, params).get

    @property
    def size(self) -> int:
        """The bytes of the file."""
        with as_os_error():
            return int(self._connection.pragma("page_count") * self._connection.pragma("page_size"))

    def copy(self, to: Path, progress: Callable[[int], None]) -> None:
        """Write the file to `to`, which must not exist; calls `progress` with the bytes of each step."""
        with as_os_error():
            target = apsw.Connection(str(to))
            try:
                target.pragma("synchronous", 0)  # the caller forces the file to disk
                target.pragma("journal_mode", "off")
                page_bytes = self._connection.pragma("page_size")
                with target.backup("main", self._connection, "main") as backup:
                    while not backup.done:
                        before = backup.remaining
                        backup.step(_PAGES)
                        progress(max(0, (before or backup.page_count) - backup.remaining) * page_bytes)
            finally:
                target.close()

    def close(self) -> None:
        """End the transaction and close the file. Harmless when repeated."""
        self._connection.close(True)


def structure_fault(path: Path) -> str:
    """The damage that SQLite finds in the structure of a file that nobody has open; "" for none."""
    try:
        connection = apsw.Connection(
            path.absolute().as_uri() + "?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            verdict = str(connection.execute("PRAGMA integrity_check(1)").get)
        finally:
            connection.close()
    except apsw.Error as error:
        return str(error)
    return "" if verdict == "ok" else verdict


@contextmanager
def as_os_error() -> Iterator[None]:
    """Raise errors of SQLite inside the `with` block as OSError; of a full disk with ENOSPC."""
    try:
        yield
    except apsw.FullError as error:
        raise OSError(errno.ENOSPC, str(error)) from error
    except apsw.Error as error:
        raise OSError(str(error)) from error
