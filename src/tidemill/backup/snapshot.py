"""A snapshot of the catalog and the log, copied while other processes go on writing.

The log's snapshot is taken after the catalog's, so the log has every payload that a source's cursor in the catalog
counts. No version of a feed was added between the two, so the catalog has the feed of every payload in the log.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from tidemill.catalog.opening import CATALOG_FILE, CatalogSnapshot
from tidemill.errors import BackupError
from tidemill.log.opening import log_files
from tidemill.mill.progress import LogProgress

_TRIES: Final = 1_000


class Snapshot:
    """A snapshot of the catalog and the log in a data folder. Close it soon: the log grows while it is open.

    Raises BackupError when either is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        try:
            self._catalog = CatalogSnapshot(folder)
            self._open.callback(self._catalog.close)
            self._log = log_files(folder).snapshot()
            self._open.callback(self._log.close)
            self._begin(folder)
            self.first_seqs, self.last_seqs = self._log.first_seqs, self._log.last_seqs
        except OSError as error:
            self._open.close()
            raise BackupError(f"The catalog or the log in '{folder}' cannot be read: {error}") from error
        self.log_software = self._log.software

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by the file's path in the data folder."""
        return {CATALOG_FILE: self._catalog.size} | self._log.sizes

    def waiting(self, progress: LogProgress) -> int:
        """How many entries of the log are not applied yet."""
        return sum(
            self._log.waiting(number, applied.checkpoint, applied.ahead)
            for number, applied in enumerate(progress.partitions)
        )

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """Write a file of `sizes` to `to`, which must not exist; calls `progress` with the bytes of each step.

        Raises OSError.
        """
        if name == CATALOG_FILE:
            self._catalog.copy(to, progress)
        else:
            self._log.copy(name, to, progress)

    def close(self) -> None:
        """Release the snapshot. Harmless when repeated."""
        self._open.close()

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _begin(self, folder: Path) -> None:
        now = CatalogSnapshot(folder)
        try:
            for _ in range(_TRIES):
                revision = self._catalog.begin()
                self._log.begin()
                if now.feeds_revision() == revision:
                    return
        finally:
            now.close()
        self.close()
        raise BackupError("The feeds change without a pause: no moment could be taken. Try again later.")
