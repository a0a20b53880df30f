"""Checks of the disk under the log: that the disk is local, and how much of it is free."""

import os
import time
from pathlib import Path
from typing import Final

from tidemill.durable import sync_folder
from tidemill.errors import StartupError
from tidemill.log.limits import LogLimits

# Locks and mmap of these do not hold between machines, and their fsync promises less than a disk's.
NETWORK_FILE_SYSTEMS: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "9p", "afs", "davfs",
    "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.cephfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs2",
    "fuse.smbnetfs",
})  # fmt: skip
CHECK_EVERY_S: Final = 1.0  # a check costs 2 µs; the limit leaves room for far more than a second of payloads


def make_folder(directory: Path) -> None:
    """Make the data folder durably if it does not exist. Raises StartupError if it cannot be made."""
    try:
        missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    except OSError as error:
        raise StartupError(f"the data folder cannot be made ({error}); choose another with --data") from None


def refuse_network_file_system(directory: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise StartupError if `directory` is on a network file system. Without `/proc/mounts` nothing is refused."""
    try:
        table = mounts.read_text(errors="replace")
    except OSError:
        return
    kind = file_system_of(directory.resolve(), table)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StartupError(
            f"{directory} is on a network file system ({kind}), where neither locks nor fsync can be trusted; "
            f"choose a folder on a local disk with --data"
        )


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, by the text of `/proc/mounts` ("" when none matches)."""
    depth, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].encode().decode("unicode_escape"))  # blanks are written \040
        if path.is_relative_to(point) and len(point.parts) >= depth:  # the last mount on a point is the visible one
            depth, kind = len(point.parts), fields[2]
    return kind


class FreeSpace:
    """The free bytes of the disk under a folder, and the bytes that must stay free; read at most once a second."""

    def __init__(self, directory: Path, limits: LogLimits) -> None:
        self._directory = directory
        self._limits = limits
        self._checked_at = -CHECK_EVERY_S
        self.free_bytes = 0
        self.needed_bytes = 0

    def short(self, *, now: bool = False) -> bool:
        """Whether the free space is too small to accept payloads; `now`: read it even within the same second."""
        moment = time.monotonic()
        if now or moment - self._checked_at >= CHECK_EVERY_S:
            disk = os.statvfs(self._directory)
            self._checked_at = moment
            self.free_bytes = disk.f_bavail * disk.f_frsize
            fraction = int(disk.f_blocks * disk.f_frsize * self._limits.min_free_ratio)
            self.needed_bytes = max(fraction, self._limits.min_free_bytes)
        return self.free_bytes < self.needed_bytes
