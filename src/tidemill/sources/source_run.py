"""The operations of every way to read a source: fetch, judge, hand in, save the cursor. `steps/` puts them in order.

Every fetched payload is handed in: while intake is unavailable nothing more is fetched, and at the end of the process
the state store keeps the payloads that could not be delivered. A failure is a `PollError` with a row in the poll
ledger.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from tidemill.feeds.formats import JSON_FORMATS
from tidemill.sources.answers import AnswerVerdict, cut_records, judge_answer
from tidemill.sources.hosts import SourceHost
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient
from tidemill.sources.oauth import OAuthTokens, TokenError
from tidemill.sources.outbox import Outbox, Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.paging import origin_of
from tidemill.sources.request import Validators
from tidemill.sources.source_spec import SourceSpec
from tidemill.sources.state import Cursor, PollError, Unsent
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.tracker import Tracker

_OFF_LOOP_BYTES: Final = 256 << 10  # larger answers are read in a thread (about 5 ms of work)
_JSON: Final = frozenset(JSON_FORMATS)
REJECTED_FOR_S: Final = 3600.0  # a feed may be corrected meanwhile


class SourceAnswer(msgspec.Struct, frozen=True):
    """An answer of a source with its verdict. `request_values`: placeholder values of the request that tags use."""

    started_ns: int
    fetched: Fetched
    request_values: dict[str, str] = {}
    verdict: AnswerVerdict = AnswerVerdict(None)

    @property
    def records(self) -> int | None:
        """How many records the answer holds; None: not countable."""
        return self.verdict.records

    @property
    def empty(self) -> bool:
        """Whether the answer is usable and holds no record."""
        return self.unusable is None and self.records == 0

    @property
    def unusable(self) -> str | None:
        """Why the answer cannot be used: `garbage` (none of the feed's formats), `unexpected` (without the declared
        records); None: it can be used."""
        if self.verdict.content_type is None:
            return "garbage"
        return "unexpected" if self.verdict.why else None


class _RejectedAnswer(msgspec.Struct, frozen=True):
    """An answer that is unusable or that intake refused. The ledger has a row of it: until `until_s` (monotonic) the
    same bytes for the same `request_key` are not handed in again."""

    request_key: str
    sha256: bytes
    until_s: float
    reason: str
    detail: str


class SourceRun:
    """Requests, deliveries and saved state of one source. Used by one task."""

    def __init__(
        self,
        spec: SourceSpec,
        client: HttpClient,
        submit: Submit,
        state_store: SourceStateStore,
        *,
        pacing: Pacing,
        now_ns: Callable[[], int],
        rng: random.Random,
        host: SourceHost,
        max_depth: int,
    ) -> None:
        self.spec = spec
        self._max_depth = max_depth
        self.host = host
        self.tracker = Tracker(spec, now_ns)
        self.now_ns = now_ns
        self.cursor = Cursor()
        self.stopping = asyncio.Event()
        self.limits = FetchLimits(spec.timeout_s, spec.timeout_s * pacing.deadline_factor, spec.max_bytes)
        self.client = client
        self.tokens = None if spec.oauth2 is None else OAuthTokens(spec.oauth2, client, self.limits)
        self._submit = submit
        self.state_store = state_store
        self.pacing = pacing
        self.rng = rng
        self.outbox = Outbox(self._send, state_store, spec.key, pacing, rng)
        self._refused: PollError | None = None
        self._rejected: _RejectedAnswer | None = None
        self._run_id = f"{rng.getrandbits(64):016x}{time.time_ns():016x}"
        self._number = 0

    async def fetch(
        self,
        url: str,
        expected: frozenset[int],
        validators: Validators | None = None,
        values: Mapping[str, str] | None = None,
    ) -> SourceAnswer:
        """Request `url` and judge the answer. `expected`: statuses that are no failure; `values`: the placeholder
        values in the URL. Raises PollError if there is no answer; an unusable answer is returned."""
        await self._await_turn()
        started = self.now_ns()
        fetched = await self._request(url, expected, validators, values or {})
        if isinstance(fetched, FetchFailure):
            raise self.record_failure(started, fetched)
        return await self.record_answer(started, fetched, values)

    async def _request(
        self, url: str, expected: frozenset[int], validators: Validators | None, values: Mapping[str, str]
    ) -> Fetched | FetchFailure:
        """Send the request, and once more with a new token if the server answers 401 to the present one."""
        spec, started = self.spec, time.monotonic()
        body = None if spec.body is None else spec.body.encode({**spec.item_values, **values})
        if origin_of(url) != spec.origin:  # credentials are sent to their own host only
            return await self.client.get(url, {}, self.limits, expected, validators)
        for last in (self.tokens is None, True):
            try:
                login = {} if self.tokens is None else await self.tokens.authorization_header()
            except TokenError as error:
                return FetchFailure("token", error.message, time.monotonic() - started, None, error.retry_after_s)
            finally:
                await self._save_token()
            headers = {**spec.headers, **login}
            fetched = await self.client.get(url, headers, self.limits, expected, validators, body=body)
            if self.tokens is None or last or not (isinstance(fetched, FetchFailure) and fetched.status == 401):
                break
            self.tokens.discard_token()
        return fetched

    async def _save_token(self) -> None:
        """Save a refresh token that the server replaced, before the new one is used."""
        tokens = self.tokens
        if tokens is None:
            return
        self.tracker.hide_tokens(tokens.secrets)
        if tokens.unsaved and tokens.rotated is not None:
            await self.state_store.save_token(self.spec.key, tokens.rotated)
            tokens.unsaved = False

    def request_identity(self, url: str, values: Mapping[str, str] | None = None) -> str:
        """A text that differs for different requests: the URL, followed by the body if there is one."""
        body = self.spec.body
        return url if body is None else f"{url}\n{body.encode({**self.spec.item_values, **(values or {})}).decode()}"

    async def _await_turn(self) -> None:
        """Wait until the host's rate allows a request. Raises CancelledError if the source is stopped meanwhile."""
        seconds = self.host.take_turn()
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stopping.wait()
            if self.stopping.is_set():
                raise asyncio.CancelledError

    def record_failure(self, started_ns: int, failure: FetchFailure, reason: str | None = None) -> PollError:
        """Record that the source did not answer; returns the error to raise."""
        self.tracker.note_request(started_ns, failure)
        self.tracker.add_poll(started_ns, failure, reason or failure.reason, detail=failure.message)
        return PollError(reason or failure.reason, failure.message, failure.retry_after_s or 0.0)

    async def record_answer(
        self, started_ns: int, fetched: Fetched, values: Mapping[str, str] | None = None
    ) -> SourceAnswer:
        """Record that the source answered; returns the answer with its verdict (only for status 200, and 0 of
        plug-ins). A large answer is judged in a thread."""
        self.tracker.note_request(started_ns, fetched)
        if fetched.status not in (0, 200):
            return SourceAnswer(started_ns, fetched)
        arguments = (fetched.body, fetched.content_type, self.spec.expected, self._max_depth)
        slow = len(fetched.body) > _OFF_LOOP_BYTES or not _JSON.issuperset(self.spec.expected.formats)
        verdict = await asyncio.to_thread(judge_answer, *arguments) if slow else judge_answer(*arguments)
        return SourceAnswer(started_ns, fetched, self.spec.tag_values(values), verdict)

    def records_of(self, answer: SourceAnswer) -> list[bytes]:
        """The records of a JSON answer, as bytes."""
        return cut_records(answer.fetched.body, answer.verdict.content_type, self.spec.expected, self._max_depth)

    def unusable_error(self, answer: SourceAnswer) -> PollError:
        """The error of an unusable answer."""
        if answer.unusable == "unexpected":
            return PollError("unexpected", f"the answer does not hold the declared records: {answer.verdict.why}")
        formats = ", ".join(self.spec.expected.formats)
        return PollError("garbage", f"the answer is none of {formats}: {answer.verdict.why}")

    def record_poll(self, answer: SourceAnswer, result: str, detail: str = "") -> None:
        """Add a row to the poll ledger for an answer that is not handed in."""
        records = answer.records or 0
        self.tracker.add_poll(answer.started_ns, answer.fetched, result, detail=detail, records=records)

    def send(self, answer: SourceAnswer) -> None:
        """Hand in an answer without waiting. An unusable answer is handed in as well, so that the ledger shows it.
        Raises PollError for an unusable answer, and if intake refused an earlier one."""
        self._number += 1
        self._put(answer, f"{self._run_id}-{self._number}")
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused
        if answer.unusable is not None:
            raise self.unusable_error(answer)

    async def deliver(self, answer: SourceAnswer, key: str, request_key: str | None = None) -> bool:
        """Hand in an answer and wait until it is durable. Returns false if the source is stopping and intake is not
        known to have taken the answer.

        The same idempotency `key` with the same bytes is stored once: callers derive it from the saved cursor and the
        answer, so that it is the same after a restart. An answer that was unusable or refused for a `request_key` is
        not handed in again for `REJECTED_FOR_S`. Raises PollError."""
        self._refused = None  # of an earlier payload: the ledger has it
        sha256, past = hashlib.sha256(answer.fetched.body).digest(), self._rejected
        same = past is not None and (past.request_key, past.sha256) == (request_key, sha256)
        if past is not None and same and time.monotonic() < past.until_s:
            records = answer.records or 0
            self.tracker.add_poll(
                answer.started_ns, answer.fetched, past.reason, detail=past.detail, sha256=sha256, records=records
            )
            raise PollError(past.reason, past.detail)
        self._put(answer, key)
        await self.wait_for_intake(self.outbox.wait_empty)
        refused, self._refused = self._refused, None
        if refused is None and len(self.outbox):
            return False
        if refused is None and answer.unusable is None:
            return True
        error = refused or self.unusable_error(answer)
        if request_key:
            until_s = time.monotonic() + REJECTED_FOR_S
            self._rejected = _RejectedAnswer(request_key, sha256, until_s, error.reason, error.detail)
        raise error

    async def save_cursor(self, cursor: Cursor, shown: str | None = None) -> None:
        """Make the cursor durable. `shown`: the cursor as the state shows it (None: as before)."""
        if cursor != self.cursor:
            await self.state_store.save_cursor(self.spec.key, cursor)
            self.cursor = cursor
        self.tracker.update(cursor=shown)

    async def wait_for_intake(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait with `wait` until intake has taken payloads; while intake is unavailable, the state says so."""
        while True:
            if self.outbox.intake_fault is not None:
                self.tracker.note_intake_fault(self.outbox.intake_fault)
            try:
                async with asyncio.timeout(self.pacing.write_every_s):
                    return await wait()
            except TimeoutError:
                continue

    def delivery_callback(self, size: int, answer: SourceAnswer | None = None) -> Callable[[str | None, str], None]:
        """The function to call once a payload was taken or refused: with its receipt (None: nothing was kept), and why
        it was refused ("": it was taken). `answer` is None for a payload of an earlier run: the poll ledger has its
        row already."""

        def done(receipt: str | None, why: str) -> None:
            if why:
                self._refused = PollError("payload_refused", why, receipt=receipt or "")
            elif receipt is not None:
                self.tracker.note_delivery(size)
            if answer is not None:
                taken = answer.unusable or "data"
                self.tracker.add_poll(
                    answer.started_ns,
                    answer.fetched,
                    "payload_refused" if why else taken,
                    detail=why or (self.unusable_error(answer).detail if answer.unusable else ""),
                    sha256=hashlib.sha256(answer.fetched.body).digest(),
                    receipt=receipt or "",
                    records=answer.records or 0,
                )

        return done

    def _put(self, answer: SourceAnswer, key: str) -> None:
        body = answer.fetched.body
        unsent = Unsent(body, answer.verdict.content_type or "application/octet-stream", key, answer.request_values)
        self.outbox.put(unsent, self.delivery_callback(len(body), answer))

    async def _send(self, unsent: Unsent) -> str:
        async with asyncio.timeout(self.pacing.submit_timeout_s):
            spec = self.spec
            arguments = (spec.tenant, spec.feed, unsent.body, unsent.content_type, unsent.key)
            return await self._submit(*arguments, request_values=unsent.request_values)
