"""What the mill was about to apply, written down before it does, so that a crash names its suspects.

After one crash the same batch is tried again (the power may have failed); after every further one without progress the
batch is cut to a sixteenth. A payload that was tried alone and ended the process twice is the culprit: `poisoned`.
No fsync: a crash of the process leaves the page cache, and a power cut is nobody's fault.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidemill.mill.position import write_atomically
from tidemill.model.payload import Logged

_log = logging.getLogger(__name__)
_CUT = 16
_CRASHES_ALONE = 2


class Attempt(msgspec.Struct, frozen=True):
    """A batch under way: its first and last seq, its length, and how often it ended the process.

    Until `suspect_until` is passed no batch is longer than `limit` (0: as long as it likes)."""

    first: int
    last: int
    count: int
    crashes: int = 0
    suspect_until: int = 0
    limit: int = 0


class Attempts:
    """The attempt file at `path`. Call `resume` once at start, `begin` before each batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._crashed: Attempt | None = None
        self._suspect_until = 0
        self._limit = 0

    def resume(self, position: int) -> None:
        """Take up after a start: an attempt beyond the position ended the process."""
        attempt = _read(self._path)
        if attempt is None:
            return
        if attempt.last <= position:
            self._suspect_until, self._limit = attempt.suspect_until, attempt.limit
            return
        crashes = attempt.crashes + 1
        self._suspect_until = max(attempt.last, attempt.suspect_until)
        self._limit = attempt.limit
        if crashes > 1:
            self._limit = max(1, attempt.count // _CUT)
        self._crashed = msgspec.structs.replace(attempt, crashes=crashes)
        _log.warning("the mill ended %d time(s) while applying payloads %d to %d", crashes, attempt.first, attempt.last)

    def limit(self, position: int) -> int:
        """How many payloads the next batch may hold (0: as many as it likes)."""
        if position >= self._suspect_until:
            self._limit = 0
        return self._limit

    def begin(self, entries: Sequence[Logged]) -> None:
        """Write down what is about to be applied. Raises OSError."""
        first, last = entries[0].seq, entries[-1].seq
        crashes = 0
        if self._crashed is not None and self._crashed.first == first:
            # Shorter than before: its count of crashes alone begins anew when it first is alone.
            crashes = self._crashed.crashes if len(entries) > 1 or self._crashed.count == 1 else 0
        attempt = Attempt(first, last, len(entries), crashes, self._suspect_until, self._limit)
        write_atomically(self._path, msgspec.json.encode(attempt), durable=False)

    def poisoned(self, entries: Sequence[Logged]) -> bool:
        """Whether this batch is one payload that already ended the process twice when it was alone."""
        crashed = self._crashed
        if crashed is None or len(entries) != 1 or crashed.count != 1 or crashed.first != entries[0].seq:
            return False
        return crashed.crashes >= _CRASHES_ALONE


def _read(path: Path) -> Attempt | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Attempt)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("the attempt at %s cannot be read: %s", path, error)
        return None
