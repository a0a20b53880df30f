"""Sends payloads so that the server takes them in order, while several are on their way.

The body of a payload is sent but for its last byte, which follows when the payload before has its receipt: bodies
travel side by side, and enter the log one after the other. A payload that is refused, or that the server does not take
within the client's patience, ends it: none after it was taken.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from tidemill.client.clients import AsyncTidemill
from tidemill.client.documents import PayloadReceipt
from tidemill.client.exchange import exchange, read_json
from tidemill.client.steps import HttpReply, HttpRequest, NoReply, Pause

IN_FLIGHT: Final = 4
_PIECE_BYTES: Final = 256 << 10
_TIMED_OUT: Final = 408  # the body was not complete in time: the payload before was not taken yet


class OrderedPayload(msgspec.Struct, frozen=True):
    """A payload to send: the path of its route and its parameters, its bytes (at least one), content type and
    Idempotency-Key."""

    path: str
    body: bytes
    content_type: str
    key: str
    params: tuple[tuple[str, str], ...] = ()


class OrderedUploads:
    """Uploads over one client. `patience_s` of the client bounds the pauses for each payload."""

    def __init__(self, client: AsyncTidemill, in_flight: int = IN_FLIGHT) -> None:
        self._client, self._in_flight = client, in_flight

    async def send_all(
        self, payloads: Iterator[OrderedPayload]
    ) -> AsyncGenerator[tuple[OrderedPayload, PayloadReceipt], None]:
        """Yields each payload with its receipt, in order. `payloads` is read in a thread, as far as there is room in
        flight. Raises what `payloads` raises once all before has its receipt, and the errors of `Tidemill.send`."""
        sending: deque[tuple[OrderedPayload, asyncio.Task[PayloadReceipt]]] = deque()
        before: asyncio.Event | None = None
        with ThreadPoolExecutor(1, "read") as reader:
            try:
                while True:
                    try:
                        following = asyncio.get_running_loop().run_in_executor(reader, next, payloads, None)
                        payload = await following
                    except Exception:
                        while sending:
                            yield await _head(sending)
                        raise
                    if payload is None:
                        break
                    taken = asyncio.Event()
                    sending.append((payload, asyncio.create_task(self._send(payload, before, taken))))
                    before = taken
                    while len(sending) >= self._in_flight:
                        yield await _head(sending)
                while sending:
                    yield await _head(sending)
            finally:
                for _, task in sending:
                    task.cancel()
                await asyncio.gather(*(task for _, task in sending), return_exceptions=True)

    async def _send(
        self, payload: OrderedPayload, before: asyncio.Event | None, taken: asyncio.Event
    ) -> PayloadReceipt:
        headers = {
            "Idempotency-Key": payload.key,
            "Content-Type": payload.content_type,
            "Content-Length": str(len(payload.body)),
        }
        call = exchange(
            HttpRequest("POST", payload.path, payload.params, headers, payload.body), self._client.patience_s
        )
        reply: HttpReply | NoReply | None = None
        attempts = 0
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                taken.set()
                return read_json(end.value, PayloadReceipt)
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                reply = None
                continue
            attempts += 1
            if attempts > 1 and before is not None:
                await before.wait()
            content = _held_back(payload.body, before) if attempts == 1 and before is not None else None
            reply = await self._client.reply_to(step, content)
            if content is not None and isinstance(reply, HttpReply) and reply.status == _TIMED_OUT:
                reply = NoReply("in time: the payload before was not taken yet")


async def _head(
    sending: deque[tuple[OrderedPayload, asyncio.Task[PayloadReceipt]]],
) -> tuple[OrderedPayload, PayloadReceipt]:
    """The oldest payload in flight and its receipt; it is in flight no more."""
    payload, task = sending[0]
    receipt = await task
    sending.popleft()
    return payload, receipt


async def _held_back(body: bytes, before: asyncio.Event) -> AsyncIterator[bytes]:
    """The pieces of a body, the last byte of which waits for `before`."""
    for begin in range(0, len(body) - 1, _PIECE_BYTES):
        yield body[begin : min(begin + _PIECE_BYTES, len(body) - 1)]
    await before.wait()
    yield body[-1:]
