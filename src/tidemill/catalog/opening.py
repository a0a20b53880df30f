"""The catalog of a data folder: opened, looked at, copied. The one place that names the implementation."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tidemill.catalog import inspect
from tidemill.catalog.contract import Catalog
from tidemill.catalog.feeds import FEEDS_PREFIX
from tidemill.catalog.inspect import Inspected
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.catalog.watching import after_prefix
from tidemill.sqlite import wal
from tidemill.sqlite.copies import FileSnapshot, structure_fault

CATALOG_FILE: Final = "catalog.sqlite"  # in a data folder
_REVISION: Final = "SELECT coalesce(max(revision), 0) FROM entries WHERE key >= ? AND key < ?"


def open_catalog(data: Path) -> Catalog:
    """The catalog of a data folder, which is made if need be. Raises UnavailableError, StartupError."""
    return SqliteCatalog(data / CATALOG_FILE)


def inspect_catalog(data: Path) -> Inspected:
    """What the catalog of a data folder holds, before anybody opens it; see `catalog/inspect.py`."""
    return inspect.inspect_file(data / CATALOG_FILE)


def put_aside(data: Path) -> None:
    """Rename a catalog that cannot be used to `catalog-lost...`, so that another one can be made."""
    for path in sorted(data.glob(f"{CATALOG_FILE}*")):
        path.rename(path.with_name(path.name.replace("catalog", "catalog-lost", 1)))


def repair_tails(data: Path) -> list[Path]:
    """Take flipped bits back in what the last process left to be read at the next opening; returns the files. Only
    while nobody has the catalog open. Raises OSError."""
    path = data / f"{CATALOG_FILE}-wal"
    return [path] if wal.repair_wal(path) else []


def snapshot_fault(data: Path) -> str:
    """What is damaged in a copy of the catalog that nobody has open; "" where nothing is."""
    return structure_fault(data / CATALOG_FILE)


class CatalogSnapshot:
    """A moment of the catalog in a data folder, from `begin` on. Raises OSError."""

    def __init__(self, data: Path) -> None:
        self._file = FileSnapshot(data / CATALOG_FILE)

    def begin(self) -> int:
        """Make now the moment, in place of an earlier one; returns its `feeds_revision`."""
        self._file.begin()
        return self.feeds_revision()

    def feeds_revision(self) -> int:
        """What rises with every feed definition that is added; that of now where no moment was begun."""
        return int(self._file.value(_REVISION, FEEDS_PREFIX, after_prefix(FEEDS_PREFIX)))

    @property
    def size(self) -> int:
        """The bytes of the catalog's file."""
        return self._file.size

    def copy(self, to: Path, progress: Callable[[int], None]) -> None:
        """Write the file to `to`, which must not be there; `progress` gets the bytes of each step."""
        self._file.copy(to, progress)

    def close(self) -> None:
        """Let go of the moment. Harmless when repeated."""
        self._file.close()
