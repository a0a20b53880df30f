"""A saved progress as its one owner works with it: read once, then kept in memory beside what is saved."""

from collections.abc import Callable, Mapping

from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state import MillState


class Checkpoint:
    """The progress that `saved` reads, in the partition that begins after `start`; `keep` makes another one durable, or
    raises."""

    def __init__(
        self, saved: Callable[[], PartitionProgress], keep: Callable[[PartitionProgress], None], start: int = 0
    ) -> None:
        self.progress, self.start = saved(), start
        self._saved, self._keep = saved, keep

    @classmethod
    def applied(cls, state: MillState) -> "Checkpoint":
        """What of the partition is applied."""
        return cls(state.progress, state.save_progress, state.start)

    @classmethod
    def confirmed(cls, state: MillState) -> "Checkpoint":
        """What of the partition is confirmed."""
        return cls(state.confirmed, state.save_confirmed, state.start)

    @property
    def seq(self) -> int:
        """The offset up to which everything is."""
        return self.progress.checkpoint

    def read_again(self) -> None:
        """Take what is saved now: another mill may have had the partition since."""
        self.progress = self._saved()

    def save(self, seq: int, ahead: Mapping[str, int] | None = None) -> None:
        """Make `seq` the checkpoint and `ahead` the tenants ahead of it, durable on return. Raises OSError: the old
        ones stay; LostPartitionError when another mill holds the partition."""
        progress = PartitionProgress(seq, {tenant: at for tenant, at in (ahead or {}).items() if at > seq})
        self._keep(progress)
        self.progress = progress
