"""Makes a backup: one moment of a data folder, then its files at leisure.

In the moment (a tenth of a second; the mill keeps still, acknowledging goes on): the position, frozen tables, links to
the mill's other files, and read transactions on catalog and log. The log's moment is last, so whatever the other parts
refer to is in it; everything up to the position is in the tables, and nothing else: the rest waits in the log, as it
would after a crash, and is applied after a restore.
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
from tidemill.data_folder import CLOSED_MARK
from tidemill.errors import BackupError
from tidemill.log.opening import log_files
from tidemill.log.partitions import PARTITIONS_FILE
from tidemill.mill import backup_hold
from tidemill.mill.backup_hold import Held
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.mill.state_files import position_file, read_progress
from tidemill.model.offset import start_of
from tidemill.store.freeze import ENGINE, FROZEN

# What is of the processes that run, or comes from the snapshot, or is made anew by a restore.
_NOT_KEPT: Final = (
    "*.lock",
    "*.new",
    "*.draft",
    f"{CATALOG_FILE}*",
    "mill.attempt",
    "mill.json",
)
_FILES_KEPT: Final = (CLOSED_MARK, PARTITIONS_FILE)  # beside the catalog; restored, a closed server stays closed
_FOLDERS_KEPT: Final = ("log", "log-[0-9]*", "mill", "mill-[0-9]*", "mill/replays/*/*", "mill-[0-9]*/replays/*/*")

Progress = Callable[[str, int, int], None]


class BackupReport(msgspec.Struct, frozen=True):
    """A backup that was made: where, what it says of itself, how many of its bytes it shares with the backup `base`,
    and for how many seconds the mill was asked to keep still."""

    path: Path
    manifest: Manifest
    base: str
    shared: int
    held_s: float


class Moment(msgspec.Struct, frozen=True):
    """What a backup is of: `links` by their paths in the data folder."""

    held: Held
    snapshot: Snapshot
    links: dict[str, Path]
    at: datetime

    @property
    def progress(self) -> LogProgress:
        """What of the log is in the frozen tables; a mill that has applied nothing yet has no file of it."""
        return LogProgress(tuple(map(self._progress, range(len(self.snapshot.last_seqs)))))

    def _progress(self, partition: int) -> PartitionProgress:
        link = self.links.get(position_file(Path(), partition).as_posix())
        start = start_of(partition)
        return read_progress(link, start) if link else PartitionProgress(start)

    @property
    def bytes(self) -> int:
        """The size of everything."""
        return sum(self.snapshot.sizes.values()) + sum(path.stat().st_size for path in self.links.values())


class _Copied:
    """Counts the bytes that are copied, of `total`."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def of(self, label: str) -> Callable[[int], None]:
        """What hears the bytes of each step of copying what `label` names."""

        def add(count: int) -> None:
            self._done += count
            self._progress(label, min(self._done, self._total), self._total)

        return add


def take_backup(folder: Path, to: Path, still: HoldMill, progress: Progress = lambda *_: None) -> BackupReport:
    """Back up the data folder to `to` (see `open_target`). `still` gives the moment; see `held_mill`.

    `progress` hears what is being copied, and the bytes done and in all. Raises BackupError: the folder is as it was,
    and nothing is left of the backup.
    """
    folder, to = folder.resolve(), to.resolve()
    if to.is_relative_to(folder):
        raise BackupError(f"'{to}' is inside the data folder '{folder}': name another place with --to.")
    if folder.stat().st_uid != os.geteuid():
        raise BackupError(f"'{folder}' belongs to another user: run the backup as that one, as the server does.")
    with private_umask(), backup_lock(folder), ExitStack() as undo:
        _clear(folder)
        undo.callback(_clear, folder)
        target = open_target(to, datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
        undo.callback(target.discard)
        try:
            with still() as held:
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
    copied = _Copied(moment.bytes, progress)
    snapshot, entries = moment.snapshot, []
    for name in snapshot.sizes:
        draft = target.scratch / name
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot.copy(name, draft, copied.of("the catalog" if name == CATALOG_FILE else "the log"))
        entries.append(target.add(name, draft, no_progress))
    applied = moment.progress
    waiting, checkpoints = snapshot.waiting(applied), (one.checkpoint for one in applied.partitions)
    first, *beside = map(PartitionEnds, checkpoints, snapshot.first_seqs, snapshot.last_seqs)
    snapshot.close()  # before the parts are copied: meanwhile the log's WAL grows
    entries += [target.add(name, path, copied.of("the store")) for name, path in sorted(moment.links.items())]
    made = Manifest(
        format=MANIFEST_FORMAT if beside else 1,
        tidemill=__version__,
        engine=moment.held.engine,
        sqlite=snapshot.log_software,
        made_at=moment.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        position=first.position,
        first_seq=first.first_seq,
        last_seq=first.last_seq,
        waiting=waiting,
        beside=tuple(beside),
        files=tuple(sorted(entries, key=lambda entry: entry.path)),
    )
    return BackupReport(target.finish(made), made, target.base, target.shared, held_s)


def _link(folder: Path) -> dict[str, Path]:
    """Hard links to the small files that must be of this moment: all of these are replaced, never changed, when they
    are written anew. Path in the data folder -> link."""
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
            shutil.copyfile(path, linked[name])  # a part of the folder is on a disk of its own
    return linked


def _frozen(folder: Path) -> dict[str, Path]:
    """The frozen parts: path in the data folder -> link."""
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
    """Remove the links of this backup, or of one that was killed."""
    shutil.rmtree(folder / "store" / FROZEN, ignore_errors=True)
    shutil.rmtree(folder / "mill" / backup_hold.FOLDER / backup_hold.LINKS, ignore_errors=True)


def _cannot_write(error: OSError, to: Path) -> BackupError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = f"The disk under '{to}' is full" if full else f"The backup to '{to}' failed: {error}"
    return BackupError(f"{why}. What was written of it is removed; the data folder is as it was.")
