"""The two clients: they make the requests of a call over HTTP, one in plain code, one in an event loop."""

import asyncio
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec

from tidemill.client.forecast_operations import AwaitedForecasts, BlockingForecasts
from tidemill.client.operations import ClientOperations
from tidemill.client.problems import problem_error
from tidemill.client.steps import Call, Emit, HttpReply, HttpRequest, NoReply, Pages, Pause
from tidemill.errors import Fault, InputError, UnavailableError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 30.0
LINE_TIMEOUT_S: Final = 300.0  # from one line to the next
PATIENCE_S: Final = 60.0
T = TypeVar("T")


class _Connected(ClientOperations):
    """What both clients know of their server."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        on_no_answer: Callable[[str], None] | None = None,
    ) -> None:
        self.url = (url or os.environ.get("TIDEMILL_URL") or DEFAULT_URL).rstrip("/")
        key = key or os.environ.get("TIDEMILL_KEY")
        self.patience_s = patience_s
        self._on_no_answer = on_no_answer
        parsed = httpx.URL(self.url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            message = f"the server's address is like {DEFAULT_URL}, not '{self.url}'"
            raise InputError(message, (Fault("url", "invalid", message),))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": headers,
            "timeout": timeout_s,
            "trust_env": False,
        }

    def _no_reply(self, error: httpx.HTTPError) -> NoReply:
        why = f"from {self.url}: {str(error) or type(error).__name__}"
        if isinstance(error, httpx.ConnectError):
            why += ". Is a server running there? `tidemill serve` starts one; name another with --url or TIDEMILL_URL."
        if self._on_no_answer is not None:
            self._on_no_answer(f"No answer {why}")
            self._on_no_answer = None
        return NoReply(why)


class Tidemill(_Connected):
    """A server, used as the tenant of a key, in plain code: `with Tidemill() as tidemill: ...`.

    `url` and `key` are those of TIDEMILL_URL and TIDEMILL_KEY unless given. A request waits at most `timeout_s` for
    each part of its answer; it is made again after 429, 503, 507 and lost connections, with pauses of at most
    `patience_s` in all. The first time that no answer comes, `on_no_answer` is called with why. `forecasts` are the
    stored forecasts. Raises InputError for a `url` that is none. Not for use by several threads at once.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        on_no_answer: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(url, key, timeout_s=timeout_s, patience_s=patience_s, on_no_answer=on_no_answer)
        self._http = httpx.Client(**self._options)
        self.forecasts = BlockingForecasts(self, patience_s)

    def run_call(self, call: Call[T]) -> T:
        """The result of a call of `ClientOperations`."""
        reply: HttpReply | NoReply | None = None
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._take(step)

    def run_pages(self, pages: Pages[T]) -> Iterator[T]:
        """The parts of a result, as they come."""
        reply: HttpReply | NoReply | None = None
        while True:
            try:
                step = pages.send(reply)
            except StopIteration:
                return
            if isinstance(step, Emit):
                yield step.value
                reply = None
            else:
                reply = self._take(step)

    def _take(self, step: HttpRequest | Pause) -> HttpReply | NoReply | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return _reply_of(self._http.request(**_arguments(step)))
        except httpx.HTTPError as error:
            return self._no_reply(error)

    def lines(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """Yields the documents of an answer with one document a line, as they come; it is not tried again. Raises the
        ProblemError of a problem document, and UnavailableError where the answer does not come or breaks off."""
        try:
            with self._http.stream("GET", path, params=dict(params), timeout=LINE_TIMEOUT_S) as response:
                if not response.is_success:
                    raise problem_error(response.status_code, response.read())
                yield from (msgspec.json.decode(line) for line in response.iter_lines() if line)
        except httpx.HTTPError as error:
            raise UnavailableError(f"No answer {self._no_reply(error).why}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTidemill(_Connected):
    """As `Tidemill`, in an event loop: every call is awaited, pages are iterated with `async for`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        on_no_answer: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(url, key, timeout_s=timeout_s, patience_s=patience_s, on_no_answer=on_no_answer)
        self._http = httpx.AsyncClient(**self._options)
        self.forecasts = AwaitedForecasts(self, patience_s)

    async def run_call(self, call: Call[T]) -> T:
        """The result of a call of `ClientOperations`."""
        reply: HttpReply | NoReply | None = None
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._take(step)

    async def run_pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        """The parts of a result, as they come."""
        reply: HttpReply | NoReply | None = None
        while True:
            try:
                step = pages.send(reply)
            except StopIteration:
                return
            if isinstance(step, Emit):
                yield step.value
                reply = None
            else:
                reply = await self._take(step)

    async def _take(self, step: HttpRequest | Pause) -> HttpReply | NoReply | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        return await self.reply_to(step)

    async def reply_to(self, request: HttpRequest, content: AsyncIterable[bytes] | None = None) -> HttpReply | NoReply:
        """Make one request, once. `content`: the pieces of its body, in place of `body`."""
        arguments = _arguments(request)
        if content is not None:
            arguments["content"] = content
        try:
            return _reply_of(await self._http.request(**arguments))
        except httpx.HTTPError as error:
            return self._no_reply(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _arguments(request: HttpRequest) -> dict[str, Any]:
    """A request as httpx takes it."""
    timeout = httpx.USE_CLIENT_DEFAULT if request.timeout_s is None else request.timeout_s
    return {
        "method": request.method,
        "url": request.path,
        "params": list(request.params),
        "headers": dict(request.headers),
        "content": request.body,
        "timeout": timeout,
    }


def _reply_of(response: httpx.Response) -> HttpReply:
    return HttpReply(response.status_code, dict(response.headers), response.content)
