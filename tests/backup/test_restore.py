"""A restored folder is the one that was backed up, opens as it did, and hands no place out twice."""

import shutil
import stat
from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.backup.restore import STAGING, restore_backup
from tidemill.backup.stored import open_backup
from tidemill.backup.take import take_backup
from tidemill.catalog.keys import SESSIONS_PREFIX, KeyRing, create_key, ever_keys
from tidemill.catalog.opening import CATALOG_FILE
from tidemill.catalog.sessions import SessionRing
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.cli.backup import freeze_stopped
from tidemill.cli.offline import open_store
from tidemill.data_folder import CLOSED_MARK, check_folder, mark_closed
from tidemill.errors import StartupError
from tidemill.lock import FolderLock
from tidemill.log.sqlite import SqliteLog
from tidemill.log.sqlite.continuation import GAP
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.model.offset import EVERYWHERE


@pytest.fixture(params=["folder", "archive"])
def source(request: pytest.FixtureRequest, whole: Path, archive: Path) -> Path:
    return whole if request.param == "folder" else archive


def test_a_restored_folder_has_the_same_entries_rows_and_position(source: Path, made: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    restored = restore_backup(open_backup(source), data)
    assert (restored.aside, restored.manifest.last_seq) == (None, 5)
    assert FileMillState(data / "mill").progress() == PartitionProgress(3)
    log, original = SqliteLog(data / "log", known_offset=3), SqliteLog(made / "log")
    assert log.read(0, 100, 1 << 20) == original.read(0, 100, 1 << 20)
    assert log.health().details["high_water"] == "5"
    original.close()
    log.close()
    with open_store(data) as store:
        assert [row["seq"] for row in store.rows("deletion_cleared_offsets", **EVERYWHERE)] == []
        assert {row["name"] for row in store.rows("backup_tables")} > {"points", "payloads", "schema_migrations"}
        frame = store.frame("backup_tables")
    assert frame.height > 10
    assert (data / "mill" / "replays" / "default" / "a-replay" / "points-0").read_bytes() == b"a frame"


def test_what_is_restored_is_for_this_user_alone(source: Path, tmp_path: Path) -> None:
    restore_backup(open_backup(source), tmp_path / "data")
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name.endswith(".lock"), path


def test_every_backed_up_file_is_for_this_user_alone(whole: Path, archive: Path) -> None:
    for path in (archive, whole, *whole.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_restored_log_goes_on_far_above(whole: Path, tmp_path: Path) -> None:
    restore_backup(open_backup(whole), tmp_path / "data")
    log = SqliteLog(tmp_path / "data" / "log")
    assert log.last_seq() == 5  # nothing is waiting to be applied
    first = log.append(payload(b"new")).result(10).seq
    log.close()
    again = SqliteLog(tmp_path / "data" / "log")
    second = again.append(payload(b"newer")).result(10).seq
    again.close()
    assert (first, second) == (5 + GAP + 1, 5 + GAP + 2)


def test_a_restore_of_a_restore_goes_on_above_both(whole: Path, tmp_path: Path) -> None:
    restore_backup(open_backup(whole), tmp_path / "data")
    nothing_sent = take_backup(tmp_path / "data", tmp_path / "backups", freeze_stopped(tmp_path / "data"))
    restore_backup(open_backup(nothing_sent.path), tmp_path / "again")
    log = SqliteLog(tmp_path / "again" / "log")
    assert log.append(payload(b"new")).result(10).seq == 5 + 2 * GAP + 1
    log.close()


def test_a_folder_that_holds_something_is_left_alone_or_moved_aside(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("precious")
    with pytest.raises(StartupError, match="is not empty"):
        restore_backup(open_backup(whole), data)
    assert [path.name for path in data.iterdir()] == ["mine"]
    lock = FolderLock(data, "serve.lock")
    with pytest.raises(StartupError, match="A server runs"):
        restore_backup(open_backup(whole), data, force=True)
    lock.release()
    restored = restore_backup(open_backup(whole), data, force=True)
    assert restored.aside is not None
    assert (restored.aside / "mine").read_text() == "precious"
    assert (data / "log" / "log.sqlite").exists()


def test_what_was_moved_aside_is_back_when_the_restore_fails(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("precious")
    next(backup.glob("store/**/data.bin")).unlink()
    with pytest.raises(Exception, match="damaged"):
        restore_backup(open_backup(backup), data, force=True)
    assert [path.name for path in data.iterdir()] == ["mine"]
    assert list(tmp_path.glob("data.before*")) == []


def test_a_restore_that_was_killed_can_be_done_again(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole / "store", data / STAGING / "store")
    (data / "serve.lock").touch()
    restore_backup(open_backup(whole), data)
    assert not (data / STAGING).exists()
    assert (data / "catalog.sqlite").exists()


def close_folder(folder: Path) -> None:
    """Make the first key of a folder, as `tidemill key create` does."""
    catalog = SqliteCatalog(folder / CATALOG_FILE)
    create_key(catalog, "default", ["admin"])
    catalog.close()
    mark_closed(folder)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy, symlinks=True)
    return copy


@pytest.mark.parametrize("to", ["backups", "whole.tar.zst"])
def test_a_closed_server_is_closed_when_it_is_restored(folder: Path, tmp_path: Path, to: str) -> None:
    close_folder(folder)
    data = tmp_path / "data"
    restore_backup(open_backup(take_backup(folder, tmp_path / to, freeze_stopped(folder)).path), data)
    assert (data / CLOSED_MARK).read_bytes() == (folder / CLOSED_MARK).read_bytes()
    check_folder(data, {})
    catalog = SqliteCatalog(data / CATALOG_FILE)
    assert ever_keys(catalog)
    catalog.close()
    (data / CATALOG_FILE).unlink()  # the mark is what remembers then that there was a key
    with pytest.raises(StartupError, match="is missing"):
        check_folder(data, {})


def test_a_backup_from_before_the_first_key_does_not_open_a_server_that_was_closed_since(
    whole: Path, folder: Path
) -> None:
    check_folder(folder, {})
    close_folder(folder)
    restore_backup(open_backup(whole), folder, force=True)
    with pytest.raises(StartupError, match="older than the first key"):
        check_folder(folder, {})


def test_tenants_ahead_of_the_checkpoint_are_ahead_when_restored(folder: Path, tmp_path: Path) -> None:
    log = SqliteLog(folder / "log")
    for number in range(3):
        log.append(payload(b"%d" % number, tenant="acme")).result(10)
    log.close()
    FileMillState(folder / "mill").save_progress(PartitionProgress(3, {"acme": 7}))
    report = take_backup(folder, tmp_path / "backups", freeze_stopped(folder))
    assert (report.manifest.checkpoint, report.manifest.waiting) == (3, 3)  # 4 and 5 of one tenant, 8 of the other
    restore_backup(open_backup(report.path), tmp_path / "data")
    assert FileMillState(tmp_path / "data" / "mill").progress() == PartitionProgress(3, {"acme": 7})


def test_a_session_of_the_moment_of_the_backup_is_over(folder: Path, tmp_path: Path) -> None:
    """Who signed out since would be signed in again. The keys are as they were."""
    catalog = SqliteCatalog(folder / CATALOG_FILE)
    keys, (info, secret) = KeyRing(catalog), create_key(catalog, "default", ["read"])
    token = SessionRing(catalog, keys).begin(info.key_id, secure=False)
    keys.close()
    catalog.close()
    data = tmp_path / "data"
    restore_backup(open_backup(take_backup(folder, tmp_path / "backups", freeze_stopped(folder)).path), data)
    catalog = SqliteCatalog(data / CATALOG_FILE)
    keys = KeyRing(catalog)
    assert keys.authenticate(secret) is not None
    assert SessionRing(catalog, keys).principal(token, secure=False) is None
    assert catalog.list(SESSIONS_PREFIX) == []
    keys.close()
    catalog.close()
