"""One owner for a data folder: an advisory lock on a file in it that names the owner's process id.

The kernel releases the lock when the owner ends, however it ends, so no stale lock remains; the file itself stays. The
lock excludes a second server on one machine, not on another machine (see `log/local_disk.py`).
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidemill.errors import StartupError

_PREPARING_S: Final = 10.0  # how long another part may take to prepare a folder
_LOOK_S: Final = 0.05
_URL_FILE: Final = Path("run", "url")  # in the data folder, beside the lock that says whether it is still true


class FolderLock:
    """Holds `directory/name` locked until `release` or the end of the process.

    Raises StartupError, naming the owner's process id, if another process (or another lock of this one) holds it.
    """

    def __init__(self, directory: Path, name: str = "tidemill.lock") -> None:
        self.path = directory / name
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StartupError(
                f"{directory} is in use by another Tidemill process (pid {owner}, lock {name}); "
                f"stop it first, or choose another data folder with --data"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock; may be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SharedFolderLock:
    """Holds `directory/name` for several processes together until `release` or the end of the process, and keeps out
    those that want it for themselves (`FolderLock`).

    Where no other process holds it, `prepare` is called first, alone: nobody else gets the lock meanwhile. Raises
    StartupError, naming the owner's process id, if another process keeps it for itself for longer than a few seconds.
    """

    def __init__(self, directory: Path, name: str, prepare: Callable[[], None]) -> None:
        self._fd = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + _PREPARING_S
        while True:
            if _is_locked(self._fd, fcntl.LOCK_EX):
                try:
                    prepare()
                except BaseException:
                    self.release()
                    raise
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
            if _is_locked(self._fd, fcntl.LOCK_SH):
                return
            if time.monotonic() > deadline:
                owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                self.release()
                raise StartupError(
                    f"{directory} is served by another Tidemill process (pid {owner}, lock {name}), which runs all "
                    "parts itself; stop it first, or choose another data folder with --data"
                )
            time.sleep(_LOOK_S)

    def release(self) -> None:
        """Release the lock; may be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def waiting_lock(directory: Path, name: str) -> Iterator[None]:
    """Holds `directory/name` locked for as long as the `with` takes, after waiting for whoever holds it."""
    fd = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _is_locked(fd: int, kind: int) -> bool:
    """Whether the lock could be taken at once, as `kind` of lock."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def note_served_url(folder: Path, url: str) -> None:
    """Record where the server of a data folder listens, for `served_url`. `folder/run` exists."""
    (folder / _URL_FILE).write_text(url, "utf-8")


def served_url(folder: Path) -> str | None:
    """Where the server listens that holds the folder's lock, or held it last; null where none ever did."""
    try:
        return (folder / _URL_FILE).read_text("utf-8").strip() or None
    except OSError:
        return None
