"""A store that fails after its status was sent: no caller takes what came for an answer."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import pytest
import urllib3

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.answers import read_answer, stream_answer
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

TAG = "3f9ac01d5b7e2a64"
WHY = "Code: 158. DB::Exception: Limit for rows exceeded, max rows: 1.00. (TOO_MANY_ROWS)"
BUSY = "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)"
QUERIES = {
    one.name: one
    for one in (
        query("late", "SELECT 'late'"),
        query("good", "SELECT number FROM numbers({n:UInt64})"),
        query("fails_late", "SELECT throwIf(number = 5000000) AS x FROM numbers(10000000)"),
        query("fails_soon", "SELECT throwIf(number = 90) AS x FROM numbers(100) SETTINGS max_block_size = 1"),
    )
}
Ask = Callable[[Store], object]
ASKS: dict[str, Ask] = {
    "rows": lambda store: store.rows("late"),
    "frame": lambda store: store.frame("late"),
    "raw": lambda store: store.raw("late", "CSV"),
    "stream": lambda store: b"".join(store.stream("late", "CSV")),
}


def block(why: str, tag: str = TAG) -> bytes:
    text = why + "\n"
    return f"\r\n__exception__\r\n{tag}\r\n{text}{len(text)} {tag}\r\n__exception__\r\n".encode()


@contextmanager
def in_front_of(engine: StoreAddress, late: bytes, *, ended: bool) -> Iterator[StoreAddress]:
    """A server that passes everything on to the engine, but answers the query `late` with status 200 and these bytes;
    without `ended`, it closes the connection where the end should be."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b"SELECT 'late'" in body:
                self.chunks(late)
                return
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            url = f"http://{engine.host}:{engine.port}{self.path}"
            answer = urllib3.request("POST", url, body=body, headers=headers, timeout=30)
            self.send_response(answer.status)
            for name in ("X-ClickHouse-Format", "X-ClickHouse-Timezone", "X-ClickHouse-Exception-Code"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def chunks(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("X-ClickHouse-Exception-Tag", TAG)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (body[:-40], body[-40:]):  # what the store says of itself is cut in two
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            if ended:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield msgspec.structs.replace(engine, port=server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "broken off"])
@pytest.mark.parametrize("ask", ASKS)
def test_an_error_behind_the_bytes_is_raised_with_its_code(address: StoreAddress, ask: str, ended: bool) -> None:
    late = b'{"meta": [{"name": "n", "type": "UInt64"}], "data": [[1],' + block(WHY)
    with in_front_of(address, late, ended=ended) as broken:
        store = Store(broken, queries=QUERIES)
        assert store.rows("good", n=1) == [{"number": 0}]
        with pytest.raises(StoreQueryError) as caught:
            ASKS[ask](store)
        assert (caught.value.store_code, caught.value.message) == (158, WHY)
        assert store.rows("good", n=1) == [{"number": 0}]
        store.close()


@pytest.mark.parametrize("ask", ASKS)
def test_an_answer_without_its_end_is_none(address: StoreAddress, ask: str) -> None:
    with in_front_of(address, json.dumps({"meta": [], "data": []}).encode() * 10, ended=False) as broken:
        store = Store(broken, queries=QUERIES)
        with pytest.raises(StoreUnavailableError, match="broke off"):
            ASKS[ask](store)
        store.close()


def response(body: bytes, tag: str | None = TAG) -> urllib3.HTTPResponse:
    headers = {} if tag is None else {"X-ClickHouse-Exception-Tag": tag}
    return urllib3.HTTPResponse(io.BytesIO(body), headers=headers, preload_content=False)


def test_a_store_that_got_busy_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError, match="202"):
        read_answer(response(b"1\n" + block(BUSY)))


@pytest.mark.parametrize("tag", [TAG, None])
def test_data_that_looks_like_an_error_is_data(tag: str | None) -> None:
    body = b"a payload" + block(WHY, tag="0123456789abcdef")
    assert read_answer(response(body, tag)) == body


@pytest.mark.parametrize("size", [0, 1, 255 << 10, 256 << 10, (256 << 10) + 1, 1 << 20])
def test_every_byte_comes_through_and_none_of_the_error(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    assert read_answer(response(data)) == data
    assert b"".join(stream_answer(response(data, None))) == data
    given = b""
    with pytest.raises(StoreQueryError):
        for piece in stream_answer(response(data + block(WHY * 100))):
            given += piece
    assert data.startswith(given)


@pytest.mark.parametrize("fmt", ["CSV", "JSONEachRow", "JSONCompact", "ArrowStream"])
def test_the_embedded_engine_says_it_in_time_where_it_may_wait(address: StoreAddress, fmt: str) -> None:
    store = Store(address, queries=QUERIES)
    for name in ("fails_late", "fails_soon"):
        with pytest.raises(StoreQueryError) as caught:
            store.raw(name, fmt)
        assert caught.value.store_code == 395
    with pytest.raises(StoreQueryError):
        store.stream("fails_soon", fmt)  # the call, not the iterator: few bytes wait for the end
    store.close()
