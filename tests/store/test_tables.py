"""The declared tables are those of the engine, and rows made from them are what it takes."""

import polars as pl
import pytest

from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import query
from tidemill.store.tables import packaged_tables, parse_tables, table

QUERIES = {
    "columns": query(
        "columns",
        "SELECT table, name, type, default_expression FROM system.columns"
        " WHERE database = currentDatabase() AND table NOT IN ('schema_migrations', 'current_owners')"
        " ORDER BY table, position",
    ),
    "keys": query(
        "keys",
        "SELECT name, sorting_key, engine_full FROM system.tables"
        " WHERE database = currentDatabase() AND name NOT IN ('schema_migrations', 'current_owners')",
    ),
    "sample": query("sample", "SELECT * FROM {table:Identifier}"),
}
ADDED = """CREATE TABLE a (
    x UInt64,
    y Float64
) ENGINE = ReplacingMergeTree(x)
ORDER BY (x)
SETTINGS fsync_after_insert = 1;
ALTER TABLE a ADD COLUMN note Nullable(String) CODEC(ZSTD);
ALTER TABLE a ADD COLUMN IF NOT EXISTS z LowCardinality(String) DEFAULT 'none' AFTER x;
"""


def test_declared_tables_are_those_of_the_engine(address: StoreAddress) -> None:
    migrate(address)
    store = Store(address, queries=QUERIES)
    for row in store.rows("keys"):
        declared = packaged_tables()[row["name"]]
        assert declared.key == tuple(row["sorting_key"].split(", "))
        version = f"ReplacingMergeTree({declared.version})" if declared.version else "ReplacingMergeTree"
        assert row["engine_full"].split(" ")[0] == version
    columns: dict[str, list[str]] = {}
    for row in store.rows("columns"):
        declared = packaged_tables()[row["table"]]
        columns.setdefault(row["table"], []).append(row["name"])
        assert ("Nullable(" in row["type"]) == (row["name"] not in declared.defaults), row
        if row["default_expression"]:
            assert row["name"] in declared.optional
            assert str(declared.defaults[row["name"]]) == row["default_expression"]
    assert columns == {name: list(declared.columns) for name, declared in packaged_tables().items()}


def test_a_row_of_defaults_is_what_the_engine_makes_of_one_without_values(address: StoreAddress) -> None:
    migrate(address)
    store = Store(address, queries=QUERIES)
    for name, declared in packaged_tables().items():
        digests = {column: b"\0" * 32 for column in declared.columns if column == "sha256"}
        row = declared.rows(pl.DataFrame({"row": [0]}), **{**declared.defaults, **digests})
        store.insert(name, row)
        store.insert(name, row.select(declared.key[0]))
        first, second = store.rows("sample", table=name)
        assert first == second


def test_added_columns_are_declared() -> None:
    declared = parse_tables(ADDED)["a"]
    assert declared.columns == {"x": pl.UInt64, "z": pl.String, "y": pl.Float64, "note": pl.String}
    assert declared.optional == {"note", "z"}
    rows = declared.rows(pl.DataFrame({"x": [1, 2]}), y=pl.col("x") * 2)
    assert rows.rows() == [(1, "none", 2.0, None), (2, "none", 4.0, None)]


def test_a_row_has_every_column_that_is_not_optional_and_no_other() -> None:
    points = pl.DataFrame({"series": [1], "time": [0]})
    with pytest.raises(TypeError, match=r"need values for .*tenant"):
        table("points").rows(points)
    with pytest.raises(TypeError, match=r"no columns \['valeu'\]"):
        table("points").rows(points, valeu=1.0)


def test_lists_of_nulls_are_left_out_and_other_nulls_are_empty() -> None:
    declared = table("points")
    rows = pl.DataFrame({"marks": [["a"], None], "attributes": [None, None], "value": [None, 1.0]})
    rows = rows.with_columns(pl.col("attributes").cast(declared.columns["attributes"]))
    assert declared.without_null_lists(rows).to_dict(as_series=False) == {"marks": [["a"], []], "value": [None, 1.0]}
