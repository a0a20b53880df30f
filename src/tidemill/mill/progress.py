"""What of a partition of the log the mill has applied: the checkpoint, which is the offset up to which everything is in
the store, and the offsets of the tenants that are ahead of the checkpoint. And the checkpoint that a mill starts at.
"""

import logging
from collections.abc import Mapping

import msgspec

from tidemill.errors import LogUnavailableError, StartupError
from tidemill.log.loss import advice_after_loss
from tidemill.model.offset import Partition, Reach, index_of, partition_of

_log = logging.getLogger(__name__)


class PartitionProgress(msgspec.Struct, frozen=True):
    """What of a partition is applied: every payload up to `checkpoint`, and the payloads of a tenant up to its offset
    in `ahead` (which has only the tenants that are ahead)."""

    checkpoint: int = 0
    ahead: Mapping[str, int] = {}

    def through(self, tenant: str) -> int:
        """The offset up to which every payload of this tenant is applied."""
        return max(self.checkpoint, self.ahead.get(tenant, 0))

    def applied(self, tenant: str, seq: int) -> bool:
        """Whether the payload of this tenant at this offset is applied."""
        return seq <= self.checkpoint or seq <= self.ahead.get(tenant, 0)

    @property
    def highest(self) -> int:
        """The highest offset at which a payload is applied."""
        return max(self.checkpoint, *self.ahead.values()) if self.ahead else self.checkpoint


class LogProgress(msgspec.Struct, frozen=True):
    """What of a log is applied: the progress in each of its partitions, in their order."""

    partitions: tuple[PartitionProgress, ...] = (PartitionProgress(),)

    def numbered(self) -> list[tuple[Partition, PartitionProgress]]:
        """Each partition with its progress."""
        count = len(self.partitions)
        return [(Partition(partition_of(progress.checkpoint), count), progress) for progress in self.partitions]

    def through(self, tenant: str) -> Reach:
        """The offset of each partition up to which every payload of this tenant is applied."""
        return tuple(progress.through(tenant) for progress in self.partitions)

    def applied(self, tenant: str, seq: int) -> bool:
        """Whether the payload of this tenant at this offset is applied."""
        return self.partitions[index_of(seq, len(self.partitions))].applied(tenant, seq)


def reconcile(
    checkpoint: int,
    *,
    in_store: int,
    first_seq: int,
    last_seq: int,
    accepted: int = 0,
    ahead: int = 0,
    begin: int = 0,
) -> int:
    """The checkpoint to start at, given the saved `checkpoint`, the highest payload in the store, and the offsets that
    the log holds; `ahead`: the highest payload of a tenant that was ahead of the checkpoint; `begin`: the offset before
    the first that there ever was.

    A store that ends before the checkpoint was wiped or restored: what it lacks is applied again. Logs an error when
    the log no longer holds what is missing. Raises StartupError when the log ends before what was applied, because
    another log, or one that lost entries, would give the same offsets to other payloads; LogUnavailableError when that
    loss is `accepted` and the log's owner has yet to go on above it.
    """
    applied = max(checkpoint, in_store, ahead)
    if last_seq < applied:
        message = f"the log ends at {last_seq}, but payloads up to {applied} were applied to the store from it"
        if accepted >= applied:
            raise LogUnavailableError(f"{message}: waiting until it goes on above {accepted}")
        raise StartupError(f"{message}: it is another log, or lost entries. {advice_after_loss(applied)}")
    start = min(checkpoint, max(in_store, begin))
    if start < checkpoint:
        _log.warning(
            "the store ends at payload %d but the position is %d: applying again from there", in_store, checkpoint
        )
    if first_seq > start + 1:
        _log.error("the log begins at %d: payloads %d to %d are only in backups", first_seq, start + 1, first_seq - 1)
    return start
