"""A small HTTP/1.1 load generator: keep-alive connections, open or closed loop, with every latency.

Closed loop: each connection sends its next request after the last answer. Paced: requests start on a fixed schedule,
and the latency of a late answer counts from when its request was due (no coordinated omission). Answers are read by
Content-Length only, which the server sends for these routes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import uvloop

Request = bytes


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> Request:
    """One HTTP/1.1 request as bytes. `headers` are whole lines ended by CRLF."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
    )


@dataclass
class Result:
    """The result of a load run. Latencies in seconds; `statuses` counts answers; `failures` are broken connections."""

    wall_s: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    failures: int = 0
    bodies: list[bytes] = field(default_factory=list)

    def quantile_ms(self, q: float) -> float:
        return float(np.quantile(self.latencies, q) * 1000) if self.latencies else float("nan")

    def line(self) -> str:
        rate = sum(self.statuses.values()) / self.wall_s
        return (
            f"{rate:,.0f} requests/s, p50 {self.quantile_ms(0.5):.1f} ms, p99 {self.quantile_ms(0.99):.1f} ms, "
            f"max {self.quantile_ms(1):.1f} ms, answers {self.statuses}, broken connections {self.failures}"
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, owner: "_Run") -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.owner.idle(self)

    def send(self, data: Request, due: float) -> None:
        assert self.transport is not None
        self.due, self.busy = due, True
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        status, body = int(head[9:12]), self.buffer[end + 4 : end + 4 + length]
        self.buffer = self.buffer[end + 4 + length :]
        self.busy = False
        self.owner.answered(self, status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.lost(self)


class _Run:
    def __init__(self, requests: Iterator[Request], rate: float | None, keep: Callable[[int], bool]) -> None:
        self.requests, self.rate, self.keep = requests, rate, keep
        self.result = Result()
        self.done = asyncio.get_running_loop().create_future()
        self.waiting: deque[_Connection] = deque()  # used in turn, because the server ends connections that never send
        self.under_way = 0
        self.over = False

    def idle(self, connection: _Connection) -> None:
        if self.rate is None:
            self._next(connection, time.perf_counter())
        else:
            self.waiting.append(connection)

    def _next(self, connection: _Connection, due: float) -> None:
        data = next(self.requests, None)
        if data is None:
            self.over = True
        else:
            self.under_way += 1
            connection.send(data, due)
        self._finish_when_quiet()

    def _finish_when_quiet(self) -> None:
        if self.over and self.under_way == 0 and not self.done.done():
            self.done.set_result(None)

    def answered(self, connection: _Connection, status: int, body: bytes) -> None:
        self.under_way -= 1
        self.result.latencies.append(time.perf_counter() - connection.due)
        self.result.statuses[status] = self.result.statuses.get(status, 0) + 1
        if self.keep(status):
            self.result.bodies.append(body)
        if self.over:
            self._finish_when_quiet()
        else:
            self.idle(connection)

    def lost(self, connection: _Connection) -> None:
        if connection in self.waiting:
            self.waiting.remove(connection)
        if connection.busy:
            self.under_way -= 1
            self.result.failures += 1
        self._finish_when_quiet()

    async def pace(self) -> None:
        started, sent = time.perf_counter(), 0
        assert self.rate is not None
        while not self.over:
            due = started + sent / self.rate
            delay = due - time.perf_counter()
            if delay > 0.0005:
                await asyncio.sleep(delay)
                continue
            if not self.waiting:
                await asyncio.sleep(0.0005)
                continue
            self._next(self.waiting.popleft(), due)
            sent += 1


def run_load(
    host: str,
    port: int,
    requests: Iterator[Request],
    *,
    connections: int,
    rate: float | None = None,
    keep: Callable[[int], bool] = lambda status: False,
    timeout_s: float = 300,
) -> Result:
    """Send every request over `connections` connections (at `rate` a second if given); returns the result.

    `keep(status)`: whether to keep the bodies of answers with this status. Raises TimeoutError after `timeout_s`.
    """

    async def drive() -> Result:
        loop = asyncio.get_running_loop()
        state = _Run(requests, rate, keep)
        started = time.perf_counter()
        made = [await loop.create_connection(lambda: _Connection(state), host, port) for _ in range(connections)]
        pacing = asyncio.ensure_future(state.pace()) if rate is not None else None
        ends = [state.done, pacing] if pacing else [state.done]  # pacing ends by itself only with an error
        done, _ = await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        state.result.wall_s = time.perf_counter() - started
        if pacing in done and not state.done.done():
            pacing.result()
            await asyncio.wait_for(state.done, timeout_s)
            state.result.wall_s = time.perf_counter() - started
        elif not done:
            raise TimeoutError(f"no end after {timeout_s} s: {state.result.line()}")
        if pacing:
            pacing.cancel()
        for transport, _ in made:
            transport.close()
        return state.result

    return uvloop.run(drive())
