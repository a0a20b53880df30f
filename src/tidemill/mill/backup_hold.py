"""The mills' side of a backup of a running server: the mills keep still between two batches while the backup takes its
moment.

A backup writes the file `hold` (its id) into the folder `backup` beside the mill's progress, and keeps `backup.lock`
in that folder locked while it runs. When the mills of all partitions keep still, the last of them freezes the store's
tables and writes the checkpoint to `held.json`; all mills wait until `hold` is removed. So the progress, the tables and
the mills' other files are of one moment. A mill goes on after LONGEST_S at the latest, when the backup has ended,
however it ended, or when the mill itself is to stop; it then removes `hold`, by which the backup knows. Payloads are
acknowledged all the while, because the mill has no part in that.

Also removes the hard links that a killed backup left behind, because they keep deleted bytes on disk.
"""

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tidemill.errors import TidemillError
from tidemill.mill.state_files import write_atomically

_log = logging.getLogger(__name__)

FOLDER: Final = "backup"
HOLD: Final = "hold"
HELD: Final = "held.json"
LINKS: Final = "links"  # hard links to files of the mill
LOCK: Final = "backup.lock"
LONGEST_S: Final = 30.0
_LOOK_S: Final = 0.01
_CLEAR_EVERY_S: Final = 5.0


class Held(msgspec.Struct, frozen=True):
    """The mills' answer to the backup `id`: the frozen tables hold what is applied up to `offset` (in the first
    partition), and nothing else. `engine` is the version of the store's engine, `frozen_s` the seconds that freezing
    took, `error` why nothing was frozen (empty: it was)."""

    id: str
    offset: int = msgspec.field(default=0, name="position")
    engine: str = ""
    frozen_s: float = 0.0
    error: str = ""


class BackupHold:
    """Answers backups for the mills of `count` partitions. `folder` is that of the first mill, `frozen` the folder in
    which the engine makes the links of a freeze; `freeze` makes them and returns the engine's version. Thread-safe."""

    def __init__(self, folder: Path, frozen: Path, freeze: Callable[[], str], count: int = 1) -> None:
        self._folder = folder / FOLDER
        self._frozen = frozen
        self._freeze = freeze
        self._cleared = 0.0
        self._count = count
        self._changing = threading.Lock()
        self._still: tuple[str, dict[int, int]] = "", {}  # the backup, and the checkpoints of the mills that keep still
        self._held_since: dict[str, float] = {}  # by the id of the backup that was answered

    def hold_still(self, offset: int, turn: Callable[[], None], stop: threading.Event, partition: int = 0) -> None:
        """Wait while a backup wants the mill to keep still; returns at once if none does. Never raises.

        Call it between two batches. `offset` is the mill's checkpoint; `turn` is called again and again, as a sign of
        life.
        """
        try:
            wanted = _read_text(self._folder / HOLD)
            if not wanted:
                self._clear_up()
            elif self._is_running():
                self._hold(wanted, partition, offset, turn, stop)
            else:
                (self._folder / HOLD).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("a backup cannot be answered: %s", error)

    def _hold(self, wanted: str, partition: int, offset: int, turn: Callable[[], None], stop: threading.Event) -> None:
        begun = time.monotonic()
        self._keep_still(wanted, partition, offset)
        while _read_text(self._folder / HOLD) == wanted and self._is_running():
            turn()
            if time.monotonic() > self._held_since.get(wanted, begun) + LONGEST_S or stop.wait(_LOOK_S):
                break
        (self._folder / HOLD).unlink(missing_ok=True)
        facts = {"position": offset, "held_s": round(time.monotonic() - begun, 3)}
        _log.info("kept still for a backup", extra={"facts": facts})

    def _keep_still(self, wanted: str, partition: int, offset: int) -> None:
        """Note that this mill keeps still. The last of the mills answers the backup."""
        with self._changing:
            if self._still[0] != wanted:
                self._still = wanted, {}
            self._still[1][partition] = offset
            if len(self._still[1]) < self._count or wanted in self._held_since:
                return
            held = self._freeze_store(wanted, self._still[1][0])
            self._held_since = {wanted: time.monotonic() - held.frozen_s}
            if held.error:
                _log.warning("nothing was frozen for a backup: %s", held.error)
            write_atomically(self._folder / HELD, msgspec.json.encode(held), durable=False)

    def _freeze_store(self, wanted: str, offset: int) -> Held:
        begun = time.monotonic()
        try:
            engine = self._freeze()
            return Held(wanted, offset, engine, time.monotonic() - begun)
        except TidemillError as error:
            return Held(wanted, offset, error=error.message)

    def _is_running(self) -> bool:
        """Whether a backup holds the lock."""
        try:
            descriptor = os.open(self._folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _clear_up(self) -> None:
        """Remove the links that a killed backup left, at most once in _CLEAR_EVERY_S."""
        if time.monotonic() < self._cleared + _CLEAR_EVERY_S:
            return
        self._cleared = time.monotonic()
        left = [path for path in (self._frozen, self._folder / LINKS) if path.exists()]
        if left and not self._is_running():
            for path in left:
                shutil.rmtree(path, ignore_errors=True)
            _log.warning("removed what a backup that broke off had left")


def _read_text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except FileNotFoundError:
        return ""
