"""One owner for a data folder: an advisory lock on a file in it that names the owner's process id.

The kernel releases the lock when the owner ends, however it ends, so no stale lock remains; the file itself stays. The
lock excludes a second server on one machine, not on another machine (see `log/local_disk.py`).
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from tidemill.errors import StartupError

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


def note_served_url(folder: Path, url: str) -> None:
    """Record where the server of a data folder listens, for `served_url`. `folder/run` exists."""
    (folder / _URL_FILE).write_text(url, "utf-8")


def served_url(folder: Path) -> str | None:
    """Where the server listens that holds the folder's lock, or held it last; null where none ever did."""
    try:
        return (folder / _URL_FILE).read_text("utf-8").strip() or None
    except OSError:
        return None
