"""Reads a source of one URL: requested each time the poll is due, or drained (requested until it has no more data).

A conditional poll saves the validators of an answer only after the answer is durable, so that a restart cannot skip an
answer that intake never took. A drained source is requested again while earlier answers are still being delivered.
"""

import hashlib

import msgspec

from tidemill.sources.request import Validators
from tidemill.sources.source_run import SourceAnswer, SourceRun


class PlainStep:
    """The step of a source without windows and pages."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._spec = run.spec
        self._expected = frozenset({200, *run.spec.empty_status})
        self._request_sha256 = hashlib.sha256(run.request_identity(run.spec.url).encode()).hexdigest()

    async def poll_once(self) -> bool:
        """Poll once. Returns true if the source is drained and had data."""
        run, spec = self._run, self._spec
        validators = self._validators()
        expected = self._expected if validators is None else self._expected | {304}
        answer = await run.fetch(spec.url, expected, validators)
        if validators is not None and answer.fetched.status == 304:
            return self._finish_without_data(answer, "unchanged")
        if answer.fetched.status in spec.empty_status or answer.empty:
            return self._finish_without_data(answer, "empty")
        if spec.drain:
            run.send(answer)
        elif not await self._hand_in(answer):
            return False
        run.tracker.note_success("ok")
        return spec.drain

    async def close(self) -> None:
        """Does nothing: the step holds no resource."""

    def _finish_without_data(self, answer: SourceAnswer, result: str) -> bool:
        self._run.record_poll(answer, result)
        self._run.tracker.note_success("unchanged" if result == "unchanged" else "empty")
        return False

    async def _hand_in(self, answer: SourceAnswer) -> bool:
        """Hand in an answer; whether it was new. If the cursor depends on the answer, waits until it is durable."""
        run, spec, fetched = self._run, self._spec, answer.fetched
        etag, last_modified = (fetched.etag, fetched.last_modified) if spec.conditional else ("", "")
        if not (etag or last_modified or spec.skip_unchanged):
            run.send(answer)
            return True
        digest = hashlib.sha256(self._request_sha256.encode() + b"\n" + fetched.body).hexdigest()
        cursor = msgspec.structs.replace(
            run.cursor, request_sha256=self._request_sha256, etag=etag, last_modified=last_modified
        )
        if spec.skip_unchanged and run.cursor.last == digest:
            await run.save_cursor(cursor)
            return self._finish_without_data(answer, "unchanged")
        if not await run.deliver(answer, f"{cursor.number + 1}-{digest}"):
            return False
        await run.save_cursor(msgspec.structs.replace(cursor, number=cursor.number + 1, last=digest))
        return True

    def _validators(self) -> Validators | None:
        """The validators to send with the request; None if it is not conditional or no answer was saved."""
        cursor, spec = self._run.cursor, self._spec
        if spec.drain or spec.body is not None or not spec.conditional or cursor.request_sha256 != self._request_sha256:
            return None
        return Validators(cursor.etag, cursor.last_modified) if cursor.etag or cursor.last_modified else None
