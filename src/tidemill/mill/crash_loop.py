"""Saves which payloads the mill is about to apply, so that after a crash they are the suspects.

After one crash the same batch is tried again (the power may have failed); after every further one without progress the
batch is cut to a sixteenth. A payload that was tried alone and ended the process twice is poison. An end of the process
while the mill waits for the store, or after it was asked to stop, is no crash: such attempts are forgiven. The attempt
is saved without fsync: a crash of the process leaves the page cache, and a power cut is no fault of a payload.
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
    """Keeps the attempt in `state`. Call `resume` once at start, `begin` before each batch. `forgive_stop` may be
    called in another thread."""

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
        """Read the saved attempt after a start: where its payloads are not applied, they are suspects."""
        attempt = self._state.attempt()
        if attempt is None:
            return
        self._limit = attempt.limit
        self._suspect_until, self._suspect_through = attempt.suspect_until, attempt.suspect_through
        if _is_applied(progress, attempt.last, attempt.through):
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

    def has_suspects(self, progress: PartitionProgress) -> bool:
        """Whether there are suspects, which are to be applied before all other entries."""
        if _is_applied(progress, self._suspect_until, self._suspect_through):
            self._limit, self._suspect_until, self._suspect_through = 0, 0, {}
        return self._suspect_until > 0

    def is_suspect(self, header: Header) -> bool:
        """Whether this entry is a suspect."""
        if self._suspect_through:
            return header.seq <= self._suspect_through.get(header.tenant, 0)
        return header.seq <= self._suspect_until

    def limit(self, progress: PartitionProgress) -> int:
        """How many payloads the next batch may hold (0: no limit)."""
        return self._limit if self.has_suspects(progress) else 0

    def begin_beside(self, entries: Sequence[LogEntry]) -> None:
        """Save that these entries are about to be applied beside the batches of the loop, until `end_beside`. Raises
        OSError."""
        self._beside = list(entries)
        self.begin([])

    def end_beside(self) -> None:
        """Nothing is applied beside the loop any more, and no batch of the loop is under way."""
        self._beside = []

    def end_batch(self, *, counted: bool = True) -> None:
        """The batch is settled: only what is still applied beside the loop can be at fault if the process ends now.
        Not `counted`: the saved progress does not include the batch."""
        if self._beside:
            with suppress(OSError):
                self.begin([])
        elif not counted:
            self.forgive()

    def begin(self, entries: Sequence[LogEntry]) -> None:
        """Save that these entries are about to be applied. Raises OSError."""
        entries = sorted([*entries, *self._beside], key=lambda entry: entry.seq) if self._beside else entries
        first, last = entries[0].seq, entries[-1].seq
        crashes = 0
        if self._crashed is not None and self._crashed.first == first:
            # A payload that is alone for the first time begins with no crashes of its own.
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
        """The batch under way only waits: until the next `begin` an end of the process is no crash."""
        with self._lock:
            if self._current is not None and not self._current.forgiven:
                self._current = msgspec.structs.replace(self._current, forgiven=True)
                with suppress(OSError):
                    self._write()

    def forgive_stop(self) -> None:
        """The process was asked to end: if it is ended by force from now on, that is no crash."""
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


def _is_applied(progress: PartitionProgress, until: int, through: Mapping[str, int]) -> bool:
    """Whether all of these entries are applied: of the tenants named in `through`, else of all."""
    if through:
        return all(progress.applied(tenant, seq) for tenant, seq in through.items())
    return until <= progress.checkpoint
