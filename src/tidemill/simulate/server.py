"""Runs a raw ASGI application on uvicorn: blocking for the command line, or in a thread for as long as a `with` lasts.

Guarantees that the port is open when `running` returns the URL, and that the server has ended when the `with` ends.
"""

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORT = "tidemill.transport"


class _OpenProtocol(HttpToolsProtocol):
    """Passes the connection to the application, so that the application can reset it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions


def _server(app: App) -> uvicorn.Server:
    config = uvicorn.Config(
        app, http=_OpenProtocol, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def serve(app: App, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. Raises OSError when the port is in use."""
    with _listen(host, port) as listener:
        _server(app).run(sockets=[listener])


@contextmanager
def running(app: App, host: str = "127.0.0.1", port: int = 0, listener: socket.socket | None = None) -> Iterator[str]:
    """Serves in a thread; yields the URL (without a slash at the end). Port 0 selects a free port. A `listener` is used
    instead of host and port, and closed at the end."""
    with listener or _listen(host, port) as listening:
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="simulator", daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def query_parameters(scope: Scope) -> dict[str, str]:
    """The query parameters of a request; the last value of a repeated parameter."""
    query = scope["query_string"].decode("ascii", "replace")
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}


async def send_response(send: Send, status: int, body: bytes, content_type: str = "application/json") -> None:
    """Sends a whole response."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, document: object) -> None:
    """Sends a document as JSON."""
    await send_response(send, status, json.dumps(document, allow_nan=False).encode())
