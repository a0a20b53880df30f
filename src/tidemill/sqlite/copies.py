"""A read transaction on a SQLite file, copied page by page while others go on writing; and whether a copy is whole.

Whatever SQLite says comes out as OSError.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

BUSY_MS: Final = 5_000
_PAGES: Final = 256  # a step: 1 MiB


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open an existing file read-only, from any process. Raises apsw.CantOpenError when there is none."""
    connection = apsw.Connection(
        path.absolute().as_uri() + "?mode=ro", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs
    )
    connection.set_busy_timeout(BUSY_MS)
    return connection


class FileSnapshot:
    """One moment of the file at `path`, from `begin` on. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        with as_os_error():
            self._connection = open_reader(path)

    def begin(self) -> None:
        """Make the next question's moment that of all that follow, in place of an earlier one."""
        with as_os_error():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

    def value(self, sql: str, *bound: Any) -> Any:
        """The first column of the first row."""
        with as_os_error():
            return self._connection.execute(sql, bound).get

    @property
    def size(self) -> int:
        """The bytes of the file."""
        with as_os_error():
            return int(self._connection.pragma("page_count") * self._connection.pragma("page_size"))

    def copy(self, to: Path, progress: Callable[[int], None]) -> None:
        """Write the file to `to`, which must not be there; `progress` gets the bytes of each step."""
        with as_os_error():
            target = apsw.Connection(str(to))
            try:
                target.pragma("synchronous", 0)  # whoever keeps the file forces it to disk
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
        """Let go of the moment. Harmless when repeated."""
        self._connection.close(True)


def fault_of(path: Path) -> str:
    """What SQLite finds wrong with a file that nobody has open; "" where nothing is."""
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
    """Within, an error of SQLite is raised as OSError; that of a full disk with ENOSPC."""
    try:
        yield
    except apsw.FullError as error:
        raise OSError(errno.ENOSPC, str(error)) from error
    except apsw.Error as error:
        raise OSError(str(error)) from error
