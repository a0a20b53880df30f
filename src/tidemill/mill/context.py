"""What the parts of one mill share: the store, what is known of series, counters, the clock, versions.

`MillContext` is made once for each thread that applies payloads, and handed to every part that works in that thread.
"""

import time
from collections.abc import Callable

import msgspec

from tidemill.mill.known import KnownSeries
from tidemill.mill.status import MillStatus
from tidemill.model.offset import ONLY, Partition
from tidemill.store.client import Store


class Versions:
    """Versions of rows that are versioned by time: each is above all that were given, also when the clock stands still
    or runs back. Not thread-safe."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.highest = 0

    def next(self) -> int:
        """A version above all others."""
        self.highest = max(self.highest + 1, self._clock())
        return self.highest

    def raise_to(self, version: int) -> None:
        """A version that somebody else gave: those that follow are above it."""
        self.highest = max(self.highest, version)


class MillContext(msgspec.Struct, frozen=True):
    """The five things that travel together. `clock` gives ns since the epoch. Not thread-safe: a thread has its own."""

    store: Store
    known: KnownSeries
    status: MillStatus
    clock: Callable[[], int]
    versions: Versions


def new_context(
    store: Store,
    status: MillStatus | None = None,
    clock: Callable[[], int] = time.time_ns,
    partition: Partition = ONLY,
) -> MillContext:
    """A context that knows nothing of the store yet."""
    return MillContext(store, KnownSeries(store, partition), status or MillStatus(), clock, Versions(clock))
