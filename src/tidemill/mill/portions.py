"""Cuts a batch into portions by the bytes of the rows that its payloads make: a small payload may make many rows.

Learns for each tenant and feed how many bytes of rows a byte of a payload makes; the first portion of a new feed is
small. A payload is never cut, so a single one may make a larger portion.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from tidemill.model.payload import LogEntry

ROWS_BYTES: Final = 32 << 20  # one portion is inserted while the next one is prepared
_UNKNOWN: Final = 32.0
_LEAST: Final = 8.0  # never less, because the next payload may be of another shape
_SLOWLY: Final = 0.3  # it rises at once and falls by this share
_ENTRY_BYTES: Final = 400  # the row of a payload, besides its bytes
_KEEP: Final = 10_000


class Growth:
    """Bytes of rows per byte of payload, by tenant and feed. Not thread-safe."""

    def __init__(self, rows_bytes: int = ROWS_BYTES) -> None:
        self._rows_bytes = rows_bytes
        self._factors: dict[tuple[str, str], float] = {}

    def cut_portions(self, entries: Sequence[LogEntry]) -> Iterator[list[LogEntry]]:
        """The entries in their order, in portions that make about `rows_bytes` of rows. Cuts a portion only when the
        one before was decided, so that it goes by what was learnt from that."""
        portion: list[LogEntry] = []
        size = 0.0
        for entry in entries:
            payload = entry.payload
            factor = self._factors.get((payload.tenant, payload.feed), _UNKNOWN)
            rows = _ENTRY_BYTES + len(payload.body) * (1 + factor)
            if portion and size + rows > self._rows_bytes:
                yield portion
                portion, size = [], 0.0
            portion.append(entry)
            size += rows
        if portion:
            yield portion

    def learn(self, tenant: str, feed: str, entries: Sequence[LogEntry], rows_bytes: int) -> None:
        """Learn that these entries of one feed made `rows_bytes` of rows."""
        if len(self._factors) >= _KEEP:
            self._factors.clear()
        bodies = sum(len(entry.payload.body) for entry in entries)
        measured = max(_LEAST, rows_bytes / bodies if bodies else 0.0)
        before = self._factors.get((tenant, feed), measured)
        self._factors[tenant, feed] = measured if measured > before else before + _SLOWLY * (measured - before)
