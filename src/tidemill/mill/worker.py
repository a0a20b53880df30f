"""The mill's loop: micro-batches from the log, through the rules, into the store; then the checkpoint, then a hint.

An idle mill applies a payload at once; under load it gathers larger batches, because the API needs the processor more.
Every payload is applied at least once, and takes effect exactly once. Tenants do not wait for each other (`lanes.py`).
The loop waits for a store or log that is away; a payload that cannot be applied is set aside (`settling.py`), and the
log moves on.
"""

import logging
import threading
import time
from contextlib import suppress
from typing import Final, Literal

from tidemill.errors import (
    LogUnavailableError,
    LostPartitionError,
    StoreQueryError,
    StoreUnavailableError,
    TidemillError,
    UnavailableError,
)
from tidemill.log.contract import Header
from tidemill.mill.backup_hold import BackupHold
from tidemill.mill.lanes import MAX_PAYLOADS
from tidemill.mill.pace import Pace
from tidemill.mill.parts import MillParts
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.recovery import Recovery
from tidemill.mill.status import HeartbeatWriter, last_turn
from tidemill.mill.turns import Turns

_log = logging.getLogger(__name__)

MAX_HEADERS: Final = 10_000  # read at a time
LOOK_EVERY_S: Final = 0.05  # a lost hint costs this much
_BACKOFF_S: Final = (0.1, 1.0)
_REPLAY_PAUSE_S: Final = (0.2, 10.0)  # after a replay that could not be published
_QUIET_S: Final = 10.0  # so long the log may be missing at the start before that is an error
_RETENTION_EVERY_S: Final = 5.0  # retention goes on under load, too
_FINISH_S: Final = 3.0  # for what is applied beside the loop at the end; it is applied again otherwise


class Mill:
    """One mill over one partition of the log, which it claims at its start. `run_until` works until it is told to end;
    `apply_batch` applies one micro-batch. Both raise LostPartitionError once another mill has claimed the partition.

    `turns` is shared by the mills of a process.
    """

    def __init__(self, parts: MillParts, *, backup_hold: BackupHold | None = None, turns: Turns | None = None) -> None:
        self.status, self.context, self.replays = parts.status, parts.context, parts.replays
        self._reader, self._store, self._hints = parts.reader, parts.store, parts.hints
        self._clock, self._partition, self._checkpoint = parts.clock, parts.partition, parts.checkpoint
        self._lanes, self._guard, self._settling = parts.lanes, parts.guard, parts.settling
        self._progress = parts.progress
        self._applier, self._retention, self._confirmer = parts.applier, parts.retention, parts.confirmer
        self.recovery = Recovery(parts)
        self._turns = turns or Turns()
        self._backup_hold = backup_hold
        self._heartbeat = HeartbeatWriter(parts.state.beat)
        self._replay_error = ""  # why the replay under way cannot be published
        self._replay_at, self._replay_pause_s = 0.0, _REPLAY_PAUSE_S[0]
        self._recall_due = False  # a replay began or ended to be published: which payloads it applied is to be read
        self._started = False
        self._logged_error = ""
        self._made_at = time.monotonic()
        self._pace = Pace()
        self._retention_at = 0.0  # when retention had its last turn
        self._overdue = False  # retention: then nothing costly is begun before its turn
        self.status.turn()

    @property
    def progress(self) -> PartitionProgress:
        """What of the log is applied."""
        return self._checkpoint.progress

    @property
    def holding(self) -> bool:
        """Whether a payload waits to be tried again, or is applied beside the loop."""
        return self._settling.busy or self._lanes.oldest_hold() is not None

    @property
    def last_turn(self) -> float:
        """The last sign of life, by `time.monotonic()`: between the stages of a batch, between the steps of retention,
        while there is nothing to do, and all the while that the loop waits for the store (no such wait is for ever).
        """
        return time.monotonic() if self._store.busy else min(last_turn(self.status), self._settling.last_turn)

    def wake(self) -> None:
        """There may be a new replay. Thread-safe."""
        if self.replays is not None:
            self.replays.wake()

    def run_until(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the batch under way is finished first. Raises LostPartitionError."""
        threading.Thread(target=self._forgive_after, args=(stop,), name="mill-stop", daemon=True).start()
        backoff_s = _BACKOFF_S[0]
        while not stop.is_set():
            self.status.turn()
            if self._backup_hold is not None and not self._settling.busy:
                self._backup_hold.hold_still(self._checkpoint.seq, self.status.turn, stop, self._partition.number)
            try:
                self._gather(stop)
                self._overdue = time.monotonic() > self._retention_at + _RETENTION_EVERY_S
                count = self.apply_batch()
                alone = not self._settling.busy
                replayed = alone and self._run_replay()
                if count == 0 and not replayed:
                    self._rest()
                elif alone and self._overdue:
                    self._run_retention()
                backoff_s = _BACKOFF_S[0]
                held = self._lanes.oldest_hold() is not None or self._replay_error != ""
                self.status.recovered = not held and not self._confirmer.refused
            except LostPartitionError as error:
                self._guard.forgive()
                self._end("lost_partition", error)
                raise
            except (UnavailableError, StoreQueryError, OSError) as error:
                self._guard.forgive()
                self._confirmer.hurry()
                self._note_failure(error)
                stop.wait(backoff_s)
                backoff_s = min(2 * backoff_s, _BACKOFF_S[1])
            self._heartbeat.beat(self.status)
        with suppress(UnavailableError, StoreQueryError, OSError):
            self._settling.finish(_FINISH_S)
        self._end("stopped")

    def _end(self, state: Literal["stopped", "lost_partition"], error: TidemillError | None = None) -> None:
        if error is not None:
            self.status.failed(error.message, self._clock())
        self.status.state = state
        self._heartbeat.beat(self.status, force=True)
        self._applier.close()

    def _run_replay(self) -> bool:
        """Do a piece of a replay's work; returns whether there was any. A replay that cannot be published is tried
        again later: its feed waits, the others go on. Raises UnavailableError while nothing of it is published."""
        if self.replays is None or time.monotonic() < self._replay_at:
            return False
        try:
            worked = self.replays.step(self.progress)
        except LostPartitionError:
            raise
        except UnavailableError as error:
            if not self.replays.blocked:
                raise
            self._note_failure(error)
            self._replay_error, self._replay_at = str(error), time.monotonic() + self._replay_pause_s
            self._replay_pause_s = min(2 * self._replay_pause_s, _REPLAY_PAUSE_S[1])
            return False
        self._replay_error, self._replay_pause_s = "", _REPLAY_PAUSE_S[0]
        return worked

    def _forgive_after(self, stop: threading.Event) -> None:
        """From the end of the loop on, a process that is ended by force is no crash."""
        stop.wait()
        self._guard.forgive_stop()

    def apply_batch(self) -> int:
        """Apply one micro-batch; returns how many payloads it settled. Raises UnavailableError: nothing is lost."""
        if not self._started:
            self._start()
        if self.replays is not None and self._lanes.block(self.replays.blocked):
            self._progress.recount()
            self._recall_due = True
        if self._recall_due:
            self._applier.recall_replays(self.progress.checkpoint)
            self._recall_due = False
        self.status.looped_at_ns = self._clock()
        self._progress.save()
        if not self._settling.busy:
            self.recovery.confirm()
        elif (settled := self._settling.collect()) is not None:
            return settled  # confirming and replays may only go on while nothing is applied beside the loop
        with self.status.stage("read"):
            self._read_headers()
            picked = self._pick()
            entries = self._reader.entries_at([header.seq for header in picked])
        if not picked:
            return 0
        self._pace.begin(len(picked))
        self.status.state = "applying"
        with self._turns.taken(self.status.turn):
            return self._settling.settle(picked, entries)

    def _start(self) -> None:
        self.recovery.start()
        self._started = True

    def _read_headers(self) -> None:
        """Read the headers of the entries that came into the log since the last call, as far as there is room."""
        count = min(MAX_HEADERS, self._lanes.room)
        if count > 0:
            self._lanes.add(self._reader.headers(self._lanes.scanned, count))
        self.status.saw(self._lanes.scanned)

    def _pick(self) -> list[Header]:
        """The entries to apply now: the suspects of a crash before all others. May begin a costly one beside them."""
        now = time.monotonic()
        if self._guard.has_suspects(self.progress):
            if self._settling.busy:
                return []
            limit = self._guard.limit(self.progress) or MAX_PAYLOADS
            suspects = self._lanes.suspects(self._guard.is_suspect, min(limit, self._settling.at_most), now)
            if suspects:
                return suspects
        else:
            self._turns.clear(self._partition.number)
            if not self._settling.busy and not self._overdue and not self._turns.suspicious:
                self._begin_beside(now)
        return self._lanes.pick(self._settling.at_most, now)

    def _begin_beside(self, now: float) -> None:
        picked = self._lanes.pick_costly(now)
        if not picked:
            return
        try:
            entries = self._reader.entries_at([header.seq for header in picked])
        except BaseException:
            self._lanes.return_lane(picked[0])
            raise
        self._settling.settle_beside(picked, entries)

    def _gather(self, stop: threading.Event) -> None:
        """Let a batch gather while there is load; never when the last one left something."""
        if self._lanes.ready(time.monotonic()):
            return
        wait_s = self._pace.wait_s()
        if wait_s > 0:
            stop.wait(wait_s)

    def _rest(self) -> None:
        hold = self._lanes.oldest_hold()
        waits = hold.state if hold else "waiting_for_store" if self._replay_error else "idle"
        self.status.state = "applying" if self._settling.busy else waits
        self._pace.rest()
        if self._settling.busy or not self._run_retention():
            log_seq = self._hints.wait(LOOK_EVERY_S)
            self.status.saw(log_seq or 0)

    def _run_retention(self) -> bool:
        """Do a piece of retention's work; returns whether there was any."""
        self._retention_at = time.monotonic()
        return self._retention.run_step()

    def _log_may_come(self, error: Exception) -> bool:
        """Whether the error only says that the log is not there yet: its owner starts at the same time."""
        at_start = not self._started and time.monotonic() < self._made_at + _QUIET_S
        return at_start and isinstance(error, LogUnavailableError)

    def _note_failure(self, error: UnavailableError | StoreQueryError | OSError) -> None:
        self.status.state = _waits_for(error)
        if self._log_may_come(error):
            return
        self.status.retries += 1
        self.status.failed(str(error), self._clock())
        if str(error) != self._logged_error:
            _log.warning("waiting: %s", error)
        self._logged_error = str(error)


def _waits_for(error: Exception) -> Literal["waiting_for_store", "waiting_for_log", "waiting_for_catalog"]:
    if isinstance(error, LogUnavailableError):
        return "waiting_for_log"
    if isinstance(error, UnavailableError) and not isinstance(error, StoreUnavailableError):
        return "waiting_for_catalog"
    return "waiting_for_store"
