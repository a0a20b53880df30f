"""Opens, inspects, repairs and copies the catalog of a data folder; no other module names the implementation."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw
import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.feeds import FEEDS_PREFIX
from tidemill.catalog.jetstream import JetStreamCatalog
from tidemill.catalog.keys import CLOSED_KEY
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.catalog.watching import after_prefix
from tidemill.errors import UnavailableError
from tidemill.log.jetstream.names import LogAddress
from tidemill.log.jetstream.streams import check_nodes
from tidemill.sqlite import wal
from tidemill.sqlite.copies import BUSY_MS, FileSnapshot, structure_fault

CATALOG_FILE: Final = "catalog.sqlite"  # in a data folder
_TENANTS: Final = (
    "SELECT DISTINCT substr(key, :at, instr(substr(key, :at), '/') - 1) FROM entries"
    " WHERE key >= :prefix AND key < :end AND value IS NOT NULL"
)
_EXISTS: Final = "SELECT count(*) FROM entries WHERE key = ? AND value IS NOT NULL"
_REVISION: Final = "SELECT coalesce(max(revision), 0) FROM entries WHERE key >= ? AND key < ?"


class Inspected(msgspec.Struct, frozen=True):
    """The outcome of an inspection. `fault`: why the catalog cannot be used (None: it can). `tenants`: those that have
    feeds. `closed`: a key was made once, so that every request needs one."""

    fault: str | None = None
    tenants: frozenset[str] = frozenset()
    closed: bool = False


def open_catalog(data: Path) -> Catalog:
    """Open the catalog of a data folder, which is made if it does not exist. Raises UnavailableError, StartupError."""
    return SqliteCatalog(data / CATALOG_FILE)


def open_cluster_catalog(address: LogAddress) -> Catalog:
    """Open the catalog of a cluster, which is made if it does not exist. Raises UnavailableError, or StartupError when
    a node does not sync always."""
    return JetStreamCatalog(address, replicas=min(3, check_nodes(address.monitors)))


def inspect_catalog(data: Path) -> Inspected:
    """Inspect the catalog of a data folder before it is opened, because opening makes a missing file. Changes nothing;
    other processes may have the catalog open. Raises UnavailableError when the file cannot be read."""
    path = data / CATALOG_FILE
    try:
        if path.stat().st_size == 0:
            return Inspected("is empty")
    except FileNotFoundError:
        return Inspected("is missing")
    try:
        connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
        try:
            return _inspect(connection)
        finally:
            connection.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        return Inspected(f"is damaged ({error})")
    except (apsw.Error, OSError) as error:
        raise UnavailableError(f"the catalog {path} cannot be read: {error}") from error


def put_catalog_aside(data: Path) -> None:
    """Rename a catalog that cannot be used to `catalog-lost...`, so that a new one can be made."""
    for path in sorted(data.glob(f"{CATALOG_FILE}*")):
        path.rename(path.with_name(path.name.replace("catalog", "catalog-lost", 1)))


def repair_catalog_tails(data: Path) -> list[Path]:
    """Take back flipped bits in the WAL, which the next opening reads; returns the repaired files. Only while nobody
    has the catalog open. Raises OSError."""
    path = data / f"{CATALOG_FILE}-wal"
    return [path] if wal.repair_wal(path) else []


def catalog_snapshot_fault(data: Path) -> str:
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


def _inspect(connection: apsw.Connection) -> Inspected:
    connection.set_busy_timeout(BUSY_MS)
    if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'entries'").get:
        return Inspected("is empty")
    verdict = connection.execute("PRAGMA quick_check(1)").get
    if verdict != "ok":
        return Inspected(f"is damaged ({verdict})")
    span = {"prefix": FEEDS_PREFIX, "end": f"{FEEDS_PREFIX[:-1]}0", "at": len(FEEDS_PREFIX) + 1}  # '0' comes after '/'
    tenants = frozenset(tenant for (tenant,) in connection.execute(_TENANTS, span))
    return Inspected(None, tenants, bool(connection.execute(_EXISTS, (CLOSED_KEY,)).get))
