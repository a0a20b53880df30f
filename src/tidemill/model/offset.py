"""Offsets: an entry's place in the log, as one number. `partition << 40 | seq`, where `seq` counts from 1 in a
partition.

One number, so that keys, orders, cursors and columns hold one. Offsets of one partition rise in the order of the log;
of two partitions neither is earlier. Offsets of partition 0 are their seqs: those of a log that has one partition.
A feed of a tenant is in one partition, so whatever contends with each other is.
"""

import zlib
from typing import Final

import msgspec

SEQ_BITS: Final = 40
MAX_SEQ: Final = (1 << SEQ_BITS) - 1
MAX_PARTITIONS: Final = 16

Reach = tuple[int, ...]  # of each partition, the offset up to which something holds


def start_of(partition: int) -> int:
    """The offset before the first of a partition."""
    return partition << SEQ_BITS


def partition_of(offset: int) -> int:
    """The partition that an offset is in."""
    return offset >> SEQ_BITS


def seq_of(offset: int) -> int:
    """The place within its partition."""
    return offset & MAX_SEQ


def partition_of_feed(tenant: str, feed: str, count: int) -> int:
    """The partition (of `count`) of a feed's payloads: it stays the same for as long as the count does."""
    return zlib.crc32(f"{tenant}\0{feed}".encode("utf-8", "surrogatepass")) % count


def index_of(offset: int, count: int) -> int:
    """Which of the `count` partitions of a log an offset is in: their numbers follow each other from a multiple of the
    count on, of the only log of a store from 0."""
    return partition_of(offset) % count


def covers(reach: Reach, offset: int) -> bool:
    """Whether an offset is within the reach of its partition."""
    return offset <= reach[index_of(offset, len(reach))]


class Partition(msgspec.Struct, frozen=True):
    """Partition `number` of a log of `count` partitions. Its offsets are above `start`, up to `end`."""

    number: int = 0
    count: int = 1

    @property
    def start(self) -> int:
        """The offset before its first."""
        return start_of(self.number)

    @property
    def end(self) -> int:
        """The highest offset that it may have."""
        return self.start + MAX_SEQ

    @property
    def bounds(self) -> dict[str, int]:
        """Both as a query binds them: `low` and `high`, included."""
        return {"low": self.start, "high": self.end}

    def owns(self, tenant: str, feed: str) -> bool:
        """Whether the feed's payloads are here."""
        return partition_of_feed(tenant, feed, self.count) == self.number % self.count


ONLY: Final = Partition()  # of a log that has one
EVERYWHERE: Final = {"low": 0, "high": (1 << 63) - 1}  # as `Partition.bounds`: every offset that there can be
