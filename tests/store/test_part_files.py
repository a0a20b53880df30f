"""Small files of parts: one flipped bit in them is put back before the engine reads them."""

import random
import shutil
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tidemill.store.client import Store
from tidemill.store.engine import part_files
from tidemill.store.queries import query

QUERIES = {
    q.name: q
    for q in (
        query(
            "create",
            "CREATE TABLE kept (k UInt64, v LowCardinality(String), INDEX range k TYPE minmax) ENGINE = MergeTree"
            " ORDER BY k",
        ),
        query("fill", "INSERT INTO kept SELECT number, toString(number % 7) FROM numbers(321)"),
        query("rows", "SELECT k, v FROM kept WHERE k < 200 ORDER BY k"),
        query("highest", "SELECT max(k) AS k, count() AS n FROM kept"),
        query("drop", "DROP TABLE kept SYNC"),
    )
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an engine that has stopped, with a table of one part."""
    folder = tmp_path_factory.mktemp("parts") / "store"
    engine = Engine(folder).start()
    store = Store(engine.address, queries=QUERIES)
    store.command("create")
    store.command("fill")
    engine.stop()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store", symlinks=True))


def small_files(folder: Path) -> list[Path]:
    files = [path for path in (folder / "chdb" / "store").glob("*/*/all_1_1_0/*") if path.stat().st_size]
    assert {"count.txt", "columns.txt", "serialization.json", "skp_idx.packed"} <= {path.name for path in files}
    return sorted(files)


def flip(path: Path, chance: random.Random, bits: int = 1) -> None:
    content = bytearray(path.read_bytes())
    for byte in chance.sample(range(len(content)), bits):
        content[byte] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_of_any_small_file_is_put_back(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = chance.choice(small_files(folder))
    before = path.read_bytes()
    flip(path, chance)
    assert part_files.restore_part_files(folder) == [str(path.relative_to(folder / "chdb" / "store"))]
    assert path.read_bytes() == before
    assert part_files.restore_part_files(folder) == []
    assert not list(folder.rglob("*.new"))


def test_what_differs_in_more_than_a_bit_is_left_to_the_engine(folder: Path) -> None:
    path = next(path for path in small_files(folder) if path.name == "columns.txt")
    flip(path, random.Random(1), bits=2)
    now = path.read_bytes()
    assert part_files.restore_part_files(folder) == []
    assert path.read_bytes() == now


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_in_the_digests_changes_no_part(folder: Path, seed: int) -> None:
    before = {path: path.read_bytes() for path in small_files(folder)}
    flip(folder / part_files.FILE, random.Random(seed))
    part_files.restore_part_files(folder)
    part_files.record_digests(folder)
    assert {path: path.read_bytes() for path in small_files(folder)} == before
    path = small_files(folder)[0]
    flip(path, random.Random(seed))
    assert part_files.restore_part_files(folder), "the digests were not made anew"


@pytest.mark.parametrize("wrong", [b"320", b"323", b"121", b"361"])
def test_a_count_that_is_a_bit_off_is_no_answer(folder: Path, wrong: bytes) -> None:
    """Left as it is, the engine counts what the file says, and takes what follows the last row for rows."""
    path = next(path for path in small_files(folder) if path.name == "count.txt")
    path.write_bytes(wrong)
    engine = Engine(folder).start()
    store = Store(engine.address, queries=QUERIES)
    try:
        assert store.rows("highest") == [{"k": 320, "n": 321}]
        assert [row["k"] for row in store.rows("rows")] == list(range(200))
        store.command("drop")
        part_files.record_digests(folder)
        assert (folder / part_files.FILE).read_bytes() == b"{}"
    finally:
        engine.stop()
