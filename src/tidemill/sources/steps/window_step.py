"""Reads a source in windows of time, in order. Each window is taken by intake before the cursor moves past it.

An answer that fills its limit may be incomplete: its window is read by halves. An answer with more records than any
before may be incomplete, too: the halves are requested as well, and if they hold more, the server has a cap of its own
(`caps.py`).
"""

import hashlib
from collections.abc import Container
from typing import Final

import msgspec

from tidemill.model.time import format_instant
from tidemill.sources.caps import is_capped, may_be_capped, record_keys
from tidemill.sources.poll_windows import PollWindow, PollWindows
from tidemill.sources.source_run import SourceAnswer, SourceRun
from tidemill.sources.state import PollError

_MAX_HALVINGS: Final = 12  # halvings of a window until the search for its records ends


class WindowStep:
    """The step of a source with [source.window]."""

    def __init__(self, run: SourceRun, windows: PollWindows) -> None:
        self._run = run
        self._windows = windows
        # A 404 is a failure here: as "no data", a single wrong URL would move the cursor to now.
        self._empty = frozenset(status for status in run.spec.empty_status if status != 404)
        self._whole = self._cap = 0
        self._read: frozenset[str] = frozenset()  # digests of the answers of the window that was read last

    async def poll_once(self) -> bool:
        """Read one window, in as many parts as it needs. Returns false for the newest window, which ends now."""
        run = self._run
        cursor = run.cursor
        self._whole, self._cap = max(self._whole, cursor.whole), self._cap or cursor.cap
        window = self._windows.next_window(cursor.taken_upto_ns, run.now_ns())
        if window is None:
            return False
        parts, read, before = [window], [], self._read | {cursor.last}
        while parts:
            result = None if run.stopping.is_set() else await self._read_part(parts.pop(), before)
            if result is None:
                return False
            if isinstance(result, tuple):
                parts += reversed(result)
            else:
                read.append(result)
        self._read = frozenset(read)
        new = [digest for digest in read if digest and digest not in before]
        run.tracker.note_success("ok" if new else "unchanged" if any(read) else "empty")
        if new:
            cursor = msgspec.structs.replace(cursor, number=cursor.number + 1, last=new[-1])
        cursor = msgspec.structs.replace(cursor, taken_upto_ns=window.stop_ns, whole=self._whole, cap=self._cap)
        await run.save_cursor(cursor, format_instant(window.stop_ns))
        return not window.last

    async def close(self) -> None:
        """Does nothing: the step holds no resource."""

    async def _read_part(self, part: PollWindow, before: Container[str]) -> str | tuple[PollWindow, PollWindow] | None:
        """Read a window or a part of a window. Returns the digest of the answer that intake took ("" if it was empty),
        the part's halves if the answer was incomplete, None if the source was stopped before intake took the answer.
        `before`: digests of answers that were taken already."""
        run = self._run
        url = self._windows.fill_url(run.spec.url, part)
        values = self._windows.placeholder_values(part)
        request = run.request_identity(url, values)
        answer = await run.fetch(url, self._empty | {200}, values=values)
        digest = hashlib.sha256(request.encode() + b"\n" + answer.fetched.body).hexdigest()
        if answer.fetched.status in self._empty or answer.empty:
            run.record_poll(answer, "empty")
            return ""
        if digest in before:
            run.record_poll(answer, "unchanged")
            return digest
        limit = run.spec.limit
        if limit and answer.records is not None and answer.records >= limit:
            return self._halve(part, answer, f"the answer holds as many records as its limit ({limit})")
        if answer.unusable is None and await self._is_capped(part, answer):
            return self._halve(part, answer, f"the server gives at most {self._cap} records at once")
        request_key = str(run.cursor.taken_upto_ns)
        taken = await run.deliver(answer, f"{run.cursor.number + 1}-{digest}", request_key)
        return digest if taken else None

    async def _is_capped(self, part: PollWindow, answer: SourceAnswer) -> bool:
        """Whether the server returned fewer records than it has. Requests the halves if that is not known yet."""
        records = answer.records or 0
        if records > self._cap:
            self._cap = 0  # the server returned more records, so the number was no cap
        if self._cap and records == self._cap:
            return True
        if may_be_capped(records, self._whole, last=part.last) and await self._has_more(part, answer):
            self._cap = records
            return True
        self._whole = max(self._whole, records)
        return False

    async def _has_more(self, part: PollWindow, answer: SourceAnswer) -> bool:
        """Whether the halves of a window hold more records than the answer for the whole window. If one half has all
        records and the other none, the halves of the first are requested, at most `_MAX_HALVINGS` times."""
        answer_keys = record_keys(self._run.records_of(answer), self._run.spec.expected.identity)
        for _ in range(_MAX_HALVINGS):
            halves = self._windows.halves(part)
            if halves is None or not answer_keys:
                return False
            half_keys = [await self._part_keys(half) for half in halves]
            if is_capped(answer_keys, *half_keys):
                return True
            if all(half_keys):
                return False
            part = halves[0] if half_keys[0] else halves[1]
        return False

    async def _part_keys(self, part: PollWindow) -> list[bytes]:
        """The keys of a part's records. The answer is not handed in. Raises PollError."""
        run, values = self._run, self._windows.placeholder_values(part)
        answer = await run.fetch(self._windows.fill_url(run.spec.url, part), self._empty | {200}, values=values)
        if answer.fetched.status == 200 and answer.unusable is not None:
            error = run.unusable_error(answer)
            run.record_poll(answer, error.reason, error.detail)
            raise error
        run.record_poll(answer, "unchanged", "asked for to see whether the answer before was whole")
        return record_keys(run.records_of(answer), run.spec.expected.identity)

    def _halve(self, part: PollWindow, answer: SourceAnswer, detail: str) -> tuple[PollWindow, PollWindow]:
        """The halves of a part whose answer is incomplete; the answer is not handed in. Raises PollError if the part is
        too short to be halved."""
        halves = self._windows.halves(part)
        self._run.record_poll(answer, "truncated", detail)
        if halves is None:
            detail = f"{detail} in the shortest window that can be asked for; raise the limit"
            raise PollError("truncated", detail)
        return halves
