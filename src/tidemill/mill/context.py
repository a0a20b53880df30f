"""The context that the parts of a mill share: the store, the states of series, the status, the clock, the versions.

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
    """Gives versions to rows that are versioned by time: each version is above all earlier ones, also when the clock
    stops or runs back. Not thread-safe."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.highest = 0

    def next(self) -> int:
        """A version above all others."""
        self.highest = max(self.highest + 1, self._clock())
        return self.highest

    def raise_to(self, version: int) -> None:
        """Give only versions above this one from now on."""
        self.highest = max(self.highest, version)


class MillContext(msgspec.Struct, frozen=True):
    """The context of one thread. `clock` gives ns since the epoch. Not thread-safe: each thread has its own context."""

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
    """A context in which no state of the store is loaded yet."""
    return MillContext(store, KnownSeries(store, partition), status or MillStatus(), clock, Versions(clock))
