"""Catalog and log of one moment: two read transactions, copied page by page while others go on writing.

The log's moment is the later one, so it has every payload that a cursor of a source in the catalog tells of. And no
version of a feed was added between the two, so the catalog knows the feed of every payload in the log.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

import apsw

from tidemill.catalog.feeds import PREFIX as FEEDS_PREFIX
from tidemill.catalog.watching import after_prefix
from tidemill.errors import BackupError
from tidemill.log import database
from tidemill.log.partitions import log_folder, partition_count
from tidemill.mill.position import LogProgress, Progress

CATALOG: Final = "catalog.sqlite"
_TRIES: Final = 1_000
_PAGES: Final = 256  # a step: 1 MiB
_BEYOND: Final = "SELECT count(*) FROM entries WHERE seq > ?"
_AHEAD: Final = "SELECT count(*) FROM entries WHERE tenant = ? AND seq > ? AND seq <= ?"
_REVISION: Final = "SELECT coalesce(max(revision), 0) FROM entries WHERE key >= ? AND key < ?"


def log_file(partition: int) -> str:
    """The path of a partition's file in a data folder."""
    return (log_folder(Path(), partition) / database.FILE).as_posix()


class Snapshot:
    """A moment of the catalog and the log in a data folder; close it soon: the log's WAL grows while it is held.

    Raises BackupError when there is none or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        try:
            self._catalog = self._connect(folder / CATALOG)
            self._logs = [self._connect(folder / log_file(number)) for number in range(partition_count(folder))]
            self._begin(folder)
            self.first_seqs = [database.first_seq(log) for log in self._logs]
            self.last_seqs = [database.last_seq(log) for log in self._logs]
        except apsw.Error as error:
            self._open.close()
            raise BackupError(f"The catalog or the log in '{folder}' cannot be read: {error}") from error

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file, by its path in the data folder."""
        return {name: _size(source) for name, source in self._sources().items()}

    def waiting(self, progress: LogProgress) -> int:
        """How many entries of the log are not applied yet."""
        return sum(_waiting(*each) for each in zip(self._logs, progress.partitions, strict=True))

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """Write a file of `sizes` to `to`, which must not be there; `progress` hears the bytes of each step.

        Raises apsw.Error or OSError.
        """
        target = apsw.Connection(str(to))
        try:
            target.pragma("synchronous", 0)  # whoever keeps the file forces it to disk
            target.pragma("journal_mode", "off")
            page_bytes = self._sources()[name].pragma("page_size")
            with target.backup("main", self._sources()[name], "main") as backup:
                while not backup.done:
                    before = backup.remaining
                    backup.step(_PAGES)
                    progress(max(0, (before or backup.page_count) - backup.remaining) * page_bytes)
        finally:
            target.close()

    def close(self) -> None:
        """Let go of the moment. Harmless when repeated."""
        self._open.close()

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _sources(self) -> dict[str, apsw.Connection]:
        return {CATALOG: self._catalog} | {log_file(number): log for number, log in enumerate(self._logs)}

    def _connect(self, path: Path) -> apsw.Connection:
        connection = database.open_reader(path)
        self._open.callback(connection.close, True)
        return connection

    def _begin(self, folder: Path) -> None:
        now = database.open_reader(folder / CATALOG)
        try:
            for _ in range(_TRIES):
                self._catalog.execute("BEGIN")
                revision = _feeds_revision(self._catalog)
                for log in self._logs:
                    log.execute("BEGIN")
                    database.last_seq(log)
                if _feeds_revision(now) == revision:
                    return
                for log in self._logs:
                    log.execute("ROLLBACK")
                self._catalog.execute("ROLLBACK")
        finally:
            now.close()
        raise BackupError("The feeds change without a pause: no moment could be taken. Try again later.")


def _waiting(log: apsw.Connection, progress: Progress) -> int:
    beyond = log.execute(_BEYOND, (progress.checkpoint,)).get
    ahead = (log.execute(_AHEAD, (tenant, progress.checkpoint, at)).get for tenant, at in progress.ahead.items())
    return int(beyond - sum(ahead))


def _feeds_revision(connection: apsw.Connection) -> int:
    """What rises with every feed definition that is added. The first read is what fixes a transaction's moment."""
    return int(connection.execute(_REVISION, (FEEDS_PREFIX, after_prefix(FEEDS_PREFIX))).get)


def _size(connection: apsw.Connection) -> int:
    return int(connection.pragma("page_count") * connection.pragma("page_size"))
