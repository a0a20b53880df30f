"""Detects failed writes of the engine. chDB 26.9 goes on after a failed write(2): it commits truncated parts, of
inserts and of merges, and answers without an error. But it counts failed writes.

So every statement that writes is answered only after that count was read, and the count is also read once a second.
After the first failed write the process ends, because its answers can no longer be trusted. At the next start chDB
finds truncated parts, sets them aside, and uses the parts that they were merged from (schema 0002 keeps these for a
minute). An insert that was answered well is never among the truncated parts.
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

MIN_FREE_BYTES: Final = 16 << 20  # with less, statements that write are refused, so that a write does not fail half way
_FAILED: Final = b"SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_BROKEN: Final = b"SELECT path FROM system.detached_parts WHERE reason = 'broken-on-start' FORMAT TSVRaw"
_STATE: Final = "writes"  # the file with the time when the process began to write, and whether a write failed
_STATE_FORM: Final = re.compile(r"(?P<begun_ns>[0-9]{20}) (?P<outcome>good|fail)\n")


class StatementRunner(Protocol):
    """Runs statements."""

    def run_statement(self, sql: bytes) -> "Result":
        """The result of the statement."""


class Result(Protocol):
    """The result of a statement."""

    def bytes(self) -> bytes:
        """The result as text."""


class EngineWrites:
    """The writes of one engine process into `folder`. `failed` is set after a failed write: then end the process."""

    def __init__(self, folder: Path, session: StatementRunner) -> None:
        self.failed = threading.Event()
        self._folder = folder
        self._session = session
        self._lock = threading.Lock()
        self._begun_ns = time.time_ns()
        self._note("good")
        self._at_start = self._count()

    def require_room(self) -> None:
        """Raises EngineError 243 when the disk is so full that a write could fail half way."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < MIN_FREE_BYTES:
            text = f"{free} bytes of the disk are free, {MIN_FREE_BYTES} are needed to write"
            raise refusal(NOT_ENOUGH_SPACE, "NOT_ENOUGH_SPACE", text)

    def raise_if_failed(self) -> None:
        """Raises EngineError 75 when a write of this process failed: then no write may be acknowledged. Takes 1 ms."""
        if self._count() > self._at_start:
            if not self.failed.is_set():
                self._note("fail")
            self.failed.set()
            text = "A write to the disk failed; the engine starts again, to find which parts it hurt"
            raise refusal(CANNOT_WRITE, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", text)

    def _count(self) -> int:
        with self._lock:
            return int(self._session.run_statement(_FAILED).bytes() or b"0")

    def _note(self, outcome: str) -> None:
        """Record `good` or `fail` by overwriting the file, which needs no space on a full disk."""
        path = self._folder / _STATE
        try:
            with path.open("r+b" if path.exists() else "xb") as file:
                file.write(f"{self._begun_ns:020d} {outcome}\n".encode())
        except OSError as error:
            _log.warning("cannot note in the store's folder how its writes go: %s", error)


def remove_truncated_mutations(folder: Path) -> None:
    """Remove the files of truncated mutations: with one of them the engine would not start, and none was answered well.
    (A whole file ends with a line feed and names its commands.)"""
    for path in folder.glob("store/*/*/mutation_*.txt"):
        with suppress(FileNotFoundError):
            text = path.read_bytes()
            if not (text.startswith(b"format version: 1\n") and b"\ncommands: " in text and text.endswith(b"\n")):
                _log.warning("removing %s, which was cut off while it was written", path.name)
                path.unlink()


def remove_truncated_parts(folder: Path, session: StatementRunner) -> None:
    """If the last process ended for a failed write, remove the parts written by it that the engine set aside: their
    rows are in the parts that they were merged from, or were never acknowledged. Older parts are left for a person to
    look at, because something else broke them."""
    begun_ns = _failed_since(folder)
    if begun_ns is None:
        return
    for line in session.run_statement(_BROKEN).bytes().decode().splitlines():
        part = Path(line)
        newest_ns = max((path.stat().st_mtime_ns for path in part.glob("*")), default=0)
        if newest_ns >= begun_ns:
            _log.warning("removing a part that was cut off while it was written", extra={"facts": {"part": line}})
            shutil.rmtree(part, ignore_errors=True)


def _failed_since(folder: Path) -> int | None:
    """The time when the last process began to write, if it ended for a failed write (ns by the machine's clock); else
    null."""
    try:
        state = _STATE_FORM.fullmatch((folder / _STATE).read_text("ascii"))
    except (OSError, ValueError):
        return None
    return int(state["begun_ns"]) if state and state["outcome"] == "fail" else None
