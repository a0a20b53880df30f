"""The common parts of the simulated clients: paced requests over one HTTP session, and a check of every answer.

A simulator is a set of workers, each a coroutine that sends its requests in order through `ClientSession.call`.
`run_workers` runs them until they end or until SIGINT or SIGTERM, and returns the summary. Pauses depend on the rate
alone, so that the same seed sends the same bytes in the same order for each worker.
"""

import asyncio
import signal
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec

from tidemill.errors import AccessError
from tidemill.simulate.summary import Counter, Summary

Progress = Callable[[int, int], None]  # (sent so far, requests in total; 0: unlimited)
_TIMEOUT_S: Final = 35.0  # the server waits 30 s for a body
_VERIFY_S = 10.0
_TRY_AGAIN: Final = frozenset({429, 502, 503, 507})


class Unexpected(Exception):  # noqa: N818 - raise Unexpected(...) reads well
    """An answer that the contract does not allow."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of every simulated client: `count` items in total (0: until stopped) at `rate` per second (0: as fast
    as answers come) over `connections`. `patience_s`: how long a request is repeated while the server is away."""

    url: str = "http://127.0.0.1:8080"
    key: str = ""
    seed: int = 1
    count: int = 100
    rate: float = 0.0
    connections: int = 4
    patience_s: float = 0.0


class Reply(msgspec.Struct, frozen=True):
    """A complete answer."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises Unexpected when it is not."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise Unexpected(f"the answer is not JSON ({error}): {self.body[:120]!r}") from None


Check = Callable[[Reply], str]  # returns "accepted" or "refused", or raises Unexpected


class ClientSession:
    """Sends requests and counts their outcomes."""

    def __init__(self, name: str, options: Options, client: httpx.AsyncClient, progress: Progress | None) -> None:
        self.counter = Counter(name)
        self._options = options
        self._client = client
        self._progress = progress
        self._started = self._next = time.monotonic()
        self._taken = 0
        self._run = uuid.uuid4().hex

    def next_number(self) -> int | None:
        """The number of the next item (from 0), or None after `count` items."""
        if self._options.count and self._taken >= self._options.count:
            return None
        self._taken += 1
        return self._taken - 1

    async def pace(self) -> None:
        """Waits until the rate allows the next request; catches up at most one second after a stall."""
        if self._options.rate <= 0:
            return
        now = time.monotonic()
        self._next = max(self._next + 1 / self._options.rate, now - 1.0)
        if self._next > now:
            await asyncio.sleep(self._next - now)

    async def call(
        self,
        method: str,
        path: str,
        check: Check,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """Sends one request and checks its answer; returns None for an unexpected answer. Repeats the request with the
        same idempotency key for `patience_s` while the server is unavailable. Raises AccessError where a key is needed:
        no later request would do better."""
        self.counter.sent += 1
        more = {"Idempotency-Key": f"{self._run}-{self.counter.sent}"} if self._options.patience_s and body else {}
        what = f"{method} {path}"
        try:
            reply = await self._exchange(method, path, body, {**(headers or {}), **more}, params)
            verdict = check(reply)
        except Unexpected as error:
            self.counter.add_unexpected(f"{what}: {error}")
            return None
        except httpx.HTTPError as error:
            self.counter.add_unexpected(f"{what}: {type(error).__name__}: {error}")
            return None
        finally:
            if self._progress is not None:
                self._progress(self.counter.sent, self._options.count)
        if verdict == "refused":
            self.counter.refused += 1
        else:
            self.counter.accepted += 1
        return reply

    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], params: Mapping[str, str] | None
    ) -> Reply:
        end = time.monotonic() + self._options.patience_s
        while True:
            started = time.monotonic()
            try:
                answer = await self._client.request(method, path, content=body, headers=headers, params=params)
            except httpx.TransportError:
                if time.monotonic() >= end:
                    raise
            else:
                self.counter.add_latency(time.monotonic() - started)
                if answer.status_code == 401:
                    raise AccessError(f"{self._options.url} wants a key: give one with --key or TIDEMILL_KEY.")
                if answer.status_code not in _TRY_AGAIN or time.monotonic() >= end:
                    return Reply(answer.status_code, answer.headers.get("content-type", ""), answer.content)
            self.counter.retried += 1
            await asyncio.sleep(0.1)

    async def read_json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON document at a path. Raises Unexpected unless the answer is 200 and JSON."""
        reply = await self._exchange("GET", path, None, {}, params)
        if reply.status != 200:
            raise Unexpected(f"GET {path} answered {reply.status}: {reply.body[:200]!r}")
        return reply.json()

    async def verify(self, what: str, compare: Callable[[], Awaitable[None]], within_s: float | None = None) -> bool:
        """Repeats `compare` until it succeeds or `within_s` has passed (the mill applies after the answer); returns
        whether it succeeded. `compare` raises Unexpected for a difference; a document of another shape is one, too."""
        end = time.monotonic() + (_VERIFY_S if within_s is None else within_s)
        while True:
            try:
                await compare()
            except (Unexpected, httpx.HTTPError, LookupError, TypeError, ValueError) as error:
                if time.monotonic() >= end:
                    kind = "" if isinstance(error, Unexpected) else f"{type(error).__name__}: "
                    self.counter.add_unexpected(f"{what}: {kind}{error}")
                    return False
                await asyncio.sleep(0.1)
            else:
                self.counter.verified += 1
                return True


def accepts(*statuses: int, then: Callable[[Reply], None] | None = None) -> Check:
    """A check that the status is one of these and the body a JSON object (empty for 204); `then` checks further."""

    def check(reply: Reply) -> str:
        if reply.status not in statuses:
            raise Unexpected(f"{reply.status} instead of {' or '.join(map(str, statuses))}: {reply.body[:200]!r}")
        if reply.status != 204 and not isinstance(reply.json(), dict):
            raise Unexpected(f"the answer is no JSON object: {reply.body[:200]!r}")
        if then is not None:
            then(reply)
        return "accepted"

    return check


def refuses(status: int, *paths: str) -> Check:
    """A check that the answer is a problem document with this status and a fault at each of these paths."""

    def check(reply: Reply) -> str:
        if reply.status != status:
            raise Unexpected(f"{reply.status} instead of {status}: {reply.body[:200]!r}")
        if not reply.content_type.startswith("application/problem+json"):
            raise Unexpected(f"a {status} as '{reply.content_type}' instead of application/problem+json")
        named = [fault.get("path", "") for fault in reply.json().get("errors", [])]
        missing = [path for path in paths if path not in named]
        if missing:
            raise Unexpected(f"the problem names {named[:8]}, not {missing}")
        return "refused"

    return check


def run_workers(
    name: str,
    options: Options,
    workers: Callable[[ClientSession], Sequence[Awaitable[None]]],
    progress: Progress | None = None,
    finish: Callable[[ClientSession], Awaitable[None]] | None = None,
) -> Summary:
    """Runs all workers until they end, or a SIGINT or SIGTERM; then `finish`, unless stopped. Returns the summary."""
    return asyncio.run(_run(name, options, workers, progress, finish))


async def _run(
    name: str,
    options: Options,
    workers: Callable[[ClientSession], Sequence[Awaitable[None]]],
    progress: Progress | None,
    finish: Callable[[ClientSession], Awaitable[None]] | None,
) -> Summary:
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    limits = httpx.Limits(max_connections=max(1, options.connections) + 1)
    async with httpx.AsyncClient(
        base_url=options.url, headers=headers, limits=limits, timeout=_TIMEOUT_S, trust_env=False
    ) as client:
        session = ClientSession(name, options, client, progress)
        started = time.monotonic()
        working = asyncio.gather(*workers(session))
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, working.cancel)
        stopped = False
        try:
            await working
        except asyncio.CancelledError:
            stopped = True
        elapsed = time.monotonic() - started
        if finish is not None and not stopped:
            await finish(session)
        return session.counter.summary(elapsed)
