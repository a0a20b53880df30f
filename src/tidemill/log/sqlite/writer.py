"""The one thread that writes the log. It owns the connection, and commits all queued payloads as soon as the last
commit has ended, without a timer: a single payload waits for one commit, and many payloads share one.

Nothing is acknowledged before COMMIT has returned. After an error of SQLite every waiter of that commit gets an error
that says that nothing was acknowledged; then the file is closed, opened again, and its tail verified before the next
payload is accepted. A failed commit is not retried, and its offsets are not handed out again.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import apsw
import msgspec

from tidemill import crash_points
from tidemill.errors import DiskFullError, LogCorruptError, LogUnavailableError, TidemillError
from tidemill.log.contract import Appended
from tidemill.log.damage import HOW_TO_REPAIR, Damages, LogDamage
from tidemill.log.limits import LogLimits
from tidemill.log.local_disk import FreeSpace
from tidemill.log.loss import accepted_loss
from tidemill.log.sqlite import database, recovery
from tidemill.log.sqlite.continuation import continue_above
from tidemill.log.sqlite.high_water import HighWaterMark
from tidemill.log.sqlite.idempotency import KeyClock, Keys
from tidemill.log.waiters import Outcome, Waiter, copy_of_error, fail_waiters, settle_waiters
from tidemill.model.offset import partition_of, start_of

T = TypeVar("T")

MAX_BATCH: Final = 512  # payloads a commit: bounds how many fail with one commit
MAX_BATCH_BYTES: Final = 16 << 20
_log = logging.getLogger(__name__)
BACKOFF_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class WriterTask(msgspec.Struct):
    """Work with the writer's connection between two commits (trimming, upkeep)."""

    work: Callable[[apsw.Connection], Any]
    future: Future[Any]


class Writer(threading.Thread):
    """Commits waiters and runs tasks until closed. `last_seq` is the newest durable offset (without entries: the offset
    before the partition's first); `newest_ns` is when the newest entry was received, read once at the start."""

    def __init__(
        self,
        path: Path,
        *,
        limits: LogLimits,
        mark: HighWaterMark,
        durable: int,
        space: FreeSpace,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        damages: Damages,
        vfs: str | None = None,
        partition: int = 0,
    ) -> None:
        super().__init__(name="tidemill-log-writer", daemon=True)
        self._path, self._vfs = path, vfs
        self._limits, self._mark, self._space, self._damages = limits, mark, space, damages
        self._queue: SimpleQueue[Waiter | WriterTask | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._waiting_bytes = 0
        self._closing = threading.Event()
        self.down: LogUnavailableError | None = None
        self.refused = ""  # why the last payload could not be written, though the log is open
        self.commits = 0
        self._connection: apsw.Connection | None = database.open_writer(path, vfs)
        try:
            self._begin(self._connection, start_of(partition))
            durable = max(durable, start_of(partition))
            self._accept_loss(self._connection, durable, partition)
            self.last_seq = recovery.verify_tail(self._connection, durable, damages)
            if partition_of(self.last_seq) != partition:
                raise LogCorruptError(f"{path} is not of partition {partition}; put back the files that belong here")
            self.newest_ns = database.newest_received_ns(self._connection)
            self._handed_out = max(self.last_seq, continue_above(path.parent))
            self.key_clock = KeyClock(now_ns, monotonic, self._connection)
        except BaseException:
            self._connection.close()
            raise

    def _begin(self, connection: apsw.Connection, start: int) -> None:
        """Let the first entry of a new file come after `start`."""
        with suppress(apsw.CorruptError):  # the damage is noted when the tail is verified
            if start and database.last_seq(connection) == 0:
                database.skip_to_seq(connection, start)

    def _accept_loss(self, connection: apsw.Connection, durable: int, partition: int) -> None:
        accepted = accepted_loss(partition)
        if accepted and accepted >= durable and (last := database.last_seq(connection)) < accepted:
            database.skip_to_seq(connection, accepted)
            self._mark.note(accepted)
            _log.error("entries %d to %d of the log are lost, and this was accepted", last + 1, accepted)

    def put(self, waiter: Waiter) -> None:
        """Queue a payload. Raises LogUnavailableError at once if the queue is full, or the log closed or down."""
        with self._gate:
            if self._closing.is_set():
                raise LogUnavailableError("the log is closed; try again when the server is back")
            if self.down is not None:
                raise copy_of_error(self.down)
            size = len(waiter.payload.body)
            if (
                self._queue.qsize() >= self._limits.max_waiting
                or self._waiting_bytes + size > self._limits.max_waiting_bytes
            ):
                raise LogUnavailableError("too many payloads wait for the disk; send again a little later", 1.0)
            self._waiting_bytes += size
            self._queue.put(waiter)

    def run_between_commits(self, work: Callable[[apsw.Connection], T]) -> Future[T]:
        """Run `work` with the connection, between two commits; the future has its result or error."""
        future: Future[T] = Future()
        with self._gate:
            if self._closing.is_set() or self.down is not None:
                future.set_exception(LogUnavailableError("the log is closed or being opened again"))
            else:
                self._queue.put(WriterTask(work, future))
        return future

    def close(self) -> None:
        """Commit queued payloads, close the file, end the thread."""
        with self._gate:
            if not self._closing.is_set():
                self._closing.set()
                self._queue.put(None)
        self.join()

    def run(self) -> None:
        """The thread's loop."""
        open_for_more = True
        while open_for_more:
            batch, task, open_for_more = self._gather()
            if batch:
                self._commit(batch)
            if task is not None:
                self._run_task(task)
        if self._connection is not None:
            self._connection.close()

    def _gather(self) -> tuple[list[Waiter], WriterTask | None, bool]:
        """Wait for the first item, then take queued waiters up to the limits of a commit, or up to a task.

        Returns (waiters, task, whether the queue is still open)."""
        batch: list[Waiter] = []
        size = 0
        try:
            item = self._queue.get()
            while isinstance(item, Waiter):
                batch.append(item)
                size += len(item.payload.body)
                if len(batch) == MAX_BATCH or size > MAX_BATCH_BYTES:
                    item = None
                    break
                item = self._queue.get_nowait()
            else:
                return self._dequeued(batch, size), item, item is not None
        except Empty:
            pass
        return self._dequeued(batch, size), None, True

    def _dequeued(self, batch: list[Waiter], size: int) -> list[Waiter]:
        with self._gate:
            self._waiting_bytes -= size
        return batch

    def _commit(self, batch: list[Waiter]) -> None:
        try:
            if self.down is not None or self._space.short():
                fail_waiters(batch, self.down or self._disk_full())
                return
            outcomes = self._write(batch)
        except (TypeError, ValueError, OverflowError) as error:  # SQLite cannot hold a value of one of the payloads
            self._isolate(batch, LogUnavailableError(f"the payload cannot be written to the log: {error}"))
        except apsw.CorruptError as error:
            self._isolate(batch, self._damaged(error))
        except Exception as error:
            self._reopen_after(batch, error)
        else:
            self.refused = ""
            settle_waiters(batch, outcomes)

    def _write(self, batch: list[Waiter]) -> list[Outcome]:
        """Make a batch durable; returns the outcome of each waiter."""
        assert self._connection is not None
        if len(batch) <= database.ROWS_A_STATEMENT and not any(waiter.key for waiter in batch):
            outcomes, rows = self._assign_offsets(batch, None)
            crash_points.reach("log.before_commit")
            database.insert_rows(self._connection, rows)  # one statement: a transaction of its own
        else:
            self._connection.execute("BEGIN IMMEDIATE")
            now_ns = self.key_clock()
            keys = Keys(self._connection, now_ns, now_ns - int(self._limits.keep_keys_s * 1e9))
            outcomes, rows = self._assign_offsets(batch, keys)
            database.insert_rows(self._connection, rows)
            crash_points.reach("log.before_commit")
            self._connection.execute("COMMIT")
        crash_points.reach("log.after_commit")
        if rows:
            self.last_seq = rows[-1][0]
            self._mark.note(self.last_seq)
        self.commits += 1
        return outcomes

    def _assign_offsets(self, batch: list[Waiter], keys: Keys | None) -> tuple[list[Outcome], list[tuple[Any, ...]]]:
        outcomes: list[Outcome] = []
        rows: list[tuple[Any, ...]] = []
        for waiter in batch:
            payload = waiter.payload
            earlier = keys.earlier(payload, waiter.key) if keys and waiter.key else None
            if earlier is not None:
                outcomes.append(earlier)
                continue
            self._handed_out += 1
            appended = Appended(self._handed_out, payload.receipt, payload.received_ns)
            rows.append(database.row_of_payload(self._handed_out, payload))
            outcomes.append(appended)
            if keys and waiter.key:
                keys.use(payload, waiter.key, appended)
        return outcomes, rows

    def _isolate(self, batch: list[Waiter], refusal: LogUnavailableError) -> None:
        """Commit each payload of a batch by itself, so that only the payload that cannot be written fails."""
        assert self._connection is not None
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if len(batch) == 1:
            fail_waiters(batch, refusal)
            return
        for waiter in batch:
            self._commit([waiter])

    def _damaged(self, error: apsw.CorruptError) -> LogUnavailableError:
        """Note that a page that a commit needs is damaged; returns the error. Other commits may not need the page."""
        self._damages.add(LogDamage(0, f"SQLite cannot write to it: {error}"))
        self.refused = f"{self._path} is damaged ({error}); nothing was acknowledged. To repair: {HOW_TO_REPAIR}"
        return LogUnavailableError(self.refused, 60.0)

    def _run_task(self, task: WriterTask) -> None:
        if self.down is not None or self._connection is None:
            task.future.set_exception(LogUnavailableError("the log is being opened again"))
            return
        try:
            result = task.work(self._connection)
        except apsw.CorruptError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._damages.add(LogDamage(0, f"SQLite cannot trim, erase or repair in it: {error}"))
            task.future.set_exception(error)
        except Exception as error:
            self._reopen_after([], error)
            task.future.set_exception(error)
        else:
            task.future.set_result(result)

    def _disk_full(self) -> DiskFullError:
        free, needed = self._space.free_bytes >> 20, self._space.needed_bytes >> 20
        return DiskFullError(f"too little free disk for {self._path} ({free} MiB, needed {needed} MiB)", 5.0)

    def _reopen_after(self, batch: list[Waiter], error: Exception) -> None:
        """Fail every waiter of the batch, then open the file again, with back-off, until its tail verifies."""
        with self._gate:
            self.down = recovery.as_unavailable(error, self._path)
        _log.error("%s; opening the log again", self.down.message, exc_info=error)
        fail_waiters(batch, self.down)
        if self._connection is not None:
            recovery.close_quietly(self._connection)
            self._connection = None
        attempt = 0
        while not self._closing.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]):
            attempt += 1
            self._refuse_waiting()
            if self._reopened():
                return

    def _refuse_waiting(self) -> None:
        """Fail the waiters and tasks that were queued while the log was down."""
        refused = self.down or LogUnavailableError("the log is being opened again")
        for _ in range(self._queue.qsize()):
            item = self._queue.get_nowait()
            if isinstance(item, Waiter):
                fail_waiters(self._dequeued([item], len(item.payload.body)), refused)
            elif item is None:
                self._queue.put(None)
            else:
                item.future.set_exception(refused)

    def _reopened(self) -> bool:
        try:
            connection, last = recovery.reopen(self._path, self._vfs, self.last_seq, self._damages)
        except LogCorruptError as error:
            self.down = LogUnavailableError(error.message, 60.0)
            return False
        except (apsw.Error, OSError, TidemillError) as error:
            self.down = recovery.as_unavailable(error, self._path)
            return False
        self._connection = connection
        self.last_seq = last
        self._handed_out = max(self._handed_out, last)
        with self._gate:
            self.down = None
        _log.warning("the log is open again, verified up to %d", last)
        return True
