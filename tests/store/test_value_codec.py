"""How values are kept on disk: bit for bit, whatever they are; and in few bytes, where they have few decimals."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pytest
from msgspec import structs
from numpy.typing import NDArray

from tests.support.engine import Engine
from tidemill.errors import StoreQueryError
from tidemill.store.client import Store
from tidemill.store.migrate import FOLDER, migrate
from tidemill.store.queries import query

QUERIES = {
    q.name: q
    for q in (
        query(
            "bits",
            "SELECT if(isNull(value), 1, reinterpretAsUInt64(assumeNotNull(value))) AS bits, isNull(value) AS missing"
            " FROM points FINAL WHERE tenant = {tenant:String} AND series = {series:UInt64} ORDER BY time",
        ),
        query("merge", "OPTIMIZE TABLE points FINAL"),
        query("wide", "ALTER TABLE points MODIFY SETTING min_bytes_for_wide_part = 0"),
        query(
            "codec",
            "SELECT compression_codec AS codec FROM system.columns"
            " WHERE database = currentDatabase() AND table = 'points' AND name = 'value'",
        ),
        query(
            "size",
            "SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS n FROM system.parts"
            " WHERE database = currentDatabase() AND table = 'points' AND active",
        ),
    )
}
COUNT: Final = 6_000  # of each kind: three granules, more than one compressed block together
EDGES: Final = (
    *(0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, -1e-310),
    *(2.0**53, 2.0**53 + 2, -(2.0**63), 2.0**63, 2.0**64, 1e15 + 0.5, 1e16 + 2, 9007199254740993.0),
    *(1.7976931348623157e308, -1.7976931348623157e308, np.inf, -np.inf, 0.1, 0.30000000000000004, 1 / 3, -1e-5),
)


def kinds() -> dict[str, NDArray[np.float64]]:
    """COUNT values of each kind that a codec of numbers treats in a way of its own."""
    random = np.random.default_rng(7)
    bits = random.integers(0, 2**64, 2 * COUNT, dtype=np.uint64).view(np.float64)
    decimals = np.round(random.normal(50, 15, COUNT), 3)
    return {
        "edges": np.resize(np.array(EDGES), COUNT),
        "three decimals": decimals,
        "edges among decimals": np.where(random.random(COUNT) < 0.02, random.choice(EDGES, COUNT), decimals),
        "a register": np.round(12_345.678 + np.cumsum(random.random(COUNT)), 3),
        "whole": np.cumsum(random.integers(0, 1_000, COUNT)).astype(np.float64),
        "beyond whole doubles": (2**53 + random.integers(0, 2**60, COUNT)).astype(np.float64),
        "noise": random.normal(0, 1, COUNT) * np.pi,
        "any bits": bits[~np.isnan(bits)][:COUNT],
        "subnormal": random.integers(0, 2**52, COUNT, dtype=np.uint64).view(np.float64),
        "of one value": np.full(COUNT, -0.0),
        "scales": np.round(random.normal(0, 1, COUNT), 2) * 10.0 ** random.integers(-20, 20, COUNT),
    }


def rows(
    tenant: str, series: int, values: NDArray[np.float64], missing: NDArray[np.bool_] | None = None
) -> pl.DataFrame:
    count = len(values)
    column = pl.Series(values, dtype=pl.Float64)
    if missing is not None:
        column = pl.select(pl.when(pl.Series(~missing)).then(column)).to_series()
    seqs = np.arange(count, dtype=np.uint64) // 100 + 1
    times = pl.Series(np.arange(count) * 10_000_000_000 + 1_700_000_000_000_000_000)
    frame = {"time": times, "value": column, "version": seqs.astype(np.int64), "seq": seqs, "received_at": times}
    dated = pl.DataFrame(frame).with_columns(pl.col("time", "received_at").cast(pl.Datetime("ns", "UTC")))
    return dated.select(
        pl.lit(tenant).alias("tenant"), pl.lit(series, pl.UInt64).alias("series"), pl.all(),
        pl.int_range(pl.len()).mod(1_000).cast(pl.UInt32).alias("idx"), pl.lit(0, pl.Int64).alias("ordinal"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("codec") / "engine").start()
    yield engine
    engine.stop()


def database(engine: Engine, name: str) -> Store:
    return Store(structs.replace(engine.address, database=name), queries=QUERIES)


def same(store: Store, tenant: str, values: NDArray[np.float64], series: int = 1) -> bool:
    read = store.frame("bits", tenant=tenant, series=series)["bits"].to_numpy()
    return bool(np.array_equal(read, values.view(np.uint64)))


def size_of(store: Store) -> float:
    """Bytes a point on disk, all columns, marks and indexes."""
    sizes = store.rows("size")[0]
    return float(sizes["bytes"] / sizes["n"])


def test_a_value_of_every_kind_comes_back_bit_for_bit_merged_and_after_a_start(engine: Engine) -> None:
    store = database(engine, "kept")
    migrate(store.address)
    assert "ALP" in store.rows("codec")[0]["codec"]
    store.command("wide")
    made = kinds()
    for series, values in enumerate(made.values(), 1):
        for part in (slice(0, 1), slice(1, COUNT // 3), slice(COUNT // 3, COUNT)):
            store.insert("points", rows("t", series, values)[part])
    missing = np.arange(COUNT) % 3 == 0
    store.insert("points", rows("nulls", 1, made["three decimals"], missing))

    def check(store: Store) -> None:
        assert [name for n, (name, values) in enumerate(made.items(), 1) if not same(store, "t", values, n)] == []
        read = store.frame("bits", tenant="nulls", series=1)
        assert np.array_equal(read["missing"].to_numpy().astype(bool), missing)
        assert np.array_equal(read["bits"].to_numpy()[~missing], made["three decimals"].view(np.uint64)[~missing])

    check(store)
    store.command("merge")
    check(store)
    engine.stop()
    engine.start()
    check(database(engine, "kept"))


def test_points_of_few_decimals_take_at_most_three_bytes_and_those_of_an_earlier_schema_come_to_that_by_merges(
    engine: Engine, tmp_path: Path
) -> None:
    for file in sorted(FOLDER.glob("*.sql")):
        if file.name < "0009":
            shutil.copy(file, tmp_path)
    store = database(engine, "grown")
    migrate(store.address, tmp_path)
    random = np.random.default_rng(8)
    series = [np.round(random.normal(50, 15, 20_000), 3) for _ in range(10)]
    store.insert("points", pl.concat(rows("t", number, values) for number, values in enumerate(series)))
    store.command("merge")
    before = size_of(store)
    migrate(store.address)
    assert all(same(store, "t", values, number) for number, values in enumerate(series))
    store.insert("points", rows("t", 10, series[0]))
    store.command("merge")
    assert all(same(store, "t", values, number) for number, values in enumerate(series))
    assert size_of(store) <= 3.0
    assert before > 7.0


@pytest.mark.parametrize(
    ("codec", "setting"),
    [("Foo, ZSTD(1)", "enable_alp_codec"), ("ALP, ZSTD(1)", "enable_foo_codec"), ("SZ3", "enable_alp_codec")],
)
def test_an_optional_statement_counts_as_applied_where_the_store_does_not_know_what_it_names(
    engine: Engine, tmp_path: Path, codec: str, setting: str
) -> None:
    change = f"ALTER TABLE points /* optional */ MODIFY COLUMN value CODEC({codec}) SETTINGS {setting} = 1;\n"
    points = "CREATE TABLE points (k UInt8, value Float64 CODEC(ZSTD(1))) ENGINE = MergeTree ORDER BY k;\n"
    store = database(engine, f"lacks_{codec[:3]}_{setting}")
    (tmp_path / "0001_codec.sql").write_text(points + change)
    assert migrate(store.address, tmp_path) == ["0001_codec.sql"]
    assert migrate(store.address, tmp_path) == []
    assert store.rows("codec") == [{"codec": "CODEC(ZSTD(1))"}]
    (tmp_path / "0002_needed.sql").write_text(change.replace("/* optional */", ""))
    with pytest.raises(StoreQueryError):
        migrate(store.address, tmp_path)
