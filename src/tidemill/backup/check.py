"""Holds a backup against its manifest, and its databases against themselves."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import apsw

from tidemill.backup.files import nothing
from tidemill.backup.manifest import Manifest
from tidemill.backup.snapshot import CATALOG, log_file
from tidemill.backup.stored import Damage, Stored, StoredFolder, unpack
from tidemill.log.database import FILE as LOG_FILE


def check(backup: Stored, progress: Callable[[int], None] = nothing) -> tuple[Manifest, list[Damage]]:
    """Read every byte of a backup; its manifest, and what is wrong ([]: nothing).

    The databases of an archive are unpacked into a temporary folder for it. Raises BackupError where nothing more can
    be read, and OSError.
    """
    with ExitStack() as undo:
        if isinstance(backup, StoredFolder):
            folder = backup.path
            manifest, damages = unpack(backup, None, progress=progress)
        else:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="tidemill-")))
            manifest, damages = unpack(backup, folder, wanted=_is_database, progress=progress)
        return manifest, damages or check_databases(folder, len(manifest.partitions))


def _is_database(name: str) -> bool:
    return name == CATALOG or name.endswith(f"/{LOG_FILE}")


def check_databases(folder: Path, partitions: int) -> list[Damage]:
    """What SQLite finds wrong with catalog and log in a folder where nobody writes."""
    names = (CATALOG, *map(log_file, range(partitions)))
    return [Damage(name, text) for name in names if (text := _fault(folder / name))]


def _fault(path: Path) -> str:
    try:
        connection = apsw.Connection(
            path.absolute().as_uri() + "?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").get
        finally:
            connection.close()
    except apsw.Error as error:
        return str(error)
    return "" if verdict == "ok" else verdict
