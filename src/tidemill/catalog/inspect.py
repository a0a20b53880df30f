"""Inspects a catalog's file before the catalog is opened, because opening makes a missing file."""

from pathlib import Path
from typing import Final

import apsw
import msgspec

from tidemill.catalog.feeds import FEEDS_PREFIX
from tidemill.catalog.keys import CLOSED_KEY
from tidemill.errors import UnavailableError

BUSY_MS: Final = 5_000
_TENANTS: Final = (
    "SELECT DISTINCT substr(key, :at, instr(substr(key, :at), '/') - 1) FROM entries"
    " WHERE key >= :prefix AND key < :end AND value IS NOT NULL"
)
_EXISTS: Final = "SELECT count(*) FROM entries WHERE key = ? AND value IS NOT NULL"


class Inspected(msgspec.Struct, frozen=True):
    """The outcome of an inspection. `fault`: why the catalog cannot be used (None: it can). `tenants`: those that have
    feeds. `closed`: a key was made once, so that every request needs one."""

    fault: str | None = None
    tenants: frozenset[str] = frozenset()
    closed: bool = False


def inspect_file(path: Path) -> Inspected:
    """Inspect the catalog in the file `path` without changing it; other processes may have it open. Raises
    UnavailableError when the file cannot be read."""
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
