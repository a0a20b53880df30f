"""What it costs to apply an entry of the log, in seconds of the processor, before it is applied: by its size, and by
what entries like it (of the same tenant and feed) cost lately. A guess only: it decides in which order and how many at
a time. What was cheap so far is trusted no further than its size says: the next payload may be of another shape.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tidemill.log.contract import Header
from tidemill.model.payload import EntryKind

Like = tuple[str, str, bool]  # tenant, feed, whether it is a deletion

# 5,000 location payloads of 150 bytes take 0.4 s; of 8 MiB a million samples take 2 s, and a million records that are
# rejected 10 s.
_ENTRY_S: Final = 50e-6
_BYTE_S: Final = 0.5e-6
_DELETION_S: Final = 0.02
_FEED_S: Final = 0.05  # what a batch costs for each feed in it, however small it is
_MOST: Final = 40.0
_SLOWLY: Final = 0.3  # a factor rises at once and falls by this share
_KEEP: Final = 10_000


def like(header: Header) -> Like:
    """What an entry is compared with."""
    return header.tenant, header.feed, header.kind is EntryKind.DELETE


class Costs:
    """Learns from batches; not thread-safe."""

    def __init__(self) -> None:
        self._factors: dict[Like, float] = {}

    def of(self, header: Header) -> float:
        """Seconds to apply this entry."""
        return _before(header) * self._factors.get(like(header), 1.0)

    def learn(self, headers: Iterable[Header], spent: Mapping[Like, float]) -> None:
        """These entries were applied; the seconds `spent` on those that are alike."""
        guessed: dict[Like, float] = {}
        for header in headers:
            guessed[like(header)] = guessed.get(like(header), 0.0) + _before(header)
        for alike, guess in guessed.items():
            measured = max(0.0, spent.get(alike, 0.0) - _FEED_S) / guess
            self._learn(alike, min(max(measured, 1.0), _MOST))

    def _learn(self, alike: Like, measured: float) -> None:
        if len(self._factors) >= _KEEP:
            self._factors.clear()
        before = self._factors.get(alike, 1.0)
        self._factors[alike] = measured if measured > before else before + _SLOWLY * (measured - before)


def _before(header: Header) -> float:
    """What an entry costs as far as its size says."""
    if header.kind is EntryKind.DELETE:
        return _DELETION_S
    return _ENTRY_S + header.size_bytes * _BYTE_S
