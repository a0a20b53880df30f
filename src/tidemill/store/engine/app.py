"""The ASGI application: ClickHouse's HTTP interface over a pool of sessions.

The loop only moves bytes; statements, compression and stream blocks run in threads. It bounds how many queries run
and wait, cancels a read whose client disconnected (a write runs to its end), and answers errors as ClickHouse does.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec

from tidemill.store.engine import wire
from tidemill.store.engine.errors import TOO_MANY_SIMULTANEOUS_QUERIES, EngineError, from_chdb, refusal
from tidemill.store.engine.execute import StatementResult, execute_request, statement_comment
from tidemill.store.engine.request import EngineRequest, authenticate, read_request
from tidemill.store.engine.sessions import SessionPool
from tidemill.store.engine.spool import Spool

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_KILL = "KILL QUERY WHERE position(query, {mark:String}) > 0 ASYNC"
_KILL_AGAIN_S = 0.2
# Beside the threads that run queries: for reading requests and compressing answers.
_SPARE_THREADS = 2
# A body up to this size is read in the loop: that takes less than a thread costs (0.3 to 1 ms of processor time).
_READ_AT_ONCE_BYTES = 64 << 10


class EngineConfig(msgspec.Struct, frozen=True):
    """The options of the application beside the pool. `defaults` are settings that a request may override."""

    user: str
    secret: str
    spool_dir: str
    defaults: dict[str, str]
    sessions: int
    queue: int
    send_timeout_s: float = 60.0


class EngineApp:
    """One instance serves one pool. `last_used` is a monotonic time; set `stopping` to refuse new queries."""

    def __init__(self, pool: SessionPool, config: EngineConfig) -> None:
        self._pool = pool
        self._config = config
        self._threads = ThreadPoolExecutor(config.sessions + _SPARE_THREADS, thread_name_prefix="query")
        self._slots = asyncio.Semaphore(config.sessions)
        self._open_requests = 0
        self.last_used = time.monotonic()
        self.stopping = False

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        """Answer one request. Never raises for what a client sent."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            if path == "/ping" and not self.stopping:
                await wire.send_text(send, 200, "Ok.\n")
            elif path in {"/", ""}:
                await self._serve(scope, receive, send)
            else:
                await wire.send_text(send, 404, f"There is no handle {path}\n")
        except EngineError as error:
            await wire.send_error(send, error)
        except _ClientGoneError:
            pass

    async def kill_reads(self, tag: str = "") -> None:
        """Cancel the read with this tag, or all of them."""
        try:
            mark = statement_comment(tag, "read").decode().removesuffix("" if tag else "*/")
            await asyncio.to_thread(self._pool.control, _KILL, {"mark": mark})
        except EngineError as error:
            _log.warning("could not cancel a query: %s", error.message)

    async def _serve(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        authenticate(scope["query_string"], headers, self._config.user, self._config.secret)
        if self.stopping or self._open_requests >= self._config.sessions + self._config.queue:
            text = "The engine is stopping" if self.stopping else "Too many simultaneous queries"
            raise refusal(TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", text)
        self._open_requests += 1
        try:
            with Spool(self._config.spool_dir) as body:
                await _receive_body(receive, body)
                request = await self._read(scope["query_string"], headers, body)
                await self._run(request, receive, send)
        finally:
            self._open_requests -= 1
            self.last_used = time.monotonic()

    async def _read(self, query_string: bytes, headers: dict[str, str], body: Spool) -> EngineRequest:
        """The request; a large body is read in a thread."""
        if body.size <= _READ_AT_ONCE_BYTES:
            return read_request(query_string, headers, body)
        return await self._in_thread(lambda: read_request(query_string, headers, body))

    async def _run(self, request: EngineRequest, receive: wire.Receive, send: wire.Send) -> None:
        tag = secrets.token_hex(8)
        disconnected = asyncio.ensure_future(_wait_disconnected(receive))
        guard = asyncio.ensure_future(self._cancel_when_disconnected(disconnected, tag))
        try:
            async with self._slots:
                if disconnected.done():
                    return
                answer = await self._in_thread(lambda: execute_request(self._pool, request, self._config.defaults, tag))
                if answer.size is None:  # a streamed answer holds its session
                    await self._deliver(answer, request, send, disconnected)
                    return
            await self._deliver(answer, request, send, disconnected)
        finally:
            guard.cancel()
            disconnected.cancel()

    async def _cancel_when_disconnected(self, disconnected: asyncio.Future[None], tag: str) -> None:
        await asyncio.wait({disconnected})
        while True:  # repeated, because the statement may not have begun at the first cancellation
            await self.kill_reads(tag)
            await asyncio.sleep(_KILL_AGAIN_S)

    async def _deliver(
        self, answer: StatementResult, request: EngineRequest, send: wire.Send, disconnected: asyncio.Future[None]
    ) -> None:
        compressor = wire.choose_compressor(request.accepts) if answer.format else None
        marker = secrets.token_hex(8)
        headers = wire.answer_headers(answer, request, marker, compressor)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while not disconnected.done() and (chunk := await self._next(answer, compressor)):
                await self._push(send, chunk)
            last = compressor.finish() if compressor else b""
            await send({"type": "http.response.body", "body": last, "more_body": False})
        except EngineError as error:
            # The answer stays without its end, so that also a client that knows no exception block sees it as broken.
            block = wire.exception_block(error, marker)
            await self._push(send, compressor.add(block) + compressor.finish() if compressor else block)
        finally:
            if answer.size is None:
                await asyncio.shield(self._in_thread(answer.close))
            else:
                answer.close()

    async def _next(self, answer: StatementResult, compressor: wire.Compressor | None) -> bytes:
        """The next bytes to send, b"" at the end. Stream blocks and compression run in a thread, slices do not."""
        if answer.size is not None and compressor is None:
            return next(answer.chunks, b"")
        return await self._in_thread(lambda: _filled(answer.chunks, compressor))

    async def _push(self, send: wire.Send, chunk: bytes) -> None:
        """Send one chunk. A client that reads none for `send_timeout_s` is given up, because it may hold a session."""
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
    """The client disconnected."""


def _filled(chunks: Iterator[bytes], compressor: wire.Compressor | None) -> bytes:
    for chunk in chunks:
        out = compressor.add(chunk) if compressor else chunk
        if out:
            return out
    return b""


async def _receive_body(receive: wire.Receive, body: Spool) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _ClientGoneError
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            break
    body.rewind()


async def _wait_disconnected(receive: wire.Receive) -> None:
    with suppress(OSError):
        while (await receive())["type"] == "http.request":
            pass
