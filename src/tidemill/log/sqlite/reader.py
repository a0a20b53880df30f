"""Reads the log from any process: a read-only SQLite connection in WAL mode, short read transactions only.

Sees only committed, therefore durable, entries. Opens the file at the first call and again after an error, so a reader
may be made before the log is. Never writes; holds no transaction between calls, which would keep the WAL from being
reset.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import apsw

from tidemill.errors import LogCorruptError, LogDamagedError, LogUnavailableError
from tidemill.log.contract import EVERY_CAPABILITY, FileFault, Header, SelfCheck
from tidemill.log.damage import Damages, LogDamage
from tidemill.log.sqlite import database, erasing, high_water, reading
from tidemill.log.sqlite.high_water import read_mark
from tidemill.model.payload import LogEntry
from tidemill.sqlite.copies import open_read_only

T = TypeVar("T")


class SqliteLogReader:
    """Reads one partition, `log.sqlite` in `directory`; thread-safe (calls queue behind each other). `quiet`: the
    caller reports damages."""

    capabilities: Final = EVERY_CAPABILITY

    def __init__(self, directory: Path, *, vfs: str | None = None, quiet: bool = False) -> None:
        self._path = directory / database.LOG_FILE
        self._vfs = vfs
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self.damages = Damages(self._path, quiet=quiet)

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        """See `PartitionReader.read`; `max_bytes` counts bodies. About 4 µs an entry and 0.6 ms a MiB, checksums
        included."""
        limits = reading.ReadLimits(max_count, max_bytes)
        return self.query(lambda connection: reading.read_entries(connection, after, limits, self.damages))

    def known_damages(self) -> list[LogDamage]:
        """See `PartitionReader.known_damages`."""
        return self.damages.known

    def self_check(self, *, whole: bool) -> SelfCheck:
        """See `PartitionReader.self_check`: checks the structure with SQLite, and the high-water mark."""
        structure = self._structure() if whole else []
        faults = [FileFault(f"structure of {database.LOG_FILE}", "ok", text) for text in structure]
        try:
            durable, fault = read_mark(self._path.parent / high_water.HIGH_WATER_FILE)
        except LogCorruptError as error:
            durable, fault = 0, error.message
        if fault:
            faults.append(FileFault("high-water mark", "a mark", fault))
        return SelfCheck(durable, tuple(faults))

    def _structure(self) -> list[str]:
        try:
            rows = self.query(lambda connection: connection.execute("PRAGMA integrity_check(20)").fetchall())
        except LogUnavailableError as error:
            return [error.message]
        return [str(text) for (text,) in rows if text != "ok"]

    def headers(self, after: int, max_count: int) -> list[Header]:
        """See `BacklogReader.headers`; about 1 µs an entry."""
        return self.query(lambda connection: reading.read_headers(connection, after, max_count, self.damages))

    def entries_at(self, seqs: Sequence[int]) -> list[LogEntry]:
        """See `BacklogReader.entries_at`."""
        return self.query(lambda connection: reading.read_entries_at(connection, seqs, self.damages))

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        """See `ReceiptIndex.find`; by an index."""
        return self.query(lambda connection: reading.find_receipt(connection, tenant, receipt, self.damages))

    def deletions(self, after: int) -> list[LogEntry]:
        """See `PartitionReader.deletions`; by an index of the deletions. Leaves out damaged ones."""
        return self.query(lambda connection: reading.read_deletions(connection, after, self.damages))

    def erased(self) -> int:
        """See `PartitionReader.erased`; 0 also in a log of an older version."""
        return self.query(erasing.read_erased)

    def first_seq(self) -> int:
        """See `PartitionReader.first_seq`."""
        return self.query(database.first_seq)

    def last_seq(self) -> int:
        """See `PartitionReader.last_seq`."""
        return self.query(database.last_seq)

    def query(self, work: Callable[[apsw.Connection], T]) -> T:
        """The result of `work` with the connection; `work` must finish its statements. Raises LogUnavailableError."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = open_read_only(self._path, self._vfs)
                return work(self._connection)
            except apsw.CorruptError as error:
                self._drop()
                raise LogDamagedError(f"the log {self._path} cannot be read: {error}") from error
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
