"""A bounded pool of chDB connections to one path.

A chDB connection runs one query at a time, and several to one path share one engine (caches, merges, limits).
A connection is kept with the settings and the database it was opened with, and reused only for the same; a statement
that may have changed its state (SET, USE, temporary tables) closes it, and so does an error: the bytes that a failed
query wrote stay in its connection and would head the next answer. Opening a connection costs 0.3 ms.
"""

import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidemill.store.engine.broken_parts import read_broken_parts
from tidemill.store.engine.errors import EngineError, from_chdb
from tidemill.store.engine.library import load_chdb
from tidemill.store.engine.writes import EngineWrites, remove_truncated_mutations, remove_truncated_parts
from tidemill.store.generations import GenerationCounter

# Caches and pools sized for a small process. The engine's own defaults are for a whole machine: 5 GiB mark and
# primary-key caches; 128 threads to remove old parts, which all start a few seconds after a burst of inserts.
_ENGINE_OPTIONS = {
    "mark_cache_size": 64 << 20,
    "primary_index_cache_size": 64 << 20,
    "index_mark_cache_size": 8 << 20,
    "mmap_cache_size": 64,
    "compiled_expression_cache_size": 8 << 20,
    "max_thread_pool_size": 256,
    "max_thread_pool_free_size": 8,
    "max_io_thread_pool_size": 16,
    "max_parts_cleaning_thread_pool_size": 2,
    "max_active_parts_loading_thread_pool_size": 4,
    "max_outdated_parts_loading_thread_pool_size": 2,
    "max_unexpected_parts_loading_thread_pool_size": 2,
    "background_pool_size": 2,
    "background_schedule_pool_size": 2,
}


class SessionState(msgspec.Struct, frozen=True):
    """The state of a connection: its database and its settings, sorted by name."""

    database: str = ""
    settings: tuple[tuple[str, str], ...] = ()


# Classes of statements: the engine needs 0.6 ms a KiB to find one, and nearly all statements are a few hundred texts.
_MAX_CLASSES, _MAX_CLASS_BYTES = 1_000, 8 << 10
_MUTATIONS = "SELECT count() FROM system.mutations WHERE NOT is_done"
_classes: dict[tuple[SessionState, bytes], tuple[str, int]] = {}


class EngineSession:
    """One chDB connection. Calls release the GIL while they run, and may come from any one thread at a time."""

    def __init__(self, address: str, state: SessionState) -> None:
        self.state = state
        self.reusable = True
        self.chdb: Any = load_chdb().connect(address)
        try:
            if state.settings:
                pairs = ", ".join(f"`{name}` = {quote_string(value)}" for name, value in state.settings)
                self.run_statement(f"SET {pairs}".encode())
            if state.database:
                self.run_statement(f"USE {quote_identifier(state.database)}".encode())
        except BaseException:
            self.close()
            raise

    def run_statement(self, sql: bytes, fmt: str = "TabSeparated", params: dict[str, str] | None = None) -> Any:
        """Run one statement to its end; the result owns its bytes until it is dropped. Raises EngineError."""
        try:
            return self.chdb.query(sql, fmt, params=params or {})
        except Exception as error:
            raise from_chdb(error) from None

    def classify(self, sql: bytes) -> tuple[str, int]:
        """The class of the statement (READ_ONLY, MUTATING, CONTROL, UNKNOWN ...) and how many statements there are."""
        cached = _classes.get((self.state, sql))
        if cached is not None:
            return cached
        try:
            classified = self.chdb.classify_query(sql)
        except Exception as error:
            raise from_chdb(error) from None
        kind = (classified["query_class"].name, classified["statement_count"])
        if len(sql) <= _MAX_CLASS_BYTES:
            if len(_classes) >= _MAX_CLASSES:
                _classes.clear()
            _classes[self.state, sql] = kind
        return kind

    def close(self) -> None:
        """Close the connection. A second time does nothing."""
        connection, self.chdb = self.chdb, None
        if connection is not None:
            connection.close()


class SessionPool:
    """Up to `size` sessions in use. `acquire` never waits, because its callers are at most `size` threads. `broken`:
    the parts that the engine set aside when it started. `writes`: whether a write to the disk failed. `generations`
    counts the statements that write, in the memory `generations_fd`."""

    def __init__(self, path: Path, size: int, max_memory_bytes: int, generations_fd: int | None = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        remove_truncated_mutations(path)
        self.generations = GenerationCounter(generations_fd, self._has_no_mutation)
        options = _ENGINE_OPTIONS | {"max_server_memory_usage": max_memory_bytes}
        self._address = f"{path.resolve()}?{urlencode(options)}"
        self._size = size
        self._idle: deque[EngineSession] = deque()
        self._lock = threading.Lock()
        # Keeps the engine open when all other sessions close, and runs statements that must not wait (KILL QUERY).
        self._keeper = EngineSession(self._address, SessionState())
        self._keeper_lock = threading.Lock()
        remove_truncated_parts(path, self._keeper)
        self.broken = read_broken_parts(self.control)
        self.writes = EngineWrites(path, EngineSession(self._address, SessionState()))
        with suppress(EngineError):  # whoever looks after failed writes asks again
            self.generations.settle()

    def acquire(self, state: SessionState) -> EngineSession:
        """A session in exactly this state; a new one if none is idle. Raises EngineError for a bad setting."""
        with self._lock:
            idle = next((session for session in reversed(self._idle) if session.state == state), None)
            if idle is not None:
                self._idle.remove(idle)
                return idle
            surplus = self._idle.popleft() if len(self._idle) >= self._size else None
        if surplus is not None:
            surplus.close()
        return EngineSession(self._address, state)

    def release(self, session: EngineSession) -> None:
        """Return a session after its query has ended."""
        if session.reusable:
            with self._lock:
                self._idle.append(session)
        else:
            session.close()

    def control(self, sql: str, params: dict[str, str] | None = None) -> bytes:
        """Run a small statement on a session of its own, without waiting for queries. Raises EngineError."""
        with self._keeper_lock:
            try:
                return bytes(self._keeper.run_statement(sql.encode(), params=params).bytes())
            except EngineError:
                spent, self._keeper = self._keeper, EngineSession(self._address, SessionState())
                spent.close()
                raise

    def _has_no_mutation(self) -> bool:
        return int(self.control(_MUTATIONS)) == 0

    def close(self) -> None:
        """Close every idle session, then the engine. Sessions in use close with the process."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        for session in idle:
            session.close()
        with self._keeper_lock:
            self._keeper.close()


def quote_string(value: str) -> str:
    """The value as an SQL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"


def quote_identifier(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
