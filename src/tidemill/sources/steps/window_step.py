"""A source read in windows of time, one after the other, each taken before the cursor moves on.

An answer that fills its limit is not believed whole: the window is read by halves.
"""

import hashlib
from collections.abc import Container

import msgspec

from tidemill.model.time import format_instant
from tidemill.sources.poll_windows import PollWindow, Windows
from tidemill.sources.run import SourceAnswer, SourceRun, TroubleError


class WindowStep:
    """The step of a source with [source.window]."""

    def __init__(self, work: SourceRun, windows: Windows) -> None:
        self._work = work
        self._windows = windows
        # A 404 is no answer at all here: were it "nothing there", one wrong URL would run the cursor to now.
        self._empty = frozenset(status for status in work.pull.empty_status if status != 404)
        self._read: frozenset[str] = frozenset()  # digests of the window that was read last, and of its parts

    async def step(self) -> bool:
        """One window, in as many parts as it needs; more to be had until the window that ends now."""
        work = self._work
        cursor = work.cursor
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
        cursor = msgspec.structs.replace(cursor, position_ns=window.stop_ns)
        await work.remember(cursor, format_instant(window.stop_ns))
        return not window.last

    async def close(self) -> None:
        """Nothing is held."""

    async def _read_part(self, part: PollWindow, before: Container[str]) -> str | tuple[PollWindow, PollWindow] | None:
        """Read a window or a part of one: the digest of what was taken (empty if there was nothing), its halves if the
        answer was cut off, None if stopped before it was known to be taken. `before`: digests that were taken."""
        work = self._work
        url = self._windows.fill(work.pull.url, part)
        answer = await work.fetch(url, self._empty | {200})
        digest = hashlib.sha256(url.encode() + b"\n" + answer.fetched.body).hexdigest()
        if answer.fetched.status in self._empty or answer.empty:
            work.row(answer, "empty")
            return ""
        if digest in before:
            work.row(answer, "unchanged")
            return digest
        limit = work.pull.limit
        if limit and answer.records is not None and answer.records >= limit:
            return self._cut_off(part, answer)
        place = str(work.cursor.position_ns)
        taken = await work.deliver(answer, f"{work.cursor.number + 1}-{digest}", place)
        return digest if taken else None

    def _cut_off(self, part: PollWindow, answer: SourceAnswer) -> tuple[PollWindow, PollWindow]:
        """An answer that fills the limit is not taken: its window is read again by halves."""
        halves = self._windows.halves(part)
        detail = f"the answer holds as many records as its limit ({self._work.pull.limit})"
        self._work.row(answer, "truncated", detail)
        if halves is None:
            detail = f"{detail} in the shortest window that can be asked for; raise the limit"
            raise TroubleError("truncated", detail)
        return halves
