"""An INSERT that the engine answers well is stored; whatever keeps it from being stored is an error.

Each error of the sink is made for real: a violated constraint, too many partitions or parts, a part folder that is
read-only, memory, a wrong type late in the data. chDB's streaming insert swallows most of them; another version may do
so elsewhere. Those of the disk are in `tests/faults/test_full_disk_engine.py`.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from tests.support.disks import read_only
from tests.support.engine import Engine
from tests.support.sinks import (
    LARGE,
    SETTINGS,
    Way,
    by_select,
    by_store,
    by_values,
    connect,
    count_rows,
    error_code,
    every_way,
    make_table,
    rows,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("sinks") / "engine").start()
    yield engine
    engine.stop()


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with connect(engine.address) as client:
        yield client


@every_way
@pytest.mark.parametrize("size", [5, LARGE])
def test_what_is_answered_well_is_stored(engine: Engine, client: Client, way: Way, size: int) -> None:
    table, frame = make_table(client), rows(size if way is not by_values else 5)
    way(engine.address, table, frame)
    stored = client.command(f"SELECT (count(), sum(k), sum(cityHash64(s))) FROM {table}")
    by_select(engine.address, same := make_table(client), frame)
    assert stored == client.command(f"SELECT (count(), sum(k), sum(cityHash64(s))) FROM {same}")


@every_way
@pytest.mark.parametrize("size", [5, LARGE])
def test_a_violated_constraint_is_an_error(engine: Engine, client: Client, way: Way, size: int) -> None:
    frame = rows(size if way is not by_values else 5)
    table = make_table(client, extra=f", CONSTRAINT below CHECK k < {frame.height - 1}")
    assert error_code(lambda: way(engine.address, table, frame)) == 469
    assert count_rows(client, table) < frame.height


@every_way
def test_too_many_partitions_are_an_error(engine: Engine, client: Client, way: Way) -> None:
    table = make_table(client, partition="PARTITION BY k")
    assert error_code(lambda: way(engine.address, table, rows(300))) == 252
    assert count_rows(client, table) == 0


@every_way
def test_too_many_parts_are_an_error(engine: Engine, client: Client, way: Way) -> None:
    table = make_table(client, settings="parts_to_throw_insert = 3, parts_to_delay_insert = 1000")
    client.command(f"SYSTEM STOP MERGES {table}")
    for number in range(3):
        way(engine.address, table, rows(5, 5 * number))
    assert error_code(lambda: way(engine.address, table, rows(5, 100))) == 252
    assert count_rows(client, table) == 15


@every_way
def test_a_read_only_part_folder_is_an_error(engine: Engine, client: Client, way: Way) -> None:
    table = make_table(client)
    by_store(engine.address, table, rows(5))
    paths = client.command(f"SELECT arrayElement(data_paths, 1) FROM system.tables WHERE name = '{table}'")
    with read_only(Path(str(paths))):
        assert error_code(lambda: way(engine.address, table, rows(5, 5)))
    assert count_rows(client, table) == 5
    by_store(engine.address, table, rows(5, 5))
    assert count_rows(client, table) == 10


@every_way
def test_a_view_that_fails_is_an_error(engine: Engine, client: Client, way: Way) -> None:
    table, target = make_table(client), make_table(client)
    client.command(f"CREATE MATERIALIZED VIEW v_{table} TO {target} AS SELECT k + throwIf(k = 4) AS k, s FROM {table}")
    assert error_code(lambda: way(engine.address, table, rows(5))) == 395


@every_way
def test_a_limit_of_memory_is_an_error(engine: Engine, client: Client, way: Way) -> None:
    table = make_table(client, settings="min_bytes_for_wide_part = 0")
    frame = rows(LARGE if way is not by_values else 20_000)
    SETTINGS["max_memory_usage"] = 1 << 20
    try:
        assert error_code(lambda: way(engine.address, table, frame)) == 241
    finally:
        del SETTINGS["max_memory_usage"]
    assert count_rows(client, table) < frame.height


@pytest.mark.parametrize("height", [10, LARGE])
@pytest.mark.parametrize("fmt", ["CSV", "TSV", "JSONEachRow", "ArrowStream", "Parquet"])
def test_a_wrong_type_late_in_the_data_is_an_error(client: Client, fmt: str, height: int) -> None:
    table = make_table(client)
    texts = rows(height).select(pl.col("k").cast(pl.String), "s")
    wrong = texts.with_columns(k=pl.when(pl.col("k") == str(height - 1)).then(pl.lit("x")).otherwise(pl.col("k")))
    for frame, stored in ((texts, height), (wrong, None)):
        data = written(frame, fmt)
        if stored is None:
            assert error_code(lambda data=data: client.raw_insert(table, ["k", "s"], data, fmt=fmt)) > 0  # type: ignore[misc]
            assert count_rows(client, table) < 2 * height
        else:
            client.raw_insert(table, ["k", "s"], data, fmt=fmt)
            assert count_rows(client, table) == stored


def written(frame: pl.DataFrame, fmt: str) -> bytes:
    buffer = io.BytesIO()
    if fmt in {"CSV", "TSV"}:
        frame.write_csv(buffer, include_header=False, separator="," if fmt == "CSV" else "\t")
    elif fmt == "JSONEachRow":
        frame.write_ndjson(buffer)
    elif fmt == "ArrowStream":
        frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    else:
        frame.write_parquet(buffer)
    return buffer.getvalue()
