"""A log of several partitions, each a log of its own: routes payloads to partitions, and combines their answers."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from tidemill.log.contract import (
    Appended,
    Capability,
    IntakeLog,
    LogHealth,
    LogPartition,
    PartitionReader,
)
from tidemill.log.damage import LogDamage
from tidemill.model.offset import index_of, partition_of_feed, seq_of
from tidemill.model.payload import LogEntry, Payload


class LogOfPartition(IntakeLog, LogPartition, Protocol):
    """A partition that is also a log of one partition: it takes payloads, and is read and trimmed."""


Each = TypeVar("Each", bound=PartitionReader)


class PartitionedReader(Generic[Each]):
    """Reads the log that has these partitions, by number. Keeps the promises of `LogReader`."""

    def __init__(self, partitions: Sequence[Each]) -> None:
        self._partitions = tuple(partitions)

    @property
    def partitions(self) -> Sequence[Each]:
        """See `LogReader.partitions`."""
        return self._partitions

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        """See `ReceiptIndex.find`: one look-up by an index in each partition."""
        for partition in self._partitions:
            if (entry := partition.find(tenant, receipt)) is not None:
                return entry
        return None

    def close(self) -> None:
        """Close every partition. Harmless when repeated."""
        for partition in self._partitions:
            partition.close()


class PartitionedLog(PartitionedReader[LogOfPartition]):
    """The log that has these partitions, by number. Keeps the promises of `IntakeLog`."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that every partition has."""
        return frozenset.intersection(*(partition.capabilities for partition in self._partitions))

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Queue a payload in the partition of its feed; see `IntakeLog.append`."""
        return self._partition_of(payload).append(payload, idempotency_key=idempotency_key)

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """See `IntakeLog.append_async`."""
        return await self._partition_of(payload).append_async(payload, idempotency_key)

    def known_damages(self) -> list[LogDamage]:
        """See `IntakeLog.known_damages`."""
        return [damage for partition in self._partitions for damage in partition.known_damages()]

    def mend(self, seq: int, body: bytes) -> bool:
        """See `IntakeLog.mend`."""
        return self._partitions[index_of(seq, len(self._partitions))].mend(seq, body)

    def health(self) -> LogHealth:
        """The combined health of all partitions; the log accepts payloads when every partition does. Never raises."""
        parts = [partition.health() for partition in self._partitions]
        return LogHealth(
            implementation=parts[0].implementation,
            accepting=all(part.accepting for part in parts),
            reason="; ".join(dict.fromkeys(part.reason for part in parts if part.reason)),
            first_seq=sum(seq_of(part.first_seq) for part in parts),
            last_seq=sum(seq_of(part.last_seq) for part in parts),
            size_bytes=sum(part.size_bytes for part in parts),
            free_bytes=min(part.free_bytes for part in parts),
            clock_doubt=next((part.clock_doubt for part in parts if part.clock_doubt), ""),
            details={
                f"{number}.{key}": text for number, part in enumerate(parts) for key, text in part.details.items()
            },
            degraded="; ".join(part.degraded for part in parts if part.degraded),
        )

    def _partition_of(self, payload: Payload) -> LogOfPartition:
        return self._partitions[partition_of_feed(payload.tenant, payload.feed, len(self._partitions))]
