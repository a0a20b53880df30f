"""Catalog and log of one moment, copied while others go on writing.

The log's moment is the later one, so it has every payload that a cursor of a source in the catalog tells of. And no
version of a feed was added between the two, so the catalog knows the feed of every payload in the log.
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
    """A moment of the catalog and the log in a data folder; close it soon: the log grows while it is held.

    Raises BackupError when there is none or it cannot be read.
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
        """The bytes of each file, by its path in the data folder."""
        return {CATALOG_FILE: self._catalog.size} | self._log.sizes

    def waiting(self, progress: LogProgress) -> int:
        """How many entries of the log are not applied yet."""
        return sum(
            self._log.waiting(number, each.checkpoint, each.ahead) for number, each in enumerate(progress.partitions)
        )

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """Write a file of `sizes` to `to`, which must not be there; `progress` hears the bytes of each step.

        Raises OSError.
        """
        if name == CATALOG_FILE:
            self._catalog.copy(to, progress)
        else:
            self._log.copy(name, to, progress)

    def close(self) -> None:
        """Let go of the moment. Harmless when repeated."""
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
