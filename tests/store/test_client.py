"""The client against a real engine: what goes in comes out, and errors say what happened."""

import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.client import BLOCK_BYTES, BLOCK_ROWS, Store, StoreAddress, blocks
from tidemill.store.queries import query

QUERIES = {
    q.name: q
    for q in (
        query(
            "create",
            "CREATE TABLE t (series UInt64, time DateTime64(9, 'UTC'),"
            " value Nullable(Float64), tags Map(String, String), name LowCardinality(String), sum Float64,"
            " body String) ENGINE = MergeTree ORDER BY (series, time)"
            " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
        ),
        query("all", "SELECT * FROM t ORDER BY series, time"),
        query("count", "SELECT count() AS n FROM t"),
        query("one", "SELECT * FROM t WHERE series = {series:UInt64}"),
        query("body", "SELECT body FROM t LIMIT 1"),
        query("copy", "INSERT INTO t (series, time) SELECT series + {by:UInt64}, time FROM t"),
        query(
            "pairs",
            "SELECT count() AS n, sum(p.1) AS first, sum(p.2) AS second"
            " FROM (SELECT arrayJoin({pairs:Array(Tuple(UInt64, Int64))}) AS p)",
        ),
        query("text", "SELECT {value:String} AS value"),
        query("texts", "SELECT {value:Array(String)} AS value"),
        query("integer", "SELECT {value:Int64} AS value"),
        query("float", "SELECT {value:Float64} AS value, toString(value) AS text"),
        query("maybe", "SELECT {value:Nullable(Float64)} AS value"),
        query("flag", "SELECT {value:Bool} AS value"),
        query("map", "SELECT {value:Map(String, String)} AS value"),
        query("column", "SELECT {column:Identifier} AS value FROM system.one"),
        query("instants", "SELECT arrayMap(t -> fromUnixTimestamp64Nano(t, 'UTC'), {times:Array(Int64)}) AS times"),
        query("numbers", "SELECT number FROM numbers({n:UInt64})"),
        query("fails_late", "SELECT throwIf(number = 5000000) AS x FROM numbers(10000000)"),
        query("no_table", "SELECT * FROM nowhere"),
        query("slow", "SELECT sleepEachRow(1) AS x FROM numbers(20) SETTINGS max_block_size = 1"),
    )
}


@pytest.fixture
def store(address: StoreAddress) -> Iterator[Store]:
    store = Store(address, queries=QUERIES)
    store.command("create")
    yield store
    store.close()


def points(n: int, series: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "series": pl.repeat(series, n, dtype=pl.UInt64, eager=True),
            "time": pl.int_range(0, n, eager=True).cast(pl.Datetime("ns", "UTC")),
            "value": pl.int_range(0, n, eager=True).cast(pl.Float64) / 7,
        }
    )


def test_inserted_frame_comes_back_as_it_was(store: Store) -> None:
    frame = points(1000).with_columns(
        value=pl.when(pl.col("value") > 100).then(None).otherwise("value"), name=pl.lit("a'\\\n"), sum=pl.lit(math.inf)
    )
    store.insert("t", frame)
    back = store.frame("all")
    assert back.select(frame.columns).equals(frame)
    assert back.schema["time"] == pl.Datetime("ns", "UTC")


def test_empty_result_keeps_its_columns(store: Store) -> None:
    frame = store.frame("all")
    assert frame.height == 0
    assert frame.columns == ["series", "time", "value", "tags", "name", "sum", "body"]
    assert store.rows("all") == []


def test_empty_frame_inserts_nothing(store: Store) -> None:
    store.insert("t", points(0))
    assert store.rows("count") == [{"n": 0}]


def test_rows_are_plain_values_with_times_in_nanoseconds(store: Store) -> None:
    frame = points(1).with_columns(
        time=pl.lit(-500_000_001).cast(pl.Datetime("ns", "UTC")),
        series=pl.lit(2**64 - 1, dtype=pl.UInt64),
        value=None,
        sum=math.nan,
        tags=pl.Series([[{"key": "user", "value": "a1"}]]),
    )
    store.insert("t", frame)
    assert store.rows("all") == [
        {
            "series": 2**64 - 1,
            "time": -500_000_001,
            "value": None,
            "tags": {"user": "a1"},
            "name": "",
            "sum": None,
            "body": "",
        }
    ]


def test_instants_in_an_array_become_nanoseconds(store: Store) -> None:
    times = [0, 1, -1, 1_767_225_600_123_456_789, -2_208_988_800_000_000_000]
    assert store.rows("instants", times=times) == [{"times": times}]


def test_bytes_that_are_not_text_are_kept(store: Store) -> None:
    body = bytes(range(256))
    store.insert("t", points(1).with_columns(body=pl.lit(body)))
    assert store.raw("body", "RawBLOB") == body


def test_null_for_a_column_without_nulls_is_refused(store: Store) -> None:
    with pytest.raises(StoreQueryError) as caught:
        store.insert("t", points(2).with_columns(sum=pl.Series([1.0, None])))
    assert caught.value.store_code == 349
    assert store.rows("count") == [{"n": 0}]


def test_thousands_of_tuples_are_bound(store: Store) -> None:
    pairs = [(2**64 - 1 - i, -i) for i in range(6000)]
    assert store.rows("pairs", pairs=pairs) == [
        {"n": 6000, "first": sum(p[0] for p in pairs) % 2**64, "second": sum(p[1] for p in pairs)}
    ]


def test_insert_select_and_long_values_in_a_command(store: Store) -> None:
    store.insert("t", points(10))
    store.command("copy", by=5)
    assert store.rows("count") == [{"n": 20}]


def test_identifier_is_bound_as_a_name(store: Store) -> None:
    assert store.rows("column", column="dummy") == [{"value": 0}]
    with pytest.raises(StoreQueryError) as caught:
        store.rows("column", column="dummy FROM system.one; --")
    assert caught.value.store_code == 47


def test_raw_gives_what_the_store_wrote(store: Store) -> None:
    assert store.raw("numbers", "CSVWithNames", n=3) == b'"number"\n0\n1\n2\n'


def test_stream_gives_all_bytes(store: Store) -> None:
    assert b"".join(store.stream("numbers", "TSV", n=200_000)).count(b"\n") == 200_000


def test_stream_given_up_early_leaves_the_store_well(store: Store) -> None:
    stream = store.stream("numbers", "TSV", n=100_000_000_000)
    assert next(stream)
    stream.close()
    assert store.rows("integer", value=1) == [{"value": 1}]


def test_error_in_the_middle_of_a_stream_is_told(store: Store) -> None:
    with pytest.raises(StoreQueryError) as caught:
        for _ in store.stream("fails_late", "TSV"):
            pass
    assert caught.value.store_code == 395


def test_refused_query_carries_the_code(store: Store) -> None:
    with pytest.raises(StoreQueryError) as caught:
        store.rows("no_table")
    assert caught.value.store_code == 60
    assert caught.value.message.startswith("Code: 60.")


def test_settings_of_the_store_limit_its_queries(address: StoreAddress) -> None:
    store = Store(address, queries=QUERIES, settings={"max_execution_time": 1})
    with pytest.raises(StoreQueryError) as caught:
        store.rows("slow")
    assert caught.value.store_code == 159


def test_values_that_do_not_fit_the_query_are_an_error_of_the_caller(store: Store) -> None:
    with pytest.raises(TypeError, match="takes"):
        store.rows("integer", valu=1)


def test_store_that_is_not_there_is_unavailable() -> None:
    store = Store(StoreAddress("127.0.0.1", 9), queries=QUERIES)
    for work in (store.ping, lambda: store.rows("count"), lambda: store.insert("t", points(1))):
        with pytest.raises(StoreUnavailableError):
            work()


def test_callers_of_a_store_that_hangs_fail_soon_and_not_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.store.client._GREETING_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as hangs:  # takes connections, and never answers
        store = Store(StoreAddress("127.0.0.1", hangs.getsockname()[1]), queries=QUERIES)

        def ask() -> None:
            with pytest.raises(StoreUnavailableError):
                store.rows("count")

        assert not store.busy
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask) for _ in range(8)]
            time.sleep(0.2)
            assert store.busy
            for one in asked:
                one.result()
        assert time.monotonic() - begun < 7.5  # one after the other: 8 s
        assert not store.busy


def test_a_query_may_take_longer_than_the_greeting(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.store.client._GREETING_TIMEOUT_S", 1)
    sleeping = {"sleep": query("sleep", "SELECT sleepEachRow(0.5) AS n FROM numbers(3)")}
    store = Store(address, queries=sleeping)
    assert len(store.rows("sleep")) == 3
    store.close()
    short = Store(address, queries=sleeping, timeout_s=1)
    with pytest.raises(StoreUnavailableError):
        short.rows("sleep")
    short.close()


def test_wrong_password_is_refused(address: StoreAddress) -> None:
    store = Store(msgspec.structs.replace(address, password="wrong"), queries=QUERIES)
    with pytest.raises(StoreQueryError) as caught:
        store.rows("integer", value=1)
    assert caught.value.store_code == 516


def test_threads_share_one_store(store: Store) -> None:
    wrong: list[object] = []

    def work(k: int) -> None:
        for i in range(20):
            store.insert("t", points(5, series=k * 100 + i))
            if (rows := store.rows("integer", value=k)) != [{"value": k}]:
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.rows("count") == [{"n": 8 * 20 * 5}]


def test_client_brings_in_no_heavy_library(address: StoreAddress) -> None:
    """api and mill hold one client each: PyArrow and pandas would cost them 100 MB."""
    code = (
        "import sys, polars as pl\n"
        "from tidemill.store.client import BLOCK_BYTES, BLOCK_ROWS, Store, StoreAddress, blocks\n"
        "from tidemill.store.queries import query\n"
        "queries = {'q': query('q', 'SELECT {x:Int64} AS x')}\n"
        f"store = Store(StoreAddress('127.0.0.1', {address.port}, password={address.password!r}, database='default'), "
        "queries=queries)\n"
        "assert store.frame('q', x=1).height == store.rows('q', x=1)[0]['x'] == 1\n"
        "print([m for m in ('pandas', 'pyarrow', 'numpy', 'chdb') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TEXT = st.text(max_size=40)
ROUND_TRIPS: dict[str, st.SearchStrategy[object]] = {
    "text": TEXT
    | st.sampled_from(["", "'", "\\", "\\N", "NULL", "\n\t\r\b\0", "a\\'b", "{x:Int64}", "%(x)s", "--", "é漢🙂"]),
    "texts": st.lists(TEXT, max_size=5),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "maybe": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "map": st.dictionaries(TEXT, TEXT, max_size=4),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_bound_values_come_back_as_they_were(store: Store, name: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROUND_TRIPS[name])
    def round_trip(value: object) -> None:
        assert store.rows(name, value=value) == [{"value": value}]

    round_trip()


@pytest.mark.parametrize(("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_floats_that_json_lacks_are_bound_and_read_as_none(store: Store, value: float, text: str) -> None:
    assert store.rows("float", value=value) == [{"value": None, "text": text}]


def test_closed_store_can_be_used_again(store: Store) -> None:
    store.close()
    store.ping()
    work: Callable[[], object] = lambda: store.rows("integer", value=3)  # noqa: E731
    assert work() == [{"value": 3}]


def test_a_large_frame_goes_in_several_inserts(store: Store) -> None:
    many = pl.DataFrame({"series": pl.int_range(300_001, dtype=pl.UInt64, eager=True), "value": 1.5})
    wide = pl.DataFrame(
        {"series": pl.Series([1, 2, 3], dtype=pl.UInt64), "body": ["x" * (12 << 20), "y", "z" * (20 << 20)]}
    )
    for frame in (many, wide):
        parts = list(blocks(frame))
        assert pl.concat(parts).equals(frame)
        assert len(parts) > 1
        assert all(
            part.height == 1 or (part.height <= BLOCK_ROWS and part.estimated_size() <= BLOCK_BYTES) for part in parts
        )
    assert list(blocks(many.clear())) == []
    store.insert("t", many)
    store.insert("t", wide)
    assert store.rows("count") == [{"n": 300_004}]
