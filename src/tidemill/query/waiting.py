"""The payloads of the log that are not applied yet, by tenant and feed: how many wait, since when, and their bytes.

The log is read forward, once, without bodies (about 1 µs an entry), and only beyond what is applied: while nothing
waits this costs nothing, and a long backlog takes 24 bytes a payload. What is applied is dropped at the next call.
"""

import sys
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.log.contract import Header, LogReader, PartitionReader
from tidemill.model.offset import Reach
from tidemill.model.payload import EntryKind

_CHUNK: Final = 10_000
_DROP_FROM: Final = 4_096  # applied payloads of a feed that are kept before they are dropped from memory


class WaitingOfFeed(msgspec.Struct, frozen=True):
    """Payloads of one feed that wait, in the order of the log: times of receipt (ns) and sizes of their bodies."""

    received_ns: NDArray[np.int64]
    bytes: NDArray[np.int64]


class _Queue:
    """The payloads of one feed in one partition that were read from the log, by offset. `begin`: how many of them are
    applied."""

    def __init__(self) -> None:
        self.seqs, self.received, self.sizes = array("q"), array("q"), array("q")
        self.begin = 0

    def add(self, header: Header) -> None:
        self.seqs.append(header.seq)
        self.received.append(header.received_ns)
        self.sizes.append(header.size_bytes)

    def apply(self, seq: int) -> None:
        """Drop what is at or before an offset."""
        self.begin = bisect_right(self.seqs, seq, self.begin)
        if self.begin >= _DROP_FROM or self.begin == len(self.seqs):
            for column in (self.seqs, self.received, self.sizes):
                del column[: self.begin]
            self.begin = 0

    def waiting(self) -> WaitingOfFeed:
        """What of it is not applied."""
        return WaitingOfFeed(*(np.array(column[self.begin :], np.int64) for column in (self.received, self.sizes)))


class _Backlog:
    """What waits in one partition. `start`: everything up to this offset was applied when `queues` began."""

    def __init__(self, partition: PartitionReader) -> None:
        self._partition = partition
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._applied: dict[str, int] = {}
        self._read_to = 0

    def advance(self, applied_of: Callable[[str], int]) -> None:
        """Read what the log has beyond the last call, and drop what is applied. What a mill that went back has to apply
        again is read again."""
        checkpoint = applied_of("")
        if checkpoint < self._applied.get("", 0) or any(
            applied_of(tenant) < seq for tenant, seq in self._applied.items()
        ):
            self._queues.clear()
            self._read_to = checkpoint
        self._read_to = max(self._read_to, checkpoint)
        last = self._partition.last_seq()
        while self._read_to < last:
            headers = self._partition.headers(self._read_to, _CHUNK)
            if not headers:
                break
            for header in headers:
                if header.kind is not EntryKind.DELETE:
                    self._queue(header).add(header)
            self._read_to = headers[-1].seq
        ahead = {tenant for tenant in self._applied if applied_of(tenant) > checkpoint}
        self._applied = {tenant: applied_of(tenant) for tenant in {"", *ahead, *(owner for owner, _ in self._queues)}}
        for (tenant, _), queue in list(self._queues.items()):
            queue.apply(self._applied[tenant])
        self._queues = {key: queue for key, queue in self._queues.items() if queue.seqs}

    def of_tenant(self, tenant: str) -> dict[str, WaitingOfFeed]:
        """What waits of a tenant, by feed."""
        return {feed: queue.waiting() for (owner, feed), queue in self._queues.items() if owner == tenant}

    def _queue(self, header: Header) -> _Queue:
        key = sys.intern(header.tenant), sys.intern(header.feed)
        return self._queues.setdefault(key, _Queue())


class WaitingPayloads:
    """What waits in a log. `applied` gives a tenant's applied offset in each partition. Thread-safe."""

    def __init__(self, log: LogReader, applied: Callable[[str], Reach]) -> None:
        self._log, self._applied = log, applied
        self._backlogs = [_Backlog(partition) for partition in log.partitions]
        self._lock = threading.Lock()

    def read(self, tenant: str) -> tuple[Reach, dict[str, WaitingOfFeed]]:
        """The applied offset of each partition, and by feed what waits beyond it: every payload of the tenant that was
        acknowledged before this call is either at or before that offset, or waits. Raises LogUnavailableError."""
        with self._lock:
            reaches: dict[str, Reach] = {}

            def reach_of(owner: str) -> Reach:
                return reaches[owner] if owner in reaches else reaches.setdefault(owner, self._applied(owner))

            reach = reach_of(tenant)
            waiting: dict[str, WaitingOfFeed] = {}
            for number, backlog in enumerate(self._backlogs):
                backlog.advance(lambda owner, number=number: reach_of(owner)[number])  # type: ignore[misc]
                waiting |= backlog.of_tenant(tenant)
            return reach, waiting
