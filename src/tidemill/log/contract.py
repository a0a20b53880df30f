"""The intake log: durable, ordered, append-only. What every implementation promises, by capability.

Every log appends, reads and names its ends. What else it can do is in `capabilities`; what it cannot it refuses with
LogLacksError, each time, and changes nothing then.

A log has one or more partitions; tenant and feed decide which one takes a payload. `seq` is an offset everywhere: the
partition and the number in it as one number (`model/offset.py`).
Order: within a partition offsets rise by append order, are never reused, and have no meaning beyond order (gaps are
allowed). Between partitions there is no order.
Durability: when `append`'s future resolves, the bytes survive SIGKILL and power loss; never before.
Atomicity: entries of one commit are durable together or not at all; a failed commit fails all its waiters.
Not promised: that two appends from different callers keep the callers' order.
"""

import enum
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, Protocol

import msgspec

from tidemill.errors import LogLacksError
from tidemill.log.damage import LogDamage
from tidemill.model.payload import EntryKind, LogEntry, Payload


class Capability(enum.StrEnum):
    """What a log may be able to do beside appending and reading."""

    RECEIPTS = "receipts"
    IDEMPOTENCY = "idempotency"
    ERASURE = "erasure"
    REPAIR = "repair"


EVERY_CAPABILITY: Final = frozenset(Capability)
_LACKING: Final = {
    Capability.RECEIPTS: "cannot look up a receipt: what became of a payload is known once it is applied",
    Capability.IDEMPOTENCY: "takes no idempotency keys, and nothing was stored: send the payload without one",
    Capability.ERASURE: "cannot let go of entries: it is neither trimmed nor do deleted bytes leave it",
    Capability.REPAIR: "cannot put bytes back into an entry",
}


def lacks(implementation: str, capability: Capability) -> LogLacksError:
    """The error of a log that has not this capability."""
    return LogLacksError(f"the log of this server ({implementation}) {_LACKING[capability]}")


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The answer to an append. `replayed` is true when an earlier append with the same idempotency key was found:
    then `seq`, `receipt` and `received_ns` are the earlier one's, and nothing was written."""

    seq: int
    receipt: str
    received_ns: int
    replayed: bool = False


class Header(msgspec.Struct, frozen=True, gc=False):
    """An entry without its body, whose length is `size_bytes`: enough to choose what is applied next, and how much at
    once."""

    seq: int
    tenant: str
    feed: str
    kind: EntryKind
    size_bytes: int


class LogHealth(msgspec.Struct, frozen=True):
    """What `/readyz` and `tidemill status` show of a log. `last_seq` is the newest durable offset (0: none yet),
    `first_seq` the oldest kept (0: none), of several partitions the sums of theirs; `clock_doubt` why nothing is
    trimmed by age for now ("": the clock is trusted); `degraded` what is damaged in it though it accepts payloads, and
    how to repair it ("": nothing is known)."""

    implementation: str
    accepting: bool
    reason: str
    first_seq: int
    last_seq: int
    size_bytes: int
    free_bytes: int
    clock_doubt: str
    details: dict[str, str]
    degraded: str = ""


class FileFault(msgspec.Struct, frozen=True):
    """What is wrong with `what` of a partition beside its entries: `expected` was one thing, `observed` is another."""

    what: str
    expected: str
    observed: str


class SelfCheck(msgspec.Struct, frozen=True):
    """What a partition says of itself: `durable` is the offset that it once reached, by a note kept apart from the
    entries (0: there is none)."""

    durable: int
    faults: tuple[FileFault, ...] = ()


class ReceiptIndex(Protocol):
    """`Capability.RECEIPTS`."""

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        """The entry of a receipt if the log still keeps it and it is this tenant's, else None. Its body may be damaged
        (`LogEntry.damage`). Raises LogUnavailableError."""


class Erasable(Protocol):
    """`Capability.ERASURE` of a partition: what is no longer needed, or was deleted, leaves it."""

    def trim(self, confirmed: int) -> int:
        """Delete entries with an offset <= `confirmed` that are older or bulkier than the retention; returns how many.

        `confirmed`: the offset up to which a count of the store showed that it holds everything. Nothing counts as old
        while the system's clock is in doubt (`clock.py`); bulk counts all the same. Raises LogUnavailableError.
        """

    def erase(self, seqs: Sequence[int], up_to: int) -> bool:
        """Let go of the bytes of these entries: their body is empty then, their format `erased`, all else stays.

        When everything is gone from the files, also what trimming and earlier deletes left behind, `up_to` is noted
        for `erased` and true returned; false: a reader still holds old pages, call again. Erasing twice is erasing
        once. Raises LogUnavailableError.
        """


class Repairable(Protocol):
    """`Capability.REPAIR`: where a copy of an entry is left elsewhere, it is put back."""

    def mend(self, seq: int, body: bytes) -> bool:
        """Put the body back of the entry at an offset whose own is damaged; false where `body` does not match the
        entry's sha256, or there is no such entry. Raises LogUnavailableError.
        """


class PartitionReader(ReceiptIndex, Protocol):
    """Reads the durable entries of one partition; any number of readers, in any process."""

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        """Entries with an offset > `after` in order; at least one if there is one, then up to both limits. [] at the
        end.

        Every entry is held against its checksums. One whose body is damaged says so (`LogEntry.damage`); one of which
        nothing can be relied on is left out, as if it was not there. Both are named in the server's log.
        Raises LogUnavailableError.
        """

    def deletions(self, after: int) -> list[LogEntry]:
        """The deletions (`EntryKind.DELETE`) with an offset > `after` in order, found without reading the data
        between them. Raises LogUnavailableError.
        """

    def erased(self) -> int:
        """The deletion (its offset) up to which `Erasable.erase` let go of everything; 0: of nothing yet, or never."""

    def first_seq(self) -> int:
        """The oldest offset kept (0 when empty): a reader positioned before it has to know that it missed nothing."""

    def last_seq(self) -> int:
        """The newest durable offset, also when its entry was trimmed (the one before the partition's first: nothing was
        ever appended)."""

    def known_damages(self) -> list[LogDamage]:
        """The damages that were met so far, by offset; entries are held against their checksums when they are read."""

    def self_check(self, *, whole: bool) -> SelfCheck:
        """What is wrong beside the entries; `whole`: also the structure of the files, all of which are read for it, so
        not beside a server. Never raises."""

    def close(self) -> None:
        """Let go of what was opened. Harmless when repeated."""


class BacklogReader(PartitionReader, Protocol):
    """What works off a partition: it chooses among entries before it reads their bodies."""

    def headers(self, after: int, max_count: int) -> list[Header]:
        """Entries with an offset > `after` in order, up to a count, without bodies. Raises LogUnavailableError."""

    def at(self, seqs: Sequence[int]) -> list[LogEntry]:
        """The entries at these offsets (rising), in order; without those that are not there.

        Raises LogUnavailableError.
        """


class LogPartition(PartitionReader, Erasable, Protocol):
    """The one writer's side of a partition."""


class LogReader(ReceiptIndex, Protocol):
    """Reads a log: each of its partitions, or an entry in whichever of them it is."""

    @property
    def partitions(self) -> Sequence[PartitionReader]:
        """The partitions, by number: a feed's payloads are in that of `model.offset.partition_of_feed`."""

    def close(self) -> None:
        """Let go of what was opened. Harmless when repeated."""


class IntakeLog(LogReader, Repairable, Protocol):
    """The one writer's side. Exactly one process owns it."""

    @property
    def partitions(self) -> Sequence[LogPartition]:
        """The partitions, by number."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do beside appending and reading; the same for as long as it is open."""

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Queue a payload; the future resolves after the commit that holds it is durable.

        The future raises DiskFullError or LogUnavailableError (nothing was acknowledged: the payload may or may not
        be in the log; the client sends again, with an idempotency key if it must not be taken twice), or ConflictError
        when the key was used with another body in the last 7 days. Idempotency is per (tenant, feed, key), and needs
        `Capability.IDEMPOTENCY`. Thread-safe. Never blocks for longer than queueing.
        """

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """`append` for event loops: the same promises and errors. Cheaper, as a loop is woken once a commit."""
        ...

    def known_damages(self) -> list[LogDamage]:
        """Those of all partitions."""

    def health(self) -> LogHealth:
        """Whether the log accepts payloads, and if not why; never raises."""

    def close(self) -> None:
        """Commit what was queued and give everything back. Harmless when repeated."""
