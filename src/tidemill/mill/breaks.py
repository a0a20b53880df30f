"""How often the store broke off while the same payloads were applied: what ends it may be one of them."""

from collections.abc import Collection, Sequence
from typing import Final

from tidemill.model.payload import LogEntry

MANY: Final = 3  # breaks under the same payloads, after which fewer are tried at a time, or one is held back
TOO_MANY: Final = 5  # breaks under one payload alone, after which it is given up
FEWER: Final = 8  # times fewer


class Breaks:
    """Counts by the first payload of a batch, and whether that was alone: what follows it may be another each time."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, bool], int] = {}

    def of(self, entries: Sequence[LogEntry]) -> int:
        """How often the store broke off under these entries."""
        return self._counts.get(_key(entries), 0)

    def add(self, entries: Sequence[LogEntry]) -> int:
        """It did so once more; how often that is."""
        count = self._counts[_key(entries)] = self.of(entries) + 1
        return count

    def settled(self, seqs: Collection[int]) -> None:
        """The payloads at these offsets are applied or set aside."""
        if self._counts:
            self._counts = {key: count for key, count in self._counts.items() if key[0] not in seqs}


def _key(entries: Sequence[LogEntry]) -> tuple[int, bool]:
    return entries[0].seq, len(entries) == 1
