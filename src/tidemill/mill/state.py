"""The contract of a mill's state: the small values that a mill saves besides the store, and of which only the newest
counts.

One mill writes the state of a partition; any number of processes read it. Every value is replaced as a whole: a reader
sees the old one or the new one. No value refers to another, so that each may be kept and compared by itself, and none
says where it is kept. Nothing is decided by telemetry (`MillStatus`).

A state that was lost counts as empty: the mill begins at its partition's beginning then, applies again what the log
holds, and ends the publications that it had begun. Applying again changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tidemill.clock import ClockRecord
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.mill.status import Heartbeat, MillStatus
from tidemill.model.replay import ReplayOutcome


class Attempt(msgspec.Struct, frozen=True):
    """A batch under way: its first and last offset, its length, the last offset of every tenant in it (`through`;
    empty: of all tenants, as older versions wrote it), and how often it ended the process.

    Until the suspects (up to `suspect_through`, `suspect_until` likewise) are applied, no batch is longer than `limit`
    (0: no limit). `forgiven`: if the process ends now, that is no crash."""

    first: int
    last: int
    count: int
    crashes: int = 0
    suspect_until: int = 0
    limit: int = 0
    forgiven: bool = False
    through: dict[str, int] = {}
    suspect_through: dict[str, int] = {}


class PublishManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a mill needs to end the publication of a replay's plan, also if another mill began it. `every`, `late`: of
    the feed's windows, in ns; `version`: of all rows that have a version by time; `now_ns`: the time in these rows;
    `at_seq`, `at_idx`: the offset and index of its changes; `difference`: the outcome of the replay once it is done."""

    replay: str
    tenant: str
    feed: str
    version: int
    now_ns: int
    at_seq: int
    at_idx: int
    every: int
    late: int
    difference: ReplayOutcome


class MillStateReader(Protocol):
    """The state of a mill for other processes. Reading takes microseconds and never raises: a value that cannot be read
    counts as empty."""

    def progress(self) -> PartitionProgress:
        """What of the partition is applied: the checkpoint and the tenants ahead of it. Empty: nothing is."""

    def confirmed(self) -> PartitionProgress:
        """The checkpoint up to which a count of the store showed that it holds what was applied. Empty: none."""

    def heartbeat(self) -> Heartbeat | None:
        """The last sign of life; None: the mill has never run."""

    def telemetry(self) -> MillStatus | None:
        """The mill's status at its last sign of life, for people and metrics; None: there is none."""


class MillState(MillStateReader, Protocol):
    """The state of a mill for the mill itself. Every method that writes raises OSError, or UnavailableError where
    another process keeps the state: the old value stays, write again."""

    @property
    def start(self) -> int:
        """The offset before the partition's first."""

    @property
    def retention_clock(self) -> ClockRecord:
        """The last time that the clock of retention showed. Not durable: a value of some minutes ago is good enough.
        Empty: the newest data says what the time was."""

    def hold(self, owner: int, ensure: Callable[[], None]) -> None:
        """Claim the state for the mill with the number `owner` (above 0): no other mill saves progress any more,
        neither the applied nor the confirmed one. `ensure` raises when another mill has the partition; it is called
        while no other mill can claim. Raises BlockingIOError while another mill claims or saves (call again)."""

    def save_progress(self, progress: PartitionProgress) -> None:
        """Replace the progress, durable on return. It may fall: then payloads are applied again. Raises
        LostPartitionError when another mill holds the state."""

    def save_confirmed(self, progress: PartitionProgress) -> None:
        """Replace the confirmed progress, durable on return. It may fall. Raises LostPartitionError likewise."""

    def attempt(self) -> Attempt | None:
        """The batch that was under way when the mill ended; None: none is known, so there are no suspects."""

    def save_attempt(self, attempt: Attempt) -> None:
        """Replace the attempt. It survives the end of the process, not that of the machine."""

    def beat(self, status: MillStatus) -> None:
        """Write the status as a sign of life. Not durable; raises nothing, also when it fails."""

    def manifests(self) -> Sequence[PublishManifest]:
        """The replays that are being published. The manifests outlive all other values of the state, because the next
        mill of the partition must end a publication that began."""

    def save_manifest(self, manifest: PublishManifest) -> None:
        """A publication begins. Durable on return; saving it twice is saving it once."""

    def remove_manifest(self, manifest: PublishManifest) -> None:
        """A publication has ended. Durable on return; removing it twice is removing it once."""


def progress_of(states: Sequence[MillStateReader]) -> LogProgress:
    """The progress of a log, from the states of the mills of its partitions, in their order."""
    return LogProgress(tuple(state.progress() for state in states))
