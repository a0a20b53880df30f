"""A saved progress in memory, for its only writer: read once, and replaced in memory whenever it is saved."""

from collections.abc import Callable, Mapping

from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state import MillState


class Checkpoint:
    """The progress in the partition that begins after `start`: `load` reads the saved one, `keep` makes another one
    durable, or raises."""

    def __init__(
        self, load: Callable[[], PartitionProgress], keep: Callable[[PartitionProgress], None], start: int = 0
    ) -> None:
        self.progress, self.start = load(), start
        self._load, self._keep = load, keep

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
        """The checkpoint: the offset up to which everything is applied (or confirmed)."""
        return self.progress.checkpoint

    def reread(self) -> None:
        """Read the saved progress again: another mill may have worked on the partition since."""
        self.progress = self._load()

    def save(self, seq: int, ahead: Mapping[str, int] | None = None) -> None:
        """Make `seq` the checkpoint and `ahead` the offsets of the tenants that are ahead of it, durable on return.
        Raises OSError: the old progress stays; LostPartitionError when another mill holds the partition."""
        progress = PartitionProgress(seq, {tenant: offset for tenant, offset in (ahead or {}).items() if offset > seq})
        self._keep(progress)
        self.progress = progress
