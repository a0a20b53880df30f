"""Runs store, mill, api and worker of one data folder as processes of their own, and ends them together.

`python scripts/parts.py --data FOLDER --listen HOST:PORT`: starts a part again when it ends, as the manager of services
of a real installation does. SIGTERM or Ctrl-C ends the API and the mill first and the store last.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time

PARTS = ("store", "mill", "api", "worker")
PAUSE_S = 0.3
END_S = 15.0


def main() -> int:
    """Run the parts until a signal; returns 0, or the status of a part that refused to start (2)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    running: dict[str, subprocess.Popen[bytes]] = {}
    status = 0
    while not stop.is_set():
        for part in PARTS:
            process = running.get(part)
            if process is not None and process.poll() is None:
                continue
            if process is not None and process.returncode == 2:  # it said what to do
                status = 2
                stop.set()
                break
            running[part] = start(part, given.data, given.listen)
        stop.wait(PAUSE_S)
    for group in (("api", "mill", "worker"), ("store",)):
        end([running[part] for part in group if part in running])
    return status


def start(part: str, data: str, listen: str) -> "subprocess.Popen[bytes]":
    """One part, in a session of its own, so that Ctrl-C reaches this process alone."""
    command = [sys.executable, "-m", "tidemill.cli", part, "--data", data]
    command += ["--listen", listen] if part == "api" else []
    return subprocess.Popen(command, env=os.environ.copy(), stdin=subprocess.DEVNULL, start_new_session=True)


def end(processes: "list[subprocess.Popen[bytes]]") -> None:
    """SIGTERM, and SIGKILL to those that still run after END_S."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + END_S
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
