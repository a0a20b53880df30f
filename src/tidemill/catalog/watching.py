"""Watches of the embedded catalog: one thread polls for commits, and calls the watchers of the changed prefixes.

`PRAGMA data_version` of an otherwise idle connection changes with every commit of any other connection, in this
process or another, and costs microseconds.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

import apsw
import msgspec

LOOK_EVERY_S: Final = 0.2
_log = logging.getLogger(__name__)


class _Watch(msgspec.Struct, eq=False):
    prefix: str
    changed: Callable[[], None]
    seen: int


class Watches:
    """The watches of one catalog; `connect` opens the connection that polls."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._watches: list[_Watch] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: apsw.Connection | None = None

    def add(self, prefix: str, changed: Callable[[], None]) -> Callable[[], None]:
        """Start a watch from now; returns a function that ends it. Raises apsw.Error."""
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            watch = _Watch(prefix, changed, self._last())
            self._watches = [*self._watches, watch]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidemill-catalog-watch", daemon=True)
                self._thread.start()
        return lambda: self._remove(watch)

    def close(self) -> None:
        """End all watches. Harmless when repeated."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _remove(self, watch: _Watch) -> None:
        with self._lock:
            self._watches = [other for other in self._watches if other is not watch]

    def _run(self) -> None:
        version = -1
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                with self._lock:
                    if self._connection is None:
                        self._connection = self._connect()
                    now = self._connection.pragma("data_version")
                    due = [] if now == version else self._due()
                    version = now
            except apsw.Error:
                _log.warning("the catalog could not be looked at; trying again", exc_info=True)
                self._drop()
                version = -1
                continue
            for watch, newest in due:
                if self._notify(watch):
                    watch.seen = newest
                else:
                    version = -1
        self._drop()

    def _due(self) -> list[tuple[_Watch, int]]:
        newest = [(watch, self._newest(watch)) for watch in self._watches]
        return [(watch, revision) for watch, revision in newest if revision is not None]

    def _notify(self, watch: _Watch) -> bool:
        """Call a watcher; false if it failed: then it is called again at the next poll."""
        try:
            watch.changed()
        except Exception:
            _log.exception("a watcher of catalog keys %s* failed; it is told again", watch.prefix)
            return False
        return True

    def _newest(self, watch: _Watch) -> int | None:
        """The newest revision under a watch's prefix; None unless it is newer than the revision last seen."""
        assert self._connection is not None
        newest: int | None = self._connection.execute(
            "SELECT max(revision) FROM entries WHERE revision > :seen AND key >= :prefix AND (key < :end OR :end = '')",
            {"seen": watch.seen, "prefix": watch.prefix, "end": after_prefix(watch.prefix)},
        ).get
        return newest

    def _last(self) -> int:
        assert self._connection is not None
        last: int = self._connection.execute("SELECT last FROM counter").get
        return last

    def _drop(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def after_prefix(prefix: str) -> str:
    """The first text, by code points, after all texts that start with `prefix`; "" if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)  # D800 to DFFF are not characters
