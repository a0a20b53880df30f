"""The log's SQLite file: opens, checks and upgrades it, and inserts payloads as rows.

Leaves threads, queues and retries to `writer.py`. A connection from `open_writer` is in WAL mode with
`synchronous=FULL` on SQLite >= 3.51.3; otherwise `open_writer` raises StartupError.
"""

from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from tidemill.durable import sync_folder
from tidemill.errors import StartupError
from tidemill.log.sqlite.entries import row_seal
from tidemill.model.payload import Payload
from tidemill.sqlite.copies import BUSY_MS

LOG_FILE: Final = "log.sqlite"
LOG_LOCK: Final = "log.lock"
OLDEST_SQLITE: Final = (3, 51, 3)  # older ones can lose commits when a WAL is reset while it is being checkpointed
SCHEMA_VERSION: Final = 4
ROWS_A_STATEMENT: Final = 32

COLUMNS: Final = "seq, receipt, tenant, feed, feed_version, received_ns, format, kind, faults, sha256, body, seal"
_ROW: Final = "(?,?,?,?,?,?,?,?,?,?,?,?)"
# One statement inserts up to 32 rows, in one step: apsw releases and takes the interpreter lock once a step, and beside
# a busy event loop it can wait for the lock each time.
_INSERT: Final = [f"INSERT INTO entries ({COLUMNS}) VALUES {','.join([_ROW] * n)}" for n in range(ROWS_A_STATEMENT + 1)]
SELECT_ENTRIES: Final = f"SELECT {COLUMNS} FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
# The query names its index: otherwise the planner prefers the primary key and reads all the data.
SELECT_DELETIONS: Final = (
    f"SELECT {COLUMNS} FROM entries INDEXED BY entries_deletions WHERE kind = 2 AND seq > ? ORDER BY seq"
)
SELECT_FIRST_SEQ: Final = "SELECT min(seq) FROM entries"
SELECT_LAST_SEQ: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
SELECT_RECEIPT: Final = f"SELECT {COLUMNS} FROM entries WHERE receipt = ? AND tenant = ? LIMIT 1"

# The statement that upgrades a log of an older schema version to the next one; `schema.sql` is the newest version.
UPGRADES: Final = {
    1: "CREATE INDEX entries_deletions ON entries (seq) WHERE kind = 2",
    2: "CREATE TABLE erasure (id INTEGER PRIMARY KEY CHECK (id = 1), up_to INTEGER NOT NULL)",
    3: "ALTER TABLE entries ADD COLUMN seal INTEGER",
}


def check_sqlite_version() -> None:
    """Raise StartupError when the SQLite in use is older than the log needs."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StartupError(f"SQLite {version} is too old for the log: {needed} or newer is needed; upgrade apsw")


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open (or make) the log for its one writer. Until `recovery.verify_tail` has found that no entry is missing,
    closing the connection leaves the WAL as it is, because a damaged WAL can be repaired. Raises StartupError, or
    apsw.Error when the disk fails."""
    check_sqlite_version()
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
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


def open_checkpointer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open an existing log for checkpoints beside its writer."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE, vfs)
    connection.pragma("synchronous", 2)
    return connection


def insert_rows(connection: apsw.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows made by `row_of_payload`; each statement inserts up to ROWS_A_STATEMENT rows."""
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        part = rows[start : start + ROWS_A_STATEMENT]
        connection.execute(_INSERT[len(part)], [value for row in part for value in row])


def row_of_payload(seq: int, payload: Payload) -> tuple[Any, ...]:
    """The values of `entries` for a payload at an offset."""
    faults = msgspec.json.encode(payload.faults).decode() if payload.faults else None
    head = (
        seq, payload.receipt, payload.tenant, payload.feed, payload.feed_version, payload.received_ns,
        payload.format, int(payload.kind), faults, payload.sha256,
    )  # fmt: skip
    return (*head, payload.body, row_seal(head))


def first_seq(connection: apsw.Connection) -> int:
    """The oldest seq kept; 0 when there is none."""
    return connection.execute(SELECT_FIRST_SEQ).get or 0


def last_seq(connection: apsw.Connection) -> int:
    """The newest seq ever committed, also when its entry was trimmed; 0 when nothing was committed."""
    return connection.execute(SELECT_LAST_SEQ).get or 0


def newest_received_ns(connection: apsw.Connection) -> int:
    """The time of receipt of the newest entry kept, ns since the epoch; 0 when there is none."""
    return connection.execute("SELECT received_ns FROM entries ORDER BY seq DESC LIMIT 1").get or 0


def skip_to_seq(connection: apsw.Connection, seq: int) -> None:
    """Set the sequence so that the next entry comes after `seq`."""
    with connection:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'entries'", (seq,))
        if connection.changes() == 0:
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', ?)", (seq,))


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
