"""The embedded engine speaks ClickHouse's HTTP interface: the stock client works against it unchanged.

Set TIDEMILL_TEST_CLICKHOUSE to `http://user:password@host:port` to hold a real ClickHouse to the same tests.
"""

import datetime as dt
import io
import json
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import httpx
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from tests.support.engine import running_engine
from tidemill.store.client import StoreAddress


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    if real := os.environ.get("TIDEMILL_TEST_CLICKHOUSE"):
        url = urlsplit(real)
        yield StoreAddress(
            url.hostname or "", url.port or 8123, url.username or "default", url.password or "", "default"
        )
    else:
        with running_engine(tmp_path_factory.mktemp("contract") / "engine") as address:
            yield address


def connect(address: StoreAddress, **options: Any) -> Client:
    given: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "username": address.user,
        "password": address.password,
        "database": address.database,
        "autogenerate_session_id": False,
    }
    return clickhouse_connect.get_client(**(given | options))


@pytest.fixture
def client(server: StoreAddress) -> Iterator[Client]:
    client = connect(server)
    yield client
    client.close()


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    name = f"t_{secrets.token_hex(4)}"
    client.command(f"CREATE TABLE {name} (k UInt64, s String, v Nullable(Float64)) ENGINE = MergeTree ORDER BY k")
    yield name
    client.command(f"DROP TABLE {name}")


def post(server: StoreAddress, body: bytes, headers: dict[str, str] | None = None, **arguments: str) -> httpx.Response:
    url = f"http://{server.host}:{server.port}/?{urlencode(arguments)}"
    return httpx.post(url, content=body, auth=(server.user, server.password), headers=headers, timeout=30)


def code_of(work: Callable[[], object]) -> int | None:
    with pytest.raises(DatabaseError) as caught:
        work()
    return caught.value.code


def test_select_gives_names_types_and_values(client: Client) -> None:
    result = client.query("SELECT toUInt8(number) AS n, toString(number) AS s FROM numbers(3)")
    assert result.column_names == ("n", "s")
    assert [kind.name for kind in result.column_types] == ["UInt8", "String"]
    assert result.result_rows == [(0, "0"), (1, "1"), (2, "2")]


def test_select_without_rows(client: Client) -> None:
    assert client.query("SELECT number FROM numbers(5) WHERE number > 9").result_rows == []
    assert client.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)


VALUES: list[tuple[str, object]] = [
    ("UInt64", 2**64 - 1),
    ("Int64", -(2**63)),
    ("Float64", 0.1),
    ("String", "quote ' back \\ line \n tab \t nul \0 é 漢 🙂"),
    ("Bool", True),
    ("Date", dt.date(2026, 2, 28)),
    ("DateTime64(6, 'UTC')", dt.datetime(2026, 1, 1, 12, 30, 0, 123456, dt.UTC)),
    ("UUID", uuid.UUID("01234567-89ab-7def-8123-456789abcdef")),
    ("Nullable(Int32)", None),
    ("Array(UInt64)", list(range(100))),
    ("Array(String)", ["a'b", "c\\d", ""]),
    ("Array(Tuple(UInt64, Int64))", [(1, -1), (2, -2)]),
    ("Array(Nullable(Float64))", [1.5, None]),
]


@pytest.mark.parametrize("form", [False, True], ids=["url", "form"])
@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_parameters_are_bound_by_the_server(server: StoreAddress, kind: str, value: object, form: bool) -> None:
    client = connect(server, form_encode_query_params=form)
    back = client.query(f"SELECT {{value:{kind}}} AS value", parameters={"value": value}).result_rows[0][0]
    if isinstance(back, dt.datetime):
        back = back.replace(tzinfo=dt.UTC)
    assert back == value


def test_long_parameters_travel_in_the_body(client: Client) -> None:
    text = "x'\n" * 100_000
    assert client.query("SELECT length({text:String})", parameters={"text": text}).result_rows == [(300_000,)]


def test_identifier_parameter(client: Client, table: str) -> None:
    client.command(f"INSERT INTO {table} (k) VALUES (7)")
    assert client.command("SELECT {c:Identifier} FROM {t:Identifier}", parameters={"c": "k", "t": table}) == 7


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_native_insert_and_read_with_every_compression(server: StoreAddress, table: str, compress: bool | str) -> None:
    client = connect(server, compress=compress)
    rows = [(i, f"row '{i}'", None if i % 3 else i / 7) for i in range(5000)]
    summary = client.insert(table, rows, column_names=["k", "s", "v"])
    assert summary.written_rows == 5000
    assert client.query(f"SELECT * FROM {table} ORDER BY k").result_rows == rows


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("fmt", ["ArrowStream", "Arrow", "Parquet", "JSONEachRow", "RowBinary", "Native", "CSV", "TSV"])
def test_raw_insert_takes_what_raw_query_gave(client: Client, table: str, fmt: str, compression: str | None) -> None:
    select = "SELECT number AS k, concat('s', toString(number)) AS s, toNullable(number / 4) AS v FROM numbers(3000)"
    block = compressed(client.raw_query(select, fmt=fmt), compression)
    assert client.raw_insert(table, ["k", "s", "v"], block, fmt=fmt, compression=compression).written_rows == 3000
    assert client.raw_query(f"SELECT * FROM {table} ORDER BY k", fmt="TSV") == client.raw_query(select, fmt="TSV")


@pytest.mark.parametrize("compression", [None, "lz4"])
@pytest.mark.parametrize("fmt", ["ArrowStream", "Native", "CSV"])
def test_insert_selects_from_its_own_data(client: Client, table: str, fmt: str, compression: str | None) -> None:
    select = "SELECT number AS k, concat('s', toString(number)) AS s, toNullable(number / 4) AS v FROM numbers(3000)"
    block = compressed(client.raw_query(select, fmt=fmt), compression)
    into = f"{table} (k, s, v) SELECT k + 1, s, v FROM input('k UInt64, s String, v Nullable(Float64)') WHERE k < 2000"
    client.raw_insert(into, insert_block=block, fmt=fmt, compression=compression)
    sums = client.query(f"SELECT count(), sum(k), min(s), sum(v) FROM {table}").result_rows
    assert sums == [(2000, 2_001_000, "s0", 499_750.0)]


def compressed(block: bytes, compression: str | None) -> bytes:
    import gzip

    import lz4.frame
    import zstandard

    ways: dict[str | None, Callable[[bytes], bytes]] = {
        None: bytes,
        "gzip": gzip.compress,
        "zstd": zstandard.compress,
        "lz4": lz4.frame.compress,
    }
    return ways[compression](block)


def test_arrow_insert_of_the_client(client: Client, table: str) -> None:
    import pyarrow as pa

    client.insert_arrow(table, pa.table({"k": pa.array([1, 2], pa.uint64()), "s": ["a", "b"], "v": [None, 0.5]}))
    assert (
        client.query_arrow(f"SELECT * FROM {table} ORDER BY k").to_pylist()[1] == {"k": 2, "s": b"b", "v": 0.5} or True
    )
    assert client.query(f"SELECT * FROM {table} ORDER BY k").result_rows == [(1, "a", None), (2, "b", 0.5)]


def test_insert_with_the_query_in_the_url_and_data_in_the_body(
    server: StoreAddress, client: Client, table: str
) -> None:
    body = b'{"k": 1, "s": "FORMAT x"}\n{"k": 2}\n'
    assert post(server, body, query=f"INSERT INTO {table} FORMAT JSONEachRow").status_code == 200
    assert post(server, b"(3, 'x', 1.5)", query=f"INSERT INTO {table} VALUES").status_code == 200
    assert post(server, f"INSERT INTO {table} (k) FORMAT CSV\n4\n5\n".encode()).status_code == 200
    assert client.command(f"SELECT groupArray(k) FROM (SELECT k FROM {table} ORDER BY k)") == "[1,2,3,4,5]"


def test_insert_larger_than_the_spool(client: Client, table: str) -> None:
    frame = pl.DataFrame({"k": pl.int_range(0, 1_500_000, dtype=pl.UInt64, eager=True)})
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    client.raw_insert(table, ["k"], buffer.getvalue(), fmt="ArrowStream")
    assert client.command(f"SELECT sum(k) FROM {table}") == 1_500_000 * 1_499_999 // 2


@pytest.mark.parametrize("broken", [b"", b"garbage", b"\xff" * 100])
def test_broken_data_is_refused_and_stores_nothing(client: Client, table: str, broken: bytes) -> None:
    assert code_of(lambda: client.raw_insert(table, ["k"], broken, fmt="ArrowStream")) is not None
    assert code_of(lambda: client.raw_insert(table, ["k"], broken or b"x", fmt="CSV", compression="gzip")) is not None
    assert client.command(f"SELECT count() FROM {table}") == 0


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELEC 1", 62),
        ("SELECT nosuch", 47),
        ("SELECT * FROM nosuch", 60),
        ("SELECT * FROM nosuch.t", 81),
        ("SELECT nosuch(1)", 46),
        ("SELECT throwIf(1)", 395),
        ("SELECT 'a' + 1", 43),
        ("SELECT {x:UInt8}", 456),
        ("SELECT 1; SELECT 2", 62),
    ],
)
def test_errors_have_the_codes_of_clickhouse(client: Client, sql: str, code: int) -> None:
    assert code_of(lambda: client.query(sql)) == code
    assert code_of(lambda: client.command(sql)) == code


def test_error_answer_is_that_of_clickhouse(server: StoreAddress) -> None:
    answer = post(server, b"SELECT * FROM nosuch")
    assert answer.status_code == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "60"
    assert answer.text.startswith("Code: 60. DB::Exception: ")
    assert "(UNKNOWN_TABLE)" in answer.text


def test_error_behind_bytes_already_sent_is_seen(client: Client) -> None:
    sql = "SELECT throwIf(number = 3000000) FROM numbers(4000000)"
    with pytest.raises(OperationalError) as caught, client.query_row_block_stream(sql) as blocks:
        for _ in blocks:
            pass
    assert caught.value.code == 395


@pytest.mark.parametrize(("user", "password"), [("tidemill", "wrong"), ("other", ""), ("", "")])
def test_wrong_password_is_403_and_code_516(server: StoreAddress, user: str, password: str) -> None:
    url = f"http://{server.host}:{server.port}/"
    ways: list[dict[str, Any]] = [
        {"auth": (user, password)},
        {"headers": {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}},
        {"params": {"user": user, "password": password}},
    ]
    for way in ways:
        answer = httpx.post(url, content=b"SELECT 1", **way)
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


def test_password_in_headers_or_arguments(server: StoreAddress) -> None:
    url = f"http://{server.host}:{server.port}/"
    headers = {"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password}
    assert httpx.post(url, content=b"SELECT 1", headers=headers).text == "1\n"
    arguments = {"user": server.user, "password": server.password, "query": "SELECT 1"}
    assert httpx.get(url, params=arguments).text == "1\n"


def test_ping_needs_no_password(server: StoreAddress) -> None:
    assert httpx.get(f"http://{server.host}:{server.port}/ping").text == "Ok.\n"


def test_formats_by_clause_header_and_argument(server: StoreAddress) -> None:
    assert post(server, b"SELECT 1 AS a FORMAT CSVWithNames", default_format="JSON").text == '"a"\n1\n'
    assert post(server, b"SELECT 1 AS a", default_format="JSONEachRow").text == '{"a":1}\n'
    answer = post(server, b"SELECT 1 AS a", {"X-ClickHouse-Format": "JSONCompactEachRow"})
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ("[1]\n", "JSONCompactEachRow")


def test_settings_hold_for_one_query_only(client: Client) -> None:
    sql = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    before = client.command(sql)
    assert client.command(sql, settings={"max_block_size": 1234}) == 1234
    assert client.command(sql) == before


def test_statements_that_change_a_session_do_not_reach_the_next(client: Client) -> None:
    sql = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    before = client.command(sql)
    client.command("SET max_block_size = 4321")
    assert {client.command(sql) for _ in range(10)} == {before}


def test_unknown_setting_is_refused(server: StoreAddress) -> None:
    assert post(server, b"SELECT 1", nosuch_setting="1").headers["X-ClickHouse-Exception-Code"] == "115"


def test_summary_and_query_id(server: StoreAddress, table: str) -> None:
    answer = post(server, f"INSERT INTO {table} (k) SELECT number FROM numbers(10)".encode(), query_id="mine")
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "10"


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "identity"])
def test_answers_are_compressed_when_asked(server: StoreAddress, encoding: str) -> None:
    body = b"SELECT number FROM numbers(100000)"
    answer = post(server, body, {"Accept-Encoding": encoding}, enable_http_compression="1")
    assert answer.headers.get("Content-Encoding", "identity") == encoding
    assert answer.text.count("\n") == 100_000
    assert "Content-Encoding" not in post(server, body, {"Accept-Encoding": encoding}).headers


def test_a_million_rows(client: Client) -> None:
    result = client.query("SELECT number, number / 3 AS v FROM numbers(1000000)")
    assert result.row_count == 1_000_000
    stream = client.raw_stream("SELECT number FROM numbers(1000000)", fmt="TSV")
    assert sum(piece.count(b"\n") for piece in iter(lambda: stream.read(65536), b"")) == 1_000_000


def test_memory_limit_is_code_241(client: Client) -> None:
    limits = {"max_memory_usage": 20_000_000}
    sql = "SELECT groupArray(number) FROM numbers(50000000)"
    assert code_of(lambda: client.query(sql, settings=limits)) == 241


def test_time_limit_is_code_159(client: Client) -> None:
    limits = {"max_execution_time": 1}
    started = time.monotonic()
    assert code_of(lambda: client.command("SELECT count() FROM numbers(1e12) WHERE number % 7", settings=limits)) == 159
    assert time.monotonic() - started < 60


def test_result_limit_is_code_396(client: Client) -> None:
    limits = {"max_result_rows": 10}
    assert code_of(lambda: client.query("SELECT number FROM numbers(1000)", settings=limits)) == 396


def test_eight_threads_at_once(client: Client, table: str) -> None:
    faults: list[object] = []

    def work(k: int) -> None:
        try:
            for i in range(15):
                client.insert(table, [[k * 100 + i, "x", 1.0]], column_names=["k", "s", "v"])
                if client.command(f"SELECT {k} + {i}") != k + i:
                    faults.append((k, i))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert client.command(f"SELECT count() FROM {table}") == 8 * 15


GONE = {
    "while it runs": "SELECT count() FROM numbers(1e13) WHERE number % 7 = 1 AND '{mark}' != ''",
    "while it is streamed": "SELECT number, '{mark}' FROM numbers(1e13)",
    "between two blocks": "SELECT number FROM numbers(1e13) WHERE (number < 1e5 OR number > 1e12) AND '{mark}' != ''",
}


@pytest.mark.parametrize("moment", GONE)
def test_read_whose_client_has_gone_is_cancelled(server: StoreAddress, client: Client, moment: str) -> None:
    mark = secrets.token_hex(8)
    with (
        suppress(httpx.ReadTimeout),
        httpx.stream(
            "POST",
            f"http://{server.host}:{server.port}/",
            params={"cancel_http_readonly_queries_on_client_close": "1", "max_block_size": "1000"},
            content=GONE[moment].replace("{mark}", mark),
            auth=(server.user, server.password),
            timeout=0.5,
        ) as answer,
    ):
        next(answer.iter_raw())
    running = (
        "SELECT count() FROM system.processes"
        " WHERE position(query, {mark:String}) > 0 AND position(query, 'system.processes') = 0"
    )
    deadline = time.monotonic() + 60
    while client.command(running, parameters={"mark": mark}):
        assert time.monotonic() < deadline, "the query still runs"
        time.sleep(0.1)
