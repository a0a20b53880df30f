"""Notices a mill that makes no progress while there is something to apply, or a log that cannot be trimmed, and says so
once in the log.

Progress is the checkpoint's: a payload that is held back while other tenants go on counts as a stall, too. A mill that
says that it is idle has nothing to apply: places at the end of a log may be empty.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from tidemill.mill.status import MillStatus

_log = logging.getLogger(__name__)

STALLED_S = 30.0
# A store that cannot count what it holds is asked for less and less, and what it lacks is applied again, for up to ten
# minutes in between: that is no reason for alarm yet.
TRIM_HELD_S = 900.0


class Stall(msgspec.Struct, frozen=True):
    """Since how many `seconds` nothing more is applied though something waits (0: nothing waits, or it goes on), and
    `why` as far as the mill says it; empty while that is no stall."""

    seconds: float
    why: str = ""


class StallWatch:
    """Watches one mill. `look` is called now and then, by whoever wants to know."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._checkpoint = -1
        self._since = monotonic()
        self._behind = self._said = False

    def look(self, checkpoint: int, last_seq: int, status: MillStatus | None, *, silent: bool) -> Stall:
        """How long the mill has been at this checkpoint while the log reaches `last_seq`. `silent`: it says nothing
        any more, so that `status` is old."""
        now = self._monotonic()
        idle = status is not None and status.state == "idle" and not silent
        behind = last_seq > checkpoint and not idle
        if checkpoint != self._checkpoint or not behind or not self._behind:
            if self._said:
                _log.info("the mill goes on: it has applied the log up to %d", checkpoint)
            self._checkpoint, self._since, self._said = checkpoint, now, False
        self._behind = behind
        seconds = now - self._since
        if seconds < STALLED_S:
            return Stall(seconds)
        why = _why(checkpoint, last_seq, status, silent=silent)
        if not self._said:
            self._said = True
            _log.error("the mill has applied nothing more for %.0f s: %s", seconds, why)
        return Stall(seconds, why)


class TrimWatch:
    """Notices that the log of one mill cannot be trimmed, as no count of the store confirms that it holds what was
    applied. `look` is called now and then, by whoever wants to know."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._confirmed = -1
        self._since = monotonic()
        self._behind = self._said = False

    def look(self, confirmed: int, checkpoint: int, status: MillStatus | None) -> str:
        """Why the log is not trimmed, once nothing more was confirmed for TRIM_HELD_S; empty before that, and while
        everything up to the checkpoint is confirmed."""
        now = self._monotonic()
        behind = confirmed < checkpoint
        if confirmed != self._confirmed or not behind or not self._behind:
            if self._said:
                _log.info("the log can be trimmed again: it is confirmed up to %d", confirmed)
            self._confirmed, self._since, self._said = confirmed, now, False
        self._behind = behind
        seconds = now - self._since
        if seconds < TRIM_HELD_S:
            return ""
        error = f"; the mill's last error: {status.last_error}" if status and status.last_error else ""
        why = (
            f"the log is not trimmed, and fills the disk in the end: for {seconds:.0f} s no count of the store has "
            f"confirmed that it holds what is applied from offset {confirmed + 1} on{error}"
        )
        if not self._said:
            self._said = True
            _log.error("%s", why)
        return why


def _why(checkpoint: int, last_seq: int, status: MillStatus | None, *, silent: bool) -> str:
    """What is known of a stall, in a sentence."""
    where = f"{last_seq - checkpoint} entries of the log wait, from offset {checkpoint + 1} on"
    if status is None or silent:
        return f"{where}; the mill says nothing"
    error = f"; its last error: {status.last_error}" if status.last_error and not status.recovered else ""
    return f"{where}; the mill is {status.state.replace('_', ' ')}{error}"
