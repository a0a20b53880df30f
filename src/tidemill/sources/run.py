"""What every way of reading a source is made of: fetch, judge, hand in, remember. `steps/` puts it in order.

What was fetched is handed in, whatever comes between: while intake is away nothing more is fetched, and at the end of
the process the desk keeps what could not be delivered. A failure is a `TroubleError` with its row in the poll ledger.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from tidemill.decode.decoder import MAX_DEPTH
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.sources.answers import AnswerVerdict, cut_answer, judge
from tidemill.sources.hosts import Host
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient
from tidemill.sources.oauth import TokenError, Tokens
from tidemill.sources.outbox import Outbox, Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.paging import origin_of
from tidemill.sources.pull import Pull
from tidemill.sources.request import Validators
from tidemill.sources.state import Cursor, Unsent
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.tracker import Tracker

_OFF_LOOP_BYTES: Final = 256 << 10  # larger answers are read in a thread (about 5 ms of work)
_JSON: Final = frozenset(JSON_FORMATS)
BAD_FOR_S: Final = 3600.0  # a feed may be corrected meanwhile


class TroubleError(Exception):
    """A poll that failed: its reason, a sentence, and how long the source asked to be left alone at least."""

    def __init__(self, reason: str, detail: str, at_least_s: float = 0.0) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.at_least_s = at_least_s


class SourceAnswer(msgspec.Struct, frozen=True):
    """What a source said, and what it is at a glance."""

    started_ns: int
    fetched: Fetched
    asked: dict[str, str] = {}
    verdict: AnswerVerdict = AnswerVerdict(None)

    @property
    def records(self) -> int | None:
        """How many records it holds; None: not countable."""
        return self.verdict.records

    @property
    def empty(self) -> bool:
        """Whether it is an answer with no record in it."""
        return self.unusable is None and self.records == 0

    @property
    def unusable(self) -> str | None:
        """The reason why it is no answer: `garbage` (none of the feed's formats), `unexpected` (without the declared
        records); None: it is one."""
        if self.verdict.content_type is None:
            return "garbage"
        return "unexpected" if self.verdict.why else None


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
        host: Host | None = None,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self.pull = pull
        self._max_depth = max_depth
        self._host = host or Host()
        self.tracker = Tracker(pull, now_ns)
        self.now_ns = now_ns
        self.cursor = Cursor()
        self.stopping = asyncio.Event()
        self.limits = FetchLimits(pull.timeout_s, pull.timeout_s * pacing.deadline_factor, pull.max_bytes)
        self._client = client
        self.tokens = None if pull.oauth2 is None else Tokens(pull.oauth2, client, self.limits)
        self._submit = submit
        self._desk = desk
        self._pacing = pacing
        self.outbox = Outbox(self._send, desk, pull.key, backoff=pacing.submit_backoff, rng=rng, limit=pacing.in_flight)
        self._refused: str | None = None
        self._bad: _Bad | None = None
        self._run_id = f"{rng.getrandbits(64):016x}{time.time_ns():016x}"
        self._number = 0

    async def fetch(
        self,
        url: str,
        expected: frozenset[int],
        validators: Validators | None = None,
        values: Mapping[str, str] | None = None,
    ) -> SourceAnswer:
        """Ask the source; `values` are those that the URL was filled in with. Raises TroubleError."""
        await self._await_turn()
        started = self.now_ns()
        fetched = await self._ask(url, expected, validators, values or {})
        if isinstance(fetched, FetchFailure):
            raise self.failed(started, fetched)
        return await self.came(started, fetched, values)

    async def _ask(
        self, url: str, expected: frozenset[int], validators: Validators | None, values: Mapping[str, str]
    ) -> Fetched | FetchFailure:
        """Ask once, or twice where the server does not take the token any more."""
        pull, started = self.pull, time.monotonic()
        body = None if pull.body is None else pull.body.bytes({**pull.chosen, **values})
        if origin_of(url) != pull.origin:  # credentials stay with their host
            return await self._client.get(url, {}, self.limits, expected, validators)
        for last in (self.tokens is None, True):
            try:
                headers = pull.headers if self.tokens is None else {**pull.headers, **await self.tokens.header()}
            except TokenError as error:
                return FetchFailure("token", error.message, time.monotonic() - started, None, error.retry_after_s)
            finally:
                await self._keep_token()
            fetched = await self._client.get(url, headers, self.limits, expected, validators, body=body)
            if self.tokens is None or last or not (isinstance(fetched, FetchFailure) and fetched.status == 401):
                break
            self.tokens.forget()
        return fetched

    async def _keep_token(self) -> None:
        """Remember a refresh token that the server replaced, before it is used."""
        tokens = self.tokens
        if tokens is None:
            return
        self.tracker.hide(tokens.secrets)
        if tokens.unsaved and tokens.rotated is not None:
            await self._desk.save_token(self.pull.key, tokens.rotated)
            tokens.unsaved = False

    def asked_as(self, url: str, values: Mapping[str, str] | None = None) -> str:
        """What tells one request from another: its URL, and its body if it has one."""
        body = self.pull.body
        return url if body is None else f"{url}\n{body.bytes({**self.pull.chosen, **(values or {})}).decode()}"

    async def _await_turn(self) -> None:
        """Wait until the host may be asked again. Ends the step when the source is stopped meanwhile."""
        seconds = self._host.take_turn()
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stopping.wait()
            if self.stopping.is_set():
                raise asyncio.CancelledError

    def failed(self, started_ns: int, failure: FetchFailure, reason: str | None = None) -> TroubleError:
        """Note that the source did not answer; the trouble to raise."""
        self.tracker.polled(started_ns, failure)
        self.tracker.row(started_ns, failure, reason or failure.reason, detail=failure.message)
        return TroubleError(reason or failure.reason, failure.message, failure.retry_after_s or 0.0)

    async def came(self, started_ns: int, fetched: Fetched, values: Mapping[str, str] | None = None) -> SourceAnswer:
        """Note that the source answered; what the answer is at a glance."""
        self.tracker.polled(started_ns, fetched)
        if fetched.status not in (0, 200):
            return SourceAnswer(started_ns, fetched)
        asked = self.pull.asked(values)
        what = (fetched.body, fetched.content_type, self.pull.expected, self._max_depth)
        slow = len(fetched.body) > _OFF_LOOP_BYTES or not _JSON.issuperset(self.pull.expected.formats)
        return SourceAnswer(started_ns, fetched, asked, await asyncio.to_thread(judge, *what) if slow else judge(*what))

    def pieces(self, answer: SourceAnswer) -> list[bytes]:
        """The records of a JSON answer, as bytes."""
        return cut_answer(answer.fetched.body, answer.verdict.content_type, self.pull.expected.records, self._max_depth)

    def unusable(self, answer: SourceAnswer) -> TroubleError:
        """The trouble of an answer that is none."""
        if answer.unusable == "unexpected":
            return TroubleError("unexpected", f"the answer does not hold the declared records: {answer.verdict.why}")
        formats = ", ".join(self.pull.expected.formats)
        return TroubleError("garbage", f"the answer is none of {formats}: {answer.verdict.why}")

    def row(self, answer: SourceAnswer, result: str, detail: str = "") -> None:
        """Note a poll whose answer is not handed in."""
        records = answer.records or 0
        self.tracker.row(answer.started_ns, answer.fetched, result, detail=detail, records=records)

    def send(self, answer: SourceAnswer) -> None:
        """Hand in an answer without waiting, one that is none too: the ledger shows it. Raises TroubleError for such,
        and when an earlier one was refused."""
        self._number += 1
        self._put(answer, f"{self._run_id}-{self._number}")
        refused, self._refused = self._refused, None
        if refused is not None:
            raise TroubleError("payload_refused", refused)
        if answer.unusable is not None:
            raise self.unusable(answer)

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
        if refused is None and answer.unusable is None:
            return True
        trouble = self.unusable(answer) if refused is None else TroubleError("payload_refused", refused)
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
                taken = answer.unusable or "data"
                self.tracker.row(
                    answer.started_ns,
                    answer.fetched,
                    "payload_refused" if receipt is None else taken,
                    detail=why or (self.unusable(answer).detail if answer.unusable else ""),
                    sha256=hashlib.sha256(answer.fetched.body).digest(),
                    receipt=receipt or "",
                    records=answer.records or 0,
                )

        return done

    def _put(self, answer: SourceAnswer, key: str) -> None:
        body = answer.fetched.body
        unsent = Unsent(body, answer.verdict.content_type or "application/octet-stream", key, answer.asked)
        self.outbox.put(unsent, self.delivered(len(body), answer))

    async def _send(self, unsent: Unsent) -> str:
        async with asyncio.timeout(self._pacing.submit_timeout_s):
            pull = self.pull
            what = (pull.tenant, pull.feed, unsent.body, unsent.content_type, unsent.key)
            return await self._submit(*what, asked=unsent.asked)
