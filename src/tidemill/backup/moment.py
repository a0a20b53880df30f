"""Asks the mill of a running server to pause while the moment of a backup is taken.

The mill's side, with the protocol, is `mill/backup_hold.py`. Both sides use files in the data folder: a user who may
read and write the folder can make a backup, without a key or a secret of the processes.
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

HoldMill = Callable[[], contextlib.AbstractContextManager[Held]]

_ANSWER_S: Final = 60.0  # the mill first finishes its batch, and steps of retention and deletions
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
def backup_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of backups of a data folder. Raises BackupError while another backup holds it."""
    hold_folder = folder / "mill" / FOLDER
    hold_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for attempt in range(_LOCK_TRIES):
        try:
            lock = FolderLock(hold_folder, LOCK)
            break
        except StartupError as error:  # the mill holds the lock for a moment when it checks for a backup
            if attempt == _LOCK_TRIES - 1:
                raise BackupError(f"Another backup of '{folder}' is running. {error.message}") from None
            time.sleep(_LOOK_S)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held_mill(folder: Path) -> Iterator[Held]:
    """Pause the running mill, with its tables frozen, until the `with` block ends; call it inside `backup_lock`.

    Raises BackupError when the mill does not answer, cannot freeze its tables, or did not wait for the end of the
    block.
    """
    hold_folder = folder / "mill" / FOLDER
    request_id = secrets.token_hex(8)
    hold = hold_folder / HOLD
    write_atomically(hold, request_id.encode(), durable=False)
    try:
        held = _wait_for_answer(folder, hold_folder / HELD, request_id)
        if held.error:
            raise BackupError(f"The store could not be frozen: {held.error}")
        yield held
        if not hold.exists():
            raise BackupError("The mill did not keep still long enough, or is being stopped. Try again.")
    finally:
        hold.unlink(missing_ok=True)


def _wait_for_answer(folder: Path, path: Path, request_id: str) -> Held:
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            held = msgspec.json.decode(path.read_bytes(), type=Held)
            if held.id == request_id:
                return held
        if not is_served(folder):
            raise BackupError("The server was stopped meanwhile. Try again: a stopped folder is backed up as well.")
        time.sleep(_LOOK_S)
    state = describe_status(mill_states(folder, 1)[0].telemetry())
    raise BackupError(
        f"The mill of the server on '{folder}' did not answer within {_ANSWER_S:.0f} s{state}. "
        "Look at GET /readyz, or stop the server and back up its folder."
    )
