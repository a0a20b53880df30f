"""Reads request bodies within stated limits, and bounds what all requests together hold in memory.

The protocol (`protocol.py`) limits how long a body may take: a timer for each request would add a tenth to the cost of
the hot path.
"""

import time
from typing import Any, Final

from tidemill.api.problems import OverloadedError
from tidemill.errors import LimitError

Receive = Any  # an ASGI receive callable; litestar and uvicorn disagree on its exact type

MAX_REQUESTS: Final = 4096  # intake requests in flight
MAX_BYTES: Final = 384 << 20  # bytes of bodies in flight, packed and unpacked together


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete, or before its answer was there; none is sent."""


class Gate:
    """Counts requests and bytes in flight, and refuses requests over either bound before memory runs out."""

    def __init__(self, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self.requests = 0
        self.bytes = 0

    def enter(self) -> None:
        """Count one request. Raises OverloadedError."""
        if self.requests >= self._max_requests:
            raise OverloadedError(f"{self.requests} requests are in flight, the most this server takes.", 1.0)
        self.requests += 1

    def leave(self, size: int) -> None:
        """Undo one `enter` and the `size` bytes that the request added."""
        self.requests -= 1
        self.bytes -= size

    def add_bytes(self, size: int) -> None:
        """Count bytes of a request in flight. Raises OverloadedError (then they are not counted)."""
        if self.bytes + size > self._max_bytes:
            raise OverloadedError(f"{self.bytes >> 20} MiB of bodies are in flight; no room for this one.", 1.0)
        self.bytes += size


class Incoming:
    """One intake request. `path`: the value of the path's parameter; `headers`: by lower-case name, several of one name
    joined; `receive`: gives the body; `complete`: the body was received; `held`: its bytes that `Gate` counts."""

    __slots__ = ("_begun", "address", "complete", "headers", "held", "path", "query", "receive")

    def __init__(self, path: str, query: bytes, headers: dict[bytes, bytes], receive: Receive, address: str) -> None:
        self.path, self.query, self.headers, self.receive, self.address = path, query, headers, receive, address
        self.complete = False
        self.held = 0
        self._begun = time.monotonic()

    def left_of(self, wait_s: float) -> float:
        """What is left of a wait of `wait_s` seconds that began with the request, so that receiving and storing a large
        body counts as waiting; 0 or more."""
        return max(0.0, wait_s - (time.monotonic() - self._begun))

    def hold(self, gate: Gate, size: int) -> None:
        """Count bytes that this request holds until its answer. Raises OverloadedError."""
        gate.add_bytes(size)
        self.held += size


async def read_body(incoming: Incoming, gate: Gate, limit: int, name: str) -> bytes:
    """The whole body, at most `limit` bytes, with or without a Content-Length. `name` is the name of the limit.

    Raises LimitError, OverloadedError or ClientGoneError; the body is not complete then.
    """
    declared = incoming.headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise _too_large(limit, name)
    message = await incoming.receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message["body"]
    incoming.complete = not message["more_body"]
    if len(body) > limit:
        raise _too_large(limit, name)
    incoming.hold(gate, len(body))
    return body if incoming.complete else await _rest(incoming, gate, body, limit, name)


async def _rest(incoming: Incoming, gate: Gate, first: bytes, limit: int, name: str) -> bytes:
    pieces, size = [first], len(first)
    while not incoming.complete:
        message = await incoming.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message["body"])
        incoming.complete = not message["more_body"]
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit, name)
        incoming.hold(gate, len(pieces[-1]))
    return b"".join(pieces)


def _too_large(limit: int, name: str) -> LimitError:
    return LimitError(name, limit, f"The body is larger than {name} allows ({limit} bytes).")
