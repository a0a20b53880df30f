"""The answers of analyses: from the cache, or computed once for all who wait for the same.

An answer is kept under what it depends on: the series, the state of its points in the store, and the parameters. So it
is never stale: late data, a replay or a deletion changes the state. While somebody computes, others who want the same
wait for it; when all of them have disconnected, the computation is ended.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tidemill.api.body import ClientGoneError
from tidemill.api.worker_pool import WorkerPool

MAX_CACHED: Final = 2_000  # answers
MAX_CACHED_BYTES: Final = 64 << 20
MAX_ANSWER_BYTES: Final = 1 << 20  # a longer answer is not kept

Key = tuple[Any, ...]
Work = Callable[[], Awaitable[tuple[bytes, bool]]]  # an encoded answer, and whether it may be kept
Receive = Callable[[], Awaitable[Any]]


class Analyses:
    """Keeps answers and shares computations; of one event loop. `pool` has the worker processes."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self._cache = AnswerCache()
        self._flights: dict[Key, _Flight] = {}

    async def answer(self, key: Key, work: Work, receive: Receive) -> bytes:
        """The encoded answer of `key`: kept, being computed, or computed now by `work`. `receive` is the request's.

        Raises what `work` raises, and ClientGoneError.
        """
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(self._compute(key, work), name="analysis"))
        flight.waiting += 1
        gone = asyncio.create_task(_disconnected(receive), name="client-gone")
        try:
            await asyncio.wait((flight.task, gone), return_when=asyncio.FIRST_COMPLETED)
            if not flight.task.done():
                raise ClientGoneError
            return flight.task.result()
        finally:
            gone.cancel()
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                if self._flights.get(key) is flight:
                    del self._flights[key]
                flight.task.cancel()

    async def _compute(self, key: Key, work: Work) -> bytes:
        mine = asyncio.current_task()
        try:
            body, lasting = await work()
            if lasting:
                self._cache.put(key, body)
            return body
        finally:
            flight = self._flights.get(key)
            if flight is not None and flight.task is mine:
                del self._flights[key]


class _Flight:
    """A computation, and how many requests wait for it."""

    def __init__(self, task: "asyncio.Task[bytes]") -> None:
        self.task = task
        self.waiting = 0


class AnswerCache:
    """The answers used last: at most `most` of them and `most_bytes` in all."""

    def __init__(self, most: int = MAX_CACHED, most_bytes: int = MAX_CACHED_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._answers: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key) -> bytes | None:
        """The answer kept under a key, which is now the one used last."""
        body = self._answers.get(key)
        if body is not None:
            self._answers.move_to_end(key)
        return body

    def put(self, key: Key, body: bytes) -> None:
        """Keep an answer, and drop those that were not used for longest."""
        if len(body) > MAX_ANSWER_BYTES:
            return
        self._bytes += len(body) - len(self._answers.pop(key, b""))
        self._answers[key] = body
        while len(self._answers) > self._most or self._bytes > self._most_bytes:
            self._bytes -= len(self._answers.popitem(last=False)[1])


async def _disconnected(receive: Receive) -> None:
    """Return once the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
