"""The saved progress of a partition in memory, for its only writer: read once, replaced in memory whenever it is saved;
and the writer that saves what the lanes have applied.
"""

from collections.abc import Callable, Mapping

from tidemill.crash_points import reach
from tidemill.hints import Hints
from tidemill.mill.lanes import Lanes
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state import MillState
from tidemill.mill.status import MillStatus


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


class ProgressWriter:
    """Saves in `checkpoint` what is applied in the lanes, and sends a hint of it to the API."""

    def __init__(self, lanes: Lanes, checkpoint: Checkpoint, hints: Hints, status: MillStatus) -> None:
        self.checkpoint = checkpoint
        self._lanes = lanes
        self._hints = hints
        self._status = status
        self._saved = True

    def mark_applied(self, through: Mapping[str, int]) -> None:
        """Mark everything of these tenants up to these offsets as applied, and save it. Raises as `save`."""
        self._lanes.mark_applied(through)
        self._saved = False
        self.save()

    def recount(self) -> None:
        """Have `save` save the progress, which changed though nothing was applied."""
        self._saved = False

    def save(self) -> None:
        """Save the progress, unless it is saved. Raises OSError: call it again, because the lanes have gone on."""
        if self._saved:
            return
        progress = self._lanes.progress()
        with self._status.stage("position"):
            self.checkpoint.save(progress.checkpoint, progress.ahead)
        self._saved = True
        reach("mill.after_checkpoint")
        self._status.applied_offset = progress.checkpoint
        self._hints.send(progress.checkpoint)
