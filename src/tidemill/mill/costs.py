"""What it costs to apply an entry of the log, in seconds, before it is applied: by its size, and by what entries like
it (of the same tenant, feed and kind) cost lately. A guess only: it decides in which order and how many at a time.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tidemill.log.headers import Header
from tidemill.model.payload import Kind

Like = tuple[str, str, Kind]

# 5,000 location payloads of 150 bytes take 0.4 s, a million samples in 8 MiB about 2 s.
_ENTRY_S: Final = 50e-6
_BYTE_S: Final = 0.25e-6
_DELETION_S: Final = 0.02
_BATCH_S: Final = 0.1  # what a batch costs however small it is
_LEAST, _MOST = 0.05, 1e6
_SLOWLY: Final = 0.3  # a factor rises at once and falls by this share
_KEEP: Final = 10_000


class Costs:
    """Learns from batches; not thread-safe."""

    def __init__(self) -> None:
        self._factors: dict[Like, float] = {}

    def of(self, header: Header) -> float:
        """Seconds to apply this entry."""
        return _before(header) * self._factors.get((header.tenant, header.feed, header.kind), 1.0)

    def learn(self, headers: Iterable[Header], seconds: float, weights: Mapping[tuple[str, str], float]) -> None:
        """A batch took so long. `weights`: the share of each (tenant, feed) in it; one that is missing counts as its
        size says."""
        guessed: dict[Like, float] = {}
        for header in headers:
            like = header.tenant, header.feed, header.kind
            guessed[like] = guessed.get(like, 0.0) + _before(header)
        shares = {like: weights.get(like[:2], guess) for like, guess in guessed.items()}
        whole = sum(shares.values()) or 1.0
        for like, guess in guessed.items():
            measured = max(0.0, seconds - _BATCH_S) * shares[like] / whole / guess
            self._learn(like, min(max(measured, _LEAST), _MOST))

    def _learn(self, like: Like, measured: float) -> None:
        if len(self._factors) >= _KEEP:
            self._factors.clear()
        before = self._factors.get(like, 1.0)
        self._factors[like] = measured if measured > before else before + _SLOWLY * (measured - before)


def _before(header: Header) -> float:
    """What an entry costs as far as its size says."""
    if header.kind is Kind.DELETE:
        return _DELETION_S
    return _ENTRY_S + header.size_bytes * _BYTE_S
