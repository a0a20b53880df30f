"""One session serves query after query: nothing of one, however it ended, reaches the answer of the next."""

from collections.abc import Callable, Iterator

import polars as pl
import pytest

from tests.support.engine import running_engine
from tidemill.errors import StoreQueryError
from tidemill.store.client import Store
from tidemill.store.queries import query

QUERIES = {
    one.name: one
    for one in (
        query("create", "CREATE TABLE IF NOT EXISTS t (k UInt64) ENGINE = MergeTree ORDER BY k"),
        query("good", "SELECT number FROM numbers({n:UInt64})"),
        query("set", "SET max_threads = 7"),
        query("two", "SELECT 1; SELECT 2"),
        query("threads", "SELECT getSetting('max_threads') AS n"),
        query("no_table", "SELECT * FROM nowhere"),
        query("fails_soon", "SELECT throwIf(number = 90) AS x FROM numbers(100) SETTINGS max_block_size = 1"),
        query("fails_late", "SELECT throwIf(number = 3000000) AS x FROM numbers(4000000)"),
        query("endless", "SELECT number FROM numbers(1000000000000)"),
        query("too_much", "SELECT number FROM numbers(1000) SETTINGS max_block_size = 1, max_result_rows = 100"),
        query(
            "too_slow",
            "SELECT sleepEachRow(0.02) FROM numbers(20) SETTINGS max_block_size = 1, max_execution_time = 0.2",
        ),
    )
}
FORMATS = ("JSONCompact", "CSV", "JSONEachRow", "ArrowStream")
FAILURES: dict[str, Callable[[Store, str], object]] = {
    "refused": lambda store, fmt: store.raw("no_table", fmt),
    "failed soon": lambda store, fmt: store.raw("fails_soon", fmt),
    "failed late": lambda store, fmt: store.raw("fails_late", fmt),
    "over a limit": lambda store, fmt: store.raw("too_much", fmt),
    "out of time": lambda store, fmt: store.raw("too_slow", fmt),
    "failed soon, streamed": lambda store, fmt: b"".join(store.stream("fails_soon", fmt)),
    "failed late, streamed": lambda store, fmt: b"".join(store.stream("fails_late", fmt)),
    "bad data": lambda store, fmt: store.insert("t", pl.DataFrame({"k": ["x"]})),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store whose engine has a single session, so that every query meets what the last one left."""
    with running_engine(tmp_path_factory.mktemp("reuse") / "engine", "--sessions", "1") as address:
        store = Store(address, queries=QUERIES)
        store.command("create")
        yield store
        store.close()


def assert_answers_are_whole(store: Store) -> None:
    assert store.rows("good", n=2) == [{"number": 0}, {"number": 1}]
    assert store.frame("good", n=3)["number"].to_list() == [0, 1, 2]
    assert store.raw("good", "CSV", n=2) == b"0\n1\n"
    assert b"".join(store.stream("good", "CSV", n=2)) == b"0\n1\n"


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_query_leaves_nothing_behind(store: Store, failure: str, fmt: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreQueryError):
            FAILURES[failure](store, fmt)
        assert_answers_are_whole(store)


def test_a_stream_given_up_leaves_nothing_behind(store: Store) -> None:
    for _ in range(3):
        stream = store.stream("endless", "CSV")
        assert next(stream).startswith(b"0\n1\n2\n")
        stream.close()
        assert_answers_are_whole(store)


def test_a_statement_that_came_before_is_still_taken_for_what_it_is(store: Store) -> None:
    before = store.rows("threads")
    for _ in range(3):
        store.command("set")  # spends its session: the next query has another one
        assert store.rows("threads") == before
        with pytest.raises(StoreQueryError, match="Multi-statements"):
            store.command("two")


def test_more_statements_than_are_remembered_are_answered(store: Store) -> None:
    many = {f"n{n}": query(f"n{n}", f"SELECT {n} AS n") for n in range(1_100)}
    asking = Store(store.address, queries=many)
    assert [asking.rows(name)[0]["n"] for name in many] == list(range(1_100))
    asking.close()
