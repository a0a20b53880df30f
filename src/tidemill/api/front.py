"""The outermost ASGI layer: answers the intake routes itself and hands every other request to Litestar.

Intake is the hot path: a Litestar handler would add 110 µs to a request, this layer adds 8 (decision 0007). It admits,
counts, limits and logs every request, and answers every error of an intake route with a problem document.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from tidemill.api import problems
from tidemill.api.admission import Admission
from tidemill.api.body import ClientGoneError, Gate, Incoming
from tidemill.api.cross_origin import CrossOrigin
from tidemill.api.floods import STATUSES, Floods
from tidemill.api.metrics import Metrics
from tidemill.api.problems import HttpAnswer
from tidemill.api.proxies import TrustedProxies
from tidemill.errors import UnavailableError

log = logging.getLogger("tidemill.access")

SLOW_S: Final = 1.0  # answers slower than this are logged
LINGER_S: Final = 1.0  # how long, and how much, a client may go on sending after its answer before it is cut off
LINGER_BYTES: Final = 8 << 20
DRAIN_BYTES: Final = 64 << 10  # bodies up to this are read to their end after an error, so that the connection stays
LOOK_S: Final = 1.0  # between two looks at whether the reader of a stream may still read it
UNROUTED: Final = "(none)"
_EVENTS: Final = b"text/event-stream"

Scope = Any  # ASGI: mutable mappings and callables, typed differently by every framework
Handle = Callable[[Incoming], Awaitable[HttpAnswer]]
Allowed = Callable[[str], Sequence[str]]


class Route(msgspec.Struct, frozen=True):
    """An intake route. `path` has no parameter, or ends with one, such as `{feed}`."""

    method: str
    path: str
    handle: Handle


class Routes:
    """The intake routes, by method and path. A trailing slash makes no difference. `others`: paths of Litestar's
    routes, which are no value of a parameter (`/v1/series/count` is no series)."""

    def __init__(self, routes: Sequence[Route], others: Iterable[str] = ()) -> None:
        self._others = frozenset(others)
        self._exact = {(route.method, route.path): route for route in routes if "{" not in route.path}
        self._prefixed = [(route.path.partition("{")[0], route) for route in routes if "{" in route.path]

    def find_route(self, method: str, path: str) -> tuple[Route | None, str]:
        """The route of a request (null: none) and the value of its parameter ("": it has none)."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, ""
        path = path.rstrip("/")
        for prefix, route in () if path in self._others else self._prefixed:
            if route.method == method and path.startswith(prefix) and "/" not in path[len(prefix) :]:
                return route, path[len(prefix) :]
        return self._exact.get((method, path)), ""

    def methods(self, path: str) -> set[str]:
        """The methods of the intake routes of a path, for `Allow`."""
        return {method for method in ("PUT", "POST", "DELETE") if self.find_route(method, path)[0] is not None}


class Front:
    """The ASGI application that the server runs. `inner` is Litestar; `allowed` gives all methods of a path, those of
    Litestar's routes included; `admitted` says whether the sender of a request to `inner` may still read its answer."""

    def __init__(
        self,
        inner: Any,
        routes: Routes,
        gate: Gate,
        metrics: Metrics,
        *,
        allowed: Allowed,
        admission: Admission,
        proxies: TrustedProxies,
        shared: CrossOrigin,
        admitted: Callable[[Scope], bool],
    ) -> None:
        self._inner, self._routes, self._gate, self._metrics = inner, routes, gate, metrics
        self._allowed, self._admission = allowed, admission
        self._proxies, self._shared, self._admitted = proxies, shared, admitted
        self._floods = Floods()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, or hand it to Litestar."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            if scope["type"] == "lifespan":  # this call lasts as long as the server
                self._floods.end()
            return
        started = time.perf_counter()
        method, path, headers = scope["method"], scope["path"], _headers(scope["headers"])
        if self._proxies:
            scope = self._proxies.seen_through(scope, headers)
        if self._shared:
            send = self._shared.sharing(path, headers, send)
        refusal = self._admission.refusal(method, path, scope["http_version"], headers)
        if refusal is not None:
            refused = problems.problem_answer(refusal)
            await _send(Incoming("", b"", headers, receive, ""), refused, send)
            self._done(UNROUTED, scope, refused.status, started)
            return
        route, parameter = self._routes.find_route(method, path)
        if route is None:
            allowed = self._allowed(path) if method == "OPTIONS" else ()
            if allowed:
                await self._answer_options(allowed, scope, headers, send, started)
            else:
                await self._hand_on(scope, receive, send, started)
            return
        incoming = Incoming(parameter, scope["query_string"], headers, receive, client_address(scope))
        answer = await self._answer(route, incoming)
        if answer is None:
            return
        await _send(incoming, answer, send)
        self._done(route.path, scope, answer.status, started)

    async def _answer(self, route: Route, incoming: Incoming) -> HttpAnswer | None:
        try:
            self._gate.enter()
            try:
                return await route.handle(incoming)
            finally:
                self._gate.leave(incoming.held)
        except ClientGoneError:
            return None
        except asyncio.CancelledError:  # only when the server ends and the request did not finish in time
            return problems.problem_answer(
                UnavailableError("The server is ending; nothing of this is known to be stored.", 1.0)
            )
        except Exception as error:
            return problems.problem_answer(error)

    async def _answer_options(
        self, allowed: Sequence[str], scope: Scope, headers: dict[bytes, bytes], send: Any, started: float
    ) -> None:
        preflight = self._shared.preflight(scope["method"], scope["path"], headers, allowed)
        answered = [(b"allow", ", ".join(allowed).encode()), *(preflight or ())]
        await send({"type": "http.response.start", "status": 204, "headers": answered})
        await send({"type": "http.response.body", "body": b""})
        self._done(UNROUTED, scope, 204, started)

    async def _hand_on(self, scope: Scope, receive: Any, send: Any, started: float) -> None:
        answer = _InnerAnswer(send, lambda: self._admitted(scope))
        if scope["method"] == "HEAD":  # Litestar answers it as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        try:
            await self._inner(scope, receive, answer.send)
        finally:
            answer.close()
        self._done(scope.get("path_template") or UNROUTED, scope, answer.status, started)

    def _done(self, route: str, scope: Scope, status: int, started: float) -> None:
        seconds = time.perf_counter() - started
        self._metrics.count_answer(route, status, seconds)
        if status in STATUSES:
            self._floods.count(status, route)
        elif status >= 500 or seconds > SLOW_S:
            facts = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1e3, 1)}
            log.log(logging.WARNING if status >= 500 else logging.INFO, "request", extra={"facts": facts})


class _InnerAnswer:
    """Sends an answer of the inner application and notes its status. An event stream ends within LOOK_S after its
    reader is not `admitted` any more (a key was revoked, a session ended), and sends nothing meanwhile."""

    def __init__(self, send: Any, admitted: Callable[[], bool]) -> None:
        self._send, self._admitted = send, admitted
        self._watch: asyncio.Task[None] | None = None
        self._ended = False
        self.status = 0

    async def send(self, message: Any) -> None:
        """Send a message; nothing after the end of a stream."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if any(name == b"content-type" and kind.startswith(_EVENTS) for name, kind in message["headers"]):
                self._watch = asyncio.create_task(self._watch_reader(), name="stream_reader")
        elif self._watch is not None and not self._admitted():
            await self._end()
        if not self._ended:
            await self._send(message)

    def close(self) -> None:
        """The inner application is done."""
        if self._watch is not None:
            self._watch.cancel()

    async def _watch_reader(self) -> None:
        while self._admitted():
            await asyncio.sleep(LOOK_S)
        await self._end()

    async def _end(self) -> None:
        """End the answer. The server then reports a disconnect to the inner application, which ends its work."""
        if not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})


def client_address(scope: Scope) -> str:
    """The address of a request's peer, which may be a proxy; empty where there is none."""
    client = scope.get("client")
    return client[0] if client else ""


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; several of one name are joined by commas (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


async def _send(incoming: Incoming, answer: HttpAnswer, send: Any) -> None:
    """Send the answer to a request, also before its body is complete."""
    if incoming.complete or await _drained(incoming):
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
    else:
        await _answer_and_linger(incoming, answer, send)


async def _drained(incoming: Incoming) -> bool:
    """Read a short rest of the body after an error. True: it is read, and the connection can be used again."""
    headers = incoming.headers
    if b"transfer-encoding" in headers or b"expect" in headers:
        return False
    length = int(headers.get(b"content-length", b"0"))
    if length > DRAIN_BYTES:
        return False
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S if length else None):
            while not incoming.complete and length:
                incoming.complete = not (await incoming.receive()).get("more_body", False)
        return True
    return False


async def _answer_and_linger(incoming: Incoming, answer: HttpAnswer, send: Any) -> None:
    """Send an answer before the body is complete, read on for LINGER_S (closing at once would reset the connection,
    and the client could lose the answer), then close."""
    headers = [*answer.headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while not incoming.complete and size < LINGER_BYTES:
                message = await incoming.receive()
                incoming.complete = not message.get("more_body", False)
                size += len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b""})
