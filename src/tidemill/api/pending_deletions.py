"""Hides series and payloads whose deletion is durable but not applied by the mill yet, from every answer at once.

Deletions are followed from the log, whichever process appended them: from the checkpoint on at the start, and again
from the checkpoint when the mill went back. Read routes call from any thread: the mappings that they read are replaced
as a whole and never changed.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from tidemill.api.applied import AppliedOffsets
from tidemill.errors import UnavailableError
from tidemill.log.contract import LogReader
from tidemill.model.deletion import Deletion, decode_deletion
from tidemill.model.offset import covers

_log = logging.getLogger(__name__)
_T = TypeVar("_T", int, str)

FOLLOW_EVERY_S: Final = 0.2  # for callers that do not follow the log themselves


class PendingDeletions:
    """The offsets of deletions that are not applied yet, by series and by payload.

    `series_of(tenant, feed)` gives the series of a feed in the store: those that the deletion of the feed hides. It is
    called by reads, and only for a deletion that another process appended.
    """

    def __init__(self, applied: AppliedOffsets, log: LogReader, series_of: Callable[[str, str], Iterable[int]]) -> None:
        self._applied = applied
        self._reader = log
        self._series_of = series_of
        self._offsets: dict[tuple[str, int], int] = {}
        self._payloads: dict[tuple[str, str], int] = {}
        self._feeds: dict[tuple[str, str], int] = {}  # deleted feeds whose series are among the offsets
        self._unresolved: dict[tuple[str, str], int] = {}  # deleted feeds whose series are not
        self.erase_due = asyncio.Event()  # a deletion was applied: its bytes can leave the log
        self._changing = threading.Lock()
        self._following = threading.Lock()
        self._followed = self._checkpoints()

    def add_deletion(self, tenant: str, deletion: Deletion, offset: int, series: Iterable[int] = ()) -> None:
        """Hide what a deletion names; called before the request that made it is answered. `series` are those of a
        deleted feed. A range of a series stays in answers until it is applied. Drops deletions that are applied."""
        if deletion.kind == "series":
            series = [deletion.number]
        with self._changing:
            self._offsets = self._pending(self._offsets) | {(tenant, number): offset for number in series}
            if deletion.kind == "payload":
                self._payloads = self._pending(self._payloads) | {(tenant, deletion.receipt): offset}
            elif deletion.kind == "feed":
                self._feeds = self._pending(self._feeds) | {(tenant, deletion.feed): offset}

    def follow_log(self) -> None:
        """Add the deletions appended to the log since the last call; takes microseconds while there is none.

        Raises LogUnavailableError: the next call continues where this one ended.
        """
        with self._following:
            for number, partition in enumerate(self._reader.partitions):
                for entry in partition.deletions(self._followed[number]):
                    with suppress(msgspec.MsgspecError, ValueError):  # the mill reports an unreadable deletion
                        self._add_from_log(entry.payload.tenant, decode_deletion(entry.payload), entry.seq)
                    self._followed[number] = entry.seq

    def follow_log_again(self) -> None:
        """As `follow_log`, from the checkpoint on: the mill went back, and deletions that it had applied wait again."""
        with self._following:
            self._followed = self._checkpoints()
        self.follow_log()

    async def keep_following(self) -> None:
        """Follow the log for as long as the API runs, also while there are no reads."""
        last_error = ""
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                await asyncio.to_thread(self.follow_log)
            except Exception as error:
                if str(error) != last_error:
                    _log.warning("the deletions in the log could not be followed, trying again: %s", error)
                last_error = str(error)
            else:
                last_error = ""

    def hides_payload(self, tenant: str, receipt: str) -> bool:
        """Whether the payload is deleted by a deletion that is not applied yet."""
        return self._waits(tenant, self._payloads.get((tenant, receipt), 0))

    def hides_series(self, tenant: str, series: int) -> bool:
        """Whether the series is deleted by a deletion that is not applied yet."""
        return self._waits(tenant, self._offsets.get((tenant, series), 0))

    def hidden_series(self, tenant: str) -> frozenset[int]:
        """All series of a tenant that are hidden. Follows the log first, for deletions that another process appended; a
        log that cannot be read is passed over. Raises what `series_of` raises."""
        with suppress(UnavailableError):
            self.follow_log()
        for (owner, feed), offset in list(self._unresolved.items()):
            if owner == tenant:
                if self._waits(tenant, offset):
                    self.add_deletion(tenant, Deletion(kind="feed", feed=feed), offset, self._series_of(tenant, feed))
                with self._following:
                    if (
                        self._unresolved.get((owner, feed)) == offset
                    ):  # no later deletion of the feed was added meanwhile
                        del self._unresolved[owner, feed]
        offsets = self._offsets
        if not offsets:
            return frozenset()
        applied = self._applied.through(tenant)
        return frozenset(
            series for (owner, series), offset in offsets.items() if owner == tenant and not covers(applied, offset)
        )

    def _add_from_log(self, tenant: str, deletion: Deletion, offset: int) -> None:
        if not self._waits(tenant, offset):
            return
        if deletion.kind != "feed":
            self.add_deletion(tenant, deletion, offset)
        elif self._feeds.get((tenant, deletion.feed), 0) < offset:
            self._unresolved[tenant, deletion.feed] = offset

    def _checkpoints(self) -> list[int]:
        return [progress.checkpoint for progress in self._applied.progress.partitions]

    def _waits(self, tenant: str, offset: int) -> bool:
        return not self._applied.progress.applied(tenant, offset)

    def _pending(self, offsets: dict[tuple[str, _T], int]) -> dict[tuple[str, _T], int]:
        return {key: offset for key, offset in offsets.items() if self._waits(key[0], offset)}
