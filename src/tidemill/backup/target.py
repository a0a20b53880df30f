"""The target of a backup: a folder of backups, or one compressed archive.

Both write under a temporary name, the manifest last, force everything to disk and then rename, so that a backup that
breaks off never looks whole. A partial backup is removed at once, or, after a kill, by the next backup to that target.
"""

import io
import logging
import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Protocol

import zstandard

from tidemill.backup.files import copy_file, digest_file, sync_file, write_file
from tidemill.backup.manifest import MANIFEST_FILE, BackupFile, Manifest, encode_manifest
from tidemill.backup.stored import newest_backup, open_backup
from tidemill.durable import sync_folder
from tidemill.errors import BackupError
from tidemill.lock import FolderLock

_log = logging.getLogger(__name__)

ARCHIVE: Final = ".tar.zst"
PARTIAL: Final = ".partial"
LOCK: Final = ".tidemill-backup.lock"
_LEVEL: Final = 3

Progress = Callable[[int], None]


class BackupTarget(Protocol):
    """A backup that is being written. `path` is its final path; `scratch` a folder on the same disk for temporary
    files; `base` the name of the backup before it (""), and `shared` the bytes that both have in common."""

    path: Path
    scratch: Path
    base: str
    shared: int

    def add(self, name: str, source: Path, progress: Progress) -> BackupFile:
        """Put a file into the backup; calls `progress` with the bytes of each step. Raises OSError."""

    def finish(self, made: Manifest) -> Path:
        """Write the manifest, make everything durable, and give the backup its name. Raises OSError."""

    def discard(self) -> None:
        """Remove what was written, unless the backup is finished."""


def open_target(to: Path, name: str) -> BackupTarget:
    """The archive `to` if it is named `*.tar.zst`, else the backup `name` in the folder `to`. Raises BackupError."""
    folder = to.parent if to.name.endswith(ARCHIVE) else to
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ArchiveTarget(to) if to.name.endswith(ARCHIVE) else FolderTarget(to, name)
    except OSError as error:
        raise BackupError(f"'{folder}' cannot be written: {error.strerror}. Name another place with --to.") from None


class FolderTarget:
    """A backup in a folder of backups. A file that is the same in the newest backup of the folder, and undamaged there,
    becomes a hard link: each backup is whole by itself, and unchanged files take space once."""

    def __init__(self, folder: Path, name: str) -> None:
        self._lock = FolderLock(folder, LOCK)
        for partial in folder.glob(f".*{PARTIAL}"):
            shutil.rmtree(partial, ignore_errors=True)
        self.path = _unused_path(folder / name)
        self.scratch = folder / f".{self.path.name}{PARTIAL}"
        self.scratch.mkdir(mode=0o700)
        self._base, self._base_files = _base_of(folder)
        self.base = self._base.name if self._base else ""
        self.shared = 0
        self._written: list[Path] = []

    def add(self, name: str, source: Path, progress: Progress) -> BackupFile:
        """See `BackupTarget.add`."""
        target = self.scratch / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source == target:
            self._written.append(target)
            return BackupFile(name, *digest_file(source, progress))
        earlier = self._base_files.get(name)
        if earlier and earlier.bytes == source.stat().st_size and self._linked(earlier, source, target, progress):
            self.shared += earlier.bytes
            return earlier
        self._written.append(target)
        return BackupFile(name, *copy_file(source, target, progress))

    def finish(self, made: Manifest) -> Path:
        """See `BackupTarget.finish`."""
        folders = [Path(root) for root, _, _ in os.walk(self.scratch)]
        for path in self._written:
            sync_file(path)
        for folder in folders:
            sync_folder(folder)
        write_file(self.scratch / MANIFEST_FILE, encode_manifest(made))
        sync_folder(self.scratch)
        self.scratch.rename(self.path)
        sync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """See `BackupTarget.discard`."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.release()

    def _linked(self, earlier: BackupFile, source: Path, target: Path, progress: Progress) -> bool:
        """Link to the earlier backup's file if it is undamaged and the same as the source; returns whether it was
        linked."""
        assert self._base is not None
        existing = self._base / earlier.path
        with suppress(OSError):  # the file was removed, or its disk cannot link: the caller copies the source
            if digest_file(source)[1] == earlier.sha256 and digest_file(existing, progress)[1] == earlier.sha256:
                os.link(existing, target)
                return True
        return False


class ArchiveTarget:
    """A backup in one file: tar, compressed with zstd; the manifest is its last member."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise BackupError(f"'{path}' is there already: name another file with --to, or remove it.")
        self.path = path
        self.base, self.shared = "", 0
        self.scratch = path.with_name(f".{path.name}{PARTIAL}")
        self.scratch.mkdir(mode=0o700, exist_ok=True)
        self._lock = FolderLock(self.scratch, LOCK)
        self._draft = self.scratch / path.name
        self._draft.unlink(missing_ok=True)
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._packed = packer.stream_writer(self._file, closefd=False)
        self._archive = tarfile.open(fileobj=self._packed, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, source: Path, progress: Progress) -> BackupFile:
        """See `BackupTarget.add`."""
        size, sha256 = digest_file(source)
        with source.open("rb") as content:
            self._member(name, size, content)
        progress(size)
        if source.is_relative_to(self.scratch):
            source.unlink()
        return BackupFile(name, size, sha256)

    def finish(self, made: Manifest) -> Path:
        """See `BackupTarget.finish`."""
        content = encode_manifest(made)
        self._member(MANIFEST_FILE, len(content), io.BytesIO(content))
        self._archive.close()
        self._packed.flush(zstandard.FLUSH_FRAME)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.rename(self.path)
        sync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """See `BackupTarget.discard`."""
        with suppress(OSError, zstandard.ZstdError, ValueError):
            self._file.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.release()

    def _member(self, name: str, size: int, content: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._archive.addfile(info, content)


def _base_of(folder: Path) -> tuple[Path | None, dict[str, BackupFile]]:
    """The newest backup in a folder, and its files by path; None without a backup, or if its manifest is damaged."""
    base = newest_backup(folder)
    if base is None:
        return None, {}
    try:
        return base, {entry.path: entry for entry in open_backup(base).manifest().files}
    except BackupError as error:
        _log.warning("this backup shares nothing with the one before it: %s", error)
        return None, {}


def _unused_path(path: Path) -> Path:
    """The path, or with a number appended if it exists."""
    number, unused = 1, path
    while unused.exists():
        number += 1
        unused = path.with_name(f"{path.name}-{number}")
    return unused
