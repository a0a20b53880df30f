"""Reads and verifies a backup, a folder or an archive: its files one after the other, and their damages."""

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

import msgspec
import zstandard

from tidemill.backup.files import copy_stream, create_file, no_progress
from tidemill.backup.manifest import MANIFEST_FILE, BackupFile, Manifest, decode_manifest
from tidemill.catalog.opening import CATALOG_FILE, catalog_snapshot_fault
from tidemill.errors import BackupError
from tidemill.log.opening import log_files
from tidemill.model.offset import MAX_PARTITIONS

_MANIFEST_BYTES: Final = 1 << 28


class BackupDamage(msgspec.Struct, frozen=True):
    """A file of a backup that is missing, damaged or not in the manifest."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class StoredBackup(Protocol):
    """An existing backup."""

    path: Path

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Every file but the manifest; read each before the next.

        Raises BackupError, or what the disk or the archive raises; `unpack_backup` makes BackupError of it.
        """

    def manifest(self) -> Manifest:
        """The manifest; of an archive only after `files` has ended. Raises BackupError."""


def open_backup(path: Path) -> StoredBackup:
    """The backup at `path`: an archive, a backup's folder, or the newest of a folder of backups. Raises BackupError."""
    if path.is_file():
        return StoredArchive(path)
    if (path / MANIFEST_FILE).is_file():
        return StoredFolder(path)
    whole = newest_backup(path) if path.is_dir() else None
    if whole is None:
        raise BackupError(
            f"There is no whole backup in '{path}'."
            + (f" It has no {MANIFEST_FILE}: it broke off while it was made." if path.is_dir() else "")
        )
    return StoredFolder(whole)


def newest_backup(folder: Path) -> Path | None:
    """The newest whole backup in a folder of backups, by name; None if there is none."""
    names = [path.parent for path in folder.glob(f"*/{MANIFEST_FILE}") if not path.parent.name.startswith(".")]
    return max(names, key=lambda path: path.name, default=None)


class StoredFolder:
    """A backup that is a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        """See `StoredBackup.files`."""
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or not path.is_file() or name == MANIFEST_FILE:
                continue
            with path.open("rb") as content:
                yield name, content

    def manifest(self) -> Manifest:
        """See `StoredBackup.manifest`."""
        try:
            return decode_manifest((self.path / MANIFEST_FILE).read_bytes(), str(self.path))
        except OSError as error:
            raise BackupError(f"{self.path / MANIFEST_FILE} cannot be read: {error.strerror}") from None


class StoredArchive:
    """A backup that is one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest: Manifest | None = None

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        """See `StoredBackup.files`."""
        with self.path.open("rb") as packed:
            unpacked = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None:
                        raise BackupError(f"{self.path} is damaged: {member.name} is no file")
                    if member.name == MANIFEST_FILE:
                        self._manifest = decode_manifest(content.read(_MANIFEST_BYTES), str(self.path))
                    else:
                        yield member.name, content
            while unpacked.read(1 << 20):  # up to the archive's own checksum, which zstd checks
                continue

    def manifest(self) -> Manifest:
        """See `StoredBackup.manifest`."""
        if self._manifest is None:
            raise BackupError(f"{self.path} is not whole: it has no {MANIFEST_FILE}, so it broke off while it was made")
        return self._manifest


def unpack_backup(
    backup: StoredBackup,
    into: Path | None,
    *,
    wanted: Callable[[str], bool] = lambda _: True,
    progress: Callable[[int], None] = no_progress,
) -> tuple[Manifest, list[BackupDamage]]:
    """Read the whole backup, and write the files that are `wanted` into a folder, if one is given.

    Returns the manifest, and a damage for each file that is missing, damaged or not in the manifest. Raises BackupError
    where the backup cannot be read further, and OSError of the folder.
    """
    read: dict[str, tuple[int, str]] = {}
    name = ""
    try:
        for name, content in backup.files():
            if into is not None and wanted(name):
                with create_file(_unpacked_path(into, name, backup.path)) as file:
                    read[name] = copy_stream(content, file, progress)
            else:
                read[name] = copy_stream(content, None, progress)
    except (zstandard.ZstdError, tarfile.TarError, EOFError, ValueError) as error:
        where = f"at {name} or behind it" if name else "at its beginning"
        raise BackupError(f"{backup.path} is damaged {where}: {error}") from None
    made = backup.manifest()
    return made, list(_damages(made.files, read))


def check_backup(
    backup: StoredBackup, progress: Callable[[int], None] = no_progress
) -> tuple[Manifest, list[BackupDamage]]:
    """Read every byte of a backup; returns its manifest and its damages.

    Unpacks the databases of an archive into a temporary folder. Raises BackupError where the backup cannot be read
    further, and OSError.
    """
    with ExitStack() as undo:
        if isinstance(backup, StoredFolder):
            folder = backup.path
            manifest, damages = unpack_backup(backup, None, progress=progress)
        else:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="tidemill-")))
            names = {CATALOG_FILE, *log_files(folder, MAX_PARTITIONS).snapshot_names}
            manifest, damages = unpack_backup(backup, folder, wanted=names.__contains__, progress=progress)
        return manifest, damages or check_databases(folder, len(manifest.partitions))


def check_databases(folder: Path, partitions: int) -> list[BackupDamage]:
    """The damages of catalog and log in a folder that no process has open."""
    faults = [(CATALOG_FILE, catalog_snapshot_fault(folder)), *log_files(folder, partitions).snapshot_faults()]
    return [BackupDamage(name, fault) for name, fault in faults if fault]


def _damages(files: tuple[BackupFile, ...], read: dict[str, tuple[int, str]]) -> Iterator[BackupDamage]:
    for entry in files:
        size, sha256 = read.pop(entry.path, (-1, ""))
        if size < 0:
            yield BackupDamage(entry.path, "it is missing")
        elif size != entry.bytes:
            yield BackupDamage(entry.path, f"it has {size:,} bytes instead of {entry.bytes:,}")
        elif sha256 != entry.sha256:
            yield BackupDamage(entry.path, f"its sha256 is {sha256} instead of {entry.sha256}")
    for name in sorted(read):
        yield BackupDamage(name, "it is not in the manifest")


def _unpacked_path(into: Path, name: str, backup: Path) -> Path:
    """The path of a backup's file in the folder `into`; makes its parent folder. Raises BackupError for a path that
    leaves `into`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BackupError(f"{backup} is damaged: '{name[:200]}' is no path inside a data folder")
    target = into / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return target
