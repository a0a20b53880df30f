"""A source read page by page: each page is taken before its cursor is remembered, so that a restart goes on there.

A page that cannot be left (its link leads back, or to another origin) is asked for again later; its bytes keep their
key, so that they are stored once. A place that the server does not know any more is forgotten: the round begins anew.
"""

import hashlib
from typing import Final

import msgspec

from tidemill.sources.paging import Paging, PagingError
from tidemill.sources.redact import Redaction
from tidemill.sources.run import SourceAnswer, SourceRun, TroubleError
from tidemill.sources.state import State

_GONE: Final = frozenset({404, 410})
_MAX_SEEN: Final = 100_000


class PageStep:
    """The step of a source with [source.page]."""

    def __init__(self, work: SourceRun, paging: Paging) -> None:
        self._work = work
        self._paging = paging
        self._redaction = Redaction(work.pull.secrets)
        self._seen: set[str] = set()  # what was asked for in this round
        self._pages = 0
        self._brought = False  # whether this round brought something

    async def step(self) -> bool:
        """One page; more to be had when it names a next one and the round is not full."""
        place = self._place()
        url = self._paging.url(self._work.pull.url, place)
        answer = await self._fetch(url, place)
        if answer.fetched.status != 200:
            self._work.row(answer, "empty")
            return await self._end(place, "empty")
        digest = hashlib.sha256(url.encode() + b"\n" + answer.fetched.body).hexdigest()
        result = await self._take(answer, digest, url)
        if result is None:
            return False
        following = self._following(url, answer)
        if following is None or (self._paging.keep and (following == place or result == "empty")):
            return await self._end(following or place, result, digest)
        await self._move(following, digest, result)
        self._work.tracker.good(result)
        self._pages += 1
        if self._pages < self._paging.max_pages:
            return True
        self._pages = 0
        return False

    async def close(self) -> None:
        """Nothing is held."""

    def _place(self) -> str | None:
        """Where to go on; None: at the first page."""
        cursor = self._work.cursor
        if cursor.by != self._paging.by or cursor.token is None:
            return None
        return self._redaction.unpack(cursor.token) if self._paging.by == "link" else cursor.token

    async def _fetch(self, url: str, place: str | None) -> SourceAnswer:
        empty = frozenset(self._work.pull.empty_status)
        try:
            return await self._work.fetch(url, (empty if place is None else empty - _GONE) | {200})
        except TroubleError as trouble:
            if place is None or self._work.tracker.state.last_status not in _GONE:
                raise
            await self._move(None, "", "empty")
            self._seen.clear()
            raise TroubleError(trouble.reason, f"{trouble.detail}, so the next round begins anew") from None

    async def _take(self, answer: SourceAnswer, digest: str, url: str) -> State | None:
        """Hand in a page if there is something new in it; None if stopped before it was known to be taken."""
        work = self._work
        if answer.empty:
            work.row(answer, "empty")
            return "empty"
        if self._paging.keep and digest == work.cursor.last:
            work.row(answer, "unchanged")
            return "unchanged"
        if not await work.deliver(answer, f"{work.cursor.number + 1}-{digest}", url):
            return None
        self._brought = True
        return "ok"

    def _following(self, url: str, answer: SourceAnswer) -> str | None:
        try:
            following = self._paging.next(url, answer.fetched.body, answer.fetched.link)
        except PagingError as error:
            raise TroubleError(error.reason, str(error)) from None
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen.add(url)
        if following is None:
            return None
        leads_to = self._paging.url(self._work.pull.url, following)
        if leads_to in self._seen and not (self._paging.keep and leads_to == url):
            raise TroubleError("loop", "the next page is one that was read in this round already")
        return following

    async def _end(self, place: str | None, result: State, digest: str = "") -> bool:
        """The round is over; the next begins anew, or where this one ended."""
        await self._move(place if self._paging.keep else None, digest, result)
        self._work.tracker.good("ok" if self._brought else result)
        self._seen.clear()
        self._pages, self._brought = 0, False
        return False

    async def _move(self, place: str | None, digest: str, result: State) -> None:
        cursor = self._work.cursor
        if result == "ok":
            cursor = msgspec.structs.replace(cursor, number=cursor.number + 1, last=digest)
        token = self._redaction.pack(place) if place is not None and self._paging.by == "link" else place
        cursor = msgspec.structs.replace(cursor, by=self._paging.by, token=token)
        await self._work.remember(cursor, place or "")
