"""Whether what the engine writes reaches the disk. chDB 26.9 goes on after a failed write(2): it commits parts that are
cut off, of inserts and of merges alike, and answers that all is well. But it counts failed writes.

So every statement that writes is answered only after a look at that count, and the count is looked at once a second
besides. After the first failed write the process ends: what it says can no longer be trusted. At its next start chDB
itself finds parts that are cut off, sets them aside, and takes those that they were merged from (schema 0002 keeps them
for a minute). An insert that was answered well is never among them.
"""

import logging
import os
import re
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from tidemill.store.engine.errors import CANNOT_WRITE, NOT_ENOUGH_SPACE, refusal

_log = logging.getLogger(__name__)

MIN_FREE_BYTES: Final = 16 << 20  # with less no statement writes: a write that has begun should find room
_FAILED: Final = b"SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_BROKEN: Final = b"SELECT path FROM system.detached_parts WHERE reason = 'broken-on-start' FORMAT TSVRaw"
_STATE: Final = "writes"  # when the process began to write, and whether a write failed
_STATE_FORM: Final = re.compile(r"(?P<begun_ns>[0-9]{20}) (?P<outcome>good|fail)\n")


class StatementRunner(Protocol):
    """What runs a statement."""

    def run(self, sql: bytes) -> "Result":
        """Its result."""


class Result(Protocol):
    """What a statement gave."""

    def bytes(self) -> bytes:
        """As text."""


class EngineWrites:
    """The writes of one engine process into `folder`. `failed` is set once one has failed: end the process then."""

    def __init__(self, folder: Path, session: StatementRunner) -> None:
        self.failed = threading.Event()
        self._folder = folder
        self._session = session
        self._lock = threading.Lock()
        self._begun_ns = time.time_ns()
        self._note("good")
        self._at_start = self._count()

    def need_room(self) -> None:
        """Raises EngineError 243 when the disk is so full that a write could fail half way."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < MIN_FREE_BYTES:
            text = f"{free} bytes of the disk are free, {MIN_FREE_BYTES} are needed to write"
            raise refusal(NOT_ENOUGH_SPACE, "NOT_ENOUGH_SPACE", text)

    def check(self) -> None:
        """Raises EngineError 75 when a write of this process failed: nothing it wrote may be answered for. 1 ms."""
        if self._count() > self._at_start:
            if not self.failed.is_set():
                self._note("fail")
            self.failed.set()
            text = "A write to the disk failed; the engine starts again, to find which parts it hurt"
            raise refusal(CANNOT_WRITE, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", text)

    def _count(self) -> int:
        with self._lock:
            return int(self._session.run(_FAILED).bytes() or b"0")

    def _note(self, outcome: str) -> None:
        """Write down how writing goes, in place: that needs no room on a disk that is full."""
        path = self._folder / _STATE
        try:
            with path.open("r+b" if path.exists() else "xb") as file:
                file.write(f"{self._begun_ns:020d} {outcome}\n".encode())
        except OSError as error:
            _log.warning("cannot note in the store's folder how its writes go: %s", error)


def before_start(folder: Path) -> None:
    """Remove mutations that were cut off when they were written: with one of them the engine would not start, and none
    was answered well. (A whole one ends with a line feed and names its commands.)"""
    for path in folder.glob("store/*/*/mutation_*.txt"):
        with suppress(FileNotFoundError):
            text = path.read_bytes()
            if not (text.startswith(b"format version: 1\n") and b"\ncommands: " in text and text.endswith(b"\n")):
                _log.warning("removing %s, which was cut off while it was written", path.name)
                path.unlink()


def after_start(folder: Path, session: StatementRunner) -> None:
    """When the last process ended for a failed write, remove the parts of its own that the engine set aside: their rows
    are in the parts that they were merged from, or were never answered for. Older ones are left for a person to look
    at: a part that was whole once is broken by something else."""
    begun_ns = _failed_since(folder)
    if begun_ns is None:
        return
    for line in session.run(_BROKEN).bytes().decode().splitlines():
        part = Path(line)
        newest_ns = max((path.stat().st_mtime_ns for path in part.glob("*")), default=0)
        if newest_ns >= begun_ns:
            _log.warning("removing a part that was cut off while it was written", extra={"facts": {"part": line}})
            shutil.rmtree(part, ignore_errors=True)


def _failed_since(folder: Path) -> int | None:
    """When the last process began to write, if it ended for a failed write; by the clock of the machine, in ns."""
    try:
        state = _STATE_FORM.fullmatch((folder / _STATE).read_text("ascii"))
    except (OSError, ValueError):
        return None
    return int(state["begun_ns"]) if state and state["outcome"] == "fail" else None
