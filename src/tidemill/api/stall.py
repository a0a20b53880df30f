"""Notices a mill that makes no progress while there is something to apply, and says so once in the log.

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


def _why(checkpoint: int, last_seq: int, status: MillStatus | None, *, silent: bool) -> str:
    """What is known of a stall, in a sentence."""
    where = f"{last_seq - checkpoint} entries of the log wait, from offset {checkpoint + 1} on"
    if status is None or silent:
        return f"{where}; the mill says nothing"
    error = f"; its last error: {status.last_error}" if status.last_error and not status.recovered else ""
    return f"{where}; the mill is {status.state.replace('_', ' ')}{error}"
