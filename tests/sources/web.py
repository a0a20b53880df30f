"""A real HTTP server that answers as a function says, and remembers what it was asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

import msgspec


class Request(msgspec.Struct):
    """A request as it came: `path`, `query` as a dictionary, `headers` in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    method: str = "GET"
    body: bytes = b""


class Web:
    """An ASGI application: `answer(request)` gives (status, headers, body)."""

    def __init__(self, answer: Callable[[Request], tuple[int, dict[str, str], bytes]]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.url = ""

    @contextmanager
    def answering(self, answer: Callable[[Request], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
        """Answer so from now on, and forget what was asked before; gives the URL."""
        self.answer = answer
        self.requests.clear()
        yield self.url

    async def __call__(self, scope, receive, send):
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        request = Request(scope["path"], query, headers, scope["method"], body)
        self.requests.append(request)
        status, given, body = self.answer(request)
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        if status != 304:
            pairs.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})
