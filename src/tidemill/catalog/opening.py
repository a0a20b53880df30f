"""Opens, inspects, repairs and copies the catalog of a data folder; no other module names the implementation."""

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
    """Open the catalog of a data folder, which is made if it does not exist. Raises UnavailableError, StartupError."""
    return SqliteCatalog(data / CATALOG_FILE)


def inspect_catalog(data: Path) -> Inspected:
    """Inspect the catalog of a data folder before it is opened; see `catalog/inspect.py`."""
    return inspect.inspect_file(data / CATALOG_FILE)


def put_aside(data: Path) -> None:
    """Rename a catalog that cannot be used to `catalog-lost...`, so that a new one can be made."""
    for path in sorted(data.glob(f"{CATALOG_FILE}*")):
        path.rename(path.with_name(path.name.replace("catalog", "catalog-lost", 1)))


def repair_tails(data: Path) -> list[Path]:
    """Take back flipped bits in the WAL, which the next opening reads; returns the repaired files. Only while nobody
    has the catalog open. Raises OSError."""
    path = data / f"{CATALOG_FILE}-wal"
    return [path] if wal.repair_wal(path) else []


def snapshot_fault(data: Path) -> str:
    """The damage of a copy of the catalog that nobody has open; "" for none."""
    return structure_fault(data / CATALOG_FILE)


class CatalogSnapshot:
    """A snapshot of the catalog in a data folder, taken by `begin`. Raises OSError."""

    def __init__(self, data: Path) -> None:
        self._file = FileSnapshot(data / CATALOG_FILE)

    def begin(self) -> int:
        """Take the snapshot now; it replaces an earlier one. Returns its `feeds_revision`."""
        self._file.begin()
        return self.feeds_revision()

    def feeds_revision(self) -> int:
        """A number that rises with every new version of a feed; of the snapshot, or of now if none was taken."""
        return int(self._file.value(_REVISION, FEEDS_PREFIX, after_prefix(FEEDS_PREFIX)))

    @property
    def size(self) -> int:
        """The bytes of the catalog's file."""
        return self._file.size

    def copy(self, to: Path, progress: Callable[[int], None]) -> None:
        """Write the file to `to`, which must not exist; calls `progress` with the bytes of each step."""
        self._file.copy(to, progress)

    def close(self) -> None:
        """Release the snapshot. Harmless when repeated."""
        self._file.close()
