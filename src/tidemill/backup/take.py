"""Makes a backup: takes the moment of a data folder, then copies the files of that moment.

The moment takes a tenth of a second, in which the mill pauses and intake goes on: it is the mill's checkpoint, frozen
tables, links to the mill's other files, and snapshots of catalog and log. The log's snapshot is the last, so it has
everything that the other parts refer to. The tables hold exactly what is applied up to the checkpoint; the later
entries wait in the log, as after a crash, and are applied after a restore.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from tidemill import __version__
from tidemill.backup.files import no_progress, private_umask
from tidemill.backup.manifest import MANIFEST_FORMAT, Manifest, PartitionEnds
from tidemill.backup.moment import HoldMill, backup_lock
from tidemill.backup.snapshot import Snapshot
from tidemill.backup.target import BackupTarget, open_target
from tidemill.catalog.opening import CATALOG_FILE
from tidemill.crash_points import reach
from tidemill.data_folder import CLOSED_MARK
from tidemill.errors import BackupError
from tidemill.log.opening import log_files
from tidemill.log.partitions import PARTITIONS_FILE
from tidemill.log.shared_log import read_mark
from tidemill.mill import backup_hold
from tidemill.mill.backup_hold import Held
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.mill.state_files import position_file, read_progress
from tidemill.model.offset import start_of
from tidemill.store.freeze import ENGINE, FROZEN

# Files of the running processes, files that come from the snapshot, and files that a restore writes.
_NOT_KEPT: Final = (
    "*.lock",
    "*.new",
    "*.draft",
    f"{CATALOG_FILE}*",
    "mill.attempt",
    "mill.json",
)
_FILES_KEPT: Final = (CLOSED_MARK, PARTITIONS_FILE)  # beside the catalog; a closed server stays closed when restored
_FOLDERS_KEPT: Final = ("log", "log-[0-9]*", "mill", "mill-[0-9]*", "mill/replays/*/*", "mill-[0-9]*/replays/*/*")

Progress = Callable[[str, int, int], None]


class BackupReport(msgspec.Struct, frozen=True):
    """The outcome of a backup: its path, its manifest, how many of its bytes it shares with the backup `base`, and for
    how many seconds the mill was asked to pause."""

    path: Path
    manifest: Manifest
    base: str
    shared: int
    held_s: float


class Moment(msgspec.Struct, frozen=True):
    """The moment of a backup: the mill's answer, the snapshot of catalog and log, and links to the other files, by
    their paths in the data folder."""

    held: Held
    snapshot: Snapshot
    links: dict[str, Path]
    at: datetime

    @property
    def progress(self) -> LogProgress:
        """What of the log is applied in the frozen tables; without a progress file the mill has applied nothing."""
        return LogProgress(tuple(map(self._progress, range(len(self.snapshot.last_seqs)))))

    def _progress(self, partition: int) -> PartitionProgress:
        link = self.links.get(position_file(Path(), partition).as_posix())
        start = start_of(partition)
        return read_progress(link, start) if link else PartitionProgress(start)

    @property
    def bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(self.snapshot.sizes.values()) + sum(path.stat().st_size for path in self.links.values())


class _CopyProgress:
    """Adds up the bytes that are copied, and reports them out of `total`."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def labelled(self, label: str) -> Callable[[int], None]:
        """A callback for the bytes of each step, which reports them under `label`."""

        def add(count: int) -> None:
            self._done += count
            self._progress(label, min(self._done, self._total), self._total)

        return add


def take_backup(folder: Path, to: Path, hold_mill: HoldMill, progress: Progress = lambda *_: None) -> BackupReport:
    """Back up the data folder to `to` (see `open_target`). `hold_mill` pauses the mill for the moment; see `held_mill`.

    Calls `progress` with the name of what is copied, the bytes done and the bytes in all. Raises BackupError; then the
    data folder is as it was, and nothing is left of the backup.
    """
    folder, to = folder.resolve(), to.resolve()
    if to.is_relative_to(folder):
        raise BackupError(f"'{to}' is inside the data folder '{folder}': name another place with --to.")
    if read_mark(folder) is not None:
        raise BackupError(f"The log of '{folder}' is over NATS and would not be in the backup: back up its nodes.")
    if folder.stat().st_uid != os.geteuid():
        raise BackupError(f"'{folder}' belongs to another user: run the backup as that one, as the server does.")
    with private_umask(), backup_lock(folder), ExitStack() as undo:
        _clear(folder)
        undo.callback(_clear, folder)
        target = open_target(to, datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
        undo.callback(target.discard)
        try:
            with hold_mill() as held:
                begun = time.monotonic()
                links = _link(folder)
                snapshot = undo.enter_context(Snapshot(folder))
                at = datetime.now(UTC)
            held_s = held.frozen_s + time.monotonic() - begun
            moment = Moment(held, snapshot, links | _frozen(folder), at)
            return _copy(target, moment, held_s, progress)
        except OSError as error:
            raise _cannot_write(error, to) from error


def _copy(target: BackupTarget, moment: Moment, held_s: float, progress: Progress) -> BackupReport:
    copied = _CopyProgress(moment.bytes, progress)
    snapshot, files = moment.snapshot, []
    for name in snapshot.sizes:
        draft = target.scratch / name
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot.copy(name, draft, copied.labelled("the catalog" if name == CATALOG_FILE else "the log"))
        files.append(target.add(name, draft, no_progress))
    reach("backup.log_copied")
    applied = moment.progress
    waiting, checkpoints = snapshot.waiting(applied), (partition.checkpoint for partition in applied.partitions)
    first, *beside = map(PartitionEnds, checkpoints, snapshot.first_seqs, snapshot.last_seqs)
    snapshot.close()  # before the parts are copied, because the log's WAL grows while the snapshot is open
    files += [target.add(name, path, copied.labelled("the store")) for name, path in sorted(moment.links.items())]
    made = Manifest(
        format=MANIFEST_FORMAT if beside else 1,
        tidemill=__version__,
        engine=moment.held.engine,
        sqlite=snapshot.log_software,
        made_at=moment.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        checkpoint=first.checkpoint,
        first_seq=first.first_seq,
        last_seq=first.last_seq,
        waiting=waiting,
        beside=tuple(beside),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )
    return BackupReport(target.finish(made), made, target.base, target.shared, held_s)


def _link(folder: Path) -> dict[str, Path]:
    """Make hard links to the small files of this moment; returns the links by their paths in the data folder. A link
    keeps its content, because these files are never changed in place, only replaced."""
    links = folder / "mill" / backup_hold.FOLDER / backup_hold.LINKS
    linked: dict[str, Path] = {}
    for path in _small_files(folder):
        name = path.relative_to(folder).as_posix()
        linked[name] = links / name
        linked[name].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(path, linked[name], follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(path, linked[name])  # this part of the folder is on another disk
    return linked


def _frozen(folder: Path) -> dict[str, Path]:
    """The links to the frozen parts, by their paths in the data folder."""
    frozen = folder / "store" / FROZEN
    return {f"store/{ENGINE}/{path.relative_to(frozen)}": path for path in frozen.rglob("*") if path.is_file()}


def _small_files(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _FILES_KEPT if (folder / name).is_file())
    not_kept = (*_NOT_KEPT, *log_files(folder).not_copied)
    for kept in _FOLDERS_KEPT:
        for inside in folder.glob(kept):
            for path in inside.iterdir():
                if path.is_file() and not any(path.match(pattern) for pattern in not_kept):
                    yield path
    engine = folder / "store" / ENGINE
    for pattern in ("metadata/*.sql", "store/*/*/*.sql", "store/*/*/format_version.txt"):
        yield from engine.glob(pattern)


def _clear(folder: Path) -> None:
    """Remove the links of this backup, or of a backup that was killed."""
    shutil.rmtree(folder / "store" / FROZEN, ignore_errors=True)
    shutil.rmtree(folder / "mill" / backup_hold.FOLDER / backup_hold.LINKS, ignore_errors=True)


def _cannot_write(error: OSError, to: Path) -> BackupError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = f"The disk under '{to}' is full" if full else f"The backup to '{to}' failed: {error}"
    return BackupError(f"{why}. What was written of it is removed; the data folder is as it was.")
