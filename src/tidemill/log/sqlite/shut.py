"""A log that cannot be opened for writing, because its files are damaged or end before their high-water mark.

The log refuses every payload with an error that says why and what to do, and stays readable as far as possible: queries
are still answered from the store, and senders learn that nothing is acknowledged.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from tidemill.errors import LogCorruptError, LogDamagedError, LogUnavailableError
from tidemill.log.contract import Appended, LogHealth
from tidemill.log.sqlite.reader import SqliteLogReader
from tidemill.model.offset import start_of
from tidemill.model.payload import LogEntry, Payload


class ShutLog(SqliteLogReader):
    """The log in `directory`, read-only; `error` says why. Keeps the promises of `IntakeLog` by refusing."""

    def __init__(self, directory: Path, error: LogCorruptError, partition: int = 0) -> None:
        super().__init__(directory)
        self._error, self._start = error, start_of(partition)

    @property
    def partitions(self) -> "Sequence[ShutLog]":
        """See `LogReader.partitions`."""
        return (self,)

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Refuse with LogCorruptError."""
        future: Future[Appended] = Future()
        future.set_exception(self._error)
        return future

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """Refuse with LogCorruptError."""
        raise self._error

    def deletions(self, after: int) -> list[LogEntry]:
        """The deletions that can be read; [] where the file cannot be opened."""
        try:
            return super().deletions(after)
        except LogUnavailableError:
            return []

    def last_seq(self) -> int:
        """The newest seq; the offset before the partition's first where the file cannot be read."""
        try:
            return max(self._start, super().last_seq())
        except LogUnavailableError:
            return self._start

    def trim(self, confirmed: int) -> int:
        """Delete nothing; returns 0."""
        return 0

    def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        """Refuse with LogDamagedError."""
        raise LogDamagedError(self._error.message, 60.0)

    def mend(self, seq: int, body: bytes) -> bool:
        """Mend nothing; returns false."""
        return False

    def health(self) -> LogHealth:
        """The log does not accept payloads; `reason` says why."""
        return LogHealth(
            implementation="sqlite",
            accepting=False,
            reason=self._error.message,
            first_seq=0,
            last_seq=self.last_seq(),
            size_bytes=0,
            free_bytes=0,
            details={},
            clock_doubt="",
            degraded=self.damages.summary(),
        )
