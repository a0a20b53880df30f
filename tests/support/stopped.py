"""Waits for a process that was started with `TIDEMILL_STOP_AT`."""

import subprocess
import time
from pathlib import Path

STOPPED_S = 60


def wait_until_stopped(process: subprocess.Popen[str], point: str) -> None:
    """Return once the process has stopped at the crash point; fails if the process ends, or does not stop."""
    deadline = time.monotonic() + STOPPED_S
    while (state := _state(process)) != "T":
        assert state not in "ZX", f"it ended before {point}: {process.communicate()[1]}"
        assert time.monotonic() < deadline, f"it never reached {point}"
        time.sleep(0.02)


def _state(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
