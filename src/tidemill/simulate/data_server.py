"""A stand-in for a telemetry data server: one point for each GET, 404 when it has none.

Points have mixed ages and tags, some have base64 values, as in `CONTRACTS`; faults occur at the rates of the options.
`/tally` returns the points that were handed out and their expected outcome, for a test to compare. A point is handed
out when its response has been written; a client that disconnects during a slow body gets the same point next time.
"""

import base64
import random
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.simulate import DATA_SERVER_PORT
from tidemill.simulate.fault_injector import FaultInjector, inject_fault, parse_faults, send_slowly
from tidemill.simulate.server import Receive, Scope, Send, query_parameters, send_json, send_response, serve

_FRESH_S: Final = 50 * 60  # clearly below and clearly above one hour, so that no test depends on the exact limit
_OLD_S: Final = 70 * 60
_TAGS: Final = ((), (), (), ("pump",), ("line-2", "shift-b"), ("system",), ("suspect",), ("system", "suspect"))
_TALLIED_POINTS: Final = 200_000


class DataServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`count` points in total (0: unlimited), which become available at `rate` per second (0: all at once).
    `faults` as in `parse_faults`."""

    host: str = "127.0.0.1"
    port: int = DATA_SERVER_PORT
    seed: int = 1
    count: int = 0
    rate: float = 10.0
    faults: str = ""


class SimulatedPoint(msgspec.Struct, frozen=True):
    """A point as handed out: `time` in Unix seconds, the number that its bytes encode, and the sorted reasons for which
    it must be rejected (none: it must be kept)."""

    time: int
    value: float
    tags: tuple[str, ...]
    reasons: tuple[str, ...]
    text_value: bool = False

    def body(self) -> bytes:
        """The body of the response with the point."""
        raw = struct.pack("<f", self.value)
        value: object = base64.b64encode(raw).decode() if self.text_value else list(raw)
        return msgspec.json.encode({"time": self.time, "value": value, "tags": self.tags})


class DataServer:
    """The server as an ASGI application. Raises ValueError for invalid options."""

    def __init__(self, options: DataServerOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        self._started = clock()
        self._random = random.Random(f"points {options.seed}")
        self._faults = FaultInjector(parse_faults(options.faults), options.seed)
        self._returned: deque[SimulatedPoint] = deque()
        self._made = 0
        self._points: list[SimulatedPoint] = []
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/tally":
            await send_json(send, 200, self.tally(points="points" in query_parameters(scope)))
        elif scope["method"] != "GET":
            await send_json(send, 405, {"title": "Method Not Allowed"})
        else:
            await self._hand_out(scope, receive, send)

    async def _hand_out(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.draw()
        if fault is not None:
            self._counts[f"fault_{fault}"] += 1
        if fault is not None and fault != "slow":
            await inject_fault(fault, scope, receive, send)
            return
        point = self._next()
        if point is None:
            self._counts["empty"] += 1
            await send_json(send, 404, {"title": "Not Found"})
        elif fault == "slow" and not await send_slowly(point.body(), receive, send):
            self._returned.append(point)
        else:
            if fault is None:
                await send_response(send, 200, point.body())
            self._count_handed_out(point)

    def _next(self) -> SimulatedPoint | None:
        if self._returned:
            return self._returned.popleft()
        limit = self._options.count or None
        if self._options.rate > 0:
            available = int((self._clock() - self._started) * self._options.rate)
            limit = available if limit is None else min(limit, available)
        if limit is not None and self._made >= limit:
            return None
        self._made += 1
        return self._make()

    def _make(self) -> SimulatedPoint:
        """A new point: 15 % too old, 3 of 8 with a tag that rejects it, one in ten as base64."""
        draw = self._random
        old = draw.random() < 0.15
        age = draw.randint(_OLD_S, 48 * 3600) if old else draw.randint(0, _FRESH_S)
        tags = draw.choice(_TAGS)
        value: float = struct.unpack("<f", struct.pack("<f", draw.gauss(20.0, 5.0)))[0]
        reasons = ["too_old"] * old + ["internal"] * ("system" in tags) + ["suspect"] * ("suspect" in tags)
        moment = int(self._clock()) - age
        return SimulatedPoint(moment, value, tags, tuple(sorted(reasons)), draw.random() < 0.1)

    def _count_handed_out(self, point: SimulatedPoint) -> None:
        self._counts["handed_out"] += 1
        self._counts["kept" if not point.reasons else "rejected"] += 1
        self._reasons.update(point.reasons)
        if len(self._points) < _TALLIED_POINTS:
            self._points.append(point)

    def tally(self, *, points: bool = False) -> dict[str, Any]:
        """Counts of what was handed out so far, by kind and by reason; with `points` also the first 200,000 points."""
        tally: dict[str, Any] = {"handed_out": 0, "kept": 0, "rejected": 0, "empty": 0, **self._counts}
        tally["by_reason"] = dict(self._reasons)
        tally["remaining"] = self._options.count - tally["handed_out"] if self._options.count else None
        if points:
            tally["points"] = [msgspec.to_builtins(point) for point in self._points]
        return tally


def run_data_server(options: DataServerOptions) -> dict[str, Any]:
    """Serves until SIGINT or SIGTERM, then returns the tally. Raises ValueError or OSError at the start."""
    server = DataServer(options)
    serve(server, options.host, options.port)
    return server.tally()
