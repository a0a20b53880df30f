"""The engine's files without a checksum: one flipped bit in them is put back before the engine reads them."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tidemill.store.client import Store
from tidemill.store.engine import metadata
from tidemill.store.queries import query

QUERIES = {
    q.name: q
    for q in (
        query("create", "CREATE TABLE kept (k UInt64, v String) ENGINE = MergeTree ORDER BY k"),
        query("fill", "INSERT INTO kept SELECT number, toString(number) FROM numbers(100)"),
        query("more", "ALTER TABLE kept ADD COLUMN w UInt8 DEFAULT 7"),
        query("rows", "SELECT k, v FROM kept ORDER BY k"),
        query("columns", "SELECT name FROM system.columns WHERE table = 'kept' ORDER BY name"),
    )
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an engine that has stopped, with one table, and a copy of its files."""
    folder = tmp_path_factory.mktemp("metadata") / "store"
    engine = Engine(folder).start()
    store = Store(engine.address, queries=QUERIES)
    store.command("create")
    store.command("fill")
    metadata.copy_metadata(folder)
    engine.stop()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store", symlinks=True))


def kept_files(folder: Path) -> list[Path]:
    [table] = (folder / "chdb").glob("store/*/*/kept.sql")
    return [table, *sorted((folder / "chdb").glob("metadata/*.sql")), *(folder / "chdb").glob("store/*/*/format*.txt")]


def flip(path: Path, chance: random.Random) -> bytes:
    """Flip a bit as a disk does: the time of the last write stays. Returns what was there."""
    before, times = path.read_bytes(), path.stat()
    content = bytearray(before)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return before


@pytest.mark.parametrize("seed", range(20))
def test_one_flipped_bit_anywhere_is_put_back(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = chance.choice(kept_files(folder))
    before = flip(path, chance)
    assert metadata.restore_metadata(folder) == [str(path.relative_to(folder / "chdb"))]
    assert path.read_bytes() == before
    assert metadata.restore_metadata(folder) == []


def test_a_bit_that_is_flipped_while_the_engine_runs_is_not_copied(folder: Path) -> None:
    [path, *_] = kept_files(folder)
    before = flip(path, random.Random(1))
    metadata.copy_metadata(folder)
    assert metadata.restore_metadata(folder) == [str(path.relative_to(folder / "chdb"))]
    assert path.read_bytes() == before


def test_a_copy_that_is_damaged_itself_is_not_put_back(folder: Path) -> None:
    copies = folder / metadata.FILE
    for seed in range(40):
        before = flip(copies, random.Random(seed))
        [path, *_] = kept_files(folder)
        flipped = flip(path, random.Random(seed))
        now = path.read_bytes()
        restored = metadata.restore_metadata(folder)
        assert path.read_bytes() == (flipped if restored else now), f"seed {seed}: neither right nor left alone"
        path.write_bytes(flipped)
        copies.write_bytes(before)


def test_the_engine_starts_and_answers_as_before_and_its_own_changes_stay(folder: Path) -> None:
    [path, *_] = kept_files(folder)
    text = path.read_bytes()
    path.write_bytes(text.replace(b"UInt64", b"UInt65", 1))  # a bit apart, and no type at all
    engine = Engine(folder).start()
    store = Store(engine.address, queries=QUERIES)
    assert [(row["k"], row["v"]) for row in store.rows("rows")] == [(n, str(n)) for n in range(100)]
    store.command("more")
    metadata.copy_metadata(folder)
    engine.stop()
    engine.start()
    assert [row["name"] for row in Store(engine.address, queries=QUERIES).rows("columns")] == ["k", "v", "w"]
    engine.stop()
