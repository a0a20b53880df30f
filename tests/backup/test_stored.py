"""A backup that is not what was written is never taken for whole, and what is wrong with it is named."""

import io
import tarfile
from pathlib import Path

import msgspec
import pytest
import zstandard

from tests.support.backups import flip
from tidemill.backup import manifest
from tidemill.backup.restore import restore_backup
from tidemill.backup.stored import StoredBackup, check_backup, newest_backup, open_backup, unpack_backup
from tidemill.errors import BackupError


def test_a_whole_backup_has_no_damage(whole: Path, archive: Path) -> None:
    for path in (whole, archive):
        made, damages = check_backup(open_backup(path))
        assert damages == []
        assert (made.checkpoint, made.first_seq, made.last_seq, made.waiting) == (3, 1, 5, 2)
        assert {entry.path for entry in made.files} >= {
            "catalog.sqlite",
            "log/log.sqlite",
            "mill/replays/default/a-replay/points-0",
        }


def test_one_wrong_byte_in_any_file_is_found_and_named(backup: Path) -> None:
    files = [path for path in sorted(backup.rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) > 20
    for path in files:
        name = path.relative_to(backup).as_posix()
        flip(path)
        if name == manifest.MANIFEST_FILE:
            with pytest.raises(BackupError, match=f"damaged: {manifest.MANIFEST_FILE}"):
                check_backup(open_backup(backup))
        else:
            assert [damage.path for damage in check_backup(open_backup(backup))[1]] == [name]
        flip(path)
    assert check_backup(open_backup(backup))[1] == []


def test_missing_strange_and_cut_files_are_named(backup: Path) -> None:
    part = next(backup.glob("store/**/data.bin"))
    name = part.relative_to(backup).as_posix()
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    (backup / "more").write_bytes(b"")
    damages = {damage.path: damage.what for damage in check_backup(open_backup(backup))[1]}
    assert damages == {
        name: f"it has {len(content) - 1:,} bytes instead of {len(content):,}",
        "more": "it is not in the manifest",
    }
    part.unlink()
    assert f"{name}: it is missing" in {str(damage) for damage in check_backup(open_backup(backup))[1]}


def test_an_archive_cut_or_changed_anywhere_is_refused_and_restores_nothing(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    broken = tmp_path / "broken.tar.zst"
    for number in range(40):
        at = (len(content) - 1) * number // 40
        changed = bytearray(content)
        changed[at] ^= 1 << (number % 8)
        for version in (content[:at], bytes(changed)):
            broken.write_bytes(version)
            try:
                damages = check_backup(open_backup(broken))[1]
            except BackupError as error:
                assert str(broken) in error.message
            else:
                assert damages, f"nothing was found wrong with it at {at}"
            with pytest.raises(BackupError):
                restore_backup(open_backup(broken), tmp_path / "data")
            assert not (tmp_path / "data").exists()


def test_a_backup_without_its_manifest_is_none(backup: Path) -> None:
    (backup / manifest.MANIFEST_FILE).unlink()
    assert newest_backup(backup.parent) is None
    for path in (backup, backup.parent, backup.parent / "nowhere"):
        with pytest.raises(BackupError, match="There is no whole backup"):
            open_backup(path)


def test_the_newest_of_a_folder_of_backups_is_taken(backup: Path) -> None:
    (backup.parent / ".2999-01-01T00-00-00Z.partial").mkdir()
    (backup.parent / ".2999-01-01T00-00-00Z.partial" / manifest.MANIFEST_FILE).write_bytes(b"")
    (backup.parent / "2999-01-01T00-00-00Z").mkdir()
    assert open_backup(backup.parent).path == backup


def packed(to: Path, member: tarfile.TarInfo) -> StoredBackup:
    """An archive of one member with four bytes."""
    member.size = 0 if member.linkname else 4
    with to.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        written = tarfile.open(fileobj=writer, mode="w|")  # noqa: SIM115 - closed before the writer
        written.addfile(member, io.BytesIO(b"evil"))
        written.close()
    return open_backup(to)


@pytest.mark.parametrize("name", ["../outside", "/outside", "log/../../outside", "."])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupError, match="no path inside"):
        unpack_backup(packed(tmp_path / "evil.tar.zst", tarfile.TarInfo(name)), tmp_path / "into")
    assert not (tmp_path / "outside").exists()


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("log")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(BackupError, match="log is no file"):
        unpack_backup(packed(tmp_path / "evil.tar.zst", member), tmp_path / "into")


def test_a_manifest_of_a_newer_format_asks_for_an_upgrade(backup: Path) -> None:
    made = manifest.decode_manifest((backup / manifest.MANIFEST_FILE).read_bytes(), "here")
    newer = msgspec.structs.replace(made, format=manifest.MANIFEST_FORMAT + 1)
    (backup / manifest.MANIFEST_FILE).write_bytes(manifest.encode_manifest(newer))
    with pytest.raises(BackupError, match="newer Tidemill"):
        check_backup(open_backup(backup))
