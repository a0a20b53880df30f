"""Offsets: the place of an entry in the log as one number, `partition << 40 | seq`, where `seq` counts from 1 in each
partition.

As one number an offset fits in keys, orders, cursors and columns. The offsets of a partition rise in the order of the
log; between two partitions there is no order. Offsets of partition 0 equal their seqs, as in a log of one partition.
All payloads of a tenant's feed are in one partition, and with them all duplicates of a point.
"""

import zlib
from typing import Final

import msgspec

SEQ_BITS: Final = 40
MAX_SEQ: Final = (1 << SEQ_BITS) - 1
MAX_PARTITIONS: Final = 16

Reach = tuple[int, ...]  # for each partition, the offset up to which a statement holds (such as "is applied")


def start_of(partition: int) -> int:
    """The offset before the first offset of a partition."""
    return partition << SEQ_BITS


def partition_of(offset: int) -> int:
    """The partition that an offset is in."""
    return offset >> SEQ_BITS


def seq_of(offset: int) -> int:
    """The seq of an offset: its number within its partition."""
    return offset & MAX_SEQ


def partition_of_feed(tenant: str, feed: str, count: int) -> int:
    """The partition (of `count`) of a feed's payloads; changes only with the count."""
    return zlib.crc32(f"{tenant}\0{feed}".encode("utf-8", "surrogatepass")) % count


def index_of(offset: int, count: int) -> int:
    """The index, among the `count` partitions of a log, of an offset's partition. The partitions' numbers are
    consecutive from a multiple of the count on; from 0 in the only log of a store."""
    return partition_of(offset) % count


def covers(reach: Reach, offset: int) -> bool:
    """Whether an offset is not above the reach of its partition."""
    return offset <= reach[index_of(offset, len(reach))]


class Partition(msgspec.Struct, frozen=True):
    """Partition `number` of a log of `count` partitions. Its offsets are above `start`, up to `end`."""

    number: int = 0
    count: int = 1

    @property
    def start(self) -> int:
        """The offset before the partition's first."""
        return start_of(self.number)

    @property
    def end(self) -> int:
        """The highest offset that the partition may have."""
        return self.start + MAX_SEQ

    @property
    def bounds(self) -> dict[str, int]:
        """The lowest and the highest offset, both included, as a query binds them: `low` and `high`."""
        return {"low": self.start, "high": self.end}

    def owns(self, tenant: str, feed: str) -> bool:
        """Whether the feed's payloads are in this partition."""
        return partition_of_feed(tenant, feed, self.count) == self.number % self.count


ONLY: Final = Partition()  # the partition of a log of one partition
EVERYWHERE: Final = {"low": 0, "high": (1 << 63) - 1}  # as `Partition.bounds`: of all partitions
