"""Restores a backup as a data folder, and verifies it meanwhile: the folder is filled as a whole or not at all.

Only the log gets new files (`LogFiles.finish_restored`): it continues far above its last offset, so that no offset is
handed out twice.
"""

import errno
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from tidemill.backup.files import no_progress, private_umask, sync_file
from tidemill.backup.manifest import Manifest
from tidemill.backup.moment import is_served
from tidemill.backup.stored import BackupDamage, StoredBackup, check_databases, unpack_backup
from tidemill.catalog.opening import open_catalog
from tidemill.catalog.sessions import end_all
from tidemill.data_folder import CLOSED_MARK, mark_closed
from tidemill.durable import sync_folder
from tidemill.errors import BackupError, StartupError
from tidemill.lock import FolderLock
from tidemill.log.local_disk import make_folder
from tidemill.log.opening import log_files
from tidemill.log.partitions import LOG_FOLDER
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState, position_file

STAGING: Final = ".restoring"
_LOCK: Final = "serve.lock"
_LAST: Final = LOG_FOLDER  # moved last, so that a server refuses half a folder: its store is ahead of its log


class Restored(msgspec.Struct, frozen=True):
    """The outcome of a restore; `aside` is where the former data folder was moved (None: there was none)."""

    manifest: Manifest
    aside: Path | None


def restore_backup(
    backup: StoredBackup, folder: Path, *, force: bool = False, progress: Callable[[int], None] = no_progress
) -> Restored:
    """Fill the data folder from a backup. With `force` a folder that is not empty is moved aside first.

    Raises StartupError when the folder is not empty, or a server runs on it; BackupError when the backup is damaged or
    the disk is full. After an error the folder is as it was.
    """
    with private_umask():
        return _restore(backup, folder.resolve(), force, progress)


def _restore(backup: StoredBackup, folder: Path, force: bool, progress: Callable[[int], None]) -> Restored:
    aside, made = _move_aside(folder, force), not folder.exists()
    make_folder(folder)
    lock = FolderLock(folder, _LOCK)  # no server starts on half a folder
    try:
        closed = aside is not None and (aside / CLOSED_MARK).exists()
        manifest = _fill(backup, folder, closed, progress)
    except BaseException as error:
        _empty(folder)
        if made or aside is not None:
            folder.rmdir()
        if aside is not None:
            aside.rename(folder)
        if isinstance(error, OSError):
            raise _cannot_restore(error, folder) from error
        raise
    finally:
        lock.release()
    return Restored(manifest, aside)


def _fill(backup: StoredBackup, folder: Path, closed: bool, progress: Callable[[int], None]) -> Manifest:
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # of a restore that was killed
    staging.mkdir(mode=0o700)
    manifest, damages = unpack_backup(backup, staging, progress=progress)
    damages = damages or check_databases(staging, len(manifest.partitions))
    if damages:
        raise damaged_error(backup.path, damages)
    if closed:  # a backup from before the first key must not open a server that was closed since
        mark_closed(staging)
    _finish(staging, manifest)
    for path in sorted(staging.iterdir(), key=lambda path: path.name.startswith(_LAST)):
        path.rename(folder / path.name)
    staging.rmdir()
    sync_folder(folder)
    return manifest


def _empty(folder: Path) -> None:
    """Remove what a failed restore wrote into a folder that was empty."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _move_aside(folder: Path, force: bool) -> Path | None:
    """Move a folder that is not empty aside; returns its new path, or None if the folder was empty or missing. Raises
    StartupError."""
    if not folder.exists() or all(path.name in (STAGING, _LOCK) for path in folder.iterdir()):
        return None
    if not force:
        raise StartupError(
            f"'{folder}' is not empty, and a restore overwrites nothing. Name another folder with --data, or let "
            "--force move this one aside."
        )
    if is_served(folder):
        raise StartupError(f"A server runs on '{folder}': stop it first.")
    aside = folder.with_name(f"{folder.name}.before-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}")
    try:
        folder.rename(aside)
    except OSError as error:
        raise StartupError(f"'{folder}' cannot be moved aside ({error.strerror}): empty it yourself.") from None
    return aside


def damaged_error(backup: Path, damages: list[BackupDamage]) -> BackupError:
    """The error that lists the damages of a backup."""
    shown = "\n".join(f"  {damage}" for damage in damages[:20])
    more = f"\n  and {len(damages) - 20} more" if len(damages) > 20 else ""
    return BackupError(f"{backup} is damaged:\n{shown}{more}\nTake another backup.")


def _finish(staging: Path, manifest: Manifest) -> None:
    """Write the files that a backup does not hold, and force everything to disk."""
    last_seqs = [ends.last_seq for ends in manifest.partitions]
    log_files(staging, len(last_seqs)).finish_restored(last_seqs)
    _end_sessions(staging)
    for number, ends in enumerate(manifest.partitions):
        path = position_file(staging, number)
        if not path.exists():  # the mill had applied nothing yet
            FileMillState(path.parent).save_progress(PartitionProgress(ends.checkpoint))
    for root, _, names in os.walk(staging):
        for name in names:
            sync_file(Path(root) / name)
        sync_folder(Path(root))


def _end_sessions(staging: Path) -> None:
    """End the sessions of the moment of the backup: some were signed out since, and nobody knows which."""
    catalog = open_catalog(staging)
    try:
        if end_all(catalog):
            catalog.erase_removed()
    finally:
        catalog.close()


def _cannot_restore(error: OSError, folder: Path) -> BackupError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = f"The disk under '{folder}' is full" if full else f"'{folder}' cannot be restored: {error}"
    return BackupError(f"{why}. What was restored of it is removed.")
