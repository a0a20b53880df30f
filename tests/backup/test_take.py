"""What goes into a backup, what is shared between backups, and what is refused."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.backups import flip
from tidemill.backup import manifest
from tidemill.backup.moment import backup_lock, held_mill, is_served
from tidemill.backup.stored import check_backup, open_backup
from tidemill.backup.take import take_backup
from tidemill.cli.backup import freeze_stopped
from tidemill.errors import BackupError
from tidemill.lock import FolderLock
from tidemill.mill.backup_hold import Held

# Everything in a data folder that a backup leaves out, and why that is right.
LEFT_OUT = {
    "store.ready": "of the test's engine",
    "catalog.sqlite-wal": "its pages are in the copy",
    "catalog.sqlite-shm": "of a process",
    "log/log.sqlite-wal": "its pages are in the copy",
    "log/log.sqlite-shm": "of a process",
    "log/log.high-water": "made anew by a restore",
    "log/log.lock": "of a process",
    "serve.lock": "of a process",
    "mill/mill.lock": "of a process",
    "mill/backup/backup.lock": "of a process",
    "store/engine.lock": "of a process",
    "store/metadata.json": "copied anew at each start of the engine",
    "store/parts.json": "made anew at each start of the engine",
    "store/chdb/status": "of a process",
    "store/chdb/writes": "of a process",
    "store/chdb/shadow/increment.txt": "counts freezes",
}


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(made, copy, symlinks=True)
    return copy


def test_every_file_of_a_data_folder_is_in_the_backup_or_left_out_for_a_reason(made: Path, whole: Path) -> None:
    kept = {entry.path for entry in open_backup(whole).manifest().files}
    parts = {name.rpartition("/")[0] for name in kept}
    files = set()
    for path in made.rglob("*"):
        name = path.relative_to(made).as_posix()
        merged_away = re.match(r"store/chdb/store/\w+/[^/]+/\w+/", name) and name.rpartition("/")[0] not in parts
        if path.is_file() and not merged_away:
            files.add(name)
    # The version of the table's metadata is no part of a frozen part: the engine takes that of the table. What a
    # mutation does is in the parts before the mill goes on (of a deletion), or is done by merges as well (an index).
    of_tables = re.compile(r"store/chdb/store/.*/(metadata_version|mutation_\d+)\.txt")
    left_out = {name for name in files - kept if not of_tables.fullmatch(name)}
    assert left_out <= LEFT_OUT.keys()
    assert {name for name in kept - files if not name.startswith("store/")} == set()
    assert sum(part.startswith("store/chdb/store/") for part in parts) > 1


def test_what_did_not_change_is_shared_and_each_backup_stands_alone(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    first, second = (take_backup(folder, to, freeze_stopped(folder)) for _ in range(2))
    assert (first.base, first.shared) == ("", 0)
    assert second.base == first.path.name and second.shared > 0
    parts = list(second.path.glob("store/**/data.bin"))
    assert parts and all(path.stat().st_nlink == 2 for path in parts)
    live = {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    assert not any(path.stat().st_ino in live for path in second.path.rglob("*")), (
        "a backup shares a file with its folder"
    )
    shutil.rmtree(first.path)
    assert check_backup(open_backup(second.path))[1] == []


def test_a_file_that_rotted_in_an_earlier_backup_is_not_shared(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    first = take_backup(folder, to, freeze_stopped(folder))
    rotten = next(first.path.glob("store/**/data.bin"))
    flip(rotten)
    second = take_backup(folder, to, freeze_stopped(folder))
    assert check_backup(open_backup(second.path))[1] == []
    assert [damage.path for damage in check_backup(open_backup(first.path))[1]] == [
        rotten.relative_to(first.path).as_posix()
    ]


def test_a_backup_whose_manifest_rotted_is_no_reason_to_make_no_more(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    first = take_backup(folder, to, freeze_stopped(folder))
    flip(first.path / manifest.MANIFEST_FILE)
    second = take_backup(folder, to, freeze_stopped(folder))
    assert (second.base, second.shared) == ("", 0)
    assert check_backup(open_backup(second.path))[1] == []


def test_what_a_killed_backup_left_is_removed_by_the_next(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    (to / ".2020-01-01T00-00-00Z.partial" / "log").mkdir(parents=True)
    left = folder / "store" / "chdb" / "shadow" / "tidemill" / "store"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"deleted long ago")
    report = take_backup(folder, to, freeze_stopped(folder))
    assert [path.name for path in to.iterdir() if path.is_dir()] == [report.path.name]
    assert not left.exists()
    assert not (folder / "mill" / "backup" / "links").exists()


def test_a_backup_inside_its_own_folder_is_refused(folder: Path) -> None:
    with pytest.raises(BackupError, match="inside the data folder"):
        take_backup(folder, folder / "backups", freeze_stopped(folder))
    assert not (folder / "backups").exists()


def test_an_archive_overwrites_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar.zst").write_bytes(b"")
    with pytest.raises(BackupError, match="there already"):
        take_backup(folder, tmp_path / "a.tar.zst", freeze_stopped(folder))


def test_two_backups_at_once_are_refused(folder: Path, tmp_path: Path) -> None:
    with backup_lock(folder), pytest.raises(BackupError, match="Another backup"):
        take_backup(folder, tmp_path / "backups", freeze_stopped(folder))


def test_a_moment_that_ended_early_makes_no_backup(folder: Path, tmp_path: Path) -> None:
    @contextmanager
    def broken() -> Iterator[Held]:
        with freeze_stopped(folder)() as held:
            yield held
        raise BackupError("The mill did not keep still long enough.")

    with pytest.raises(BackupError, match="keep still"):
        take_backup(folder, tmp_path / "backups", broken)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".tidemill-backup.lock"]
    assert not (folder / "store" / "chdb" / "shadow" / "tidemill").exists()


def test_a_server_that_ends_meanwhile_is_said(folder: Path) -> None:
    lock = FolderLock(folder, "serve.lock")
    assert is_served(folder)
    lock.release()
    with backup_lock(folder), pytest.raises(BackupError, match="was stopped meanwhile"), held_mill(folder):
        pass
    assert not (folder / "mill" / "backup" / "hold").exists()
