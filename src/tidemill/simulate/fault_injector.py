"""Faults of a simulated server: errors, hangs, garbage, slow and endless bodies, resets; each at its own rate.

`parse_faults` reads the text of the command line, `FaultInjector` draws a fault for a request, `inject_fault` answers
with the fault. Only the fault `slow` delivers a point; `send_slowly` returns whether the client received all of it.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Mapping
from typing import Final

from tidemill.simulate.server import TRANSPORT, Receive, Scope, Send, send_response

FAULTS: Final = {
    "500": "answer 500",
    "hang": "never answer",
    "garbage": "answer 200 with bytes that are not JSON",
    "slow": "send the body byte by byte, over two seconds",
    "endless": "send a body that never ends",
    "reset": "reset the connection (RST)",
}
_GARBAGE: Final = b"<html>\x00\xff{'this is': not JSON"
_SLOW_S: Final = 2.0


def parse_faults(text: str) -> dict[str, float]:
    """Rates by kind from text such as `500=0.05,hang=0.01`. Raises ValueError for an unknown kind or a bad rate."""
    rates: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        kind, _, rate = part.partition("=")
        if kind not in FAULTS:
            raise ValueError(f"'{kind}' is not a fault; there are {', '.join(FAULTS)}")
        try:
            rates[kind] = float(rate)
        except ValueError:
            raise ValueError(f"'{part}' needs a rate between 0 and 1, such as {kind}=0.05") from None
        if not 0 <= rates[kind] <= 1:
            raise ValueError(f"'{part}': the rate must be between 0 and 1")
    if sum(rates.values()) > 1:
        raise ValueError("the rates of all faults together must not exceed 1")
    return rates


class FaultInjector:
    """Draws faults at their rates. The same seed gives the same faults."""

    def __init__(self, rates: Mapping[str, float], seed: int) -> None:
        self._rates = dict(rates)
        self._random = random.Random(f"faults {seed}")

    def draw(self) -> str | None:
        """The fault for the next request, or None."""
        if not self._rates:
            return None
        remainder = self._random.random()
        for kind, rate in self._rates.items():
            remainder -= rate
            if remainder < 0:
                return kind
        return None


async def inject_fault(kind: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a fault of any kind but `slow`."""
    if kind == "500":
        await send_response(send, 500, b'{"title": "Internal Server Error"}')
    elif kind == "garbage":
        await send_response(send, 200, _GARBAGE)
    elif kind == "hang":
        await _wait_disconnected(receive)
    elif kind == "reset":
        _reset(scope)
    elif kind == "endless":
        await _endless(receive, send)


async def send_slowly(body: bytes, receive: Receive, send: Send) -> bool:
    """Sends `body` byte by byte; returns whether the client was still connected at the end."""
    disconnected = asyncio.ensure_future(_wait_disconnected(receive))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for offset in range(len(body)):
        await asyncio.sleep(_SLOW_S / len(body))
        if disconnected.done():
            return False
        more = offset + 1 < len(body)
        await send({"type": "http.response.body", "body": body[offset : offset + 1], "more_body": more})
    disconnected.cancel()
    return True


async def _wait_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _endless(receive: Receive, send: Send) -> None:
    disconnected = asyncio.ensure_future(_wait_disconnected(receive))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    while not disconnected.done():
        await send({"type": "http.response.body", "body": b"[" * 65536, "more_body": True})
        await asyncio.sleep(0.001)


def _reset(scope: Scope) -> None:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
