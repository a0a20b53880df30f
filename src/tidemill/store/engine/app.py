"""The ASGI application: ClickHouse's HTTP interface over a pool of sessions.

The loop only moves bytes; statements, compression and stream blocks run in as many threads as there are sessions.
It bounds how many queries run and wait, kills a read whose client has gone, and answers errors as ClickHouse does.
"""

import asyncio
import json
import logging
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeVar, cast

import msgspec
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from tidemill.store.engine.compression import Compressor, choose
from tidemill.store.engine.errors import (
    TOO_MANY_SIMULTANEOUS_QUERIES,
    EngineError,
    from_chdb,
    refusal,
)
from tidemill.store.engine.execute import Answer, comment, execute
from tidemill.store.engine.request import SPOOL_MEMORY_BYTES, Request, authenticate, read_request
from tidemill.store.engine.sessions import SessionPool

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_CONTENT_TYPES = {
    "JSON": b"application/json; charset=UTF-8",
    "JSONCompact": b"application/json; charset=UTF-8",
    "JSONEachRow": b"application/x-ndjson; charset=UTF-8",
    "CSV": b"text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": b"text/csv; charset=UTF-8; header=present",
    "TabSeparated": b"text/tab-separated-values; charset=UTF-8",
}
_KILL = "KILL QUERY WHERE position(query, {mark:String}) > 0 ASYNC"


class EngineConfig(msgspec.Struct, frozen=True):
    """What the application needs beside the pool. `defaults` are settings a request may override."""

    user: str
    secret: str
    spool_dir: str
    defaults: dict[str, str]
    sessions: int
    queue: int
    send_timeout_s: float = 60.0


class EngineApp:
    """One instance serves one pool. `running` and `waiting` count queries; `last_used` is a monotonic time."""

    def __init__(self, pool: SessionPool, config: EngineConfig) -> None:
        self._pool = pool
        self._config = config
        self._threads = ThreadPoolExecutor(config.sessions, thread_name_prefix="query")
        self._slots = asyncio.Semaphore(config.sessions)
        self.open_requests = 0
        self.last_used = time.monotonic()
        self.stopping = False

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request. Never raises for what a client sent."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            if path == "/ping" and not self.stopping:
                await _plain(send, 200, b"Ok.\n")
            elif path in {"/", ""}:
                await self._serve(scope, receive, send)
            else:
                await _plain(send, 404, f"There is no handle {path}\n".encode(errors="replace"))
        except EngineError as error:
            await _error(send, error)
        except _ClientGoneError:
            pass

    async def _serve(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        authenticate(scope["query_string"], headers, self._config.user, self._config.secret)
        if self.stopping or self.open_requests >= self._config.sessions + self._config.queue:
            raise refusal(
                TOO_MANY_SIMULTANEOUS_QUERIES,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                "The engine is stopping" if self.stopping else "Too many simultaneous queries",
            )
        self.open_requests += 1
        try:
            spool = SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES, dir=self._config.spool_dir)  # noqa: SIM115
            with spool as body:
                await _receive_body(receive, cast("IO[bytes]", body))
                request = await self._in_thread(
                    lambda: read_request(scope["query_string"], headers, cast("IO[bytes]", body))
                )
                await self._run(request, receive, send)
        finally:
            self.open_requests -= 1
            self.last_used = time.monotonic()

    async def _run(self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        tag = secrets.token_hex(8)
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await self._slots.acquire()
            held = True
            try:
                answer = await self._executed(request, tag, gone)
                if answer.size is not None:
                    self._slots.release()
                    held = False
                try:
                    await self._send(answer, request, send, gone)
                finally:
                    await asyncio.shield(self._in_thread(answer.close))
            finally:
                if held:
                    self._slots.release()
        finally:
            gone.cancel()

    async def _executed(self, request: Request, tag: str, gone: asyncio.Future[None]) -> Answer:
        """The answer of the engine; a read whose client has gone is killed, a write goes on to its end."""
        if gone.done():
            raise _ClientGoneError
        work = asyncio.ensure_future(self._in_thread(lambda: execute(self._pool, request, self._config.defaults, tag)))
        either: set[asyncio.Future[Any]] = {work, gone}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return await work
        while not work.done():  # again and again: it may not have begun when it was first cancelled
            await self.kill_reads(tag)
            await asyncio.wait({work}, timeout=0.2)
        if work.exception() is None:
            await self._in_thread(work.result().close)
        raise _ClientGoneError

    async def kill_reads(self, tag: str = "") -> None:
        """Cancel the read with this tag, or all of them."""
        try:
            mark = comment(tag, "read").decode().removesuffix("" if tag else "*/")
            await asyncio.to_thread(self._pool.control, _KILL, {"mark": mark})
        except EngineError as error:
            _log.warning("could not cancel a query: %s", error.message)

    async def _send(self, answer: Answer, request: Request, send: ASGISendCallable, gone: asyncio.Future[None]) -> None:
        compressor = choose(request.accepts) if answer.format else None
        marker = secrets.token_hex(8)
        headers = _answer_headers(answer, request, marker)
        if compressor:
            headers.append((b"content-encoding", compressor.name))
        elif answer.size is not None:
            headers.append((b"content-length", str(answer.size).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while not gone.done() and (chunk := await self._next(answer, compressor)):
                await self._push(send, chunk)
        except EngineError as error:
            # Left without its end, so that a client that knows no exception block sees a broken answer too.
            await self._push(send, _exception_block(error, marker, compressor))
            return
        last = compressor.finish() if compressor else b""
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _next(self, answer: Answer, compressor: Compressor | None) -> bytes:
        """The next bytes to send, b"" at the end. Blocks and compression come from a thread, slices do not."""
        if answer.size is not None and compressor is None:
            return next(answer.chunks, b"")
        return await self._in_thread(lambda: _filled(answer.chunks, compressor))

    async def _push(self, send: ASGISendCallable, chunk: bytes) -> None:
        """Send one chunk. A client that takes none for a minute is given up: it would hold a session."""
        message = send({"type": "http.response.body", "body": chunk, "more_body": True})
        try:
            await asyncio.wait_for(message, self._config.send_timeout_s)
        except TimeoutError:
            raise _ClientGoneError from None

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError as error:
            raise from_chdb(error) from None


class _ClientGoneError(Exception):
    """Nobody is there to answer."""


def _filled(chunks: Iterator[bytes], compressor: Compressor | None) -> bytes:
    for chunk in chunks:
        out = compressor.add(chunk) if compressor else chunk
        if out:
            return out
    return b""


async def _receive_body(receive: ASGIReceiveCallable, body: IO[bytes]) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _ClientGoneError
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            break
    body.seek(0)


async def _until_gone(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] == "http.request":
        pass


def _answer_headers(answer: Answer, request: Request, marker: str) -> list[tuple[bytes, bytes]]:
    fmt = answer.format
    headers = [
        (b"x-clickhouse-server-display-name", b"tidemill"),
        (b"x-clickhouse-query-id", (request.query_id or str(uuid.uuid4())).encode("ascii", "replace")),
        (b"x-clickhouse-timezone", b"UTC"),
        (b"x-clickhouse-summary", json.dumps(answer.summary).encode()),
        (b"x-clickhouse-exception-tag", marker.encode()),
    ]
    if fmt:
        headers.append((b"x-clickhouse-format", fmt.encode("ascii", "replace")))
        headers.append((b"content-type", _CONTENT_TYPES.get(fmt, b"application/octet-stream")))
    else:
        headers.append((b"content-type", b"text/plain; charset=UTF-8"))
    return headers


def _exception_block(error: EngineError, marker: str, compressor: Compressor | None) -> bytes:
    """How ClickHouse (25.11 and later) reports an error behind bytes already sent."""
    text = error.message + "\n"
    size = len(text.encode())
    block = f"\r\n__exception__\r\n{marker}\r\n{text}{size} {marker}\r\n__exception__\r\n".encode()
    return compressor.add(block) + compressor.finish() if compressor else block


async def _error(send: ASGISendCallable, error: EngineError) -> None:
    headers = [(b"x-clickhouse-exception-code", str(error.number).encode())]
    if error.number == TOO_MANY_SIMULTANEOUS_QUERIES:
        headers.append((b"retry-after", b"1"))
    await _plain(send, error.status, f"{error.message}\n".encode(errors="replace"), headers)


async def _plain(
    send: ASGISendCallable, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    fields = [
        (b"content-type", b"text/plain; charset=UTF-8"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})
