"""The client of the store: `api`, `mill` and `query` reach the embedded engine or a ClickHouse cluster through it.

It runs named queries (`sql/queries/`) and inserts frames. The server binds the parameters. It knows no schema, and it
imports neither pandas nor PyArrow nor NumPy.
"""

import io
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.address import StoreAddress
from tidemill.store.answers import read_answer, stream_answer
from tidemill.store.arrow_stream import ArrowBuffer
from tidemill.store.errors import translate_error
from tidemill.store.generations import HEADER, Generations, bucket_header, is_counted
from tidemill.store.queries import Query, packaged_queries
from tidemill.store.short_requests import ShortRequests
from tidemill.store.values import bindable, plain_rows

# A dict is bound as a Map, not as a JSON text.
clickhouse_connect.common.set_setting("dict_parameter_format", "map")

_T = TypeVar("_T")
# An INSERT holds its rows several times over in the store's memory: a frame of any size goes in blocks of these bounds.
BLOCK_BYTES: Final = 16 << 20
BLOCK_ROWS: Final = 250_000
_CONNECT_TIMEOUT_S = 2
_GREETING_TIMEOUT_S = 5  # for the first answer after connecting: a store that hangs is given up sooner than a query
_CONNECTIONS = 32
PARALLEL: Final = 4  # the engine works on a few queries at a time; more would only queue there
# An error is reported by the status or by an exception block behind the bytes, never inside of valid JSON.
_READ_SETTINGS = {"http_write_exception_in_output_format": "0"}
# Loopback and data-centre links are faster than LZ4 (1,000,000 points: 62 ms without, 83 ms with).
_FRAME_SETTINGS = {"output_format_arrow_compression_method": "none"}
_ROWS_SETTINGS = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_denormals": "0",
    "output_format_json_named_tuples_as_objects": "1",
}
# A null in a column that is not nullable is an error: without this setting the engine stores 0.
_INSERT_SETTINGS = {
    "input_format_null_as_default": "0",
    # FINAL resolves duplicates within one insert like all others (1,000,000 points: 0.42 s instead of 0.74 s).
    "optimize_on_insert": "0",
}


class Store:
    """A store. Thread-safe; holds a pool of connections, opened when first needed.

    Every method raises StoreUnavailableError when the store cannot be reached, breaks off, or has too many queries
    (the call may or may not have had its effect: all writes are keyed, so write again), StoreQueryError with the
    store's code when it refuses, and TypeError when the values given are not the query's parameters.
    """

    def __init__(
        self,
        address: StoreAddress,
        *,
        settings: Mapping[str, str | int] | None = None,
        queries: Mapping[str, Query] | None = None,
        timeout_s: int = 120,
        generations: Generations | None = None,
    ) -> None:
        """`generations`: those of the store at this address, if it has any."""
        self.address = address
        self.generations = generations or Generations()
        self._settings = dict(settings or {})
        self._queries = queries
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._under_way = 0
        self._connections = get_pool_manager(maxsize=_CONNECTIONS)
        self._short = ShortRequests(address, self._settings, timeout_s)
        self._arrow = ArrowBuffer()

    @property
    def busy(self) -> bool:
        """Whether a call is under way now. Every call ends: a store that is silent for `timeout_s` is given up."""
        return self._under_way > 0

    def ping(self) -> None:
        """Return if the store answers. Raises StoreUnavailableError."""
        if not self._call(lambda client: client.ping()):
            self._disconnect()
            raise StoreUnavailableError(f"The store at {self.address.host}:{self.address.port} does not answer")

    def frame(self, query: str, /, **values: Any) -> pl.DataFrame:
        """The rows of a named query as a frame; an empty result keeps its columns.

        Strings must be UTF-8; for bytes, select `hex(...)` or read a single value with `raw(..., "RawBLOB")`.
        """
        data = self._read(query, "ArrowStream", values, _FRAME_SETTINGS)
        return pl.read_ipc_stream(io.BytesIO(data))

    def rows(self, query: str, /, **values: Any) -> list[dict[str, Any]]:
        """The rows of a small result: JSON's types, times as int ns, maps as dicts, NaN and infinity as None."""
        return plain_rows(self._read(query, "JSONCompact", values, _ROWS_SETTINGS))

    def raw(self, query: str, fmt: str, /, **values: Any) -> bytes:
        """The result of a named query in one of the store's output formats, as the store wrote it."""
        return self._read(query, fmt, values, {})

    def stream(self, query: str, fmt: str, /, **values: Any) -> Generator[bytes]:
        """Like `raw`, in pieces while the store works. Errors before the first byte are raised by the call itself,
        later ones by the iterator. Close the iterator to give up early: the store then cancels the query."""
        return stream_answer(self._open_answer(query, fmt, values, {}))

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Insert a frame's rows, columns by name; columns not given take their defaults.

        A large frame goes in several INSERTs, of about BLOCK_BYTES and at most BLOCK_ROWS each (a row is never cut):
        when one raises, those before it stay. Returns once the parts are durable. A null for a column that takes none
        raises StoreQueryError (349).
        """
        for block in blocks(frame):
            self._insert(table, block)

    def _insert(self, table: str, frame: pl.DataFrame) -> None:
        into = self._into(table, frame.columns)
        header = bucket_header(frame["series"].unique()) if is_counted(table) and "series" in frame.columns else None
        headers = {HEADER: header} if header else None
        with self._arrow.written(frame) as block:  # no bytes: the client would copy them behind the statement
            self._call(
                lambda client: client.raw_insert(
                    into,
                    insert_block=block,  # type: ignore[arg-type]  # whatever urllib3 takes
                    fmt="ArrowStream",
                    settings=dict(_INSERT_SETTINGS),
                    transport_settings=headers,
                )
            )

    def _into(self, table: str, columns: Sequence[str]) -> str:
        """The text between INSERT INTO and FORMAT."""
        return f"`{table}` ({', '.join(f'`{name}`' for name in columns)})"

    def command(self, query: str, /, **values: Any) -> None:
        """Run a named query that returns nothing: INSERT SELECT, DDL, ALTER."""
        sql = self._checked_query(query, values).sql
        # As a raw query: unlike `Client.command`, it sends long values in the body instead of the URL.
        self._call(lambda client: client.raw_query(sql, bindable(values)))

    def close(self) -> None:
        """Close all connections. The store can be used again: it then connects anew."""
        self._disconnect()

    def _query_of(self, name: str) -> Query:
        return (packaged_queries() if self._queries is None else self._queries)[name]

    def _checked_query(self, name: str, values: Mapping[str, Any]) -> Query:
        query = self._query_of(name)
        query.check_values(values)
        return query

    def _read(self, name: str, fmt: str, values: Mapping[str, Any], settings: Mapping[str, str]) -> bytes:
        # The whole answer is held here anyway, so the store waits for its end: then a failure shows in the status.
        with self._counted():
            response = self._open_answer(name, fmt, values, {**settings, "wait_end_of_query": "1"})
            try:
                return read_answer(response)
            except StoreUnavailableError:
                self._disconnect()
                raise

    def _open_answer(self, name: str, fmt: str, values: Mapping[str, Any], settings: Mapping[str, str]) -> Any:
        """Run a query; returns the answer once its status is there."""
        sql, settings = self._checked_query(name, values).sql, {**_READ_SETTINGS, **settings}
        short = self._short.request_of(sql, fmt, values, settings)
        if short is not None:
            return self._call(lambda _: self._short.send(short, self._connections), sql)
        return self._call(lambda client: client.raw_stream(sql, bindable(values), settings=settings, fmt=fmt), sql)

    def _call(self, work: Callable[[Client], _T], read_sql: str = "") -> _T:
        """Run `work` with a connected client and translate its errors. `read_sql`: the SQL of a query that reads."""
        try:
            with self._counted():
                return work(self._connected())
        except (ClickHouseError, HTTPError) as error:
            failure = translate_error(error, self.address.host, self.address.port, read_sql)
        if isinstance(failure, StoreUnavailableError):
            self._disconnect()
        raise failure from None

    def _connected(self) -> Client:
        client = self._client
        if client is None:
            client = self._connect()  # not under the lock: no thread waits for another thread's hung connection
            with self._lock:
                self._client = client
        return client

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _connect(self) -> Client:
        address = self.address
        client = clickhouse_connect.get_client(
            interface="https" if address.secure else "http",
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            database=address.database,
            settings=dict(self._settings),
            compress=address.secure,
            autogenerate_session_id=False,
            query_retries=0,
            connect_timeout=_CONNECT_TIMEOUT_S,
            send_receive_timeout=_GREETING_TIMEOUT_S,
            show_clickhouse_errors="scrub",
            pool_mgr=self._connections,
        )
        assert isinstance(client, HttpClient)
        client.timeout = Timeout(connect=_CONNECT_TIMEOUT_S, read=self._timeout_s)
        return client

    def _disconnect(self) -> None:
        """Drop all connections, so that the next call connects anew: another server may answer by then."""
        with self._lock:
            self._client = None
        self._connections.clear()


def blocks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yields the rows of a frame in order, in parts of about BLOCK_BYTES and at most BLOCK_ROWS; nothing for an empty
    frame. A row that is larger is a part by itself."""
    if frame.height > 1 and (frame.height > BLOCK_ROWS or frame.estimated_size() > BLOCK_BYTES):
        middle = frame.height // 2
        yield from blocks(frame[:middle])
        yield from blocks(frame[middle:])
    elif frame.height:
        yield frame


__all__ = ["Store", "StoreAddress", "StoreQueryError", "StoreUnavailableError"]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARALLEL, thread_name_prefix="parallel")


def run_parallel(*queries: Callable[[], Any]) -> list[Any]:
    """The results of independent queries of a few ms each, run side by side, in their order. Raises the error of the
    first query that failed. All requests of a process share the threads, so no query may call `run_parallel` itself."""
    futures = [_threads().submit(query) for query in queries]
    return [future.result() for future in futures]
