"""One URL, asked each time it is due, or drained: asked until it has nothing more.

A plain poll that may be told "not modified" remembers the validators of an answer once that is durable, so that no
restart makes it pass over what was never taken. A drained source is asked on while what it gave is on its way.
"""

import hashlib

import msgspec

from tidemill.sources.request import Validators
from tidemill.sources.run import SourceAnswer, SourceRun


class PlainStep:
    """The step of a source without windows and pages."""

    def __init__(self, work: SourceRun) -> None:
        self._work = work
        self._pull = work.pull
        self._expected = frozenset({200, *work.pull.empty_status})
        self._asked = hashlib.sha256(work.pull.url.encode()).hexdigest()

    async def step(self) -> bool:
        """One poll; more to be had when a drained source gave something."""
        work, pull = self._work, self._pull
        validators = self._validators()
        expected = self._expected if validators is None else self._expected | {304}
        answer = await work.fetch(pull.url, expected, validators)
        if validators is not None and answer.fetched.status == 304:
            return self._nothing(answer, "unchanged")
        if answer.fetched.status in pull.empty_status or answer.empty:
            return self._nothing(answer, "empty")
        if pull.drain:
            work.send(answer)
        elif not await self._take(answer):
            return False
        work.tracker.good("ok")
        return pull.drain

    async def close(self) -> None:
        """Nothing is held."""

    def _nothing(self, answer: SourceAnswer, result: str) -> bool:
        self._work.row(answer, result)
        self._work.tracker.good("unchanged" if result == "unchanged" else "empty")
        return False

    async def _take(self, answer: SourceAnswer) -> bool:
        """Hand in an answer; whether there was something new. Waits until it is durable if it is to be remembered."""
        work, pull, fetched = self._work, self._pull, answer.fetched
        etag, last_modified = (fetched.etag, fetched.last_modified) if pull.conditional else ("", "")
        if not (etag or last_modified or pull.skip_unchanged):
            work.send(answer)
            return True
        digest = hashlib.sha256(self._asked.encode() + b"\n" + fetched.body).hexdigest()
        cursor = msgspec.structs.replace(work.cursor, asked=self._asked, etag=etag, last_modified=last_modified)
        if pull.skip_unchanged and work.cursor.last == digest:
            await work.remember(cursor)
            return self._nothing(answer, "unchanged")
        if not await work.deliver(answer, f"{cursor.number + 1}-{digest}"):
            return False
        await work.remember(msgspec.structs.replace(cursor, number=cursor.number + 1, last=digest))
        return True

    def _validators(self) -> Validators | None:
        """What to send along; None: there is nothing to compare with."""
        cursor = self._work.cursor
        if self._pull.drain or not self._pull.conditional or cursor.asked != self._asked:
            return None
        return Validators(cursor.etag, cursor.last_modified) if cursor.etag or cursor.last_modified else None
