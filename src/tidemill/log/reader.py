"""Reads the log from any process: a read-only SQLite connection in WAL mode, short read transactions only.

Sees what is committed, therefore durable, and nothing else. Opens the file at the first call and again after an error,
so a reader may be made before the log is. Never writes; holds no transaction between calls (that would keep the WAL
from being reset).
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from tidemill.errors import LogUnavailableError
from tidemill.log import database, erasing
from tidemill.model.payload import Logged

T = TypeVar("T")


class SqliteLogReader:
    """The read side of `log.sqlite` in `directory`; thread-safe (calls queue behind each other)."""

    def __init__(self, directory: Path, *, vfs: str | None = None) -> None:
        self._path = directory / database.FILE
        self._vfs = vfs
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None

    def read(self, after: int, max_count: int, max_bytes: int) -> list[Logged]:
        """Entries with seq > `after` in order; at least one if there is one, then up to both limits.

        `max_bytes` counts bodies. About 2 µs an entry. Raises LogUnavailableError.
        """
        return self.query(lambda connection: _read(connection, after, max_count, max_bytes))

    def find(self, tenant: str, receipt: str) -> Logged | None:
        """The entry of a receipt if the log still keeps it and it is this tenant's, else None."""
        row = self.query(lambda connection: connection.execute(database.FIND, (receipt, tenant)).get)
        return None if row is None else database.from_row(row)

    def deletions(self, after: int) -> list[Logged]:
        """The deletions with seq > `after` in order, by an index that holds nothing else.

        Raises LogUnavailableError.
        """
        rows = self.query(lambda connection: connection.execute(database.DELETIONS, (after,)).fetchall())
        return [database.from_row(row) for row in rows]

    def erased(self) -> int:
        """See `LogReader.erased`; 0 also while the log is of an older version."""
        return self.query(erasing.erased)

    def counts(self, after: int, upto: int) -> dict[str, tuple[int, int]]:
        """See `LogReader.counts`. About 0.2 µs an entry; bodies are not read."""
        rows: list[Any] = self.query(lambda connection: connection.execute(database.COUNTS, (after, upto)).fetchall())
        return {tenant: (n, total) for tenant, n, total in rows}

    def places(self, tenant: str, after: int, upto: int) -> list[int]:
        """See `LogReader.places`."""
        rows: list[Any] = self.query(lambda c: c.execute(database.PLACES, (after, upto, tenant)).fetchall())
        return [seq for (seq,) in rows]

    def first_seq(self) -> int:
        """The oldest seq kept (0 when empty)."""
        return self.query(database.first_seq)

    def last_seq(self) -> int:
        """The newest durable seq, also when its entry was trimmed (0: nothing was ever appended)."""
        return self.query(database.last_seq)

    def query(self, ask: Callable[[apsw.Connection], T]) -> T:
        """Run `ask` on the connection; it must finish its statements. Raises LogUnavailableError."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = database.open_reader(self._path, self._vfs)
                return ask(self._connection)
            except apsw.Error as error:
                self._drop()
                raise LogUnavailableError(f"the log {self._path} cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None


def _read(connection: apsw.Connection, after: int, max_count: int, max_bytes: int) -> list[Logged]:
    entries: list[Logged] = []
    size = 0
    cursor = connection.execute(database.READ, (after, max(max_count, 1)))
    try:
        for row in cursor:
            size += len(row[-1])
            if size > max_bytes and entries:
                break
            entries.append(database.from_row(row))
    finally:
        cursor.close(True)
    return entries
