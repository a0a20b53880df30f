"""The embedded catalog: one SQLite file in WAL mode that several processes open at once.

Each write takes SQLite's write lock for one small transaction with `synchronous=FULL`. One thread a catalog polls five
times a second for commits of other connections, and then queries which watched prefixes changed.
Keeps the promises of `contract.py`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw

from tidemill.catalog.contract import CatalogEntry
from tidemill.catalog.watching import Watches, after_prefix
from tidemill.errors import ConflictError, StartupError, UnavailableError
from tidemill.sqlite.copies import BUSY_MS

SCHEMA_VERSION: Final = 1
# Rows of deleted keys are kept for this many revisions. A watcher polls every 0.2 s, in which at most a few thousand
# durable writes fit, so it sees every deletion before the row is removed.
DELETED_KEPT: Final = 20_000


class SqliteCatalog:
    """The catalog in the file `path`, which is made if it does not exist. Thread-safe.

    Every method raises UnavailableError when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _as_unavailable(path):
            self._connection = _open(path)
        self._watches = Watches(lambda: _open(path))

    def get(self, key: str) -> CatalogEntry | None:
        """See `Catalog.get`."""
        with self._transaction("") as connection:
            return _get(connection, key)

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """See `Catalog.put`."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            _compare(_get(connection, key), key, expect)
            return _write(connection, key, value)

    def delete(self, key: str, *, expect: int | None = None) -> bool:
        """See `Catalog.delete`."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            entry = _get(connection, key)
            _compare(entry, key, expect)
            if entry is None:
                return False
            revision = _write(connection, key, None)
            connection.execute("DELETE FROM entries WHERE value IS NULL AND revision < ?", (revision - DELETED_KEPT,))
            return True

    def list(self, prefix: str) -> list[CatalogEntry]:
        """See `Catalog.list`; keys are in the order of code points."""
        with self._transaction("") as connection:
            rows: Any = connection.execute(
                "SELECT key, value, revision FROM entries"
                " WHERE key >= :prefix AND (key < :end OR :end = '') AND value IS NOT NULL ORDER BY key",
                {"prefix": prefix, "end": after_prefix(prefix)},
            ).fetchall()
        return [CatalogEntry(*row) for row in rows]

    def watch(self, prefix: str, changed: Callable[[], None]) -> Callable[[], None]:
        """See `Catalog.watch`."""
        with _as_unavailable(self._path):
            return self._watches.add(prefix, changed)

    def erase_removed(self) -> bool:
        """See `Catalog.erase_removed`: only the WAL still holds the bytes, because `secure_delete` is on."""
        with self._lock, _as_unavailable(self._path):
            try:
                frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return False
            return bool(frames == 0)

    def structure_faults(self) -> tuple[str, ...]:
        """See `Catalog.structure_faults`."""
        with self._transaction("") as connection:
            rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
        return tuple(str(text) for (text,) in rows if text != "ok")

    def close(self) -> None:
        """See `Catalog.close`."""
        self._watches.close()
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[apsw.Connection]:
        with self._lock, _as_unavailable(self._path):
            if not begin:
                yield self._connection
                return
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(BUSY_MS)
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", 2)
        connection.pragma("secure_delete", 1)  # overwrites the bytes of changed and removed values
        if mode != "wal":
            raise StartupError(f"{path} cannot be made durable (journal_mode={mode}); choose a local disk with --data")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("user_version") == SCHEMA_VERSION:
        return
    ddl = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.pragma("user_version")  # read again, because another process may have been first
        if version not in (0, SCHEMA_VERSION):
            raise StartupError(f"{path} was written by a newer Tidemill (catalog schema {version}); upgrade Tidemill")
        if version == 0:
            connection.execute(ddl)
            connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _as_unavailable(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise UnavailableError(f"the catalog {path} cannot be used: {error}") from error


def _get(connection: apsw.Connection, key: str) -> CatalogEntry | None:
    row = connection.execute(
        "SELECT key, value, revision FROM entries WHERE key = ? AND value IS NOT NULL", (key,)
    ).fetchone()
    return None if row is None else CatalogEntry(*row)


def _compare(entry: CatalogEntry | None, key: str, expect: int | None) -> None:
    revision = 0 if entry is None else entry.revision
    if expect is not None and expect != revision:
        raise ConflictError(f"catalog key {key} is at revision {revision}, not {expect}; read it again")


def _write(connection: apsw.Connection, key: str, value: bytes | None) -> int:
    revision: int = connection.execute("UPDATE counter SET last = last + 1 RETURNING last").get
    connection.execute(
        "INSERT INTO entries (key, value, revision) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
        (key, value, revision),
    )
    return revision
