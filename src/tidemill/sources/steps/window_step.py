"""A source read in windows of time, one after the other, each taken before the cursor moves on.

An answer that fills its limit is not believed whole: the window is read by halves. Nor is one of more records than any
before: the halves are asked for as well, and where they hold more, the server has a cap of its own (`caps.py`).
"""

import hashlib
from collections.abc import Container
from typing import Final

import msgspec

from tidemill.model.time import format_instant
from tidemill.sources.caps import is_capped, keys, suspicious
from tidemill.sources.poll_windows import PollWindow, Windows
from tidemill.sources.run import SourceAnswer, SourceRun, TroubleError

_NARROWEST: Final = 12  # times that a window is halved to find where its records are


class WindowStep:
    """The step of a source with [source.window]."""

    def __init__(self, work: SourceRun, windows: Windows) -> None:
        self._work = work
        self._windows = windows
        # A 404 is no answer at all here: were it "nothing there", one wrong URL would run the cursor to now.
        self._empty = frozenset(status for status in work.pull.empty_status if status != 404)
        self._whole = self._cap = 0
        self._read: frozenset[str] = frozenset()  # digests of the window that was read last, and of its parts

    async def step(self) -> bool:
        """One window, in as many parts as it needs; more to be had until the window that ends now."""
        work = self._work
        cursor = work.cursor
        self._whole, self._cap = max(self._whole, cursor.whole), self._cap or cursor.cap
        window = self._windows.next(cursor.position_ns, work.now_ns())
        if window is None:
            return False
        parts, read, before = [window], [], self._read | {cursor.last}
        while parts:
            found = None if work.stopping.is_set() else await self._read_part(parts.pop(), before)
            if found is None:
                return False
            if isinstance(found, tuple):
                parts += reversed(found)
            else:
                read.append(found)
        self._read = frozenset(read)
        new = [digest for digest in read if digest and digest not in before]
        work.tracker.good("ok" if new else "unchanged" if any(read) else "empty")
        if new:
            cursor = msgspec.structs.replace(cursor, number=cursor.number + 1, last=new[-1])
        cursor = msgspec.structs.replace(cursor, position_ns=window.stop_ns, whole=self._whole, cap=self._cap)
        await work.remember(cursor, format_instant(window.stop_ns))
        return not window.last

    async def close(self) -> None:
        """Nothing is held."""

    async def _read_part(self, part: PollWindow, before: Container[str]) -> str | tuple[PollWindow, PollWindow] | None:
        """Read a window or a part of one: the digest of what was taken (empty if there was nothing), its halves if the
        answer was cut off, None if stopped before it was known to be taken. `before`: digests that were taken."""
        work = self._work
        url = self._windows.fill(work.pull.url, part)
        values = self._windows.values(part)
        asked = work.asked_as(url, values)
        answer = await work.fetch(url, self._empty | {200}, values=values)
        digest = hashlib.sha256(asked.encode() + b"\n" + answer.fetched.body).hexdigest()
        if answer.fetched.status in self._empty or answer.empty:
            work.row(answer, "empty")
            return ""
        if digest in before:
            work.row(answer, "unchanged")
            return digest
        limit = work.pull.limit
        if limit and answer.records is not None and answer.records >= limit:
            return self._cut_off(part, answer, f"the answer holds as many records as its limit ({limit})")
        if answer.unusable is None and await self._is_capped(part, answer):
            return self._cut_off(part, answer, f"the server gives at most {self._cap} records at once")
        place = str(work.cursor.position_ns)
        taken = await work.deliver(answer, f"{work.cursor.number + 1}-{digest}", place)
        return digest if taken else None

    async def _is_capped(self, part: PollWindow, answer: SourceAnswer) -> bool:
        """Whether the server gave less than it has. Asks for the halves where that is not known yet."""
        records = answer.records or 0
        if records > self._cap:
            self._cap = 0  # it gives more: it was none
        if self._cap and records == self._cap:
            return True
        if suspicious(records, self._whole, last=part.last) and await self._has_more(part, answer):
            self._cap = records
            return True
        self._whole = max(self._whole, records)
        return False

    async def _has_more(self, part: PollWindow, answer: SourceAnswer) -> bool:
        """Whether the halves of a window hold more than the answer for all of it. Where one half has all of it and the
        other nothing, the halves of that half are asked for."""
        had = keys(self._work.pieces(answer), self._work.pull.expected.identity)
        for _ in range(_NARROWEST):
            halves = self._windows.halves(part)
            if halves is None or not had:
                return False
            found = [await self._look(half) for half in halves]
            if is_capped(had, *found):
                return True
            if all(found):
                return False
            part = halves[0] if found[0] else halves[1]
        return False

    async def _look(self, part: PollWindow) -> list[bytes]:
        """The keys of the records of a part, which is not taken. Raises TroubleError."""
        work, values = self._work, self._windows.values(part)
        answer = await work.fetch(self._windows.fill(work.pull.url, part), self._empty | {200}, values=values)
        if answer.fetched.status == 200 and answer.unusable is not None:
            trouble = work.unusable(answer)
            work.row(answer, trouble.reason, trouble.detail)
            raise trouble
        work.row(answer, "unchanged", "asked for to see whether the answer before was whole")
        return keys(work.pieces(answer), work.pull.expected.identity)

    def _cut_off(self, part: PollWindow, answer: SourceAnswer, detail: str) -> tuple[PollWindow, PollWindow]:
        """An answer that was cut off is not taken: its window is read again by halves."""
        halves = self._windows.halves(part)
        self._work.row(answer, "truncated", detail)
        if halves is None:
            detail = f"{detail} in the shortest window that can be asked for; raise the limit"
            raise TroubleError("truncated", detail)
        return halves
