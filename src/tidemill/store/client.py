"""The one store client: `api`, `mill` and `query` reach the engine or a ClickHouse cluster through it alike.

It runs named queries (`sql/queries/`) and inserts frames. Values are bound by the server. It knows no schema, and it
keeps bytes as bytes and columns as columns: pandas, PyArrow and NumPy are never imported on its account.
"""

import io
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

import clickhouse_connect
import msgspec
import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.answers import pieces, whole
from tidemill.store.errors import translate
from tidemill.store.queries import Query, packaged
from tidemill.store.values import bindable, insertable, plain_rows

# A dict is bound as a Map, not as a JSON text.
clickhouse_connect.common.set_setting("dict_parameter_format", "map")

_T = TypeVar("_T")
# An INSERT holds its rows several times over in the store's memory: a frame of any size goes in blocks of these bounds.
BLOCK_BYTES: Final = 16 << 20
BLOCK_ROWS: Final = 250_000
_CONNECT_TIMEOUT_S = 2
_GREETING_TIMEOUT_S = 5  # to the first answer of a store: one that hangs must not hold everybody as long as a query may
_CONNECTIONS = 32
PARALLEL: Final = 4  # the engine works on a few queries at a time; more would only queue there
# An error never hides in good JSON: it comes as a status, or as a block behind the bytes.
_READ_SETTINGS = {"http_write_exception_in_output_format": "0"}
# Loopback and data-centre links are faster than LZ4 (1,000,000 points: 62 ms without, 83 ms with).
_FRAME_SETTINGS = {"output_format_arrow_compression_method": "none"}
_ROWS_SETTINGS = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_denormals": "0",
    "output_format_json_named_tuples_as_objects": "1",
}
# A null in a column that takes none is an error: the engine would store 0 for it.
_INSERT_SETTINGS = {
    "input_format_null_as_default": "0",
    # Duplicates within one insert are settled by FINAL like all others (1,000,000 points: 0.42 s instead of 0.74 s).
    "optimize_on_insert": "0",
}


class StoreAddress(msgspec.Struct, frozen=True):
    """Where a store answers, and as whom to ask it."""

    host: str
    port: int
    user: str = "tidemill"
    password: str = ""
    database: str = "tidemill"
    secure: bool = False


class Store:
    """A store. Safe to use from several threads at once; holds a pool of connections, opened when first needed.

    Every method raises StoreUnavailableError when the store cannot be reached, breaks off, or has too many queries
    (the call may or may not have had its effect: all writes are keyed, so write again), StoreQueryError with the
    store's code when it refuses, and TypeError when the values given are not those that the query takes.
    """

    def __init__(
        self,
        address: StoreAddress,
        *,
        settings: Mapping[str, str | int] | None = None,
        queries: Mapping[str, Query] | None = None,
        timeout_s: int = 120,
    ) -> None:
        self.address = address
        self._settings = dict(settings or {})
        self._queries = queries
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._under_way = 0
        self._connections = get_pool_manager(maxsize=_CONNECTIONS)

    @property
    def busy(self) -> bool:
        """Whether a call is under way now. None is for ever: a store that says nothing is given up by `timeout_s`."""
        return self._under_way > 0

    def ping(self) -> None:
        """Return if the store answers. Raises StoreUnavailableError."""
        if not self._call(lambda client: client.ping()):
            self._forget()
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
        return pieces(self._ask(query, fmt, values, {}))

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Insert a frame's rows, columns by name; columns not given take their defaults.

        A large frame goes in several INSERTs, of about BLOCK_BYTES and at most BLOCK_ROWS each (a row is never cut):
        when one raises, those before it stay. Returns once the parts are durable. A null for a column that takes none
        raises StoreQueryError (349).
        """
        for block in blocks(frame):
            self._insert(table, block)

    def _insert(self, table: str, frame: pl.DataFrame) -> None:
        into, buffer = self._into(table, frame.columns), io.BytesIO()
        insertable(frame).write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
        block = buffer.getvalue()
        self._call(
            lambda client: client.raw_insert(
                into, insert_block=block, fmt="ArrowStream", settings=dict(_INSERT_SETTINGS)
            )
        )

    def _into(self, table: str, columns: Sequence[str]) -> str:
        """What stands between INSERT INTO and FORMAT."""
        return f"`{table}` ({', '.join(f'`{name}`' for name in columns)})"

    def command(self, query: str, /, **values: Any) -> None:
        """Run a named query that returns nothing: INSERT SELECT, DDL, ALTER."""
        asked = self._query(query, values)
        # As a raw query: unlike `Client.command`, it sends long values in the body instead of the URL.
        self._call(lambda client: client.raw_query(asked.sql, bindable(values)))

    def close(self) -> None:
        """Close all connections. The store can be used again: it then connects anew."""
        self._forget()

    def _named(self, name: str) -> Query:
        return (packaged() if self._queries is None else self._queries)[name]

    def _query(self, name: str, values: Mapping[str, Any]) -> Query:
        asked = self._named(name)
        asked.check(values)
        return asked

    def _read(self, name: str, fmt: str, values: Mapping[str, Any], settings: Mapping[str, str]) -> bytes:
        # All of it is held here anyway: so the store may wait for the end, and then says cleanly if it failed.
        with self._counted():
            response = self._ask(name, fmt, values, {**settings, "wait_end_of_query": "1"})
            try:
                return whole(response)
            except StoreUnavailableError:
                self._forget()
                raise

    def _ask(self, name: str, fmt: str, values: Mapping[str, Any], settings: Mapping[str, str]) -> Any:
        """Run a query; returns the answer once its status is there."""
        asked, chosen = self._query(name, values), {**_READ_SETTINGS, **settings}
        return self._call(
            lambda client: client.raw_stream(asked.sql, bindable(values), settings=chosen, fmt=fmt), asked.sql
        )

    def _call(self, work: Callable[[Client], _T], question: str = "") -> _T:
        try:
            with self._counted():
                return work(self._connected())
        except (ClickHouseError, HTTPError) as error:
            failure = translate(error, self.address.host, self.address.port, question)
        if isinstance(failure, StoreUnavailableError):
            self._forget()
        raise failure from None

    def _connected(self) -> Client:
        client = self._client
        if client is None:
            client = self._connect()  # not under the lock: nobody waits for another one's hung connection
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

    def _forget(self) -> None:
        """Connect anew at the next call: what answers then may be another server."""
        with self._lock:
            self._client = None
        self._connections.clear()


def blocks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of a frame in order, in parts of about BLOCK_BYTES and at most BLOCK_ROWS; none for an empty frame. A
    row that is larger is a part by itself."""
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


def run_parallel(*questions: Callable[[], Any]) -> list[Any]:
    """Independent questions of a few ms each, side by side: the answers in their order. Raises what the first question
    that failed raised. The threads are shared by all requests of a process; no question may ask others this way."""
    waiting = [_threads().submit(question) for question in questions]
    return [future.result() for future in waiting]
