"""An INSERT that the engine answers well is on the disk, and a merge takes no row along, whatever the disk refuses.

chDB 26.9 ignores a failed write(2): it would commit a part that is cut off. The engine ends instead, and finds the part
at its next start.
"""

import os
import resource
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import psutil
import pytest
from clickhouse_connect.driver.client import Client

from tests.support.disks import KINDS, Filler, small_disk
from tests.support.engine import Engine
from tests.support.sinks import (
    REFUSALS,
    WAYS,
    Way,
    by_select,
    by_store,
    connect,
    error_code,
    every_way,
    make_table,
    rows,
)
from tidemill.store.client import StoreAddress
from tidemill.store.engine.server import WRITES_FAILED


@contextmanager
def small_files(engine: Engine) -> Iterator[None]:
    """No file can grow beyond 200 kB: needs no rights, so that a write that fails half way is met everywhere."""
    assert engine.process is not None
    pid, unlimited = engine.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    yield
    if psutil.pid_exists(pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


def restarted(engine: Engine) -> Client:
    """The engine has ended for a failed write; as its supervisor does, start it again."""
    assert engine.process is not None
    assert engine.process.wait(20) == WRITES_FAILED
    return connect(engine.start().address)


@every_way
def test_a_write_that_fails_half_way_is_an_error_and_leaves_nothing(tmp_path: Path, way: Way) -> None:
    """chDB would commit the part, cut off: the engine ends, and finds it at its next start."""
    engine = Engine(tmp_path / "engine").start()
    try:
        client = connect(engine.address)
        table, frame = make_table(client, extra=", pad String DEFAULT randomPrintableASCII(1000)"), rows(1_000)
        way(engine.address, table, frame[:5])
        with small_files(engine):
            assert error_code(lambda: way(engine.address, table, frame)) == 75
            client = restarted(engine)
        assert client.command(f"SELECT count(), sum(length(pad)) FROM {table}") == ["5", "5000"]
        assert client.command("SELECT count() FROM system.detached_parts") == 0
        way(engine.address, table, frame)
        assert client.command(f"SELECT count(), sum(length(pad)) FROM {table}") == ["1005", "1005000"]
    finally:
        engine.stop()


def test_a_part_that_was_whole_before_is_not_removed_with_those_that_were_cut_off(tmp_path: Path) -> None:
    """It is broken by something else: the table is refused until somebody has looked."""
    engine = Engine(tmp_path / "engine").start()
    try:
        client = connect(engine.address)
        table = make_table(client, extra=", pad String DEFAULT randomPrintableASCII(1000)")
        by_store(engine.address, table, rows(5))
        (part,) = client.command(f"SELECT path FROM system.parts WHERE table = '{table}'").splitlines()  # type: ignore[union-attr]
        assert engine.stop() == 0
        client = connect(engine.start().address)
        with small_files(engine):
            assert error_code(lambda: by_store(engine.address, table, rows(1_000))) == 75
            assert engine.process is not None
            assert engine.process.wait(20) == WRITES_FAILED
        data = max(Path(part).glob("*.bin"), key=lambda path: path.stat().st_size)
        written_ns = data.stat().st_mtime_ns
        data.write_bytes(data.read_bytes()[:-1])
        os.utime(data, ns=(written_ns, written_ns))
        client = connect(engine.start().address)
        assert client.command("SELECT count() FROM system.detached_parts") == 1
        assert error_code(lambda: client.command(f"SELECT count() FROM {table}")) == 246
    finally:
        engine.stop()


UPDATE = "ALTER TABLE {} UPDATE pad = concat(pad, randomPrintableASCII(500)) WHERE true SETTINGS mutations_sync = 1"


@pytest.mark.parametrize("statement", ["OPTIMIZE TABLE {} FINAL", UPDATE, "SYSTEM START MERGES {}"])
def test_a_merge_that_fails_half_way_takes_no_row_along(tmp_path: Path, statement: str) -> None:
    """The last of the statements waits for nothing: merges begin in the background, and nobody is there to be told."""
    engine = Engine(tmp_path / "engine").start()
    try:
        client = connect(engine.address)
        table = make_table(client, extra=", pad String DEFAULT randomPrintableASCII(1000)")
        client.command(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 60")
        client.command(f"SYSTEM STOP MERGES {table}")
        for first in range(0, 1200, 150):
            by_store(engine.address, table, rows(150, first))
        if statement != "SYSTEM START MERGES {}":
            client.command(f"SYSTEM START MERGES {table}")
        with small_files(engine):
            with suppress(*REFUSALS):
                client.command(statement.format(table))
            client = restarted(engine)
        count, keys, bytes_ = client.command(f"SELECT count(), sum(k), sum(length(pad)) FROM {table}")  # type: ignore[misc]
        assert (count, keys) == ("1200", "719400")
        assert 1_200_000 <= int(bytes_) <= 1_800_000
    finally:
        engine.stop()


@pytest.mark.parametrize("text", ["", "format version: 1\n", "format version: 1\ncreate time: x\ncommands: (DEL"])
def test_a_mutation_that_was_cut_off_does_not_keep_the_engine_from_starting(tmp_path: Path, text: str) -> None:
    engine = Engine(tmp_path / "engine").start()
    try:
        client = connect(engine.address)
        table = make_table(client)
        by_store(engine.address, table, rows(5))
        client.command(f"DELETE FROM {table} WHERE k = 3")
        client.command(f"ALTER TABLE {table} DELETE WHERE k = 2 SETTINGS mutations_sync = 1")
        folder = Path(
            str(client.command(f"SELECT arrayElement(data_paths, 1) FROM system.tables WHERE name = '{table}'"))
        )
        assert engine.stop() == 0
        whole = sorted(path.name for path in folder.glob("mutation_*.txt"))
        (folder / "mutation_900.txt").write_text(text)
        client = connect(engine.start().address)
        assert client.command(f"SELECT groupArray(k) FROM {table}") == "[0,1,4]"
        assert sorted(path.name for path in folder.glob("mutation_*.txt")) == whole
        assert whole
    finally:
        engine.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_no_space_is_an_error(tmp_path: Path, kind: str) -> None:
    """On a disk that is filled and freed again, what was answered well is there, and nothing else."""
    with small_disk(kind, tmp_path / kind, 96) as disk:
        engine = Engine(disk / "engine").start()
        try:
            with connect(engine.address) as client:
                fill_and_free(engine.address, client, Filler(disk))
        finally:
            engine.stop()


def fill_and_free(address: StoreAddress, client: Client, filler: Filler) -> None:
    """Two cycles of inserts by every way but `INSERT SELECT` until the disk is full, and of freeing it again."""
    table, acknowledged, refused = make_table(client), 0, 0
    ways = [way for way in WAYS.values() if way is not by_select]
    for _ in range(2):
        filler.fill(leave_bytes=17 << 20)
        for number in range(12):
            keys = pl.Series("k", range(2_000), dtype=pl.UInt64)
            frame = pl.DataFrame([keys, pl.Series("s", [secrets.token_hex(16) for _ in keys])])
            if number == 10:  # too large to be kept in memory on the way
                frame = pl.concat([frame] * 60)
            try:
                ways[number % len(ways)](address, table, frame)
            except REFUSALS:
                refused += 1
            else:
                acknowledged += frame.height
        assert refused > 0, "the disk was never full"
        filler.free()
        stored = client.command(f"SELECT count(), sum(length(s)) FROM {table}")
        assert stored == [str(acknowledged), str(32 * acknowledged)]
    assert acknowledged > 0
    assert os.statvfs(filler.folder).f_bavail > 0
