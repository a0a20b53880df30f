"""Delivers fetched payloads to intake: started in order, several in flight, each until intake takes or refuses it.

A payload is sent again with the same bytes and the same idempotency key for as long as intake is unavailable, so it
becomes durable once. From its first failure on it is also in the state store, so that it survives the end of the
process. Not promised: that payloads in flight at the same time reach the log in the order they were fetched.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from tidemill.errors import ConflictError, InputError
from tidemill.sources.pacing import Pacing
from tidemill.sources.state import Unsent
from tidemill.sources.state_store import SourceStateStore

log = logging.getLogger(__name__)

_MAX_BYTES: Final = 32 << 20  # in flight of one source: beyond it the next fetch waits

NO_REQUEST_VALUES: Final[Mapping[str, str]] = {}

SendPayload = Callable[[Unsent], Awaitable[str]]


class KeptRefusalError(InputError):
    """Intake refused a payload; the ledger has its bytes under `receipt`."""

    def __init__(self, message: str, receipt: str) -> None:
        super().__init__(message)
        self.receipt = receipt


class Submit(Protocol):
    """Hands payloads to intake."""

    async def __call__(
        self,
        tenant: str,
        feed: str,
        body: bytes,
        content_type: str,
        idempotency_key: str,
        *,
        request_values: Mapping[str, str] = NO_REQUEST_VALUES,
    ) -> str:
        """Return the receipt's id once the payload is durable. Called concurrently. `request_values`: the placeholder
        values of the source's request that tags use.

        Raises UnavailableError (send again), InputError (refused; retrying would not help; KeptRefusalError when the
        bytes were kept), ConflictError (the key was used for other bytes).
        """
        ...


class Outbox:
    """The payloads of one source that are not yet durable."""

    def __init__(
        self, send: SendPayload, state_store: SourceStateStore, source: str, pacing: Pacing, rng: random.Random
    ) -> None:
        self._send = send
        self._state_store = state_store
        self._source = source
        self._backoff = pacing.submit_backoff
        self._rng = rng
        self._limit = pacing.in_flight
        self._tasks: dict[asyncio.Task[None], Unsent] = {}
        self._bytes = 0
        self._failing: dict[str, str] = {}
        self._kept: set[str] = set()
        self._changed = asyncio.Event()
        self._released = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def intake_fault(self) -> str | None:
        """Why intake does not take the oldest failing payload; None if no payload is failing."""
        return next(iter(self._failing.values()), None)

    @property
    def ready(self) -> bool:
        """Whether another payload may be fetched: there is room, and intake takes what it is given."""
        room = len(self._tasks) < self._limit and self._bytes < _MAX_BYTES
        return room and not self._failing

    async def wait_ready(self) -> None:
        """Wait until `ready`, or `release` was called."""
        while not self.ready and not self._released:
            self._changed.clear()
            await self._changed.wait()

    async def wait_empty(self) -> None:
        """Wait until everything was taken or refused, or `release` was called."""
        while self._tasks and not self._released:
            self._changed.clear()
            await self._changed.wait()

    def release(self) -> None:
        """End all waiting, now and later: the source is stopping."""
        self._released = True
        self._changed.set()

    def put(self, unsent: Unsent, done: Callable[[str | None, str], None], *, kept: bool = False) -> None:
        """Start to send a payload. Calls `done(receipt, "")` once intake took it, `done(receipt, why)` if intake
        refused it and kept it as refused, `done(None, why)` if it kept nothing. `kept`: the state store has the
        payload already."""
        if kept:
            self._kept.add(unsent.key)
        task = asyncio.create_task(self._deliver(unsent, done))
        self._tasks[task] = unsent
        self._bytes += len(unsent.body)
        task.add_done_callback(self._finished)

    async def close(self, grace_s: float) -> None:
        """Wait at most `grace_s` seconds for payloads in flight, then save the rest for the next start."""
        if self._tasks and grace_s > 0:
            await asyncio.wait(self._tasks, timeout=grace_s)
        rest = dict(self._tasks)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
        for unsent in rest.values():
            await self._save(unsent)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._bytes -= len(self._tasks.pop(task).body)
        self._changed.set()

    async def _deliver(self, unsent: Unsent, done: Callable[[str | None, str], None]) -> None:
        failures = 0
        while True:
            try:
                receipt: str | None = await self._send(unsent)
                why = ""
            except (InputError, ConflictError) as error:
                receipt, why = getattr(error, "receipt", None), error.message
            except Exception as error:  # a fetched payload is kept whatever the error
                failures += 1
                await self._wait_after_failure(unsent, failures, error)
                continue
            break
        self._failing.pop(unsent.key, None)
        done(receipt, why)
        if unsent.key in self._kept:
            await self._delete_saved(unsent)

    async def _wait_after_failure(self, unsent: Unsent, failures: int, error: Exception) -> None:
        if failures == 1:
            log.warning("intake did not take a payload of %s: %s; sending it again", self._source, error)
        self._failing[unsent.key] = str(error)
        await self._save(unsent)
        await asyncio.sleep(self._backoff.delay_s(failures, self._rng, self._retry_after_s(error)))

    def _retry_after_s(self, error: Exception) -> float:
        """Seconds that intake asks to wait, at most the longest back-off: our own intake may be back sooner."""
        return min(getattr(error, "retry_after_s", 0.0), self._backoff.cap_s)

    async def _save(self, unsent: Unsent) -> None:
        if unsent.key in self._kept:
            return
        try:
            await self._state_store.save_unsent(self._source, unsent)
            self._kept.add(unsent.key)
        except Exception:
            log.exception("a fetched payload of %s is in memory only: the catalog cannot keep it", self._source)

    async def _delete_saved(self, unsent: Unsent) -> None:
        try:
            await self._state_store.delete_unsent(self._source, unsent)
            self._kept.discard(unsent.key)
        except Exception:
            log.exception(
                "a taken payload of %s stays in the catalog and is sent again, with its key, at the start", self._source
            )
