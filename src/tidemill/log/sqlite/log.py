"""The embedded log: one SQLite file in WAL mode, committed in groups, with its high-water mark beside it.

Composes the parts: `writer.py` commits, `upkeep.py` checkpoints, `retention.py` trims, `reader.py` reads.
One process owns the log, and holds `log.lock` in its folder. Keeps the promises of `contract.py`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import apsw

from tidemill.clock import ClockFile, Trust, TrustedClock, since_boot_s
from tidemill.errors import LogDamagedError, LogUnavailableError
from tidemill.lock import FolderLock
from tidemill.log.contract import Appended, LogHealth
from tidemill.log.damage import LogDamage
from tidemill.log.limits import LogLimits
from tidemill.log.local_disk import FreeSpace, make_folder, refuse_network_file_system
from tidemill.log.sqlite import database, erasing, mending, recovery, retention
from tidemill.log.sqlite.high_water import HIGH_WATER_FILE, HighWaterMark
from tidemill.log.sqlite.reader import SqliteLogReader
from tidemill.log.sqlite.upkeep import Upkeep
from tidemill.log.sqlite.writer import Writer
from tidemill.log.waiters import Waiter
from tidemill.model.payload import Payload

T = TypeVar("T")

TRIM_SLICES: Final = 200  # slices that one call of `trim` deletes at most, so that the call returns


class SqliteLog(SqliteLogReader):
    """The log in `directory`, which is made if it does not exist: a partition, and also a log of one partition.

    Raises StartupError (another owner, network file system, SQLite too old) or LogCorruptError (the log ends before its
    high-water mark or before `known_offset`, the newest offset that the store or a checkpoint names; or is damaged
    where opening it has to read). `now_ns` is the clock, ns since the epoch; `trust` says when the clock is trusted
    again after a jump.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: LogLimits | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = since_boot_s,
        vfs: str | None = None,
        known_offset: int = 0,
        trust: Trust | None = None,
        partition: int = 0,
    ) -> None:
        database.check_sqlite_version()
        make_folder(directory)
        refuse_network_file_system(directory)
        self._limits = limits or LogLimits()
        super().__init__(directory, vfs=vfs)
        self._owner = FolderLock(directory, database.LOG_LOCK)
        self._space = FreeSpace(directory, self._limits)
        with ExitStack() as undo:
            undo.callback(self._owner.release)
            self._mark = HighWaterMark(directory / HIGH_WATER_FILE)
            undo.callback(self._mark.close)
            undo.enter_context(recovery.as_startup_error(self._path))
            self._writer = Writer(
                self._path,
                limits=self._limits,
                mark=self._mark,
                durable=max(self._mark.value, known_offset),
                space=self._space,
                now_ns=now_ns,
                monotonic=monotonic,
                damages=self.damages,
                vfs=vfs,
                partition=partition,
            )
            undo.pop_all()
        self._clock = TrustedClock(
            ClockFile(directory / "log.clock"),
            trust or Trust(),
            newest_ns=self._writer.newest_ns,
            wall_ns=now_ns,
            passed_s=monotonic,
        )
        self._upkeep = Upkeep(self._path, self._writer, self._mark, self._expired_before_ns, vfs)
        self._writer.start()
        self._upkeep.start()

    @property
    def partitions(self) -> "Sequence[SqliteLog]":
        """See `LogReader.partitions`."""
        return (self,)

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Queue a payload; see `IntakeLog.append`."""
        future: Future[Appended] = Future()
        try:
            self._writer.put(Waiter(payload, idempotency_key, future, None))
        except LogUnavailableError as error:
            future.set_exception(error)
        return future

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """See `IntakeLog.append_async`: an event loop is woken once a commit, not once a payload."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        self._writer.put(Waiter(payload, idempotency_key, future, loop))
        return await future

    def last_seq(self) -> int:
        """See `PartitionReader.last_seq`."""
        return self._writer.last_seq

    def trim(self, confirmed: int) -> int:
        """See `Erasable.trim`. Appends go on between slices.

        One call deletes at most about 100,000; call again while it returns more than 0.
        """
        total = 0
        for _ in range(TRIM_SLICES):
            cut = self.query(
                partial(retention.next_cut, confirmed=confirmed, now_ns=self._clock.now_ns(), limits=self._limits)
            )
            if cut == 0:
                break
            total += self._between_commits(partial(retention.delete_entries, cut=cut))
        self._shrink()
        return total

    def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        """See `Erasable.erase`. Appends go on between slices."""
        for start in range(0, len(seqs), retention.SLICE_ROWS):
            part = seqs[start : start + retention.SLICE_ROWS]
            self._between_commits(partial(erasing.empty_bodies, seqs=part))
        while not self._between_commits(retention.return_free_pages):
            continue
        if not self._between_commits(erasing.reset_wal):
            return False
        self._between_commits(partial(erasing.note_erased, upto_offset=upto_offset))
        return True

    def mend(self, seq: int, body: bytes) -> bool:
        """See `Repairable.mend`."""
        mended = self._between_commits(partial(mending.write_body, seq=seq, body=body))
        if mended:
            self.damages.remove(seq)
        return mended

    def health(self) -> LogHealth:
        """See `IntakeLog.health`."""
        down = self._writer.down
        first, reason = 0, down.message if down else self._writer.refused
        self._clock.now_ns()  # detects a jump of the clock also while nothing is trimmed
        try:
            if self._space.short(now=True):
                reason = reason or f"free disk is below {self._space.needed_bytes} bytes"
            first = self.query(database.first_seq)
        except LogDamagedError as error:
            self.damages.add(LogDamage(0, error.message))
        except (OSError, LogUnavailableError) as error:
            reason = reason or str(error)
        return LogHealth(
            implementation="sqlite",
            accepting=not reason,
            reason=reason,
            degraded=self.damages.summary(),
            first_seq=first,
            last_seq=self._writer.last_seq,
            size_bytes=_size(self._path) + _size(Path(f"{self._path}-wal")),
            free_bytes=self._space.free_bytes,
            clock_doubt=self._clock.doubt,
            details={
                "sqlite_version": apsw.sqlite_lib_version(),
                "journal_mode": "wal",
                "synchronous": "full",
                "high_water": str(self._mark.value),
                "needed_free_bytes": str(self._space.needed_bytes),
                "wal_bytes": str(_size(Path(f"{self._path}-wal"))),
                "commits": str(self._writer.commits),
            },
        )

    def close(self) -> None:
        """Commit queued payloads, then close the files and release the lock. Harmless when repeated."""
        self._upkeep.stop()
        super().close()
        self._writer.close()
        self._mark.close()
        self._owner.release()

    def _expired_before_ns(self) -> int:
        return self._writer.key_clock() - int(self._limits.keep_keys_s * 1e9)

    def _shrink(self) -> None:
        for _ in range(TRIM_SLICES):
            if not self.query(partial(retention.has_excess_pages, disk_short=self._space.short())):
                return
            self._between_commits(retention.return_free_pages)

    def _between_commits(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            return self._writer.run_between_commits(work).result()
        except apsw.Error as error:
            raise LogUnavailableError(f"the log {self._path} could not be trimmed or erased: {error}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
