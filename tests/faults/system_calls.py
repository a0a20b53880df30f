"""What a process asks of the system, seen by `strace -f`: its writes and syncs with their files, in their order."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_CALLS = "trace=pwrite64,fdatasync,fsync,rename,write,writev,sendto,sendmsg"
_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)")
_PATIENCE_S = 60


@dataclass(frozen=True)
class Call:
    """A call that succeeded; `text` is its arguments as strace shows them (of a descriptor also the path), `began` and
    `ended` are lines of the record."""

    name: str
    text: str
    began: int
    ended: int


def command(record: Path) -> list[str]:
    """strace with what the record needs. Skips the test where it is not installed."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    return [strace, "-f", "-y", "-s", "4200", "-e", _CALLS, "-e", "signal=none", "-o", str(record)]


def may_trace(folder: Path) -> None:
    """Skip the test where tracing is not permitted, saying what strace says."""
    tried = subprocess.run([*command(folder / "try"), "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"tracing is not permitted: {tried.stderr.strip()[:200]}")


@contextmanager
def traced(process: int, record: Path) -> Iterator[None]:
    """Record what a process and all its threads call until the block ends."""
    errors = record.with_suffix(".errors")
    with errors.open("wb") as stream:
        tracer = subprocess.Popen([*command(record), "-p", str(process)], stderr=stream)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while "attached" not in errors.read_text():
            if tracer.poll() is not None:
                pytest.skip(f"tracing another process is not permitted: {errors.read_text().strip()[:200]}")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        tracer.terminate()
        tracer.wait(_PATIENCE_S)


def calls(lines: Iterable[str]) -> list[Call]:
    """The calls of a record, in the order in which they began; those that failed or never ended are left out."""
    begun: dict[str, tuple[str, str, int]] = {}
    done: list[Call] = []
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest = match["thread"], match["rest"]
        name, text, began = begun.pop(thread, ("", "", number)) if match["resumed"] else (match["call"], "", number)
        if rest.rstrip().endswith("<unfinished ...>"):
            begun[thread] = name, text + rest, began
        elif name and not re.search(r"\) += -1 ", rest):
            done.append(Call(name, text + rest, began, number))
    return sorted(done, key=lambda call: call.began)


def acknowledged_before_a_sync(record: Sequence[Call], receipts: Iterable[str], file: str) -> list[str]:
    """The receipts of which an answer began before a sync of `file` had ended that covers their bytes: one that began
    after they were written. Receipts that were never written or never answered are among them."""
    writes = [call for call in record if call.name == "pwrite64" and f"{file}>" in call.text]
    syncs = [call for call in record if call.name in ("fdatasync", "fsync") and f"{file}>" in call.text]
    answers = [call for call in record if call.name in ("write", "writev", "sendto", "sendmsg")]
    wrong = []
    for receipt in receipts:
        written = next((call.ended for call in writes if receipt in call.text), None)
        answered = next((call.began for call in answers if receipt in call.text), None)
        durable = next((call.ended for call in syncs if written is not None and call.began > written), None)
        if answered is None or durable is None or answered < durable:
            wrong.append(receipt)
    return wrong
