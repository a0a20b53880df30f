"""How far the mill has applied a partition of the log: the offset up to which everything is in the store (the
checkpoint), and how far beyond it each tenant is that is ahead of it; and where a mill has to begin by that.
"""

import logging
from collections.abc import Mapping

import msgspec

from tidemill.errors import LogUnavailableError, StartupError
from tidemill.log.loss import advice_after_loss
from tidemill.model.offset import Partition, Reach, index_of, partition_of

_log = logging.getLogger(__name__)


class PartitionProgress(msgspec.Struct, frozen=True):
    """What of a partition is applied: every payload up to `checkpoint`, and those of a tenant up to its offset in
    `ahead` (by tenant; only those that are ahead)."""

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
        return [(Partition(partition_of(one.checkpoint), count), one) for one in self.partitions]

    def through(self, tenant: str) -> Reach:
        """Of each partition, the offset up to which every payload of this tenant is applied."""
        return tuple(progress.through(tenant) for progress in self.partitions)

    def applied(self, tenant: str, seq: int) -> bool:
        """Whether the payload of this tenant at this offset is applied."""
        return self.partitions[index_of(seq, len(self.partitions))].applied(tenant, seq)


def reconcile(
    position: int,
    *,
    in_store: int,
    first_seq: int,
    last_seq: int,
    accepted: int = 0,
    ahead: int = 0,
    begin: int = 0,
) -> int:
    """The checkpoint to start at, given the highest payload in the store and what the log holds; `ahead`: the highest
    payload of a tenant that was ahead of the checkpoint; `begin`: the offset before the first that there ever was.

    A store that knows less than the position was wiped or restored: what it lacks is applied again. Says so when the
    log no longer holds what is missing. Raises StartupError when the log ends before what was applied: another log,
    or one that lost entries, would give their places to other payloads; LogUnavailableError when that loss is
    `accepted` and the log's owner has yet to go on above it.
    """
    known = max(position, in_store, ahead)
    if last_seq < known:
        message = f"the log ends at {last_seq}, but payloads up to {known} were applied to the store from it"
        if accepted >= known:
            raise LogUnavailableError(f"{message}: waiting until it goes on above {accepted}")
        raise StartupError(f"{message}: it is another log, or lost entries. {advice_after_loss(known)}")
    start = min(position, max(in_store, begin))
    if start < position:
        _log.warning(
            "the store ends at payload %d but the position is %d: applying again from there", in_store, position
        )
    if first_seq > start + 1:
        _log.error("the log begins at %d: payloads %d to %d are only in backups", first_seq, start + 1, first_seq - 1)
    return start
