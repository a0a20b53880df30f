"""Upkeep of the log beside commits: checkpoints, forces the high-water mark to disk, deletes expired keys.

Runs in one thread with a connection of its own, so that commits wait only for the end of a checkpoint. The WAL stays
near CHECKPOINT_FRAMES while readers keep their transactions short, however many readers there are.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from tidemill.log.sqlite import database
from tidemill.log.sqlite.high_water import HighWaterMark
from tidemill.log.sqlite.idempotency import delete_expired_keys
from tidemill.log.sqlite.writer import Writer
from tidemill.sqlite.copies import BUSY_MS

TICK_S: Final = 0.1
MARK_EVERY_S: Final = 1.0
EXPIRE_EVERY_S: Final = 60.0
CHECKPOINT_FRAMES: Final = 1_000  # 4 MiB
CROWDED_FRAMES: Final = 16_000  # 64 MiB: from here on commits wait until readers have left the WAL
CROWDED_EVERY_S: Final = 10.0
CROWDED_WAIT_MS: Final = 100
_log = logging.getLogger(__name__)


class Upkeep(threading.Thread):
    """The upkeep thread of one Writer; runs until `stop`."""

    def __init__(
        self, path: Path, writer: Writer, mark: HighWaterMark, expired_before_ns: Callable[[], int], vfs: str | None
    ) -> None:
        super().__init__(name="tidemill-log-upkeep", daemon=True)
        self._path, self._vfs = path, vfs
        self._writer, self._mark, self._expired_before_ns = writer, mark, expired_before_ns
        self._stopped = threading.Event()
        self._connection: apsw.Connection | None = None
        self._seen_commits = 0
        self._marked_at = self._expired_at = self._crowded_at = time.monotonic()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """The thread's loop. After an error the next tick tries again; the writer handles errors of the disk."""
        failing = False
        while not self._stopped.wait(TICK_S):
            try:
                self._tick()
                failing = False
            except Exception:
                if not failing:
                    _log.warning("the log's upkeep failed; it is tried again", exc_info=True)
                failing = True
                self._drop()
        self._drop()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._marked_at >= MARK_EVERY_S:
            self._marked_at = now
            self._mark.sync()
        if now - self._expired_at >= EXPIRE_EVERY_S:
            self._expire()
            self._expired_at = now
        if self._writer.commits != self._seen_commits:
            self._seen_commits = self._writer.commits
            self._checkpoint(now)

    def _expire(self) -> None:
        before_ns = self._expired_before_ns()
        while self._writer.run_between_commits(lambda c: delete_expired_keys(c, before_ns)).result():
            if self._stopped.is_set():
                return

    def _checkpoint(self, now: float) -> None:
        """Copy most of the WAL beside commits, then the short rest between two commits. Only a checkpoint that reaches
        the WAL's end lets the WAL start anew, and no checkpoint beside commits would reach it."""
        if self._connection is None:
            self._connection = database.open_checkpointer(self._path, self._vfs)
        frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if frames < CHECKPOINT_FRAMES:
            return
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._writer.run_between_commits(lambda c: c.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)).result()
        if frames >= CROWDED_FRAMES and now - self._crowded_at >= CROWDED_EVERY_S:
            self._crowded_at = now
            self._writer.run_between_commits(_restart_wal).result()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None


def _restart_wal(connection: apsw.Connection) -> None:
    """Block commits for up to CROWDED_WAIT_MS until no reader is in the WAL, so that the WAL can start anew."""
    connection.set_busy_timeout(CROWDED_WAIT_MS)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    except apsw.BusyError:
        return  # a reader is still in the WAL; tried again in CROWDED_EVERY_S
    finally:
        connection.set_busy_timeout(BUSY_MS)
