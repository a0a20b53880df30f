"""What is held back and tried again: the holds of the lanes, how often the store broke off, and whether a payload that
was tried often enough may be given up.

A payload is given up for the store's sake only after the store took another one: a store that refuses everything, or
is away, costs nobody a payload.
"""

import time
from collections.abc import Callable, Collection, Sequence, Set
from typing import Final

from tidemill.errors import StoreQueryError
from tidemill.log.contract import Header
from tidemill.mill.canary import Canary
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.lanes import Hold, Lanes, Waiting
from tidemill.mill.status import MillStatus
from tidemill.model.payload import LogEntry

MANY: Final = 3  # breaks under the same payloads, after which fewer are tried at a time, or a single one is held back
TOO_MANY: Final = 5  # breaks under one payload alone, after which it is given up
FEWER: Final = 8  # times fewer
TRIES_ALONE: Final = 5
TRIES_SCARCE: Final = 7
# What wants memory, time or threads may fit a moment later; what is wrong with the data stays wrong. (A store without
# room says that it cannot do anything now: `store/errors.py`.)
_SCARCE: Final = frozenset({159, 160, 173, 241, 439})
BRAKE_S: Final = 60.0
_AGAIN_S: Final = 0.2  # then twice as long each time
_AGAIN_MOST_S: Final = 10.0


class BreakCounts:
    """How often the store broke off while the same payloads were applied. Counts by the first payload of a batch, and
    by whether it was alone, because the payloads that follow it may be others each time."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, bool], int] = {}

    def count(self, entries: Sequence[LogEntry]) -> int:
        """How often the store broke off under these entries."""
        return self._counts.get(_key(entries), 0)

    def add(self, entries: Sequence[LogEntry]) -> int:
        """Count another break under these entries; returns how many there were."""
        count = self._counts[_key(entries)] = self.count(entries) + 1
        return count

    def clear(self, seqs: Collection[int]) -> None:
        """The payloads at these offsets are applied or set aside."""
        if self._counts:
            self._counts = {key: count for key, count in self._counts.items() if key[0] not in seqs}


class Retries:
    """Holds lanes back and decides what may be given up. Not thread-safe."""

    def __init__(
        self, lanes: Lanes, canary: Canary, checkpoint: Checkpoint, status: MillStatus, clock: Callable[[], int]
    ) -> None:
        self.breaks = BreakCounts()
        self._lanes = lanes
        self._canary = canary
        self._checkpoint = checkpoint
        self._status = status
        self._clock = clock
        self._batches = 0  # that were applied
        self._given_up_at = -1  # as many batches were applied when the store's refusal last cost a payload

    def hold(self, entry: LogEntry, why: str, seconds: float = 0.0, state: Waiting = "waiting_for_store") -> Hold:
        """Hold the lane of an entry back for a while, longer each time (or for `seconds`)."""
        tenant = entry.payload.tenant
        before = self._lanes.held(tenant)
        tries = before.tries + 1 if before and before.seq == entry.seq else 1
        seconds = seconds or min(_AGAIN_S * 2 ** (tries - 1), _AGAIN_MOST_S)
        since = before.since if before and before.seq == entry.seq else self._batches
        hold = Hold(entry.seq, why, tries, time.monotonic() + seconds, state, since)
        self._lanes.hold(tenant, hold)
        self._status.failed(f"payload {entry.seq} of feed '{entry.payload.feed}' waits: {why}", self._clock())
        self._status.state = state
        return hold

    def add_batch(self) -> None:
        """A batch was applied: the store works."""
        self._batches += 1

    def add_given_up(self) -> None:
        """A payload was given up because of the store."""
        self._given_up_at = self._batches

    def is_free(self, entry: LogEntry) -> bool:
        """Whether no entry before this one is held back in its lane. An entry that is held itself is free: it is the
        one that is tried again."""
        hold = self._lanes.held(entry.payload.tenant)
        return hold is None or hold.seq >= entry.seq

    def is_over(self, header: Header, missing: Set[int]) -> bool:
        """Whether an entry is settled or `missing` in the log, and likewise those before it in its lane."""
        hold = self._lanes.held(header.tenant)
        return hold is None or header.seq < hold.seq or header.seq == hold.seq in missing

    def breaks_store(self, entries: Sequence[LogEntry]) -> bool:
        """Whether the store broke off so often under one payload that it is given up.

        Raises StoreUnavailableError while a store that broke off does not answer: then it is away, whatever is tried.
        """
        count = self.breaks.count(entries)
        if count:
            self._canary.probe()
        hold = self._lanes.held(entries[0].payload.tenant)
        return len(entries) == 1 and count >= TOO_MANY and hold is not None and self.store_works(hold)

    def is_exhausted(self, hold: Hold, error: StoreQueryError) -> bool:
        """Whether a payload was tried often enough for this answer of the store."""
        return hold.tries >= (TRIES_SCARCE if error.store_code in _SCARCE else TRIES_ALONE)

    def store_works(self, hold: Hold) -> bool:
        """Whether the store took a real payload since the held one was first refused, or takes one again that it took
        before. Where there is none, one payload may be set aside, and no second before another is applied."""
        if self._batches > hold.since or self._canary.apply_again(self._checkpoint.progress, self._is_away):
            return True
        return self._given_up_at < self._batches

    def _is_away(self, tenant: str) -> bool:
        """Whether something of a tenant is being changed beside the loop, or half of a replay of it is published."""
        return tenant == self._lanes.away or self._lanes.is_blocked(tenant)


def _key(entries: Sequence[LogEntry]) -> tuple[int, bool]:
    return entries[0].seq, len(entries) == 1
