"""A service on loopback that a source polls: it answers what a test says, and counts how often it was asked."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEFINITION = """name = "wells"
[time]
path = "$.t"
[tags.well]
path = "$.well"
[fields.level]
path = "$.level"
unit = "m"
[source]
url = "URL/levels"
every = "500ms"
allow = ["127.0.0.0/8"]
"""


@dataclass
class Wells:
    """`status` is what is answered from now on; while it is 200, with the level of now."""

    url: str = ""
    status: int = 200
    asked: int = 0

    def answer(self) -> bytes:
        if self.status != 200:
            return b'{"error": "the wells are being cleaned"}'
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return json.dumps([{"t": at, "well": "w1", "level": 3.5 + self.asked % 7 / 10}]).encode()


@contextmanager
def wells_service() -> Iterator[Wells]:
    wells = Wells()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wells.asked += 1
            body = wells.answer()
            self.send_response(wells.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    wells.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield wells
    finally:
        server.shutdown()
        server.server_close()
