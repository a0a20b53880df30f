"""Series and payloads that are deleted but whose deletion the mill has not applied yet: gone from every answer at once.

In memory; made again at start, and whenever the mill went back, from the part of the log that is not applied. Read
routes ask `gone` or `of`, from any thread: what they look at is replaced as a whole and never changed.
"""

import asyncio
import threading

from tidemill.api.applied import Applied
from tidemill.log.contract import LogReader
from tidemill.model import deletion
from tidemill.model.deletion import Deletion
from tidemill.model.offset import covers


class Deleted:
    """(tenant, series) -> place of its deletion in the log, for deletions newer than what is applied."""

    def __init__(self, applied: Applied) -> None:
        self._applied = applied
        self._places: dict[tuple[str, int], int] = {}
        self._payloads: dict[tuple[str, str], int] = {}
        self.erase = asyncio.Event()  # something was deleted: its bytes can leave the log
        self._changing = threading.Lock()

    def add(self, tenant: str, series: int, seq: int) -> None:
        """Remember a deletion; forget those that are applied."""
        self._merge({(tenant, series): seq})

    def asked_for(self, tenant: str, asked: Deletion, seq: int) -> None:
        """Remember a deletion of whatever kind. A range is in answers until it is applied."""
        if asked.kind == "series":
            self.add(tenant, asked.number, seq)
        elif asked.kind == "payload":
            with self._changing:
                kept = {key: place for key, place in self._payloads.items() if self._waits(key[0], place)}
                self._payloads = kept | {(tenant, asked.receipt): seq}

    def payload_gone(self, tenant: str, receipt: str) -> bool:
        """Whether the payload is deleted and the store does not know it yet."""
        return self._waits(tenant, self._payloads.get((tenant, receipt), 0))

    def gone(self, tenant: str, series: int) -> bool:
        """Whether the series is deleted and the store does not know it yet."""
        return self._waits(tenant, self._places.get((tenant, series), 0))

    def of(self, tenant: str) -> frozenset[int]:
        """All such series of a tenant."""
        places = self._places
        if not places:
            return frozenset()
        done = self._applied.through(tenant)
        return frozenset(series for (owner, series), seq in places.items() if owner == tenant and not covers(done, seq))

    def rebuild(self, log: LogReader) -> None:
        """Read the deletions in the part of the log that is not applied. Raises LogUnavailableError."""
        for partition, progress in zip(log.partitions, self._applied.progress.partitions, strict=True):
            for entry in partition.deletions(progress.checkpoint):
                self.asked_for(entry.payload.tenant, deletion.read(entry.payload), entry.seq)

    def _waits(self, tenant: str, seq: int) -> bool:
        return not self._applied.progress.applied(tenant, seq)

    def _merge(self, newer: dict[tuple[str, int], int]) -> None:
        with self._changing:
            places = {key: place for key, place in self._places.items() if self._waits(key[0], place)}
            for key, place in newer.items():
                places[key] = max(place, places.get(key, 0))
            self._places = places
