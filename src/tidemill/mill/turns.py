"""Lets the mills of one process take turns: while any of them has payloads that are suspected of having ended the
process, one batch is applied at a time. So a crash is the fault of that batch, and not of other partitions."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_S: Final = 0.5


class Turns:
    """The turns of the mills of `count` partitions: each mill is suspicious until it calls `clear`. Thread-safe."""

    def __init__(self, count: int = 1) -> None:
        self._suspicious = frozenset(range(count))
        self._changing = threading.Lock()
        self._alone = threading.Lock()

    def clear(self, partition: int) -> None:
        """The mill of this partition has started, and has no suspects (any more)."""
        if partition in self._suspicious:
            with self._changing:
                self._suspicious -= {partition}

    @property
    def suspicious(self) -> bool:
        """Whether any mill has suspects: then nothing is applied beside a batch either."""
        return bool(self._suspicious)

    @contextmanager
    def taken(self, turn: Callable[[], None]) -> Iterator[None]:
        """Run the block, which applies a batch, alone while any mill is suspicious. `turn` is called while it waits."""
        if not self._suspicious:
            yield
            return
        while not self._alone.acquire(timeout=_LOOK_S):
            turn()
        try:
            yield
        finally:
            self._alone.release()
