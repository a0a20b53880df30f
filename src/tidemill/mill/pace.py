"""How long the mill waits between the beginnings of two batches: under load a batch gathers first."""

import time
from typing import Final

# By the length of the last batch. A batch costs mill and store about 70 ms of processor however small it is, and less
# than 400 ms for 5,000 payloads (decision 0006).
_SMALL_BATCH: Final = 100
_SMALL_GAP_S: Final = 0.1
_LARGE_BATCH: Final = 1_000
_LARGE_GAP_S: Final = 1.0
_MIDDLE_GAP_S: Final = 0.4


class Pace:
    """The pace of one loop. Not thread-safe."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._count = 0

    def begin(self, count: int) -> None:
        """A batch of `count` payloads begins."""
        self._begun, self._count = time.monotonic(), count

    def rest(self) -> None:
        """There is nothing to apply: the next batch need not gather for long."""
        self._count = 0

    def wait_s(self) -> float:
        """How long the next batch should still gather, in seconds; 0: not at all."""
        gap_s = _MIDDLE_GAP_S
        if self._count <= _SMALL_BATCH:
            gap_s = _SMALL_GAP_S
        elif self._count >= _LARGE_BATCH:
            gap_s = _LARGE_GAP_S
        return max(0.0, self._begun + gap_s - time.monotonic())
