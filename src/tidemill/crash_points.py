"""Crash points: named points of the code where a fault test can kill the process.

`TIDEMILL_CRASH_AT=log.before_commit` kills the process (SIGKILL: no clean-up, as in a power cut) when it reaches that
point for the first time, `log.before_commit:7` the seventh time. `TIDEMILL_STOP_AT` stops it there instead (SIGSTOP),
as a sleeping machine or a hung disk does: it may go on later. Unset, a crash point costs one test of a constant.
"""

import os
import signal
import threading
from typing import Final

_SIGNAL: Final = signal.SIGKILL if "TIDEMILL_CRASH_AT" in os.environ else signal.SIGSTOP
_name, _, _count = os.environ.get("TIDEMILL_CRASH_AT", os.environ.get("TIDEMILL_STOP_AT", "")).partition(":")
ARMED: Final = bool(_name)
_lock = threading.Lock()
_left = int(_count or "1")


def reach(name: str) -> None:
    """Mark a crash point; kills or stops the process here if the environment names this point."""
    if ARMED and name == _name:
        _count_down()


def _count_down() -> None:
    global _left  # noqa: PLW0603 - one process dies once
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _SIGNAL)
