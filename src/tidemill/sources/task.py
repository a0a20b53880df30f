"""Polls one source for as long as it is told to: fetch, submit, remember where it stopped, wait, again.

A drained source is asked until it is empty; a window source one window after the other; any other once each `every`.
An answer that fills its limit is not believed whole: the window is read by halves.
The cursor moves only after `submit` returned. What was fetched is submitted, whatever comes between: while intake is
away nothing more is fetched, and at the end of the process the desk keeps what could not be delivered.
Every failure becomes the source's state and a longer wait; none ends the task.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Container
from typing import Final

import msgspec

from tidemill.model.time import format_instant
from tidemill.sources.backoff import Backoff
from tidemill.sources.desk import Desk
from tidemill.sources.http import Fetched, FetchFailure, HttpClient, Limits
from tidemill.sources.outbox import Outbox, Submit
from tidemill.sources.pull import Pull, count, recognised
from tidemill.sources.state import Cursor, SourceState, Unsent
from tidemill.sources.tracker import Tracker
from tidemill.sources.windows import Window, Windows

log = logging.getLogger(__name__)


BAD_FOR_S: Final = 3600.0  # a feed may be corrected meanwhile


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """How the poller behaves, in seconds; a feed sets the rest. A fetch may take `deadline_factor` times the feed's
    time-out in all. At the end a fetch gets `fetch_grace_s` to complete, then what it brought `submit_grace_s` to be
    taken, and the last rows of the poll ledger `record_grace_s` to be written. `in_flight` payloads of a source may be
    under way at once."""

    first_backoff_s: float = 1.0
    submit_backoff: Backoff = Backoff(first_s=0.1, cap_s=5.0)
    submit_timeout_s: float = 30.0
    deadline_factor: float = 3.0
    fetch_grace_s: float = 2.0
    submit_grace_s: float = 3.0
    record_grace_s: float = 1.0
    write_every_s: float = 1.0
    in_flight: int = 32


class Bad(msgspec.Struct, frozen=True):
    """An answer that is garbage or was refused for the window at `position_ns`. The ledger has it: until `until_s`
    (monotonic) the same bytes are not submitted again."""

    position_ns: int
    sha256: bytes
    until_s: float
    reason: str
    detail: str


class SourceTask:
    """One source being polled. `run` is the task; `stop` asks it to end."""

    def __init__(
        self, pull: Pull, submit: Submit, desk: Desk, *, pacing: Pacing, now_ns: Callable[[], int], rng: random.Random
    ) -> None:
        self.pull = pull
        self.tracker = Tracker(pull, now_ns)
        self._submit = submit
        self._desk = desk
        self._pacing = pacing
        self._now_ns = now_ns
        self._rng = rng
        self._backoff = Backoff(pacing.first_backoff_s, pull.max_backoff_s)
        self._limits = Limits(pull.timeout_s, pull.timeout_s * pacing.deadline_factor, pull.max_bytes)
        # For windows a 404 is no answer at all: were it "nothing there", one wrong URL would run the cursor to now.
        empty = pull.empty_status if pull.windows is None else tuple(s for s in pull.empty_status if s != 404)
        self._empty = frozenset(empty)
        self._expected = frozenset({200, *empty})
        self._client = HttpClient()
        backoff = pacing.submit_backoff
        self._outbox = Outbox(self._send, desk, pull.key, backoff=backoff, rng=rng, limit=pacing.in_flight)
        self._stopping = asyncio.Event()
        self._cursor: Cursor | None = None
        self._refused: str | None = None
        self._read: frozenset[str] = frozenset()  # digests of the window that was read last, and of its parts
        self._bad: Bad | None = None
        self._run_id = f"{rng.getrandbits(64):016x}{time.time_ns():016x}"
        self._number = 0

    def stop(self) -> None:
        """End after the fetch that is under way; cancel the task to cut that short as well."""
        self._stopping.set()
        self._outbox.release()

    def take_state(self) -> SourceState | None:
        """The state if it changed since the last call."""
        self.tracker.note(waiting=len(self._outbox))
        return self.tracker.take_state()

    async def run(self) -> None:
        """Poll until stopped; then deliver or keep what is left."""
        try:
            await self._resume()
            while not self._stopping.is_set():
                await self._pause(await self._safe_step())
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        finally:
            self._client.close()
            await self._outbox.close(self._pacing.submit_grace_s)

    async def _resume(self) -> None:
        """Load what an earlier run left; deliver what it could not, before anything newer."""
        while not self._stopping.is_set():
            try:
                self._cursor = await self._desk.cursor(self.pull.key)
                earlier = await self._desk.state(self.pull.key)
                unsent = await self._desk.unsent(self.pull.key)
                break
            except Exception as error:
                await self._pause(self._trouble("internal", f"the catalog cannot be read: {error}"))
        else:
            return
        if earlier is not None:
            self.tracker.resume(earlier)
        for one in unsent:
            self._outbox.put(one, self._delivered(len(one.body)), kept=True)
        await self._wait_for_intake(self._outbox.wait_empty)

    async def _safe_step(self) -> float:
        """One poll; seconds until the next one is due. A bug in it is a failure of this source, not of the poller."""
        try:
            if not self._outbox.ready:
                await self._wait_for_intake(self._outbox.wait_ready)
                if self._stopping.is_set():
                    return 0.0
            windows = self.pull.windows
            return await self._step() if windows is None else await self._window_step(windows)
        except Exception as error:
            log.exception("polling %s failed", self.pull.key)
            return self._trouble("internal", f"{type(error).__name__}: {error}")

    async def _step(self) -> float:
        started, fetched = await self._fetch(self.pull.url)
        if isinstance(fetched, FetchFailure):
            return self._fetch_failed(started, fetched)
        if fetched.status in self._empty:
            return self._nothing(started, fetched, "empty")
        self._number += 1
        content_type = recognised(fetched.body, self.pull.formats)
        self._put(started, fetched, f"{self._run_id}-{self._number}", content_type)
        refused, self._refused = self._refused, None
        if refused is not None:
            return self._trouble("payload_refused", refused)
        if not content_type:
            return self._trouble("garbage", f"the answer is none of {', '.join(self.pull.formats)}")
        self.tracker.good("ok")
        return 0.0 if self.pull.drain else self.pull.every_s

    async def _window_step(self, windows: Windows) -> float:
        cursor = self._cursor or Cursor(windows.start_ns)
        window = windows.next(cursor.position_ns, self._now_ns())
        if window is None:
            return self.pull.every_s
        parts, read, before = [window], [], self._read | {cursor.last}
        while parts and not self._stopping.is_set():
            part = parts.pop()
            digest = await self._read_part(windows, part, cursor, before)
            if isinstance(digest, float):
                return digest
            if isinstance(digest, tuple):
                parts += reversed(digest)
            else:
                read.append(digest)
        if parts:
            return 0.0
        self._read = frozenset(read)
        new = [digest for digest in read if digest and digest not in before]
        self.tracker.good("ok" if new else "empty")
        if new:
            cursor = Cursor(cursor.position_ns, cursor.number + 1, new[-1])
        return await self._move(msgspec.structs.replace(cursor, position_ns=window.stop_ns), window)

    async def _read_part(
        self, windows: Windows, part: Window, cursor: Cursor, before: Container[str]
    ) -> str | tuple[Window, Window] | float:
        """Read a window or a part of one: the digest of what was taken (empty if there was nothing), its halves if the
        answer was cut off, or after a failure the seconds to wait. `before`: digests that were taken and need not be.
        """
        url = windows.fill(self.pull.url, part)
        started, fetched = await self._fetch(url)
        if isinstance(fetched, FetchFailure):
            return self._fetch_failed(started, fetched)
        digest = hashlib.sha256(url.encode() + b"\n" + fetched.body).hexdigest()
        if fetched.status in self._empty or digest in before:
            empty = fetched.status in self._empty
            self.tracker.row(started, fetched, "empty" if empty else "unchanged")
            return "" if empty else digest
        sha256, bad = hashlib.sha256(fetched.body).digest(), self._bad
        if bad and (bad.position_ns, bad.sha256) == (cursor.position_ns, sha256) and time.monotonic() < bad.until_s:
            self.tracker.row(started, fetched, bad.reason, sha256=sha256, detail=bad.detail)
            return self._trouble(bad.reason, bad.detail)
        content_type = recognised(fetched.body, self.pull.formats)
        limit = self.pull.limit
        if content_type and limit and count(fetched.body, content_type, self.pull.records) >= limit:
            return self._cut_off(windows, part, started, fetched)
        self._put(started, fetched, f"{cursor.number + 1}-{digest}", content_type)
        await self._wait_for_intake(self._outbox.wait_empty)
        refused, self._refused = self._refused, None
        if refused is None and len(self._outbox):  # stopping: not known to be taken, so the cursor stays
            return 0.0
        if refused is None and content_type:
            return digest
        reason = "garbage" if refused is None else "payload_refused"
        detail = refused or f"the answer is none of {', '.join(self.pull.formats)}"
        self._bad = Bad(cursor.position_ns, sha256, time.monotonic() + BAD_FOR_S, reason, detail)
        return self._trouble(reason, detail)

    def _cut_off(self, windows: Windows, part: Window, started: int, fetched: Fetched) -> tuple[Window, Window] | float:
        """An answer that fills the limit is not taken: its window is read again by halves."""
        halves = windows.halves(part)
        detail = f"the answer holds as many records as its limit ({self.pull.limit})"
        self.tracker.row(started, fetched, "truncated", detail=detail)
        if halves is None:
            return self._trouble("truncated", f"{detail} in the shortest window that can be asked for; raise the limit")
        return halves

    async def _move(self, cursor: Cursor, window: Window) -> float:
        await self._desk.save_cursor(self.pull.key, cursor)
        self._cursor = cursor
        self.tracker.note(cursor=format_instant(cursor.position_ns))
        return self.pull.every_s if window.last else 0.0

    async def _fetch(self, url: str) -> tuple[int, Fetched | FetchFailure]:
        started = self._now_ns()
        fetched = await self._client.get(url, self.pull.headers, self._limits, self._expected)
        self.tracker.polled(started, fetched)
        return started, fetched

    def _fetch_failed(self, started: int, failure: FetchFailure) -> float:
        self.tracker.row(started, failure, failure.reason, detail=failure.message)
        return self._trouble(failure.reason, failure.message, failure.retry_after_s or 0.0)

    def _nothing(self, started: int, fetched: Fetched, result: str) -> float:
        self.tracker.row(started, fetched, result)
        self.tracker.good("empty")
        return self.pull.every_s

    def _trouble(self, reason: str, detail: str, at_least_s: float = 0.0) -> float:
        """Note a failure; seconds to wait after it."""
        return self._backoff.delay_s(self.tracker.failed(reason, detail), self._rng, at_least_s)

    def _put(self, started: int, fetched: Fetched, key: str, content_type: str | None) -> None:
        """Submit what was fetched, garbage (no content type) too: the ledger shows it."""
        unsent = Unsent(fetched.body, content_type or "application/octet-stream", key)
        self._outbox.put(unsent, self._delivered(len(fetched.body), started, fetched))

    def _delivered(
        self, size: int, started: int = 0, fetched: Fetched | None = None
    ) -> Callable[[str | None, str], None]:
        def done(receipt: str | None, why: str) -> None:
            if receipt is None:
                self._refused = why
            else:
                self.tracker.taken(size)
            if fetched is not None:
                result = "data" if receipt is not None else "payload_refused"
                digest = hashlib.sha256(fetched.body).digest()
                self.tracker.row(started, fetched, result, sha256=digest, receipt=receipt or "", detail=why)

        return done

    async def _send(self, unsent: Unsent) -> str:
        async with asyncio.timeout(self._pacing.submit_timeout_s):
            pull = self.pull
            return await self._submit(pull.tenant, pull.feed, unsent.body, unsent.content_type, unsent.key)

    async def _wait_for_intake(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for what intake has to take; while it is away, the state says so."""
        while True:
            if self._outbox.trouble is not None:
                self.tracker.stuck(self._outbox.trouble)
            try:
                async with asyncio.timeout(self._pacing.write_every_s):
                    return await wait()
            except TimeoutError:
                continue

    async def _pause(self, seconds: float) -> None:
        """Wait, or less if stopped."""
        self.tracker.note(due_in_s=seconds)
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
