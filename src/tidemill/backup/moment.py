"""The moment of a backup, asked of a running server: its mill keeps still while the moment is taken.

The other side is `mill/backup_hold.py`, which says how the two speak. Everything is in the data folder: whoever may
read that may make a backup, and needs no key and no secret of the processes.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tidemill.errors import BackupError, StartupError
from tidemill.lock import FolderLock
from tidemill.mill.backup_hold import FOLDER, HELD, HOLD, LOCK, Held
from tidemill.mill.state_files import mill_states, write_atomically
from tidemill.mill.status import describe_status

Still = Callable[[], contextlib.AbstractContextManager[Held]]

_ANSWER_S: Final = 60.0  # a batch under way, retention's steps and deletions are finished first
_LOOK_S: Final = 0.01
_LOCK_TRIES: Final = 20


def is_served(folder: Path) -> bool:
    """Whether a server runs on a data folder."""
    if not (folder / "serve.lock").exists():
        return False
    try:
        FolderLock(folder, "serve.lock").release()
    except StartupError:
        return True
    return False


@contextmanager
def running_backup(folder: Path) -> Iterator[None]:
    """Be the one backup of a data folder. Raises BackupError while there is another."""
    desk = folder / "mill" / FOLDER
    desk.mkdir(mode=0o700, parents=True, exist_ok=True)
    for attempt in range(_LOCK_TRIES):
        try:
            lock = FolderLock(desk, LOCK)
            break
        except StartupError as error:  # the mill may just be looking whether there is one
            if attempt == _LOCK_TRIES - 1:
                raise BackupError(f"Another backup of '{folder}' is running. {error.message}") from None
            time.sleep(_LOOK_S)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held_mill(folder: Path) -> Iterator[Held]:
    """The running mill keeps still, its tables frozen, until the block ends; call it inside `running_backup`.

    Raises BackupError when the mill does not answer, cannot freeze, or did not wait for the end of the block.
    """
    desk = folder / "mill" / FOLDER
    mine = secrets.token_hex(8)
    hold = desk / HOLD
    write_atomically(hold, mine.encode(), durable=False)
    try:
        held = _answer(folder, desk / HELD, mine)
        if held.error:
            raise BackupError(f"The store could not be frozen: {held.error}")
        yield held
        if not hold.exists():
            raise BackupError("The mill did not keep still long enough, or is being stopped. Try again.")
    finally:
        hold.unlink(missing_ok=True)


def _answer(folder: Path, path: Path, mine: str) -> Held:
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            held = msgspec.json.decode(path.read_bytes(), type=Held)
            if held.id == mine:
                return held
        if not is_served(folder):
            raise BackupError("The server was stopped meanwhile. Try again: a stopped folder is backed up as well.")
        time.sleep(_LOOK_S)
    state = describe_status(mill_states(folder, 1)[0].telemetry())
    raise BackupError(
        f"The mill of the server on '{folder}' did not answer within {_ANSWER_S:.0f} s{state}. "
        "Look at GET /readyz, or stop the server and back up its folder."
    )
