"""Detects a mill that makes no progress while there is something to apply, and a log that cannot be trimmed, and logs
each of them once.

Progress is that of the checkpoint: a payload that is held back while other tenants go on counts as a stall, too. A mill
that reports itself idle has nothing to apply: offsets at the end of a log may have no entry.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from tidemill.mill.status import MillStatus

_log = logging.getLogger(__name__)

STALLED_S = 30.0
# Counts of a store that is slow to count are made ever smaller, and payloads that it lacks are applied again, for up to
# ten minutes in between: that is no stall yet.
TRIM_HELD_S = 900.0


class Stall(msgspec.Struct, frozen=True):
    """For how many `seconds` nothing more was applied though entries wait (0: none waits, or the mill goes on), and
    `why`, with the mill's own status; empty while the time is shorter than STALLED_S."""

    seconds: float
    why: str = ""


class StallWatch:
    """Watches one mill. `observe` is called at any time, at least every few seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._checkpoint = -1
        self._since = monotonic()
        self._behind = self._logged = False

    def observe(self, checkpoint: int, last_seq: int, status: MillStatus | None, *, silent: bool) -> Stall:
        """How long the mill has been at this checkpoint while the log reaches `last_seq`. `silent`: the mill writes no
        status any more, so that `status` is old."""
        now = self._monotonic()
        idle = status is not None and status.state == "idle" and not silent
        behind = last_seq > checkpoint and not idle
        if checkpoint != self._checkpoint or not behind or not self._behind:
            if self._logged:
                _log.info("the mill goes on: it has applied the log up to %d", checkpoint)
            self._checkpoint, self._since, self._logged = checkpoint, now, False
        self._behind = behind
        seconds = now - self._since
        if seconds < STALLED_S:
            return Stall(seconds)
        why = _stall_reason(checkpoint, last_seq, status, silent=silent)
        if not self._logged:
            self._logged = True
            _log.error("the mill has applied nothing more for %.0f s: %s", seconds, why)
        return Stall(seconds, why)


class TrimWatch:
    """Watches whether the log of one mill can be trimmed: counts of the store must confirm that it holds what was
    applied. `observe` is called at any time, at least every few seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._confirmed = -1
        self._since = monotonic()
        self._behind = self._logged = False

    def observe(self, confirmed: int, checkpoint: int, status: MillStatus | None) -> str:
        """Why the log is not trimmed, once nothing more was confirmed for TRIM_HELD_S; empty before that, and while
        everything up to the checkpoint is confirmed."""
        now = self._monotonic()
        behind = confirmed < checkpoint
        if confirmed != self._confirmed or not behind or not self._behind:
            if self._logged:
                _log.info("the log can be trimmed again: it is confirmed up to %d", confirmed)
            self._confirmed, self._since, self._logged = confirmed, now, False
        self._behind = behind
        seconds = now - self._since
        if seconds < TRIM_HELD_S:
            return ""
        error = f"; the mill's last error: {status.last_error}" if status and status.last_error else ""
        why = (
            f"the log is not trimmed, and fills the disk in the end: for {seconds:.0f} s no count of the store has "
            f"confirmed that it holds what is applied from offset {confirmed + 1} on{error}"
        )
        if not self._logged:
            self._logged = True
            _log.error("%s", why)
        return why


def _stall_reason(checkpoint: int, last_seq: int, status: MillStatus | None, *, silent: bool) -> str:
    """The description of a stall, in one sentence."""
    where = f"{last_seq - checkpoint} entries of the log wait, from offset {checkpoint + 1} on"
    if status is None or silent:
        return f"{where}; the mill says nothing"
    error = f"; its last error: {status.last_error}" if status.last_error and not status.recovered else ""
    return f"{where}; the mill is {status.state.replace('_', ' ')}{error}"
