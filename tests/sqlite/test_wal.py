"""A flipped bit in a WAL: found wherever it is, and taken back; nothing else is ever changed."""

import random
import shutil
from pathlib import Path

import pytest

from tests.log.payloads import payload
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog, SqliteLogReader
from tidemill.sqlite import wal

LIMITS = LogLimits(min_free_bytes=0, min_free_ratio=0.0)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a log as a power cut leaves them: the newest entries are in the WAL alone."""
    folder = tmp_path_factory.mktemp("wal")
    log = SqliteLog(folder / "live", limits=LIMITS)
    for number in range(20):
        log.append(payload(b"%d " % number * 500)).result(5)
    shutil.copytree(folder / "live", folder / "left", ignore=shutil.ignore_patterns("*-shm"))
    log.close()
    return folder / "left"


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_is_taken_back_or_harmless(left: Path, seed: int) -> None:
    chance = random.Random(seed)
    right = (left / "log.sqlite-wal").read_bytes()
    position = chance.randrange(32) if seed % 6 == 0 else chance.randrange(len(right))
    if seed % 6 == 1:
        position = 32 + chance.randrange(5) * (4096 + 24) + chance.randrange(24)
    content = bytearray(right)
    content[position] ^= 1 << chance.randrange(8)
    repaired = wal.repaired_wal(bytes(content))
    assert repaired is not None and len(repaired) == len(right)
    assert wal.repaired_wal(repaired) is None, "every frame counts again"
    for start in range(32, len(right), 24 + 4096):
        assert repaired[start : start + 16] == right[start : start + 16], "the page's number, and whether it commits"
    assert sum(left != same for left, same in zip(_pages(repaired), _pages(right), strict=True)) <= 1


def _pages(content: bytes) -> list[bytes]:
    return [content[start + 24 : start + 24 + 4096] for start in range(32, len(content), 24 + 4096)]


def test_a_whole_wal_is_left_alone(left: Path) -> None:
    right = (left / "log.sqlite-wal").read_bytes()
    assert wal.repaired_wal(right) is None
    assert wal.repaired_wal(right[: len(right) * 2 // 3]) is None, "torn at its end, as by a power cut"
    assert wal.repaired_wal(right[:10]) is None


def test_more_than_a_bit_is_not_guessed(left: Path) -> None:
    """It may be a frame that a power cut tore, of a commit that nobody was told of."""
    content = bytearray((left / "log.sqlite-wal").read_bytes())
    content[5_000:5_100] = bytes(100)
    assert wal.repaired_wal(bytes(content)) is None


def test_entries_behind_the_flip_come_back(left: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(left, folder)
    file = folder / "log.sqlite-wal"
    content = bytearray(file.read_bytes())
    content[60_000] ^= 16
    file.write_bytes(content)
    assert wal.repair_wal(file)
    assert not wal.repair_wal(file)
    reader = SqliteLogReader(folder)
    assert [entry.seq for entry in reader.read(0, 100, 1 << 30)] == list(range(1, 21))
    reader.close()
