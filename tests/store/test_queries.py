"""Named queries are read from files, and a file that is at fault says where."""

from pathlib import Path

import pytest

from tidemill.errors import StartupError
from tidemill.store.queries import load_queries, packaged_queries

GOOD = """-- Queries about points.

-- name: points_range
-- The points of one series in a range, in order of time.
SELECT time, value FROM points WHERE series = {series:UInt64} AND time >= fromUnixTimestamp64Nano({start:Int64})
-- a comment inside
ORDER BY time;

-- name: count
-- How many.
SELECT count() FROM points
"""


def write(folder: Path, text: str) -> Path:
    (folder / "points.sql").write_text(text)
    return folder


def test_blocks_become_queries_with_the_values_they_take(tmp_path: Path) -> None:
    queries = load_queries(write(tmp_path, GOOD))
    assert queries.keys() == {"points_range", "count"}
    one = queries["points_range"]
    assert one.comment == "The points of one series in a range, in order of time."
    assert one.params == {"series", "start"}
    assert one.sql.startswith("SELECT time") and one.sql.endswith("ORDER BY time")
    with pytest.raises(TypeError, match="points_range takes"):
        one.check_values({"series": 1})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name: a\n-- A.\nSELECT 1\n-- name: a\n-- B.\nSELECT 2\n", r"points.sql:4: a query named a exists"),
        ("-- name: a\nSELECT 1\n", r"points.sql:1: say in a comment"),
        ("-- name: a\n-- A.\n", r"points.sql:1: a has no SQL"),
        ("-- name: Not-Good\n-- A.\nSELECT 1\n", r"points.sql:1: a name is lower-case"),
        ("-- name: a\n-- A.\n-- include: b\n-- name: b\n-- B.\nSELECT 1\n", r"points.sql:1: a includes 'b'"),
        ("SELECT 1\n", r"points.sql:1: SQL stands before"),
    ],
)
def test_faulty_file_names_the_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(StartupError, match=fault):
        load_queries(write(tmp_path, text))


def test_a_fragment_stands_for_its_text_in_every_query_that_includes_it(tmp_path: Path) -> None:
    shared = "-- fragment: of\n-- Of whom.\nFROM t\nWHERE a = {a:String}\n"
    text = (
        f"-- name: one\n-- One.\nSELECT 1\n  -- include: of\n{shared}-- name: two\n-- Two.\n-- include: of\nLIMIT 1\n"
    )
    queries = load_queries(write(tmp_path, text))
    assert {name: query.sql for name, query in queries.items()} == {
        "one": "SELECT 1\n  FROM t\n  WHERE a = {a:String}",
        "two": "FROM t\nWHERE a = {a:String}\nLIMIT 1",
    }
    assert queries["two"].params == {"a"}


def test_packaged_queries_load() -> None:
    assert all(query.comment and query.sql for query in packaged_queries().values())
