"""What a mill keeps besides the store: its state, which is small, and of which only the newest value counts.

One mill writes the state of a partition; any number of processes read it. Every value is replaced as a whole: a reader
sees the old one or the new one. No value refers to another, so that each may be kept and compared by itself, and none
says where it is kept. Telemetry (`MillStatus`) is a value that nobody decides by.

A state that lost everything is an empty one: the mill begins at its partition's beginning then, applies again what the
log holds, and ends what it had begun to publish. Applying again changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tidemill.clock import ClockRecord
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.mill.status import Heartbeat, MillStatus
from tidemill.model.replay import ReplayOutcome


class Attempt(msgspec.Struct, frozen=True):
    """A batch under way: its first and last seq, its length, the last seq of every tenant in it (`through`; empty: of
    all tenants, as older versions wrote it), and how often it ended the process.

    Until what is suspected (`suspect_through`, `suspect_until` likewise) is passed, no batch is longer than `limit` (0:
    as long as it likes). `forgiven`: if the process ends now, that is no crash."""

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
    """What the publication of a replay's plan goes by, whichever mill ends it. `every`, `late`: of the feed's windows,
    in ns; `version`: of all rows that have a version by time; `now_ns`: the time they carry; `at_seq`, `at_idx`: the
    offset and index of its changes; `difference`: what the replay says of itself once it is done."""

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
    """The state of a mill as others read it. Reading takes microseconds, and never raises: what cannot be read is as if
    it was empty."""

    def progress(self) -> PartitionProgress:
        """What of the partition is applied: the checkpoint and the tenants ahead of it. Empty: nothing is."""

    def confirmed(self) -> PartitionProgress:
        """The checkpoint up to which a count of the store showed that it holds what was applied. Empty: none."""

    def heartbeat(self) -> Heartbeat | None:
        """The last sign of life; None: the mill has never run."""

    def telemetry(self) -> MillStatus | None:
        """What the mill said of itself with its last sign of life, for people and metrics; None: it said nothing."""


class MillState(MillStateReader, Protocol):
    """The state of a mill as the mill itself keeps it. Who writes raises OSError, or UnavailableError where the state
    is kept by another process: the old value stays, write again."""

    @property
    def start(self) -> int:
        """The offset before the partition's first."""

    @property
    def retention_clock(self) -> ClockRecord:
        """What the clock showed last by which points are removed. Not durable: a value of some minutes ago will do.
        Empty: the newest data says what the time was."""

    def hold(self, owner: int, ensure: Callable[[], None]) -> None:
        """Claim the state for the mill with the number `owner` (above 0): no other one saves what is applied or
        confirmed any more. `ensure` raises when the partition is another mill's; it is called while nobody else can
        claim. Raises BlockingIOError while another mill claims or saves (call again)."""

    def save_progress(self, progress: PartitionProgress) -> None:
        """Replace the progress, durable on return. It may fall: then payloads are applied again. Raises
        LostPartitionError when another mill holds the state."""

    def save_confirmed(self, progress: PartitionProgress) -> None:
        """Replace what is confirmed, durable on return. It may fall. Raises LostPartitionError likewise."""

    def attempt(self) -> Attempt | None:
        """The batch that was under way when the mill ended; None: none is known of, so nothing is suspected."""

    def save_attempt(self, attempt: Attempt) -> None:
        """Replace the attempt. It survives the end of the process, not that of the machine."""

    def beat(self, status: MillStatus) -> None:
        """Give a sign of life. Not durable; a failure is nobody's concern, and raises nothing."""

    def manifests(self) -> Sequence[PublishManifest]:
        """The replays that are being published. What it says outlives everything else here: a publication that began
        must be ended by whoever has the partition next."""

    def save_manifest(self, manifest: PublishManifest) -> None:
        """A publication begins. Durable on return; saving it twice is saving it once."""

    def remove_manifest(self, manifest: PublishManifest) -> None:
        """A publication has ended. Durable on return; removing it twice is removing it once."""


def progress_of(states: Sequence[MillStateReader]) -> LogProgress:
    """What of a log is applied, by the states of the mills of its partitions, in their order."""
    return LogProgress(tuple(state.progress() for state in states))
