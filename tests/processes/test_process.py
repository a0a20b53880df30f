"""Worker processes: what a call returns and raises, and that a process ends with its parent, at will and by itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tidemill.errors import LimitError, NotEnoughPointsError
from tidemill.processes.process import ProcessEndedError, WorkerProcess

TASKS = "tests.support.worker_tasks"
MEMORY = 512 << 20
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def process() -> Iterator[WorkerProcess]:
    process = WorkerProcess(MEMORY)
    yield process
    process.close()


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_ended(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while runs(pid):
        assert time.monotonic() < deadline, "the process goes on"
        time.sleep(0.01)


def until_waited_for(pid: int) -> None:
    """Wait until a child and all its threads have ended, so that its parent can see it."""
    deadline = time.monotonic() + DEADLINE_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        assert time.monotonic() < deadline, "the process goes on"
        time.sleep(0.01)


def test_a_call_returns_what_the_function_returns_from_another_process(process: WorkerProcess) -> None:
    assert process.call(f"{TASKS}:process_id", {}) == process.pid != os.getpid()
    values = np.array([1.0, np.nan, 3.0])
    np.testing.assert_array_equal(process.call(f"{TASKS}:double", {"values": values}), values * 2)


def test_an_error_arrives_whole(process: WorkerProcess) -> None:
    with pytest.raises(NotEnoughPointsError, match="at least 12 values") as raised:
        process.call(f"{TASKS}:lack_points", {})
    assert (raised.value.needed, raised.value.present, raised.value.faults[0].code) == (12, 3, "not_enough_points")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by nothing"):
        process.call(f"{TASKS}:fail", {})


def test_memory_is_bounded_and_the_process_goes_on(process: WorkerProcess) -> None:
    before = process.call(f"{TASKS}:process_id", {})
    with pytest.raises(LimitError, match="more memory") as raised:
        process.call(f"{TASKS}:use_memory", {"size_bytes": MEMORY + 1})
    assert raised.value.limit == "worker_memory"
    assert process.call(f"{TASKS}:process_id", {}) == before


def test_a_process_that_ended_is_started_again(process: WorkerProcess) -> None:
    first = process.call(f"{TASKS}:process_id", {})
    with pytest.raises(ProcessEndedError):
        process.call(f"{TASKS}:end_process", {})
    second = process.call(f"{TASKS}:process_id", {})
    os.kill(second, signal.SIGKILL)  # between two calls
    until_waited_for(second)
    assert len({first, second, process.call(f"{TASKS}:process_id", {})}) == 3


def test_a_call_that_is_ended_raises_at_once(process: WorkerProcess) -> None:
    pid = process.call(f"{TASKS}:process_id", {})
    threading.Timer(0.2, process.end).start()
    started = time.monotonic()
    with pytest.raises(ProcessEndedError):
        process.call(f"{TASKS}:wait", {"seconds": 2 * DEADLINE_S})
    assert time.monotonic() - started < DEADLINE_S
    assert not runs(pid)
    assert process.call(f"{TASKS}:process_id", {}) != pid


def test_a_call_that_is_ended_before_it_begins_starts_nothing() -> None:
    process = WorkerProcess(MEMORY)
    process.end()
    with pytest.raises(ProcessEndedError):
        process.call(f"{TASKS}:process_id", {})
    assert process.pid is None


def test_a_process_dies_with_its_parent_even_in_a_call() -> None:
    code = (
        "import threading, time\n"
        "from tidemill.processes.process import WorkerProcess\n"
        f"process = WorkerProcess({MEMORY})\n"
        f"print(process.call('{TASKS}:process_id', {{}}), flush=True)\n"
        f"process.call('{TASKS}:wait', {{'seconds': 600}})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until_ended(child)
