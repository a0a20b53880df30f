"""Cuts a batch into portions by the bytes of the rows that it makes: a few bytes of a payload may make many rows.

How many bytes of rows a byte of a payload makes is learnt from feed and tenant; of a feed that is new a little is
applied first. One payload is never cut, so it alone may make more.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from tidemill.model.payload import LogEntry

ROWS_BYTES: Final = 64 << 20
_UNKNOWN: Final = 32.0
_LEAST: Final = 8.0  # no trust beyond this: the next payload may be of another shape
_SLOWLY: Final = 0.3  # it rises at once and falls by this share
_ENTRY_BYTES: Final = 400  # the row of a payload, besides its bytes
_KEEP: Final = 10_000


class Growth:
    """Bytes of rows per byte of payload, by tenant and feed. Not thread-safe."""

    def __init__(self) -> None:
        self._factors: dict[tuple[str, str], float] = {}

    def portions(self, entries: Sequence[LogEntry]) -> Iterator[list[LogEntry]]:
        """The entries in their order, in parts that make about ROWS_BYTES; each is cut when the one before is done."""
        portion: list[LogEntry] = []
        size = 0.0
        for entry in entries:
            payload = entry.payload
            factor = self._factors.get((payload.tenant, payload.feed), _UNKNOWN)
            rows = _ENTRY_BYTES + len(payload.body) * (1 + factor)
            if portion and size + rows > ROWS_BYTES:
                yield portion
                portion, size = [], 0.0
            portion.append(entry)
            size += rows
        if portion:
            yield portion

    def learn(self, tenant: str, feed: str, entries: Sequence[LogEntry], rows_bytes: int) -> None:
        """These entries of one feed made rows of so many bytes."""
        if len(self._factors) >= _KEEP:
            self._factors.clear()
        bodies = sum(len(entry.payload.body) for entry in entries)
        measured = max(_LEAST, rows_bytes / bodies if bodies else 0.0)
        before = self._factors.get((tenant, feed), measured)
        self._factors[tenant, feed] = measured if measured > before else before + _SLOWLY * (measured - before)
