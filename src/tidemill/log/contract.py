"""The contract of the intake log, by capability: durable, ordered, append-only.

Every log appends, reads, and names its first and last offset. `capabilities` lists what else it can do. A log refuses
a call that needs a capability it has not with LogLacksError, and changes nothing.

A log has one or more partitions; tenant and feed decide which one takes a payload. `seq` is an offset: partition and
number in the partition, as one number (`model/offset.py`).
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
    """What a log can do beside appending and reading."""

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


def capability_error(implementation: str, capability: Capability) -> LogLacksError:
    """The error for a call that needs a capability which the log has not."""
    return LogLacksError(f"the log of this server ({implementation}) {_LACKING[capability]}")


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The answer to an append. `replayed`: an earlier append had the same idempotency key; then `seq`, `receipt` and
    `received_ns` are those of the earlier append, and nothing was written."""

    seq: int
    receipt: str
    received_ns: int
    replayed: bool = False


class Header(msgspec.Struct, frozen=True, gc=False):
    """An entry without its body, to choose which entries are applied next, and to count those that wait; `size_bytes`
    is the length of the body, `received_ns` the time of receipt."""

    seq: int
    tenant: str
    feed: str
    kind: EntryKind
    size_bytes: int
    received_ns: int = 0


class LogHealth(msgspec.Struct, frozen=True):
    """The state of a log as `/readyz` and `tidemill status` show it.

    `last_seq` is the newest durable offset (0: none yet), `first_seq` the oldest kept (0: none); of several partitions
    each is the sum of the partitions' seqs. `clock_doubt` says why nothing is trimmed by age for now ("": the clock is
    trusted). `degraded` names damage in a log that accepts payloads, and how to repair it ("": no damage is known)."""

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
    """A fault in a partition outside its entries: `what` should be `expected`, and is `observed`."""

    what: str
    expected: str
    observed: str


class SelfCheck(msgspec.Struct, frozen=True):
    """The outcome of a partition's self-check. `durable` is the newest offset that was durable, according to a file
    kept apart from the entries (0: there is no such file)."""

    durable: int
    faults: tuple[FileFault, ...] = ()


class ReceiptIndex(Protocol):
    """`Capability.RECEIPTS`."""

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        """The entry of a receipt, or None if the log no longer keeps the entry or it belongs to another tenant. The
        body may be damaged (`LogEntry.damage`). Raises LogUnavailableError."""


class Erasable(Protocol):
    """`Capability.ERASURE` of a partition: old entries are trimmed, the bytes of deleted payloads erased."""

    def trim(self, confirmed: int) -> int:
        """Delete entries with an offset <= `confirmed` that the retention no longer keeps; returns how many.

        `confirmed`: the offset up to which the store was counted and holds everything. Retention is by age and by
        size; age does not count while the system's clock is in doubt (`clock.py`). Raises LogUnavailableError.
        """

    def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        """Erase the bytes of these entries: their bodies become empty, their format `erased`; all else stays.

        Returns true when no file holds these bytes any more, nor bytes that trimming and earlier deletes left; then
        saves `upto_offset`, which `erased` returns. False: a reader still holds old pages; call again. Idempotent.
        Raises LogUnavailableError.
        """


class Repairable(Protocol):
    """`Capability.REPAIR`: a damaged body is replaced by a copy that is kept elsewhere."""

    def mend(self, seq: int, body: bytes) -> bool:
        """Replace the damaged body of the entry at an offset; false if `body` does not match the entry's sha256, or
        there is no such entry. Raises LogUnavailableError.
        """


class PartitionReader(ReceiptIndex, Protocol):
    """Reads the durable entries of one partition; any number of readers, in any process."""

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        """The entries after an offset in order: at least one if there is one, then up to both limits. [] at the end.

        Every entry is checked against its checksums. An entry whose body is damaged says so (`LogEntry.damage`); an
        entry whose other columns are damaged is left out. Both are named in the server's log.
        Raises LogUnavailableError.
        """

    def headers(self, after: int, max_count: int) -> list[Header]:
        """Up to `max_count` entries after an offset in order, without bodies. Raises LogUnavailableError."""

    def deletions(self, after: int) -> list[LogEntry]:
        """The deletions (`EntryKind.DELETE`) after an offset in order, without reading the data between them. Raises
        LogUnavailableError.
        """

    def erased(self) -> int:
        """The offset of the deletion up to which `Erasable.erase` erased everything; 0: nothing is erased yet."""

    def first_seq(self) -> int:
        """The oldest offset kept (0 when empty): a reader whose offset is before it may have missed entries."""

    def last_seq(self) -> int:
        """The newest durable offset, also when its entry was trimmed; the offset before the partition's first when
        nothing was ever appended."""

    def known_damages(self) -> list[LogDamage]:
        """The damages found so far, by offset; an entry's checksums are checked when the entry is read."""

    def self_check(self, *, whole: bool) -> SelfCheck:
        """Check what is outside the entries; `whole`: also the structure of the files, which reads all of them, so not
        beside a server. Never raises."""

    def close(self) -> None:
        """Close the files. Harmless when repeated."""


class BacklogReader(PartitionReader, Protocol):
    """Reads a partition for the mill, which chooses among entries before it reads their bodies."""

    def entries_at(self, seqs: Sequence[int]) -> list[LogEntry]:
        """The entries at these offsets (rising), in order; offsets without an entry are left out.

        Raises LogUnavailableError.
        """


class LogPartition(PartitionReader, Erasable, Protocol):
    """A partition as its one writer uses it."""


class LogReader(ReceiptIndex, Protocol):
    """Reads a log by partition, and finds an entry in whichever partition holds it."""

    @property
    def partitions(self) -> Sequence[PartitionReader]:
        """The partitions, by number: a feed's payloads are in that of `model.offset.partition_of_feed`."""

    def close(self) -> None:
        """Close the files. Harmless when repeated."""


class IntakeLog(LogReader, Repairable, Protocol):
    """A log as its one writer uses it. Exactly one process owns it."""

    @property
    def partitions(self) -> Sequence[LogPartition]:
        """The partitions, by number."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the log can do beside appending and reading; does not change while the log is open."""

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Queue a payload; the future resolves after the commit that holds it is durable.

        The future raises DiskFullError or LogUnavailableError (nothing was acknowledged: the payload may or may not
        be in the log; the client sends again, with an idempotency key if it must not be taken twice), or ConflictError
        when the key was used with another body in the last 7 days. Idempotency is per (tenant, feed, key), and needs
        `Capability.IDEMPOTENCY`. Thread-safe. Never blocks for longer than queueing.
        """

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """`append` for event loops: the same promises and errors. Cheaper, because a loop is woken once a commit."""
        ...

    def known_damages(self) -> list[LogDamage]:
        """The known damages of all partitions."""

    def health(self) -> LogHealth:
        """Whether the log accepts payloads, and if not why; never raises."""

    def close(self) -> None:
        """Commit queued payloads, close the files and release the lock. Harmless when repeated."""
