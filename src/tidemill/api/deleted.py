"""Series that are deleted but whose deletion the mill has not applied yet: gone from every answer at once.

In memory; made again at start, and whenever the mill went back, from the part of the log that is not applied. Read
routes ask `gone` or `of`, from any thread: what they look at is replaced as a whole and never changed.
"""

import threading

from tidemill.api.applied import Applied
from tidemill.log.contract import LogReader
from tidemill.model import deletion


class Deleted:
    """(tenant, series) -> place of its deletion in the log, for deletions newer than what is applied."""

    def __init__(self, applied: Applied) -> None:
        self._applied = applied
        self._places: dict[tuple[str, int], int] = {}
        self._changing = threading.Lock()

    def add(self, tenant: str, series: int, seq: int) -> None:
        """Remember a deletion; forget those that are applied."""
        self._merge({(tenant, series): seq})

    def gone(self, tenant: str, series: int) -> bool:
        """Whether the series is deleted and the store does not know it yet."""
        return self._places.get((tenant, series), 0) > self._applied.seq

    def of(self, tenant: str) -> frozenset[int]:
        """All such series of a tenant."""
        places = self._places
        if not places:
            return frozenset()
        done = self._applied.seq
        return frozenset(series for (owner, series), seq in places.items() if owner == tenant and seq > done)

    def rebuild(self, log: LogReader) -> None:
        """Read the deletions in the part of the log that is not applied. Raises LogUnavailableError."""
        found: dict[tuple[str, int], int] = {}
        for entry in log.deletions(self._applied.seq):
            asked = deletion.read(entry.payload)
            if asked.kind == "series":
                found[entry.payload.tenant, asked.number] = entry.seq
        self._merge(found)

    def _merge(self, newer: dict[tuple[str, int], int]) -> None:
        done = self._applied.seq
        with self._changing:
            places = {key: place for key, place in self._places.items() if place > done}
            for key, place in newer.items():
                places[key] = max(place, places.get(key, 0))
            self._places = places
