"""Every way to insert a frame into a table of an engine, for tests of inserts that fail."""

import re
import secrets
from collections.abc import Callable

import clickhouse_connect
import httpx
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.client import Store, StoreAddress

LARGE = 200_000  # rows: as Arrow 5 MB, more than is kept in memory on the way in
Way = Callable[[StoreAddress, str, pl.DataFrame], None]


def connect(address: StoreAddress) -> Client:
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username=address.user,
        password=address.password,
        database=address.database,
        autogenerate_session_id=False,
    )


def rows(count: int, first: int = 0) -> pl.DataFrame:
    keys = pl.int_range(first, first + count, dtype=pl.UInt64, eager=True)
    return pl.DataFrame({"k": keys, "s": keys.cast(pl.String).str.zfill(8)})


def make_table(client: Client, extra: str = "", partition: str = "", settings: str = "fsync_after_insert = 1") -> str:
    name = f"t_{secrets.token_hex(4)}"
    kind = f"ENGINE = MergeTree {partition} ORDER BY k SETTINGS {settings}"
    client.command(f"CREATE TABLE {name} (k UInt64, s String {extra}) {kind}")
    return name


def count_rows(client: Client, table: str) -> int:
    return int(client.command(f"SELECT count() FROM {table}"))  # type: ignore[arg-type]


def by_store(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    Store(address, settings=SETTINGS).insert(table, frame)


def by_native(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    with connect(address) as client:
        client.insert(table, frame.rows(), column_names=frame.columns, settings=SETTINGS)


def by_lines(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    statement = f"INSERT INTO {table} SETTINGS max_partitions_per_insert_block = 100 FORMAT JSONEachRow\n".encode()
    _post(address, statement + frame.write_ndjson().encode())


def by_values(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    values = ", ".join(f"({k}, '{s}')" for k, s in frame.rows())
    _post(address, f"INSERT INTO {table} (k, s) VALUES {values}".encode())


def by_async(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    _post(
        address, f"INSERT INTO {table} FORMAT JSONEachRow\n".encode() + frame.write_ndjson().encode(), async_insert="1"
    )


def by_select(address: StoreAddress, table: str, frame: pl.DataFrame) -> None:
    numbers = f"numbers({frame['k'].min()}, {frame.height})"
    _post(
        address, f"INSERT INTO {table} (k, s) SELECT number, leftPad(toString(number), 8, '0') FROM {numbers}".encode()
    )


REFUSALS = (StoreQueryError, StoreUnavailableError, ClickHouseError)
SETTINGS = {"max_partitions_per_insert_block": 100}
WAYS: dict[str, Way] = {
    "store": by_store,
    "native": by_native,
    "lines": by_lines,
    "values": by_values,
    "async": by_async,
    "select": by_select,
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def _post(address: StoreAddress, body: bytes, **arguments: str) -> None:
    url = f"http://{address.host}:{address.port}/"
    auth = (address.user, address.password)
    chosen = {name: str(value) for name, value in SETTINGS.items()} | arguments
    answer = httpx.post(url, params=chosen, content=body, auth=auth, timeout=60)
    if answer.status_code != 200:
        raise StoreQueryError(int(answer.headers["X-ClickHouse-Exception-Code"]), answer.text)


def error_code(work: Callable[[], None]) -> int:
    """The code of the error that `work` must end with."""
    with pytest.raises(REFUSALS) as caught:
        work()
    match = re.search(r"Code: (\d+)\.", str(caught.value))
    assert match is not None, caught.value
    return int(match.group(1))
