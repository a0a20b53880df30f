"""Sessions of browsers in any Catalog: a key was given once, and a random token stands for it until the session ends.

The catalog keeps the SHA-256 of a token (`sessions/<key id>/<sha256>`), so that neither a restart nor another process
ends a session, and nobody who reads the catalog can use one. A session is over IDLE_S after its last use, LONGEST_S
after its start, by its sign-out, and as soon as its key is revoked. `SessionRing` holds all sessions in memory. When a
session was used last is written by `keep`, not by a request: a crash takes back some minutes of that.
"""

import hashlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.keys import REFRESH_EVERY_S, SESSIONS_PREFIX, KeyRing, Principal
from tidemill.errors import ConflictError

IDLE_S: Final = 12 * 3600
LONGEST_S: Final = 7 * 86_400
MAX_A_KEY: Final = 50  # the session of a key that was unused longest ends when one more begins
WRITE_AFTER_S: Final = 300  # a use is written when the written one is so much older: a write syncs the disk
SKEW_S: Final = 300  # how far the clocks of two processes may differ
_NS: Final = 10**9


class _Stored(msgspec.Struct, frozen=True):
    """What the catalog keeps of a session. `secure`: it began over TLS."""

    created_ns: int
    used_ns: int
    secure: bool


class _Session(msgspec.Struct, frozen=True):
    key_id: str
    stored: _Stored
    revision: int


class SessionRing:
    """All sessions of a catalog, in memory. Follows the catalog's changes between `follow` and `close`. Thread-safe.
    `clock` is ns since the epoch."""

    def __init__(self, catalog: Catalog, keys: KeyRing, clock: Callable[[], int] = time.time_ns) -> None:
        self._catalog, self._keys, self._clock = catalog, keys, clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._used_ns: dict[str, int] = {}  # by the sha256 of the token: uses that are not written yet
        self._refreshed_at = 0.0
        self._end_watch: Callable[[], None] = lambda: None

    def follow(self) -> None:
        """Read all sessions, and read them again after every change by any process."""
        self._end_watch = self._catalog.watch(SESSIONS_PREFIX, self.refresh)
        self.refresh()

    def close(self) -> None:
        """Stop following the catalog."""
        self._end_watch()

    def begin(self, key_id: str, *, secure: bool) -> str:
        """Begin a session for the holder of a key; returns its token, which is not stored. Durable on return."""
        token, now = secrets.token_urlsafe(32), self._clock()
        self._end_unused_longest(key_id)
        stored = _Stored(now, now, secure)
        self._catalog.put(_key(key_id, _digest(token)), msgspec.json.encode(stored), expect=0)
        self.refresh()
        return token

    def principal(self, token: str, *, secure: bool, is_use: bool = True) -> Principal | None:
        """The holder of a session, or None where it is over or none. Counts as its use where it `is_use`. `secure`: the
        token comes as one that only TLS can have set; a session that began over TLS counts only so."""
        digest = _digest(token)
        session = self._sessions.get(digest)
        if session is None and time.monotonic() - self._refreshed_at > REFRESH_EVERY_S:
            self._refreshed_at = time.monotonic()
            self.refresh()
            session = self._sessions.get(digest)
        if session is None or session.stored.secure != secure:
            return None
        now = self._clock()
        principal = self._keys.principal(session.key_id)
        if principal is None or self._is_over(digest, session, now):
            return None
        if is_use:
            self._used_ns[digest] = now
            self._keys.note_use(session.key_id)
        return principal

    def end(self, token: str) -> None:
        """End a session for good, in every process. Durable on return; harmless where there is none."""
        digest = _digest(token)
        self.refresh()
        session = self._sessions.get(digest)
        if session is not None:
            self._catalog.delete(_key(session.key_id, digest))
            self.refresh()

    def counts(self) -> dict[str, int]:
        """How many sessions each key has that are not over, by the ids of the keys."""
        now, counts = self._clock(), Counter[str]()
        for digest, session in list(self._sessions.items()):
            counts[session.key_id] += not self._is_over(digest, session, now)
        return counts

    def keep(self) -> int:
        """Write when the sessions were used last, and remove those that are over; returns how many were removed. Raises
        what the catalog raises."""
        self.refresh()
        now, removed = self._clock(), 0
        for digest, session in list(self._sessions.items()):
            key, used_ns = _key(session.key_id, digest), self._used_ns.get(digest, 0)
            with suppress(ConflictError):  # it was ended, or used in another process, a moment ago
                if self._keys.principal(session.key_id) is None or self._is_over(digest, session, now):
                    removed += self._catalog.delete(key, expect=session.revision)
                elif used_ns - session.stored.used_ns >= WRITE_AFTER_S * _NS:
                    stored = msgspec.structs.replace(session.stored, used_ns=used_ns)
                    self._catalog.put(key, msgspec.json.encode(stored), expect=session.revision)
        self.refresh()
        return removed

    def refresh(self) -> None:
        """Read all sessions again. Raises what the catalog raises."""
        with self._lock:
            sessions = {}
            for entry in self._catalog.list(SESSIONS_PREFIX):
                key_id, _, digest = entry.key.removeprefix(SESSIONS_PREFIX).partition("/")
                sessions[digest] = _Session(key_id, msgspec.json.decode(entry.value, type=_Stored), entry.revision)
            self._sessions = sessions
            for digest in [digest for digest in list(self._used_ns) if digest not in sessions]:
                self._used_ns.pop(digest, None)

    def _is_over(self, digest: str, session: _Session, now: int) -> bool:
        """Whether a session has ended by time. One from the future is over, too: the clock that bounds it was wrong."""
        stored = session.stored
        age_s = (now - stored.created_ns) / _NS
        idle_s = (now - max(stored.used_ns, self._used_ns.get(digest, 0))) / _NS
        return not -SKEW_S <= age_s < LONGEST_S or idle_s >= IDLE_S

    def _end_unused_longest(self, key_id: str) -> None:
        """End sessions of a key until there is room for one more."""
        self.refresh()
        own = [(digest, session) for digest, session in self._sessions.items() if session.key_id == key_id]
        own.sort(key=lambda item: max(item[1].stored.used_ns, self._used_ns.get(item[0], 0)))
        for digest, _ in own[: max(0, len(own) - MAX_A_KEY + 1)]:
            self._catalog.delete(_key(key_id, digest))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def end_all(catalog: Catalog) -> int:
    """End every session of a catalog for good; returns how many there were."""
    entries = catalog.list(SESSIONS_PREFIX)
    for entry in entries:
        catalog.delete(entry.key)
    return len(entries)


def _key(key_id: str, digest: str) -> str:
    return f"{SESSIONS_PREFIX}{key_id}/{digest}"
