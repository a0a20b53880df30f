"""Series that are deleted but whose deletion the mill has not applied yet: gone from every answer at once.

In memory; made again at start from the part of the log that is not applied. Read routes ask `gone` or `of`.
"""

from typing import Final

from tidemill.api.applied import Applied
from tidemill.log.contract import LogReader
from tidemill.model.ids import parse_series
from tidemill.model.payload import Kind

_COUNT: Final = 2048
_BYTES: Final = 32 << 20


class Deleted:
    """(tenant, series) -> place of its deletion in the log, for deletions newer than what is applied."""

    def __init__(self, applied: Applied) -> None:
        self._applied = applied
        self._places: dict[tuple[str, int], int] = {}

    def add(self, tenant: str, series: int, seq: int) -> None:
        """Remember a deletion; forget those that are applied."""
        done = self._applied.seq
        self._places = {key: place for key, place in self._places.items() if place > done}
        self._places[tenant, series] = seq

    def gone(self, tenant: str, series: int) -> bool:
        """Whether the series is deleted and the store does not know it yet."""
        return self._places.get((tenant, series), 0) > self._applied.seq

    def of(self, tenant: str) -> frozenset[int]:
        """All such series of a tenant."""
        if not self._places:
            return frozenset()
        done = self._applied.seq
        return frozenset(series for (owner, series), seq in self._places.items() if owner == tenant and seq > done)

    def rebuild(self, log: LogReader) -> None:
        """Read the deletions in the part of the log that is not applied. Raises LogUnavailableError."""
        after = self._applied.seq
        while entries := log.read(after, _COUNT, _BYTES):
            for entry in entries:
                if entry.payload.kind is Kind.DELETE_SERIES:
                    self.add(entry.payload.tenant, parse_series(entry.payload.body.decode()), entry.seq)
            after = entries[-1].seq
