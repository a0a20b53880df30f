"""Every type of a column that a table of ours has: values in are values out, in memory or from a file on the way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.errors import StoreQueryError
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

COLUMNS: dict[str, tuple[str, Any, st.SearchStrategy[Any]]] = {
    "fixed": ("FixedString(32)", pl.Binary, st.binary(min_size=32, max_size=32)),
    "body": ("String", pl.Binary, st.binary(max_size=50)),
    "text": ("String", pl.String, st.text(max_size=20)),
    "low": ("LowCardinality(String)", pl.String, st.text(max_size=5)),
    "words": ("Array(LowCardinality(String))", pl.List(pl.String), st.lists(st.text(max_size=5), max_size=3)),
    "series": ("Array(UInt64)", pl.List(pl.UInt64), st.lists(st.integers(0, 2**64 - 1), max_size=3)),
    "tags": (
        "Map(LowCardinality(String), String)",
        pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    ),
    "counts": (
        "Map(LowCardinality(String), UInt32)",
        pl.List(pl.Struct({"key": pl.String, "value": pl.UInt32})),
        st.dictionaries(st.text(max_size=5), st.integers(0, 2**32 - 1), max_size=3),
    ),
    "whole": ("Int64", pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "small": ("UInt8", pl.UInt8, st.integers(0, 255)),
    "flag": ("Bool", pl.Boolean, st.booleans()),
    "value": ("Nullable(Float64)", pl.Float64, st.none() | st.floats(allow_nan=False)),
    "sure": ("Float64", pl.Float64, st.floats(allow_nan=False)),
    "at": ("DateTime64(9, 'UTC')", pl.Int64, st.integers(MIN_NS, MAX_NS)),
    "maybe_at": ("Nullable(DateTime64(9, 'UTC'))", pl.Int64, st.none() | st.integers(MIN_NS, MAX_NS)),
}
INSTANTS = ("at", "maybe_at")
READ = {
    "fixed": "hex(fixed)",
    "body": "hex(body)",
    "tags": "arrayZip(CAST(mapKeys(tags) AS Array(String)), mapValues(tags))",
    "counts": "arrayZip(CAST(mapKeys(counts) AS Array(String)), mapValues(counts))",
    "words": "CAST(words AS Array(String))",
    "value": "if(isNull(value), NULL, reinterpretAsUInt64(assumeNotNull(value)))",
    "sure": "reinterpretAsUInt64(sure)",
    "at": "toUnixTimestamp64Nano(at)",
    "maybe_at": "toUnixTimestamp64Nano(maybe_at)",
}
row = st.fixed_dictionaries({name: values for name, (_, _, values) in COLUMNS.items()})


@pytest.fixture(scope="module")
def store(engine_address: StoreAddress) -> Iterator[Store]:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
    make = f"CREATE TABLE v (k UInt32, {columns}, kept String DEFAULT 'x') ENGINE = MergeTree ORDER BY k"
    read = ", ".join(f"{READ.get(name, name)} AS r_{name}" for name in COLUMNS)
    store = Store(
        engine_address,
        queries={
            "make": query("make", make),
            "read": query("read", f"SELECT {read}, kept FROM v ORDER BY k"),
            "empty": query("empty", "TRUNCATE TABLE v"),
            "drop": query("drop", "DROP TABLE v"),
        },
    )
    store.command("make")
    yield store
    store.command("drop")
    store.close()


def frame(values: list[dict[str, Any]]) -> pl.DataFrame:
    made = [pl.Series("k", range(len(values)), dtype=pl.UInt32)]
    for name, (_, kind, _) in COLUMNS.items():
        column = [row[name] for row in values]
        if name in ("tags", "counts"):
            column = [[{"key": key, "value": value} for key, value in one.items()] for one in column]
        series = pl.Series(name, column, dtype=kind)
        made.append(series.cast(pl.Datetime("ns", "UTC")) if name in INSTANTS else series)
    return pl.DataFrame(made)


def expected(row: dict[str, Any]) -> list[Any]:
    def plain(name: str, value: Any) -> Any:
        if value is None:
            return None
        if name in ("fixed", "body"):
            return value.hex().upper()
        if name in ("tags", "counts"):
            return [list(pair) for pair in value.items()]
        if name in ("value", "sure"):
            return int.from_bytes(pl.Series([value], dtype=pl.Float64).to_numpy().tobytes(), "little")
        return value

    return [plain(name, row[name]) for name in COLUMNS]


def read(store: Store) -> list[list[Any]]:
    return [[flat(value) for value in found.values()] for found in store.rows("read")]


def flat(value: Any) -> Any:
    """Pairs as lists."""
    if not isinstance(value, list):
        return value
    return [list(pair.values()) if isinstance(pair, dict) else pair for pair in value]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(row, min_size=1, max_size=8))
def test_values_in_are_values_out(store: Store, values: list[dict[str, Any]]) -> None:
    store.command("empty")
    store.insert("v", frame(values))
    assert read(store) == [[*expected(row), "x"] for row in values]


def test_rows_that_take_the_way_over_a_file_are_the_same(store: Store) -> None:
    one: dict[str, Any] = {
        "fixed": bytes(range(32)), "body": b"\x00\xff" * 2_000, "text": "漢🙂\n'\\", "low": "a", "words": ["x", ""],
        "series": [0, 2**64 - 1], "tags": {"k": "v", "": "\0"}, "counts": {"r": 2**32 - 1}, "whole": -(2**63),
        "small": 255, "flag": True, "value": None, "sure": -0.0, "at": MIN_NS, "maybe_at": MAX_NS,
    }  # fmt: skip
    store.command("empty")
    many = [one] * 2_000  # 8 MB
    store.insert("v", frame(many))
    assert read(store) == [[*expected(one), "x"]] * 2_000


PLAIN: dict[str, Any] = {
    "fixed": b"f" * 32, "body": b"", "text": "", "low": "", "words": ["x"], "series": [1], "tags": {"a": "b"},
    "counts": {"a": 1}, "whole": 0, "small": 0, "flag": False, "value": 1.0, "sure": 3.5, "at": 0, "maybe_at": 0,
}  # fmt: skip
NESTED = ("words", "series", "tags", "counts")


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("value", "maybe_at")])
def test_a_null_for_a_column_that_takes_none_is_refused(store: Store, column: str) -> None:
    """But a null for a list or a map is an empty one: the engine takes it so, whatever way it comes."""
    store.command("empty")
    whole = frame([PLAIN] * 3)
    holed = whole.with_columns(pl.when(pl.col("k") == 2).then(None).otherwise(pl.col(column)).alias(column))
    if column in NESTED:
        store.insert("v", holed)
        empty = PLAIN | {column: type(PLAIN[column])()}
        assert read(store) == [[*expected(row), "x"] for row in (PLAIN, PLAIN, empty)]
        return
    with pytest.raises(StoreQueryError) as caught:
        store.insert("v", holed)
    assert caught.value.store_code == 349
    assert read(store) == []


def test_frames_that_are_inserted_at_once_and_after_a_refusal_are_the_same(store: Store) -> None:
    """Memory is used again: a smaller frame after a larger one, beside others, and after one that was refused."""
    store.command("empty")
    rows = frame([PLAIN | {"text": "x" * number} for number in range(400)])
    parts = [rows[:300], rows[300:301], rows[301:350], rows[350:]]
    with pytest.raises(StoreQueryError):
        store.insert("v", rows.with_columns(sure=pl.lit(None, pl.Float64)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(partial(store.insert, "v"), parts))
    assert [row["r_text"] for row in store.rows("read")] == ["x" * number for number in range(400)]
