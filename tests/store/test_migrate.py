"""The schema is applied once, in order, and a file that changed afterwards is refused."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from tidemill.errors import LostPartitionError, StartupError, StoreQueryError
from tidemill.store.client import Store, StoreAddress
from tidemill.store.fenced import FencedStore
from tidemill.store.migrate import FOLDER, migrate, split_statements
from tidemill.store.queries import packaged_queries, query

QUERIES = {
    q.name: q
    for q in (
        query(
            "tables",
            "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name",
        ),
        query(
            "forget_last",
            "ALTER TABLE schema_migrations DELETE WHERE file = '0001_a.sql' AND statement = 2"
            " SETTINGS mutations_sync = 1",
        ),
        query("count", "SELECT count() AS n FROM b"),
        query(
            "fill",
            "INSERT INTO points (tenant, series, time, value, version, seq) SELECT 't', 1, number, 1, 1, 7"
            " FROM numbers(20000)",
        ),
        query("points", "SELECT count() AS n, sum(value) AS total FROM points WHERE seq = 7"),
        query("indices", "SELECT table FROM system.data_skipping_indices WHERE name = 'seq_range' ORDER BY table"),
        query(
            "forget_later",
            "ALTER TABLE schema_migrations DELETE WHERE file > '0002' SETTINGS mutations_sync = 1",
        ),
    )
}
TWO = """-- first;
CREATE TABLE a (x Int8) ENGINE = MergeTree ORDER BY x;

-- second
CREATE TABLE b (x Int8)
ENGINE = Log;
"""


def tables(address: StoreAddress) -> list[dict[str, object]]:
    return Store(address, queries=QUERIES).rows("tables")


def test_our_schema_applied_twice_is_our_schema_applied_once(address: StoreAddress) -> None:
    assert migrate(address) == [path.name for path in sorted(FOLDER.glob("*.sql"))]
    once = tables(address)
    assert {"points", "series", "payloads", "rejections", "rollups", "polls"} <= {row["name"] for row in once}
    assert migrate(address) == []
    assert tables(address) == once


def test_new_file_is_applied_after_the_old(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text(TWO)
    assert migrate(address, tmp_path) == ["0001_a.sql"]
    (tmp_path / "0002_b.sql").write_text("INSERT INTO b VALUES (1);")
    assert migrate(address, tmp_path) == ["0002_b.sql"]
    assert migrate(address, tmp_path) == []
    assert Store(address, queries=QUERIES).rows("count") == [{"n": 1}]


def test_a_store_of_the_first_version_is_brought_up_to_date_with_what_is_in_it(
    address: StoreAddress, tmp_path: Path
) -> None:
    files = sorted(FOLDER.glob("*.sql"))
    shutil.copy(files[0], tmp_path)
    assert migrate(address, tmp_path) == ["0001_foundation.sql"]
    store = Store(address, queries=QUERIES)
    store.command("fill")
    for _ in range(2):  # the second time as after a kill before any of it was recorded
        assert migrate(address) == [path.name for path in files[1:]]
        assert store.rows("points") == [{"n": 20_000, "total": 20_000}]
        assert [row["table"] for row in store.rows("indices")] == ["payloads", "points", "replaced"]
        store.command("forget_later")


def test_a_store_made_before_partitions_had_owners_is_taken_and_written(address: StoreAddress, tmp_path: Path) -> None:
    for file in sorted(FOLDER.glob("*.sql"))[:2]:
        shutil.copy(file, tmp_path)
    migrate(address, tmp_path)
    Store(address, queries=QUERIES).command("fill")
    assert migrate(address) == [path.name for path in sorted(FOLDER.glob("*.sql"))][2:]
    mills = [FencedStore(Store(address, queries=QUERIES | packaged_queries()), 0) for _ in range(2)]
    row = pl.DataFrame({"tenant": ["t"], "seq": pl.Series([7], dtype=pl.UInt64), "value": [1.0]})
    for mill in mills:
        mill.insert("points", row)
    assert [mill.epoch for mill in mills] == [1, 2]
    with pytest.raises(LostPartitionError):
        mills[0].insert("points", row)
    assert mills[1].rows("points") == [{"n": 20_002, "total": 20_002}]


def test_changed_file_is_refused(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text(TWO)
    migrate(address, tmp_path)
    (tmp_path / "0001_a.sql").write_text(TWO + "-- a word more\n")
    with pytest.raises(StartupError, match=r"0001_a.sql was changed"):
        migrate(address, tmp_path)


def test_a_store_of_a_newer_version_is_refused(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text(TWO)
    (tmp_path / "0002_b.sql").write_text("INSERT INTO b VALUES (1);")
    migrate(address, tmp_path)
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(StartupError, match=r"newer Tidemill \(schema 0002_b, this version knows 0001_a\)"):
        migrate(address, tmp_path)


def test_run_that_was_killed_before_it_recorded_a_statement_goes_on(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text(TWO)
    migrate(address, tmp_path)
    Store(address, queries=QUERIES).command("forget_last")
    assert migrate(address, tmp_path) == ["0001_a.sql"]
    assert migrate(address, tmp_path) == []


def test_statement_that_the_store_refuses_stops_and_is_tried_again(address: StoreAddress, tmp_path: Path) -> None:
    file = tmp_path / "0001_a.sql"
    file.write_text(TWO + "CREATE TABEL c;\n")
    with pytest.raises(StoreQueryError):
        migrate(address, tmp_path)
    with pytest.raises(StoreQueryError):
        migrate(address, tmp_path)


def test_misnamed_file_is_refused(address: StoreAddress, tmp_path: Path) -> None:
    (tmp_path / "points.sql").write_text("SELECT 1;")
    with pytest.raises(StartupError, match=r"0001_foundation.sql"):
        migrate(address, tmp_path)


def test_statements_end_at_a_semicolon_at_the_end_of_a_line() -> None:
    assert list(split_statements("-- c;\nSELECT ';'\n, 2; \n\n-- more\nSELECT 3")) == ["SELECT ';'\n, 2", "SELECT 3"]
    assert list(split_statements("-- only a comment\n")) == []
