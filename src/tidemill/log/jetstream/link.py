"""A connection to JetStream that threads and event loops share: an event loop in a thread of its own.

Opens at the first use and again after `release` of its last holder. The client finds another server by itself when one
ends; calls that have no leader to answer them are repeated until their deadline has passed.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import Any, Final, TypeVar

import msgspec
import nats
import nats.errors
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from tidemill.errors import LogUnavailableError
from tidemill.log.jetstream.records import Message

_log = logging.getLogger(__name__)
T = TypeVar("T")

CALL_S: Final = 12.0  # an election takes 4 to 9 s
ATTEMPT_S: Final = 2.0
PAUSE_S: Final = 0.05  # before a call is repeated that had no leader
CONNECT_S: Final = 3.0  # by itself the client would try for ever
PENDING_BYTES: Final = 16 << 20
_UNAVAILABLE: Final = frozenset({503, 500})
_LOST: Final = (nats.errors.Error, OSError, asyncio.TimeoutError)


class ApiError(Exception):
    """JetStream refused a call: `code` is its error code, 0 where it gave none."""

    def __init__(self, code: int, status: int, text: str) -> None:
        super().__init__(f"{text} (error {code})")
        self.code, self.status = code, status


class NoAnswerError(Exception):
    """A call was not answered: what it asked for may or may not be done."""


class JetStreamLink:
    """The connection to these servers (`nats://host:port`). Thread-safe."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)
        self._lock = threading.Lock()
        self._holders: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self._opening: asyncio.Lock | None = None
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._answers: dict[str, tuple[list[Msg], asyncio.Future[list[Msg]], bool]] = {}

    def loop(self, holder: object) -> asyncio.AbstractEventLoop:
        """The loop of the connection, which runs until every holder has released it."""
        with self._lock:
            self._holders.add(id(holder))
            if self._loop is None:
                self._loop = uvloop.new_event_loop()
                self._opening = asyncio.Lock()
                self._thread = threading.Thread(target=self._loop.run_forever, name="jetstream", daemon=True)
                self._thread.start()
            return self._loop

    def call(self, holder: object, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float = 60) -> T:
        """The result of `work` in the connection's loop. Raises what it raises, or LogUnavailableError."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(), self.loop(holder))
        try:
            return future.result(timeout_s)
        except WaitTimeoutError as error:
            future.cancel()
            raise LogUnavailableError(f"the log (jetstream) did not answer within {timeout_s:.0f} s") from error
        except (NoAnswerError, ApiError) as error:
            raise LogUnavailableError(f"the log (jetstream) cannot be read now: {error}") from error

    def release(self, holder: object) -> None:
        """Close the connection when no other holder uses it. Harmless when repeated."""
        with self._lock:
            self._holders.discard(id(holder))
            if self._holders or self._loop is None:
                return
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = self._client = None
        if client is not None:
            try:
                asyncio.run_coroutine_threadsafe(client.close(), loop).result(5)
            except Exception as error:
                _log.debug("the connection to JetStream was not closed: %s", error)
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(5)
        loop.close()

    async def connect(self) -> None:
        """Connect now. Raises NoAnswerError when no server takes the connection within 3 s."""
        await self._connected()

    async def api(self, subject: str, request: dict[str, Any] | None = None, timeout_s: float = CALL_S) -> Any:
        """The answer of JetStream's API (`$JS.API.` and subject), from the leader. Repeats while there is no leader.

        Raises ApiError (it is refused) or NoAnswerError.
        """
        deadline, data = time.monotonic() + timeout_s, msgspec.json.encode(request) if request else b""
        while True:
            try:
                [answer] = await self._ask(f"$JS.API.{subject}", data, {}, min(ATTEMPT_S, timeout_s), many=False)
                document = msgspec.json.decode(answer.data)
                if "error" not in document:
                    return document
                raise _api_error(document["error"])
            except (NoAnswerError, ApiError) as error:
                retriable = isinstance(error, NoAnswerError) or error.status in _UNAVAILABLE
                if not retriable or time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def get_direct(self, stream: str, request: dict[str, Any]) -> list[Msg]:
        """The messages that a batched direct get answers, from any replica; the last one is the end, by its status.

        Raises NoAnswerError.
        """
        deadline, data = time.monotonic() + CALL_S, msgspec.json.encode(request)
        while True:
            try:
                return await self._ask(f"$JS.API.DIRECT.GET.{stream}", data, {}, 10.0, many=True)
            except NoAnswerError:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def send(self, messages: Sequence[Message], sending: asyncio.Lock, timeout_s: float) -> Any:
        """Store messages, all or none, as one atomic batch; returns the acknowledgement (`seq` is that of the last).

        `sending` keeps batches in the order of the calls. Raises ApiError (nothing is stored by this call) or
        NoAnswerError (unknown).
        """
        batch = f"{id(self):x}-{time.monotonic_ns():x}-{next(self._numbers):x}" if len(messages) > 1 else ""
        async with sending:
            client = await self._connected()
            for number, message in enumerate(messages[:-1], start=1):
                headers = message.headers | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                await self._publish(client, message.subject, message.data, "", headers)
            last = messages[-1]
            headers = dict(last.headers)
            if batch:
                headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(messages)), "Nats-Batch-Commit": "1"}
            token, future = self._expect(many=False)
            try:
                await self._publish(client, last.subject, last.data, f"{self._inbox}.{token}", headers)
            except NoAnswerError:
                self._answers.pop(token, None)
                raise
        [answer] = await self._answer(token, future, timeout_s)
        document = msgspec.json.decode(answer.data)
        if "error" in document:
            raise _api_error(document["error"])
        return document

    async def _ask(
        self, subject: str, data: bytes, headers: dict[str, str], timeout_s: float, *, many: bool
    ) -> list[Msg]:
        client = await self._connected()
        token, future = self._expect(many=many)
        await self._publish(client, subject, data, f"{self._inbox}.{token}", headers)
        return await self._answer(token, future, timeout_s)

    def _expect(self, *, many: bool) -> tuple[str, "asyncio.Future[list[Msg]]"]:
        token = str(next(self._numbers))
        future: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()
        self._answers[token] = ([], future, many)
        return token, future

    async def _answer(self, token: str, future: "asyncio.Future[list[Msg]]", timeout_s: float) -> list[Msg]:
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError as error:
            raise NoAnswerError("no answer") from error
        finally:
            self._answers.pop(token, None)

    async def _on_answer(self, message: Msg) -> None:
        taken = self._answers.get(message.subject[len(self._inbox) + 1 :])
        if taken is None:
            return
        messages, future, many = taken
        status = (message.headers or {}).get("Status", "") if not message.data else ""
        if future.done():
            return
        if status == "503":
            future.set_exception(NoAnswerError("no leader"))
            return
        messages.append(message)
        if not many or status:
            future.set_result(messages)

    async def _publish(self, client: Client, subject: str, data: bytes, reply: str, headers: dict[str, str]) -> None:
        try:
            await client.publish(subject, data, reply=reply, headers=headers or None)
        except _LOST as error:
            raise NoAnswerError(f"no connection: {type(error).__name__}") from error

    async def _connected(self) -> Client:
        """The client, connected. Raises NoAnswerError when no server can be reached."""
        client = self._client
        if client is not None and client.is_connected:
            return client
        assert self._opening is not None
        async with self._opening:
            if self._client is not None and not self._client.is_closed:
                if not self._client.is_connected:
                    raise NoAnswerError("the connection is lost, and is being made again")
                return self._client
            try:
                client = await asyncio.wait_for(
                    nats.connect(
                        self._servers,
                        connect_timeout=2,
                        reconnect_time_wait=0.1,
                        max_reconnect_attempts=-1,
                        ping_interval=2,
                        max_outstanding_pings=2,
                        pending_size=PENDING_BYTES,
                        allow_reconnect=True,
                        error_cb=_ignore_error,
                    ),
                    CONNECT_S,
                )
                self._inbox = client.new_inbox()
                await client.subscribe(f"{self._inbox}.*", cb=self._on_answer)
            except _LOST as error:
                hosts = ", ".join(server.rpartition("@")[2].removeprefix("nats://") for server in self._servers)
                raise NoAnswerError(f"none of {hosts} takes the connection ({type(error).__name__})") from error
            self._client = client
            return client


async def _ignore_error(error: Exception) -> None:
    """Calls report what they miss; the client reports each lost connection beside."""
    _log.debug("JetStream: %s", error)


def _api_error(document: dict[str, Any]) -> ApiError:
    return ApiError(document.get("err_code", 0), document.get("code", 0), document.get("description", "refused"))
