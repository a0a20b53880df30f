"""A log whose structure is damaged is built anew from the rows that can be read; the damaged file is kept."""

import random
from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.errors import LogCorruptError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.log.sqlite.rebuild import repair_files
from tidemill.model.payload import LogEntry

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)
PAGE = 4096


def written(folder: Path) -> list[LogEntry]:
    chance = random.Random(1)
    log = SqliteLog(folder, limits=LIMITS)
    sizes = [0, 20, 300, 4_000, 20_000]
    for number in range(120):
        log.append(payload(chance.randbytes(chance.choice(sizes))), idempotency_key=f"key {number}").result(5)
    found = log.read(0, 1000, 1 << 30)
    log.close()
    return found


def damage(folder: Path, start: int, data: bytes) -> None:
    with (folder / "log.sqlite").open("r+b") as file:
        file.seek(start)
        file.write(data)


def read_again(folder: Path) -> list[LogEntry]:
    """All entries; the log takes payloads, at places that were never used."""
    log = SqliteLog(folder, limits=LIMITS)
    found = log.read(0, 1000, 1 << 30)
    assert log.append(payload(b"more")).result(5).seq == 121
    assert log.health().accepting
    log.close()
    return found


def test_a_whole_log_is_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    before = (tmp_path / "log.sqlite").read_bytes()
    assert repair_files(tmp_path, 120) == []
    assert (tmp_path / "log.sqlite").read_bytes() == before


@pytest.mark.parametrize("start", [0, 17, 100, 120], ids=["magic", "page size", "type of page 1", "schema"])
def test_with_a_damaged_first_page_nothing_is_lost(start: int, tmp_path: Path) -> None:
    whole = written(tmp_path)
    damage(tmp_path, start, b"\xff" * 8)
    done = repair_files(tmp_path, 120)
    assert "built anew with 120 entries" in done[0], done
    assert read_again(tmp_path) == whole
    assert (tmp_path / "log.sqlite.damaged-1").exists()


def test_pages_that_are_gone_take_only_their_own_entries(tmp_path: Path) -> None:
    whole = {entry.seq: entry for entry in written(tmp_path)}
    for page in (7, 30):
        damage(tmp_path, page * PAGE, bytes(PAGE))
    assert repair_files(tmp_path, 120)
    found = read_again(tmp_path)
    assert all(entry == whole[entry.seq] for entry in found if not entry.damage)
    assert len(found) > 60


def test_keys_are_kept_where_they_can_be_read(tmp_path: Path) -> None:
    whole = written(tmp_path)
    root = (tmp_path / "log.sqlite").stat().st_size // PAGE - 1
    damage(tmp_path, root * PAGE, b"\x55" * 200)  # some page at the end, of whatever
    repair_files(tmp_path, 120)
    log = SqliteLog(tmp_path, limits=LIMITS)
    again = log.append(whole[0].payload, idempotency_key="key 0").result(5)
    assert again.replayed and again.seq == 1
    log.close()


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_anywhere_is_repaired(seed: int, tmp_path: Path) -> None:
    """All entries are whole again but one at most, whose body only another copy can give back."""
    whole = {entry.seq: entry for entry in written(tmp_path)}
    chance = random.Random(seed)
    content = bytearray((tmp_path / "log.sqlite").read_bytes())
    start = chance.randrange(len(content))
    damage(tmp_path, start, bytes([content[start] ^ 1 << chance.randrange(8)]))
    repair_files(tmp_path, 120)
    found = read_again(tmp_path)
    right = [entry for entry in found if entry == whole[entry.seq]]
    assert len(right) >= 119, [entry.seq for entry in found if entry.damage]


def test_a_file_without_entries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"hello, I am a text" * 1000)
    with pytest.raises(LogCorruptError, match="backup"):
        repair_files(tmp_path, 120)


def test_a_mark_that_is_none_is_written_anew(tmp_path: Path) -> None:
    whole = written(tmp_path)
    (tmp_path / "log.high-water").write_bytes(b"nonsense")
    with pytest.raises(LogCorruptError, match="high-water"):
        SqliteLog(tmp_path, limits=LIMITS)
    assert repair_files(tmp_path, 120) == ["the high-water mark is written anew: 120"]
    assert read_again(tmp_path) == whole
