"""A store that loses data: a proxy before a real engine that can answer 200 to inserts and pass none of them on."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from tidemill.store.client import StoreAddress

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class LyingStore:
    """`table` names the table whose inserts are swallowed ("*": those of all; "": none); `swallowed` counts them."""

    def __init__(self, behind: StoreAddress) -> None:
        self.behind = behind
        self.table = ""
        self.swallowed = 0

    def swallows(self, path: str, body: bytes) -> bool:
        statement = parse_qs(urlsplit(path).query).get("query", [""])[0] or body[:2_000].decode("latin-1")
        words = statement.replace("`", "").replace("(", " ").split()
        if words[:2] != ["INSERT", "INTO"] or not self.table:
            return False
        return self.table in ("*", words[2])


@contextmanager
def lying_store(behind: StoreAddress) -> Iterator[tuple[StoreAddress, LyingStore]]:
    """The address of a proxy before `behind` and its `LyingStore`, for the length of a `with`."""
    liar = LyingStore(behind)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(liar))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="lying-store", daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        yield StoreAddress("127.0.0.1", port, behind.user, behind.password, behind.database), liar
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(liar: LyingStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if liar.swallows(self.path, body):
                liar.swallowed += 1
                self._answer(200, [("X-ClickHouse-Summary", '{"written_rows":"1"}')], b"")
                return
            self._pass_on(body)

        def do_GET(self) -> None:
            self._pass_on(b"")

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(liar.behind.host, liar.behind.port, timeout=60)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
                self._answer(answer.status, kept, answer.read())
            except OSError:
                self.close_connection = True
            finally:
                connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler
