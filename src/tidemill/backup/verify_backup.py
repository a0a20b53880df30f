"""Verifies a backup: its files against the manifest, and the structure of its databases."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tidemill.backup.files import no_progress
from tidemill.backup.manifest import Manifest
from tidemill.backup.stored import BackupDamage, StoredBackup, StoredFolder, unpack_backup
from tidemill.catalog import opening as catalog
from tidemill.log.opening import log_files
from tidemill.model.offset import MAX_PARTITIONS


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
            names = {catalog.CATALOG_FILE, *log_files(folder, MAX_PARTITIONS).snapshot_names}
            manifest, damages = unpack_backup(backup, folder, wanted=names.__contains__, progress=progress)
        return manifest, damages or check_databases(folder, len(manifest.partitions))


def check_databases(folder: Path, partitions: int) -> list[BackupDamage]:
    """The damages of catalog and log in a folder that no process has open."""
    faults = [(catalog.CATALOG_FILE, catalog.snapshot_fault(folder)), *log_files(folder, partitions).snapshot_faults()]
    return [BackupDamage(name, fault) for name, fault in faults if fault]
