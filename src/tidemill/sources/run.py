"""What every way of reading a source is made of: fetch, judge, hand in, remember. `steps/` puts it in order.

What was fetched is handed in, whatever comes between: while intake is away nothing more is fetched, and at the end of
the process the desk keeps what could not be delivered. A failure is a `TroubleError` with its row in the poll ledger.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from tidemill.sources.answers import count, recognised
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient
from tidemill.sources.outbox import Outbox, Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.pull import Pull
from tidemill.sources.request import Validators
from tidemill.sources.state import Cursor, Unsent
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.tracker import Tracker

BAD_FOR_S: Final = 3600.0  # a feed may be corrected meanwhile


class TroubleError(Exception):
    """A poll that failed: its reason, a sentence, and how long the source asked to be left alone at least."""

    def __init__(self, reason: str, detail: str, at_least_s: float = 0.0) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.at_least_s = at_least_s


class SourceAnswer(msgspec.Struct, frozen=True):
    """What a source said. `content_type` None: garbage, none of the feed's formats. `records` None: not countable."""

    started_ns: int
    fetched: Fetched
    content_type: str | None
    records: int | None

    @property
    def empty(self) -> bool:
        """Whether it is an answer with no record in it."""
        return self.content_type is not None and self.records == 0


class _Bad(msgspec.Struct, frozen=True):
    """An answer that is garbage or was refused. The ledger has it: until `until_s` (monotonic) the same bytes for the
    same place are not handed in again."""

    place: str
    sha256: bytes
    until_s: float
    reason: str
    detail: str


class SourceRun:
    """One source: what it was asked, said and remembers. Used by one task."""

    def __init__(
        self,
        pull: Pull,
        client: HttpClient,
        submit: Submit,
        desk: SourceStateStore,
        *,
        pacing: Pacing,
        now_ns: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self.pull = pull
        self.tracker = Tracker(pull, now_ns)
        self.now_ns = now_ns
        self.cursor = Cursor()
        self.stopping = asyncio.Event()
        self.limits = FetchLimits(pull.timeout_s, pull.timeout_s * pacing.deadline_factor, pull.max_bytes)
        self._client = client
        self._submit = submit
        self._desk = desk
        self._pacing = pacing
        self.outbox = Outbox(self._send, desk, pull.key, backoff=pacing.submit_backoff, rng=rng, limit=pacing.in_flight)
        self._refused: str | None = None
        self._bad: _Bad | None = None
        self._run_id = f"{rng.getrandbits(64):016x}{time.time_ns():016x}"
        self._number = 0

    async def fetch(self, url: str, expected: frozenset[int], validators: Validators | None = None) -> SourceAnswer:
        """Ask the source. Raises TroubleError."""
        started = self.now_ns()
        fetched = await self._client.get(url, self.pull.headers, self.limits, expected, validators)
        if isinstance(fetched, FetchFailure):
            raise self.failed(started, fetched)
        return self.came(started, fetched)

    def failed(self, started_ns: int, failure: FetchFailure, reason: str | None = None) -> TroubleError:
        """Note that the source did not answer; the trouble to raise."""
        self.tracker.polled(started_ns, failure)
        self.tracker.row(started_ns, failure, reason or failure.reason, detail=failure.message)
        return TroubleError(reason or failure.reason, failure.message, failure.retry_after_s or 0.0)

    def came(self, started_ns: int, fetched: Fetched, content_type: str | None = None) -> SourceAnswer:
        """Note that the source answered; what the answer is at a glance, unless its type is known."""
        self.tracker.polled(started_ns, fetched)
        if fetched.status not in (0, 200):
            return SourceAnswer(started_ns, fetched, None, None)
        what = content_type or recognised(fetched.body, self.pull.formats, fetched.content_type)
        return SourceAnswer(started_ns, fetched, what, count(fetched.body, what, self.pull.records))

    def row(self, answer: SourceAnswer, result: str, detail: str = "") -> None:
        """Note a poll whose answer is not handed in."""
        records = answer.records or 0
        self.tracker.row(answer.started_ns, answer.fetched, result, detail=detail, records=records)

    def send(self, answer: SourceAnswer) -> None:
        """Hand in an answer without waiting, garbage too: the ledger shows it. Raises TroubleError for garbage, and
        when an earlier one was refused."""
        self._number += 1
        self._put(answer, f"{self._run_id}-{self._number}")
        refused, self._refused = self._refused, None
        if refused is not None:
            raise TroubleError("payload_refused", refused)
        if answer.content_type is None:
            raise self._garbage()

    async def deliver(self, answer: SourceAnswer, key: str, place: str | None = None) -> bool:
        """Hand in an answer and wait until it is durable. False: stopping, and not known to be taken. The same `key`
        and bytes are stored once: a key is made of what is remembered and what came, so that it is the same when both
        are after a restart. Bytes that were bad for a `place` are handed in once. Raises TroubleError."""
        sha256, bad = hashlib.sha256(answer.fetched.body).digest(), self._bad
        if place and bad and (bad.place, bad.sha256) == (place, sha256) and time.monotonic() < bad.until_s:
            records = answer.records or 0
            self.tracker.row(
                answer.started_ns, answer.fetched, bad.reason, detail=bad.detail, sha256=sha256, records=records
            )
            raise TroubleError(bad.reason, bad.detail)
        self._put(answer, key)
        await self.wait_for_intake(self.outbox.wait_empty)
        refused, self._refused = self._refused, None
        if refused is None and len(self.outbox):
            return False
        if refused is None and answer.content_type is not None:
            return True
        trouble = self._garbage() if refused is None else TroubleError("payload_refused", refused)
        if place:
            self._bad = _Bad(place, sha256, time.monotonic() + BAD_FOR_S, trouble.reason, trouble.detail)
        raise trouble

    async def remember(self, cursor: Cursor, shown: str | None = None) -> None:
        """Make the cursor durable; `shown` is how the state shows it (None: as before)."""
        if cursor != self.cursor:
            await self._desk.save_cursor(self.pull.key, cursor)
            self.cursor = cursor
        self.tracker.note(cursor=shown)

    async def wait_for_intake(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for what intake has to take; while it is away, the state says so."""
        while True:
            if self.outbox.trouble is not None:
                self.tracker.stuck(self.outbox.trouble)
            try:
                async with asyncio.timeout(self._pacing.write_every_s):
                    return await wait()
            except TimeoutError:
                continue

    def delivered(self, size: int, answer: SourceAnswer | None = None) -> Callable[[str | None, str], None]:
        """What to do when a payload was taken or refused; one of an earlier run has no answer here."""

        def done(receipt: str | None, why: str) -> None:
            if receipt is None:
                self._refused = why
            else:
                self.tracker.taken(size)
            if answer is not None:
                taken = "garbage" if answer.content_type is None else "data"
                self.tracker.row(
                    answer.started_ns,
                    answer.fetched,
                    "payload_refused" if receipt is None else taken,
                    detail=why,
                    sha256=hashlib.sha256(answer.fetched.body).digest(),
                    receipt=receipt or "",
                    records=answer.records or 0,
                )

        return done

    def _put(self, answer: SourceAnswer, key: str) -> None:
        body = answer.fetched.body
        unsent = Unsent(body, answer.content_type or "application/octet-stream", key)
        self.outbox.put(unsent, self.delivered(len(body), answer))

    def _garbage(self) -> TroubleError:
        return TroubleError("garbage", f"the answer is none of {', '.join(self.pull.formats)}")

    async def _send(self, unsent: Unsent) -> str:
        async with asyncio.timeout(self._pacing.submit_timeout_s):
            pull = self.pull
            return await self._submit(pull.tenant, pull.feed, unsent.body, unsent.content_type, unsent.key)
