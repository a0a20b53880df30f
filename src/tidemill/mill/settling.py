"""Applies a batch and saves the progress. A batch that fails is narrowed down to the payload at fault, which is set
aside.

A store that is away is waited for. A store that answers with an error is tried again a bounded number of times: the
batch by lanes, then by halves, at last a payload alone, while other tenants go on. That payload is set aside only after
the store took a probe and a payload that it had taken before, so that a store that refuses everything costs nobody a
payload. A store that breaks off under the same payloads again and again, and answers in between, is treated likewise:
something in those payloads may end it.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from tidemill.crash_points import reach
from tidemill.errors import (
    LogUnavailableError,
    LostPartitionError,
    StoreDamagedError,
    StoreQueryError,
    StoreUnavailableError,
    UnavailableError,
)
from tidemill.log.contract import Header
from tidemill.mill.apply import Applier
from tidemill.mill.beside import Beside
from tidemill.mill.canary import Canary
from tidemill.mill.checkpoint import ProgressWriter
from tidemill.mill.costs import CostKey
from tidemill.mill.crash_loop import CrashLoopGuard
from tidemill.mill.lanes import MAX_PAYLOADS, Lanes
from tidemill.mill.retries import BRAKE_S, FEWER, MANY, Retries
from tidemill.mill.stored import whole_entry
from tidemill.model.payload import EntryKind, LogEntry

_log = logging.getLogger(__name__)

APPLY_S: Final = 2.0  # other tenants may have come to wait


class Settling:
    """Settles entries of one log with one applier. `at_most`: how many payloads a batch should hold now; `apply_s`:
    after which no more of a batch is begun, in seconds."""

    def __init__(
        self,
        applier: Applier,
        lanes: Lanes,
        guard: CrashLoopGuard,
        canary: Canary,
        beside: Beside,
        *,
        progress: ProgressWriter,
        clock: Callable[[], int],
        apply_s: float = APPLY_S,
    ) -> None:
        self.at_most = MAX_PAYLOADS
        self._apply_s = apply_s
        self._applier = applier
        self._status = applier.context.status
        self._lanes = lanes
        self._guard = guard
        self._canary = canary
        self._beside = beside
        self._progress = progress
        self._clock = clock
        self._retries = Retries(lanes, canary, progress.checkpoint, self._status, clock)
        self._settled = 0

    def settle(self, picked: Sequence[Header], entries: Sequence[LogEntry]) -> int:
        """Settle the picked entries, in the order of the log; returns how many are settled: applied or set aside. The
        others are held back, or not begun in time. Raises UnavailableError while store, log or catalog is away."""
        self._settled, until = 0, time.monotonic() + self._apply_s
        missing = {header.seq for header in picked} - {entry.seq for entry in entries}
        if missing:
            _log.error("%d payloads from %d on are not in the log any more", len(missing), min(missing))
        for is_damaged, run in groupby(entries, key=lambda entry: bool(entry.damage)):
            free = [entry for entry in run if self._retries.is_free(entry)]
            if free and is_damaged:
                self._settle_damaged(free)
            elif free and not self._advance(free, until):
                return self._settled  # what follows comes after what was not begun
        if missing:
            over = [header for header in picked if self._retries.is_over(header, missing)]
            self._progress.mark_applied({header.tenant: header.seq for header in over})
        return self._settled

    @property
    def busy(self) -> bool:
        """Whether a payload is applied beside the loop: then only batches may change the store."""
        return self._beside.busy

    @property
    def last_turn(self) -> float:
        """The last sign of life of what is applied beside the loop, by `time.monotonic()`; the present, when nothing
        is."""
        return self._beside.last_turn

    def settle_beside(self, picked: Sequence[Header], entries: Sequence[LogEntry]) -> int:
        """Begin to apply a costly payload (of a lane that is away) beside the loop; `collect` settles it. A payload
        that is missing in the log or damaged is settled at once, as `settle` does."""
        if not entries or entries[0].damage:
            self._lanes.return_lane(picked[0])
            return self.settle(picked, entries)
        try:
            if self._retries.breaks_store(entries):
                self._lanes.return_lane(picked[0])
                self._settled = 0
                self._give_up(entries[0])
                return self._settled
            self._guard.begin_beside(entries)
        except BaseException:
            self._lanes.return_lane(picked[0])
            raise
        self._beside.start(entries)
        return 0

    def collect(self) -> int | None:
        """Settle the batch that was applied beside the loop, if it has ended; returns how many payloads are settled,
        null if no batch has ended. Raises as `settle`."""
        done = self._beside.collect()
        if done is None:
            return None
        self._settled = 0
        self._guard.end_beside()
        if self._lanes.return_lane(_headers(done.entries)[0]):
            self._handle_outcome(done.entries, done.error, done.spent)
        return self._settled

    def finish(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for the batch that is applied beside the loop, and settle it. Raises as `settle`."""
        self._beside.wait(timeout_s)
        self.collect()

    def _advance(self, entries: Sequence[LogEntry], until: float = math.inf) -> bool:
        """Apply entries and save the progress; in smaller parts when they cannot be applied in one batch. Returns
        whether all were begun before `until` (by the monotonic clock)."""
        self._status.looped_at_ns = self._clock()
        if self._guard.is_poison(entries):
            self._set_aside(entries[0], "it ended the process twice while it was applied alone")
            return True
        if self._retries.breaks_store(entries):
            self._give_up(entries[0])
            return True
        error, count = None, len(entries)
        try:
            self._guard.begin(entries)
            self._applier.spent.clear()
            count = self._applier.apply_entries(entries, until)
        except BaseException as raised:  # a panic in a library is a BaseException
            error = raised
        self._handle_outcome(entries[:count], error, self._applier.spent)
        if count < len(entries):
            self._guard.end_batch(counted=False)  # the others are not begun: they are no suspects
        return count == len(entries)

    def _handle_outcome(
        self, entries: Sequence[LogEntry], error: BaseException | None, spent: Mapping[CostKey, float]
    ) -> None:
        """Save the progress of an applied batch, or deal with the error that it ended with."""
        if isinstance(error, LostPartitionError):
            raise error  # the mill that has claimed the partition applies the entries
        if isinstance(error, StoreUnavailableError):
            self._retry_break(entries, error)
        elif isinstance(error, (LogUnavailableError, OSError, KeyboardInterrupt, SystemExit)):
            raise error  # no payload can be at fault
        elif isinstance(error, UnavailableError):
            self._wait_for_catalog(entries, error)
        elif error is not None:
            self._narrow(entries, error)
        else:
            self._retries.add_batch()
            self.at_most = min(MAX_PAYLOADS, 2 * self.at_most)
            self._lanes.costs.learn(_headers(entries), spent)
            self._finish_batch(entries)

    def _retry_break(self, entries: Sequence[LogEntry], error: StoreUnavailableError) -> None:
        """Count the break of the store. After MANY breaks a batch is made smaller, and a single payload is held back.

        A deletion is tried until it is applied. Raises `error` unless a payload is held back, so that others go on.
        """
        if len(entries) == 1 and entries[0].payload.kind is EntryKind.DELETE:
            raise error
        count = self._retries.breaks.add(entries)
        if count < MANY:
            raise error
        self.at_most = max(1, len(entries) // FEWER)
        if len(entries) > 1:
            raise error
        self._retries.hold(entries[0], f"the store broke off {count} times while it was applied: {error.message}")

    def _give_up(self, entry: LogEntry) -> None:
        why = f"the store broke off {self._retries.breaks.count([entry])} times while it was applied alone"
        _log.error("payload %d is set aside: %s", entry.seq, why)
        self._set_aside(entry, why)
        self._retries.add_given_up()

    def _settle_damaged(self, entries: Sequence[LogEntry]) -> None:
        """Apply entries whose bytes are damaged in the log from the store's copy; set aside those that it has no copy
        of."""
        for entry in entries:
            if not self._retries.is_free(entry):
                continue
            try:
                whole = whole_entry(self._applier.context.store, entry)
            except StoreQueryError as error:
                self._retries.hold(
                    entry, f"it is damaged in the log, and the store does not give its bytes: {error.message}"
                )
                continue
            if whole is not None:
                self._advance([whole])
                continue
            _log.error("payload %d is set aside: %s", entry.seq, entry.damage)
            self._set_aside(entry, f"its bytes were damaged in the log before they were applied: {entry.damage}")

    def _finish_batch(self, entries: Sequence[LogEntry]) -> None:
        reach("mill.after_insert")
        self._progress.mark_applied({entry.payload.tenant: entry.seq for entry in entries})
        self._retries.breaks.clear({entry.seq for entry in entries})
        self._status.batches += 1
        self._status.payloads += len(entries)
        self._guard.end_batch(counted=not any(map(self._lanes.is_blocked, {entry.payload.tenant for entry in entries})))
        self._settled += len(entries)

    def _narrow(self, entries: Sequence[LogEntry], error: BaseException) -> None:
        """Settle entries that cannot be applied in one batch: by lanes, then by halves."""
        _log.warning("payloads %d to %d: %s: %s", entries[0].seq, entries[-1].seq, type(error).__name__, error)
        if isinstance(error, StoreQueryError):
            self._canary.probe(error)
            self.at_most = max(1, len(entries) // 2)
        if not self._by_lane(entries):
            if len(entries) == 1:
                self._settle_alone(entries[0], error)
                return
            middle = len(entries) // 2
            self._advance(entries[:middle])
            if not self._lanes.held(entries[0].payload.tenant):
                self._advance(entries[middle:])

    def _by_lane(self, entries: Sequence[LogEntry]) -> bool:
        """Settle the entries of each tenant by themselves; returns false where they are of a single tenant."""
        of_tenant: dict[str, list[LogEntry]] = {}
        for entry in entries:
            of_tenant.setdefault(entry.payload.tenant, []).append(entry)
        if len(of_tenant) == 1:
            return False
        for part in of_tenant.values():
            self._advance(part)
        return True

    def _settle_alone(self, entry: LogEntry, error: BaseException) -> None:
        """Hold back a payload that cannot be applied by itself; set it aside when it was tried often enough."""
        if entry.payload.kind is EntryKind.DELETE:  # never given up: what it hides would be seen again
            _log.error("the deletion %d waits", entry.seq, exc_info=error)
            self._retries.hold(entry, f"the deletion cannot be applied: {error}", BRAKE_S)
            return
        if not isinstance(error, StoreQueryError):
            _log.error("payload %d is set aside", entry.seq, exc_info=error)
            self._set_aside(entry, f"{type(error).__name__}: {error}")
            return
        why = f"the store refuses it (code {error.store_code}): {error.message}"
        hold = self._retries.hold(entry, why)
        if isinstance(error, StoreDamagedError):  # no payload is at fault: this one waits until the store is repaired
            return
        if not self._retries.is_exhausted(hold, error):
            return
        if not self._retries.store_works(hold):
            self._retries.hold(entry, f"{why}; nothing else was applied since the last that it refused", BRAKE_S)
            return
        _log.error("payload %d is set aside: %s", entry.seq, why)
        self._set_aside(entry, why)
        self._retries.add_given_up()

    def _set_aside(self, entry: LogEntry, why: str) -> None:
        try:
            self._applier.set_aside(entry, why)
        except StoreQueryError as error:
            self._retries.hold(
                entry, f"the store refuses what sets it aside (code {error.store_code}): {error.message}"
            )
            raise
        self._finish_batch([entry])

    def _wait_for_catalog(self, entries: Sequence[LogEntry], error: UnavailableError) -> None:
        """Hold back the payloads of a tenant that wait for the catalog. Raises `error` when no lane can go on."""
        if self._by_lane(entries):
            return
        self._retries.hold(entries[0], error.message, state="waiting_for_catalog")
        if not self._lanes.ready(time.monotonic()):
            raise error


def _headers(entries: Sequence[LogEntry]) -> list[Header]:
    return [
        Header(entry.seq, payload.tenant, payload.feed, payload.kind, len(payload.body))
        for entry in entries
        for payload in (entry.payload,)
    ]
