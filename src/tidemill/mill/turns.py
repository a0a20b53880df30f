"""Whose turn it is among the mills of one process: while any of them has payloads that are suspected of having ended
the process, one batch is applied at a time. So a crash names its culprit, whatever the other partitions were doing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_S: Final = 0.5


class Turns:
    """Shared by the mills of `count` partitions: each is suspicious until it says that it is clear. Thread-safe."""

    def __init__(self, count: int = 1) -> None:
        self._suspicious = frozenset(range(count))
        self._changing = threading.Lock()
        self._alone = threading.Lock()

    def clear(self, partition: int) -> None:
        """A mill has started, and suspects no payload (any more)."""
        if partition in self._suspicious:
            with self._changing:
                self._suspicious -= {partition}

    @property
    def suspicious(self) -> bool:
        """Whether any mill suspects payloads: then nothing is applied beside a batch either."""
        return bool(self._suspicious)

    @contextmanager
    def taken(self, turn: Callable[[], None]) -> Iterator[None]:
        """Apply a batch inside: alone while any mill is suspicious. `turn` is called while it waits."""
        if not self._suspicious:
            yield
            return
        while not self._alone.acquire(timeout=_LOOK_S):
            turn()
        try:
            yield
        finally:
            self._alone.release()
