"""The log's SQLite file: how it is opened, checked, and how a payload becomes a row and comes back.

Leaves threads, queues and retries to `writer.py`. A connection from `open_writer` is in WAL mode with
`synchronous=FULL` on SQLite >= 3.51.3, or it is not handed out.
"""

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from tidemill.errors import Fault, LogCorruptError, StartupError
from tidemill.log.local_disk import sync_folder
from tidemill.log.loss import how_to_go_on
from tidemill.model.deletion import ERASED
from tidemill.model.payload import Kind, Logged, Payload

FILE: Final = "log.sqlite"
OLDEST_SQLITE: Final = (3, 51, 3)  # older ones can lose commits when a WAL is reset while it is being checkpointed
SCHEMA_VERSION: Final = 3
BUSY_MS: Final = 5_000
ROWS_A_STATEMENT: Final = 32

_COLUMNS: Final = "seq, receipt, tenant, feed, feed_version, received_ns, format, kind, faults, sha256, body"
_ROW: Final = "(?,?,?,?,?,?,?,?,?,?,?)"
# One statement inserts many rows: apsw gives up and takes back the interpreter lock once a step, and beside a busy
# event loop each taking back can wait; 32 rows in one step instead of 32 steps.
_INSERT: Final = [
    f"INSERT INTO entries ({_COLUMNS}) VALUES {','.join([_ROW] * n)}" for n in range(ROWS_A_STATEMENT + 1)
]
READ: Final = f"SELECT {_COLUMNS} FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
# The index is named: otherwise the planner prefers the primary key and walks over all the data.
DELETIONS: Final = (
    f"SELECT {_COLUMNS} FROM entries INDEXED BY entries_deletions WHERE kind = 2 AND seq > ? ORDER BY seq"
)
COUNTS: Final = "SELECT tenant, count(*), sum(seq) FROM entries WHERE seq > ? AND seq <= ? GROUP BY tenant"
PLACES: Final = "SELECT seq FROM entries WHERE seq > ? AND seq <= ? AND tenant = ? ORDER BY seq"
FIND: Final = f"SELECT {_COLUMNS} FROM entries WHERE receipt = ? AND tenant = ? LIMIT 1"

# What brings a log of an older version to the next one; `schema.sql` is the newest.
UPGRADES: Final = {
    1: "CREATE INDEX entries_deletions ON entries (seq) WHERE kind = 2",
    2: "CREATE TABLE erasure (id INTEGER PRIMARY KEY CHECK (id = 1), up_to INTEGER NOT NULL)",
}

_KINDS: Final = {int(kind): kind for kind in Kind}
_decode_faults: Final = msgspec.json.Decoder(tuple[Fault, ...]).decode


def check_sqlite_version() -> None:
    """Raise StartupError when the SQLite in use is older than the log needs."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StartupError(f"SQLite {version} is too old for the log: {needed} or newer is needed; upgrade apsw")


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open (or make) the log for its one writer. Raises StartupError, or apsw.Error when the disk does not answer."""
    check_sqlite_version()
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("auto_vacuum", 2)  # incremental: pages of trimmed entries can go back to the disk
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", 2)
        connection.pragma("wal_autocheckpoint", 0)  # upkeep.py does it, out of the way of commits
        connection.pragma("journal_size_limit", 64 << 20)
        connection.pragma("secure_delete", 1)  # what is trimmed or erased leaves no bytes behind in free pages
        _require(connection, path)
        _migrate(connection, path)
        sync_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open an existing log read-only, from any process. Raises apsw.CantOpenError when there is none."""
    connection = apsw.Connection(
        path.absolute().as_uri() + "?mode=ro", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs
    )
    connection.set_busy_timeout(BUSY_MS)
    return connection


def open_checkpointer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open an existing log for checkpoints beside its writer."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE, vfs)
    connection.pragma("synchronous", 2)
    return connection


def insert(connection: apsw.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows made by `to_row`; up to ROWS_A_STATEMENT of them are one statement."""
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        part = rows[start : start + ROWS_A_STATEMENT]
        connection.execute(_INSERT[len(part)], [value for row in part for value in row])


def to_row(seq: int, payload: Payload) -> tuple[Any, ...]:
    """A payload at its place, as the values of `entries`."""
    faults = msgspec.json.encode(payload.faults).decode() if payload.faults else None
    return (
        seq, payload.receipt, payload.tenant, payload.feed, payload.feed_version, payload.received_ns,
        payload.format, int(payload.kind), faults, payload.sha256, payload.body,
    )  # fmt: skip


def from_row(row: tuple[Any, ...]) -> Logged:
    """The inverse of `to_row`."""
    seq, receipt, tenant, feed, version, received_ns, form, kind, faults, sha256, body = row
    refused = _decode_faults(faults) if faults else ()
    return Logged(
        seq,
        Payload(receipt, tenant, feed, version, received_ns, form, body, sha256, _KINDS[kind], refused),
    )


def first_seq(connection: apsw.Connection) -> int:
    """The oldest seq kept; 0 when there is none."""
    return connection.execute("SELECT min(seq) FROM entries").get or 0


def last_seq(connection: apsw.Connection) -> int:
    """The newest seq ever committed, also when it was trimmed; 0 when there was none."""
    return connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").get or 0


def verify_tail(connection: apsw.Connection, durable: int, count: int = 64) -> int:
    """Check that the log reaches `durable` and that its last entries are what they say; returns `last_seq`.

    Raises LogCorruptError.
    """
    last = last_seq(connection)
    if last < durable:
        raise LogCorruptError(
            f"the log ends at {last} but was durable up to {durable}: entries that were acknowledged are gone. "
            + how_to_go_on(durable)
        )
    for seq, form, sha256, body in connection.execute(
        "SELECT seq, format, sha256, body FROM entries ORDER BY seq DESC LIMIT ?", (count,)
    ):
        if form != ERASED and hashlib.sha256(body).digest() != sha256:
            raise LogCorruptError(f"entry {seq} of the log does not match its sha256; the disk may be failing")
    return last


def _require(connection: apsw.Connection, path: Path) -> None:
    mode, synchronous = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if mode != "wal" or synchronous != 2:
        raise StartupError(
            f"{path} cannot be made durable (journal_mode={mode}, synchronous={synchronous}; needed: wal, 2); "
            f"choose a folder on a local disk with --data"
        )


def _migrate(connection: apsw.Connection, path: Path) -> None:
    version = connection.pragma("user_version")
    if version > SCHEMA_VERSION:
        raise StartupError(f"{path} was written by a newer Tidemill (log schema {version}); upgrade Tidemill")
    if version == SCHEMA_VERSION:
        return
    with connection:
        if version == 0:
            connection.execute(resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
        else:
            for older in range(version, SCHEMA_VERSION):
                connection.execute(UPGRADES[older])
        connection.pragma("user_version", SCHEMA_VERSION)
