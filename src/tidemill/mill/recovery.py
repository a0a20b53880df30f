"""Where a mill begins to apply the log: at its start by what the log, the store and the saved checkpoint say, and
afterwards wherever the store turns out to lack what it had answered for.
"""

from tidemill.log.loss import accepted_loss
from tidemill.mill.parts import MillParts
from tidemill.mill.progress import reconcile
from tidemill.mill.stages import load_time_zones


class Recovery:
    """Starts a mill and takes it back. Raises UnavailableError, StoreQueryError, OSError: call the method again."""

    def __init__(self, parts: MillParts) -> None:
        self._parts = parts

    def start(self) -> None:
        """Claim the partition and set the checkpoint that everything begins at. Raises StartupError as `reconcile`."""
        parts = self._parts
        parts.store.claim()
        parts.state.hold(parts.store.owner, parts.store.ensure_owner)
        parts.checkpoint.reread()
        parts.confirmer.reread()
        in_store = parts.applier.resume()
        before = parts.checkpoint.progress
        start = reconcile(
            before.checkpoint,
            in_store=in_store,
            first_seq=parts.reader.first_seq(),
            last_seq=parts.reader.last_seq(),
            accepted=accepted_loss(parts.partition.number),
            ahead=before.highest,
            begin=parts.partition.start,
        )
        # A store that lacks the highest payload may lack any payload of the tenants that were ahead.
        ahead = before.ahead if before.highest <= in_store else {}
        if (start, ahead) != (before.checkpoint, before.ahead):
            parts.confirmer.restart()
            parts.checkpoint.save(start, ahead)
        self._restart_lanes()
        if parts.replays is not None:
            parts.replays.resume()
        parts.guard.resume(parts.checkpoint.progress)
        if start < in_store:
            parts.applier.recall_replays(start)
        load_time_zones()

    def confirm(self) -> None:
        """Have the store counted when it is time, and go back to where it lacks something. Not while a replay is being
        published: the counts are of before and after."""
        parts = self._parts
        if parts.replays is not None and parts.replays.blocked:
            return
        back = parts.confirmer.confirm_next(parts.checkpoint.seq)
        parts.status.confirmed = parts.confirmer.seq
        if parts.confirmer.refused:
            parts.status.failed(parts.confirmer.refused, parts.clock())
        if back is None:
            return
        parts.applier.resume()
        parts.applier.recall_replays(back)
        parts.checkpoint.save(back)  # last of what can fail: the lanes go back together with it
        self._restart_lanes()
        parts.status.returns += 1
        why = f"the store lacks what it had answered for: applying again from payload {back + 1}"
        parts.status.failed(why, parts.clock())

    def _restart_lanes(self) -> None:
        """Look at the log from the saved progress on."""
        progress = self._parts.checkpoint.progress
        self._parts.lanes.restart(progress)
        self._parts.status.applied_offset = progress.checkpoint
