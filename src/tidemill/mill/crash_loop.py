"""What the mill was about to apply, written down before it does, so that a crash names its suspects.

After one crash the same batch is tried again (the power may have failed); after every further one without progress the
batch is cut to a sixteenth. A payload that was tried alone and ended the process twice is the culprit: it is poison.
An end while the mill waits for the store, or once it was told to stop, is nobody's fault: such attempts are forgiven.
No fsync: a crash of the process leaves the page cache, and a power cut is nobody's fault.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from tidemill.log.contract import Header
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state import Attempt, MillState
from tidemill.model.payload import LogEntry

_log = logging.getLogger(__name__)
_CUT = 16
_CRASHES_ALONE = 2


class CrashLoopGuard:
    """Keeps the attempt in `state`. Call `resume` once at start, `begin` before each batch. `stopping` may come from
    another thread."""

    def __init__(self, state: MillState) -> None:
        self._state = state
        self._crashed: Attempt | None = None
        self._suspect_until = 0
        self._suspect_through: dict[str, int] = {}
        self._limit = 0
        self._current: Attempt | None = None
        self._stopping = False
        self._beside: list[LogEntry] = []
        self._lock = threading.Lock()

    def resume(self, progress: PartitionProgress) -> None:
        """Take up after a start: an attempt beyond what is applied ended the process."""
        attempt = self._state.attempt()
        if attempt is None:
            return
        self._limit = attempt.limit
        self._suspect_until, self._suspect_through = attempt.suspect_until, attempt.suspect_through
        if _passed(progress, attempt.last, attempt.through):
            return
        crashes = attempt.crashes + (not attempt.forgiven)
        if self.limit(progress) == 0:
            self._suspect_through = {}
        self._suspect_until = max(attempt.last, self._suspect_until)
        for tenant, seq in attempt.through.items():
            self._suspect_through[tenant] = max(seq, self._suspect_through.get(tenant, 0))
        self._limit = attempt.limit
        if crashes > 1 and not attempt.forgiven:
            self._limit = max(1, attempt.count // _CUT)
        self._crashed = msgspec.structs.replace(attempt, crashes=crashes, forgiven=False)
        if attempt.forgiven:
            return
        _log.warning("the mill ended %d time(s) while applying payloads %d to %d", crashes, attempt.first, attempt.last)

    def suspects(self, progress: PartitionProgress) -> bool:
        """Whether some entries are suspected, so that they are to be applied before all others."""
        if _passed(progress, self._suspect_until, self._suspect_through):
            self._limit, self._suspect_until, self._suspect_through = 0, 0, {}
        return self._suspect_until > 0

    def suspected(self, header: Header) -> bool:
        """Whether this entry is among those."""
        if self._suspect_through:
            return header.seq <= self._suspect_through.get(header.tenant, 0)
        return header.seq <= self._suspect_until

    def limit(self, progress: PartitionProgress) -> int:
        """How many payloads the next batch may hold (0: as many as it likes)."""
        return self._limit if self.suspects(progress) else 0

    def begin_beside(self, entries: Sequence[LogEntry]) -> None:
        """Write down what is about to be applied beside the batches of the loop, until `end_beside`. Raises OSError."""
        self._beside = list(entries)
        self.begin([])

    def end_beside(self) -> None:
        """What was applied beside is done with. Whatever else was under way is, too."""
        self._beside = []

    def settled(self, *, counted: bool = True) -> None:
        """A batch is done with: only what is still applied beside could be at fault if the process ended now. Not
        `counted`: the saved progress does not say so."""
        if self._beside:
            with suppress(OSError):
                self.begin([])
        elif not counted:
            self.forgive()

    def begin(self, entries: Sequence[LogEntry]) -> None:
        """Write down what is about to be applied. Raises OSError."""
        entries = sorted([*entries, *self._beside], key=lambda entry: entry.seq) if self._beside else entries
        first, last = entries[0].seq, entries[-1].seq
        crashes = 0
        if self._crashed is not None and self._crashed.first == first:
            # Shorter than before: its count of crashes alone begins anew when it first is alone.
            crashes = self._crashed.crashes if len(entries) > 1 or self._crashed.count == 1 else 0
        with self._lock:
            self._current = Attempt(
                first=first,
                last=last,
                count=len(entries),
                crashes=crashes,
                suspect_until=self._suspect_until,
                limit=self._limit,
                forgiven=self._stopping,
                through={entry.payload.tenant: entry.seq for entry in entries},
                suspect_through=self._suspect_through,
            )
            self._write()

    def forgive(self) -> None:
        """The batch under way is only waiting: until the next `begin` an end of the process is nobody's fault."""
        with self._lock:
            if self._current is not None and not self._current.forgiven:
                self._current = msgspec.structs.replace(self._current, forgiven=True)
                with suppress(OSError):
                    self._write()

    def stopping(self) -> None:
        """The process was told to end: that it is ended by force is nobody's fault from now on."""
        self._stopping = True
        self.forgive()

    def _write(self) -> None:
        if self._current is not None:
            self._state.save_attempt(self._current)

    def is_poison(self, entries: Sequence[LogEntry]) -> bool:
        """Whether this batch is one payload that already ended the process twice when it was alone."""
        crashed = self._crashed
        if crashed is None or len(entries) != 1 or crashed.count != 1 or crashed.first != entries[0].seq:
            return False
        return crashed.crashes >= _CRASHES_ALONE


def _passed(progress: PartitionProgress, until: int, through: Mapping[str, int]) -> bool:
    """Whether all of these entries are applied: of the tenants named in `through`, else of all."""
    if through:
        return all(progress.applied(tenant, seq) for tenant, seq in through.items())
    return until <= progress.checkpoint
