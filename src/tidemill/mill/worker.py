"""The mill's loop: micro-batches from the log, through the rules, into the store; then the checkpoint, then a hint.

At once when idle, in larger batches under load: the API needs the processor more. At least once in, exactly once in
effect. Tenants do not wait for each other (`lanes.py`). A store or log that is away is waited for; a payload that
cannot be applied is set aside (`settling.py`); the log moves on.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tidemill.catalog.replays import CatalogReplays
from tidemill.clock import Trust
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.errors import (
    LogUnavailableError,
    LostPartitionError,
    StoreQueryError,
    StoreUnavailableError,
    TidemillError,
    UnavailableError,
)
from tidemill.feeds.book import FeedBook
from tidemill.hints import Hints
from tidemill.log.contract import BacklogReader, Header
from tidemill.log.loss import accepted_loss
from tidemill.mill.apply import Applier
from tidemill.mill.backup_hold import BackupHold
from tidemill.mill.beside import Beside
from tidemill.mill.canary import Canary
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.confirm import Confirmer
from tidemill.mill.context import new_context
from tidemill.mill.costs import Costs
from tidemill.mill.crash_loop import CrashLoopGuard
from tidemill.mill.deletion import Deleter, no_replays
from tidemill.mill.lanes import MAX_PAYLOADS, Lanes
from tidemill.mill.pace import Pace
from tidemill.mill.progress import PartitionProgress, reconcile
from tidemill.mill.replay.job import Replays
from tidemill.mill.retention import RetentionJob
from tidemill.mill.settling import Settling
from tidemill.mill.stages import TransformPipeline, warm
from tidemill.mill.state import MillState
from tidemill.mill.status import HeartbeatWriter, MillStatus, last_turn
from tidemill.mill.turns import Turns
from tidemill.model.offset import ONLY, Partition
from tidemill.store.client import Store
from tidemill.store.fenced import FencedStore

_log = logging.getLogger(__name__)

MAX_HEADERS = 10_000  # read at a time
LOOK_EVERY_S = 0.05  # a lost hint costs this much
_BACKOFF_S = (0.1, 1.0)
_REPLAY_PAUSE_S = (0.2, 10.0)  # after a replay that could not be published
_QUIET_S = 10.0  # so long the log may be missing at the start before that is an error
_TEND_EVERY_S = 5.0  # retention goes on under load, too
_FINISH_S = 3.0  # for what is applied beside the loop at the end; it is applied again otherwise


class Mill:
    """One mill over one partition of the log, which it claims at its start. `run` works until it is told to end; `step`
    applies one micro-batch. Both raise LostPartitionError once another mill has claimed the partition.

    `work` is the folder for what replays have decided so far, which may be large. `turns` is shared by the mills of a
    process.
    """

    def __init__(
        self,
        reader: BacklogReader,
        store: Store,
        book: FeedBook,
        state: MillState,
        hints: Hints,
        *,
        work: Path,
        clock: Callable[[], int] = time.time_ns,
        max_depth: int = MAX_DEPTH,
        trust: Trust | None = None,
        replays: CatalogReplays | None = None,
        backup_hold: BackupHold | None = None,
        partition: Partition = ONLY,
        turns: Turns | None = None,
    ) -> None:
        store = FencedStore(store, partition.number, clock)
        checkpoint = Checkpoint.applied(state)
        self.status = MillStatus(position=checkpoint.seq)
        self._partition = partition
        self._turns = turns or Turns()
        self._reader = reader
        self._store = store
        self._state = state
        self._checkpoint = checkpoint
        self._hints = hints
        self._clock = clock
        self._lanes = Lanes(Costs(), checkpoint.progress)
        self._guard = CrashLoopGuard(state)
        self._heartbeat = HeartbeatWriter(state.beat)
        book = book.without_sources()  # a variable that only the poller needs must not hold payloads up
        self.context = context = new_context(store, self.status, clock, partition)
        pipeline = TransformPipeline(book, self.status, max_depth)
        self.replays = (
            Replays(replays, context, book, pipeline, state=state, path=work, owns=partition.owns) if replays else None
        )
        self._retention = RetentionJob(
            context,
            book,
            lambda: checkpoint.progress,
            state.retention_clock,
            trust,
            log_erased=reader.erased,
            partition=partition,
            is_published=self._lanes.is_blocked,
        )
        before = self.replays.begin_anew if self.replays else no_replays
        deleter = Deleter(context, book, pipeline, before=before, after=self._retention.purge_soon)
        self._applier = Applier(context, book, pipeline, deleter, partition)
        self._settling = Settling(
            self._applier,
            self._lanes,
            self._guard,
            Canary(store, self._applier, reader),
            Beside(self._applier, _applier_beside(store, book, clock, max_depth, partition)),
            checkpoint=checkpoint,
            hints=hints,
            clock=clock,
        )
        self._confirmer = Confirmer(
            reader,
            store,
            book,
            Checkpoint.confirmed(state),
            clock=clock,
            max_depth=max_depth,
        )
        self._backup_hold = backup_hold
        self._replay_error = ""  # why the replay under way cannot be published
        self._replay_at, self._replay_pause_s = 0.0, _REPLAY_PAUSE_S[0]
        self._started = False
        self._last_error = ""  # that was logged
        self._made = time.monotonic()
        self._pacing = Pace()
        self._tended = 0.0
        self._overdue = False  # retention: then nothing costly is begun before it had its turn
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
        while nothing is to be done, and all the while that a part is waited for (no wait for the store is for ever).
        """
        return time.monotonic() if self._store.busy else min(last_turn(self.status), self._settling.turned)

    def wake(self) -> None:
        """There may be a new replay. Thread-safe."""
        if self.replays is not None:
            self.replays.wake()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the batch under way is finished first. Raises LostPartitionError."""
        threading.Thread(target=self._forgive_when, args=(stop,), name="mill-stop", daemon=True).start()
        backoff_s = _BACKOFF_S[0]
        while not stop.is_set():
            self.status.turn()
            if self._backup_hold is not None and not self._settling.busy:
                self._backup_hold.keep(self._checkpoint.seq, self.status.turn, stop, self._partition.number)
            try:
                self._pace(stop)
                self._overdue = time.monotonic() > self._tended + _TEND_EVERY_S
                count = self.step()
                alone = not self._settling.busy
                replayed = alone and self._replay()
                if count == 0 and not replayed:
                    self._rest()
                elif alone and self._overdue:
                    self._tend()
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
                self._note(error)
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

    def _replay(self) -> bool:
        """A piece of a replay's work, if there is any. A replay that cannot be published is tried again later: its feed
        waits, the others go on. Raises UnavailableError while nothing of it is published."""
        if self.replays is None or time.monotonic() < self._replay_at:
            return False
        try:
            worked = self.replays.step(self.progress)
        except UnavailableError as error:
            if not self.replays.blocked:
                raise
            self._note(error)
            self._replay_error, self._replay_at = str(error), time.monotonic() + self._replay_pause_s
            self._replay_pause_s = min(2 * self._replay_pause_s, _REPLAY_PAUSE_S[1])
            return False
        self._replay_error, self._replay_pause_s = "", _REPLAY_PAUSE_S[0]
        return worked

    def _forgive_when(self, stop: threading.Event) -> None:
        stop.wait()
        self._guard.stopping()

    def step(self) -> int:
        """Apply one micro-batch; returns how many payloads it settled. Raises UnavailableError: nothing is lost."""
        if not self._started:
            self._start()
        if self.replays is not None and self._lanes.block(self.replays.blocked):
            self._settling.recount()
            self._applier.recall_replays(self.progress.checkpoint)
        self.status.looped_at_ns = self._clock()
        self._settling.save()
        if not self._settling.busy:
            self._confirm()
        elif (settled := self._settling.collect()) is not None:
            return settled  # a moment for what may not go on beside a batch
        with self.status.stage("read"):
            self._look()
            picked = self._pick()
            entries = self._reader.entries_at([header.seq for header in picked])
        if not picked:
            return 0
        self._pacing.begin(len(picked))
        self.status.state = "applying"
        with self._turns.taken(self.status.turn):
            return self._settling.settle(picked, entries)

    def _look(self) -> None:
        """Read what came into the log since."""
        count = min(MAX_HEADERS, self._lanes.room)
        if count > 0:
            self._lanes.add(self._reader.headers(self._lanes.scanned, count))
        self.status.saw(self._lanes.scanned)

    def _pick(self) -> list[Header]:
        now = time.monotonic()
        if self._guard.suspects(self.progress):
            if self._settling.busy:
                return []
            limit = self._guard.limit(self.progress) or MAX_PAYLOADS
            suspects = self._lanes.suspects(self._guard.suspected, min(limit, self._settling.at_most), now)
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
            self._lanes.back(picked[0])
            raise
        self._settling.settle_beside(picked, entries)

    def _start(self) -> None:
        self._store.claim()
        self._state.hold(self._store.owner, self._store.ensure_owner)
        self._checkpoint.read_again()
        in_store = self._applier.resume()
        before = self.progress
        start = reconcile(
            before.checkpoint,
            in_store=in_store,
            first_seq=self._reader.first_seq(),
            last_seq=self._reader.last_seq(),
            accepted=accepted_loss(self._partition.number),
            ahead=before.highest,
            begin=self._partition.start,
        )
        # A store that lacks the highest payload lacks who knows what of those who were ahead.
        ahead = before.ahead if before.highest <= in_store else {}
        if (start, ahead) != (before.checkpoint, before.ahead):
            self._confirmer.forget()
            self._checkpoint.save(start, ahead)
        self._go_on()
        if self.replays is not None:
            self.replays.resume()
        self._guard.resume(self.progress)
        if start < in_store:
            self._applier.recall_replays(start)
        warm()
        self._started = True

    def _confirm(self) -> None:
        """Have the store counted when it is time, and go back to where it lacks something. Not while a replay is being
        published: the counts are of before and after."""
        if self.replays is not None and self.replays.blocked:
            return
        back = self._confirmer.look(self._checkpoint.seq)
        self.status.confirmed = self._confirmer.seq
        if self._confirmer.refused:
            self.status.failed(self._confirmer.refused, self._clock())
        if back is None:
            return
        self._applier.resume()
        self._applier.recall_replays(back)
        self._checkpoint.save(back)  # last of what can fail: with it the lanes go back, too
        self._go_on()
        self.status.returns += 1
        why = f"the store lacks what it had answered for: applying again from payload {back + 1}"
        self.status.failed(why, self._clock())

    def _go_on(self) -> None:
        """Take the saved progress for what is applied, and look at the log from there on."""
        self._lanes.restart(self.progress)
        self.status.position = self.progress.checkpoint

    def _pace(self, stop: threading.Event) -> None:
        """Let a batch gather while there is load; never when the last one left something."""
        if self._lanes.ready(time.monotonic()):
            return
        wait_s = self._pacing.wait_s()
        if wait_s > 0:
            stop.wait(wait_s)

    def _rest(self) -> None:
        hold = self._lanes.oldest_hold()
        waits = hold.state if hold else "waiting_for_store" if self._replay_error else "idle"
        self.status.state = "applying" if self._settling.busy else waits
        self._pacing.rest()
        if self._settling.busy or not self._tend():
            told = self._hints.wait(LOOK_EVERY_S)
            self.status.saw(told or 0)

    def _tend(self) -> bool:
        """A piece of retention's work; whether there was any."""
        self._tended = time.monotonic()
        return self._retention.step()

    def _log_may_come(self, error: Exception) -> bool:
        """Whether this is only that the log is not there yet: whoever makes it starts at the same time."""
        at_start = not self._started and time.monotonic() < self._made + _QUIET_S
        return at_start and isinstance(error, LogUnavailableError)

    def _note(self, error: UnavailableError | StoreQueryError | OSError) -> None:
        self.status.state = _waits_for(error)
        if self._log_may_come(error):
            return
        self.status.retries += 1
        self.status.failed(str(error), self._clock())
        if str(error) != self._last_error:
            _log.warning("waiting: %s", error)
        self._last_error = str(error)


def _applier_beside(
    store: Store, book: FeedBook, clock: Callable[[], int], max_depth: int, partition: Partition
) -> Applier:
    """An applier for another thread, with a context of its own. No deletion is applied beside the loop."""
    context = new_context(store, None, clock, partition)
    pipeline = TransformPipeline(book, context.status, max_depth)
    return Applier(context, book, pipeline, Deleter(context, book, pipeline), partition)


def _waits_for(error: Exception) -> Literal["waiting_for_store", "waiting_for_log", "waiting_for_catalog"]:
    if isinstance(error, LogUnavailableError):
        return "waiting_for_log"
    if isinstance(error, UnavailableError) and not isinstance(error, StoreUnavailableError):
        return "waiting_for_catalog"
    return "waiting_for_store"
