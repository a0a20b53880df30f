"""Small file systems of the test's own: a tmpfs, or an ext4 in a file. Mounted as root, or by `sudo` with no password.

Where neither is allowed, folders for them can be given as TIDEMILL_TEST_TMPFS and TIDEMILL_TEST_EXT4 (each the root of
a file system of a few hundred MB that is used for nothing else); without them the test is skipped, with the reason.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KINDS = ("tmpfs", "ext4")


@contextmanager
def small_disk(kind: str, at: Path, size_mib: int) -> Iterator[Path]:
    """A file system of `size_mib` MiB, as a folder, for the length of a `with`."""
    given = os.environ.get(f"TIDEMILL_TEST_{kind.upper()}")
    if given:
        folder = Path(given) / at.name
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
        return
    folder, image = at / "disk", at / "image"
    folder.mkdir(parents=True)
    if kind == "tmpfs":
        refusal = privileged("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0777", "tmpfs", str(folder))
    else:
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        made = _run_command(
            "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "root_owner=" + f"{os.getuid()}:{os.getgid()}", str(image)
        )
        refusal = made or privileged("mount", "-o", "loop", str(image), str(folder))
    if refusal:
        pytest.skip(f"no {kind} of its own can be mounted here: {refusal}")
    try:
        yield folder
    finally:
        assert not privileged("umount", "--lazy", str(folder))
        image.unlink(missing_ok=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody, not even root, can make or change files in `folder` by its path."""
    if os.getuid() != 0:
        mode = folder.stat().st_mode
        folder.chmod(0o500)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    refusal = privileged("mount", "--bind", str(folder), str(folder))
    if refusal:
        pytest.skip(f"no folder can be made read-only for root here: {refusal}")
    try:
        assert not privileged("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        assert not privileged("umount", "--lazy", str(folder))


def privileged(*command: str) -> str:
    """Run a command as root; returns "", or why that did not work."""
    return _run_command(*command) if os.getuid() == 0 else _run_command("sudo", "-n", *command)


def _run_command(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} ended with {done.returncode}"


class Filler:
    """Takes all free space of a folder's file system but `leave_bytes`, in one file, and gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "filler"

    def fill(self, leave_bytes: int = 0) -> None:
        with self._path.open("ab", buffering=0) as file:
            while (room := _free(self._path.parent) - leave_bytes) > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, min(room, 1 << 20))
                except OSError:
                    return

    def free(self) -> None:
        self._path.unlink(missing_ok=True)


def _free(folder: Path) -> int:
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize
