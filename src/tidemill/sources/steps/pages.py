"""Reads a source page by page. Each page is taken by intake before its cursor is saved, so that a restart goes on
there.

A page whose next link is refused (it leads back, or to another origin) is requested again later; its bytes keep their
idempotency key, so that they are stored once. A saved page that the server does not know any more is given up: the next
round begins at the first page.
"""

import hashlib
from typing import Final

import msgspec

from tidemill.sources.paging import Paging, PagingError
from tidemill.sources.redact import Redaction
from tidemill.sources.source_run import SourceAnswer, SourceRun
from tidemill.sources.state import PollError, State

_UNKNOWN_PAGE: Final = frozenset({404, 410})
_MAX_SEEN: Final = 100_000


class PageStep:
    """The step of a source with [source.page]."""

    def __init__(self, run: SourceRun, paging: Paging) -> None:
        self._run = run
        self._paging = paging
        self._redaction = Redaction(run.spec.secrets)
        self._seen: set[str] = set()  # identities of the requests of this round
        self._pages = 0
        self._last_page: tuple[str | None, bytes] = None, b""  # the previous page: its token and its SHA-256
        self._has_data = False  # whether this round brought a payload
        self._full = False  # whether a page of this round had as many records as declared

    async def poll_once(self) -> bool:
        """Read one page. Returns true if the page names a next one and the round has fewer than `max_pages`."""
        token = self._saved_token()
        url = self._paging.page_url(self._run.spec.url, token)
        answer = await self._fetch(url, token)
        if answer.fetched.status != 200:
            self._run.record_poll(answer, "empty")
            return await self._end_round(token, "empty")
        request = self._run.request_identity(url, self._paging.placeholder_values(token))
        digest = hashlib.sha256(request.encode() + b"\n" + answer.fetched.body).hexdigest()
        result = await self._hand_in(answer, digest, request)
        if result is None:
            return False
        next_token = self._next_token(url, token, answer)
        if next_token is None or (self._paging.keep and (next_token == token or result == "empty")):
            return await self._end_round(next_token or token, result, digest)
        await self._save_token(next_token, digest, result)
        self._run.tracker.note_success(result)
        self._pages += 1
        if self._pages < self._paging.max_pages:
            return True
        self._pages = 0
        return False

    async def close(self) -> None:
        """Does nothing: the step holds no resource."""

    def _saved_token(self) -> str | None:
        """The cursor or URL of the page to read; None: the first page."""
        cursor = self._run.cursor
        if cursor.by != self._paging.by or cursor.token is None:
            return None
        return self._redaction.restore_secrets(cursor.token) if self._paging.by_url else cursor.token

    async def _fetch(self, url: str, token: str | None) -> SourceAnswer:
        empty = frozenset(self._run.spec.empty_status)
        # Behind the last counted page there is nothing; a cursor that the server does not know any more is a failure.
        expected = (empty if token is None or self._paging.counted else empty - _UNKNOWN_PAGE) | {200}
        try:
            return await self._run.fetch(url, expected, values=self._paging.placeholder_values(token))
        except PollError as error:
            if token is None or self._run.tracker.state.last_status not in _UNKNOWN_PAGE:
                raise
            await self._save_token(None, "", "empty")
            self._seen.clear()
            raise PollError(error.reason, f"{error.detail}, so the next round begins anew") from None

    async def _hand_in(self, answer: SourceAnswer, digest: str, url: str) -> State | None:
        """Hand in a page unless it is empty or unchanged. None if the source was stopped before intake took it."""
        run = self._run
        if answer.empty:
            run.record_poll(answer, "empty")
            return "empty"
        if self._paging.keep and digest == run.cursor.last:
            run.record_poll(answer, "unchanged")
            return "unchanged"
        if not await run.deliver(answer, f"{run.cursor.number + 1}-{digest}", url):
            return None
        self._has_data = True
        return "ok"

    def _next_token(self, url: str, token: str | None, answer: SourceAnswer) -> str | None:
        """The cursor or URL of the next page; None: this page is the last. Raises PollError, also for a loop."""
        try:
            next_token = self._paging.next_token(url, token, answer.fetched, answer.records, full=self._full)
        except PagingError as error:
            raise PollError(error.reason, str(error)) from None
        self._full |= self._paging.is_full(answer.records)
        body = hashlib.sha256(answer.fetched.body).digest()
        same = body == self._last_page[1] and token != self._last_page[0]
        if same and self._paging.size is not None and not self._full:
            return None  # beyond its last page, which is not full, the server repeats it
        if self._paging.counted and next_token is not None and token is not None and same:
            why = "this page is the same as the one before: does the server know the parameter?"
            raise PollError("loop", why)
        self._last_page = token, body
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        request = self._run.request_identity(url, self._paging.placeholder_values(token))
        self._seen.add(request)
        if next_token is None:
            return None
        next_url = self._paging.page_url(self._run.spec.url, next_token)
        next_request = self._run.request_identity(next_url, self._paging.placeholder_values(next_token))
        if next_request in self._seen and not (self._paging.keep and next_request == request):
            raise PollError("loop", "the next page is one that was read in this round already")
        return next_token

    async def _end_round(self, token: str | None, result: State, digest: str = "") -> bool:
        """End the round. The next one begins at the first page, or with `keep` at `token`. Returns false."""
        await self._save_token(token if self._paging.keep else None, digest, result)
        self._run.tracker.note_success("ok" if self._has_data else result)
        self._seen.clear()
        self._pages, self._has_data, self._full = 0, False, False
        return False

    async def _save_token(self, token: str | None, digest: str, result: State) -> None:
        cursor = self._run.cursor
        if result == "ok":
            cursor = msgspec.structs.replace(cursor, number=cursor.number + 1, last=digest)
        packed = self._redaction.replace_secrets(token) if token is not None and self._paging.by_url else token
        cursor = msgspec.structs.replace(cursor, by=self._paging.by, token=packed)
        await self._run.save_cursor(cursor, token or "")
