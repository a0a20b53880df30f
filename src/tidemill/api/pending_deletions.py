"""Series and payloads that are deleted but whose deletion the mill has not applied yet: gone from every answer at once.

Followed from the log, whichever process appended the deletion: from the checkpoint on at the start, again from there
when the mill went back. Read routes ask from any thread: what they look at is replaced as a whole and never changed.
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
from tidemill.model import deletion
from tidemill.model.deletion import Deletion
from tidemill.model.offset import covers

_log = logging.getLogger(__name__)
_T = TypeVar("_T", int, str)

FOLLOW_EVERY_S: Final = 0.2  # for who asks without looking at the log first


class PendingDeletions:
    """(tenant, series) -> offset of its deletion, for deletions beyond what is applied; likewise of payloads.

    `series_of` gives the series of a tenant's feed that the store knows: those that the deletion of a feed hides. The
    store is asked when somebody reads, and only for a deletion that another process appended.
    """

    def __init__(self, applied: AppliedOffsets, log: LogReader, series_of: Callable[[str, str], Iterable[int]]) -> None:
        self._applied = applied
        self._reader = log
        self._series_of = series_of
        self._offsets: dict[tuple[str, int], int] = {}
        self._payloads: dict[tuple[str, str], int] = {}
        self._feeds: dict[tuple[str, str], int] = {}  # whose series are known
        self._unknown: dict[tuple[str, str], int] = {}  # whose series are not
        self.erase = asyncio.Event()  # something was deleted: its bytes can leave the log
        self._changing = threading.Lock()
        self._following = threading.Lock()
        self._followed = self._checkpoints()

    def add(self, tenant: str, wanted: Deletion, offset: int, series: Iterable[int] = ()) -> None:
        """Take up a deletion that this process appended, before it is answered: `series` are those of the feed that it
        deletes. A range is in answers until it is applied. Drops deletions that are applied."""
        if wanted.kind == "series":
            series = [wanted.number]
        with self._changing:
            self._offsets = self._pending(self._offsets) | {(tenant, one): offset for one in series}
            if wanted.kind == "payload":
                self._payloads = self._pending(self._payloads) | {(tenant, wanted.receipt): offset}
            elif wanted.kind == "feed":
                self._feeds = self._pending(self._feeds) | {(tenant, wanted.feed): offset}

    def follow(self) -> None:
        """Take up the deletions that came into the log since the last look: costs microseconds while there is none.

        Raises LogUnavailableError: the next look begins where this one ended.
        """
        with self._following:
            for number, partition in enumerate(self._reader.partitions):
                for entry in partition.deletions(self._followed[number]):
                    with suppress(msgspec.MsgspecError, ValueError):  # the mill says that it cannot be read
                        self._take_up(entry.payload.tenant, deletion.decode_deletion(entry.payload), entry.seq)
                    self._followed[number] = entry.seq

    def follow_again(self) -> None:
        """Likewise from the checkpoint on: the mill went back, and deletions that it had applied wait again."""
        with self._following:
            self._followed = self._checkpoints()
        self.follow()

    async def keep_following(self) -> None:
        """Follow the log for as long as the API runs, also while nobody reads."""
        why = ""
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                await asyncio.to_thread(self.follow)
            except Exception as error:
                if str(error) != why:
                    _log.warning("the deletions in the log could not be followed, trying again: %s", error)
                why = str(error)
            else:
                why = ""

    def payload_gone(self, tenant: str, receipt: str) -> bool:
        """Whether the payload is deleted and the store does not know it yet."""
        return self._waits(tenant, self._payloads.get((tenant, receipt), 0))

    def gone(self, tenant: str, series: int) -> bool:
        """Whether the series is deleted and the store does not know it yet."""
        return self._waits(tenant, self._offsets.get((tenant, series), 0))

    def of(self, tenant: str) -> frozenset[int]:
        """All such series of a tenant. Looks at the log first, for what another process appended; where the log cannot
        be read, what is known counts. Raises what `series_of` raises."""
        with suppress(UnavailableError):
            self.follow()
        for (owner, feed), offset in list(self._unknown.items()):
            if owner == tenant:
                if self._waits(tenant, offset):
                    self.add(tenant, Deletion(kind="feed", feed=feed), offset, self._series_of(tenant, feed))
                with self._following:
                    if self._unknown.get((owner, feed)) == offset:  # no later deletion of it came meanwhile
                        del self._unknown[owner, feed]
        offsets = self._offsets
        if not offsets:
            return frozenset()
        done = self._applied.through(tenant)
        return frozenset(
            series for (owner, series), offset in offsets.items() if owner == tenant and not covers(done, offset)
        )

    def _take_up(self, tenant: str, wanted: Deletion, offset: int) -> None:
        if not self._waits(tenant, offset):
            return
        if wanted.kind != "feed":
            self.add(tenant, wanted, offset)
        elif self._feeds.get((tenant, wanted.feed), 0) < offset:
            self._unknown[tenant, wanted.feed] = offset

    def _checkpoints(self) -> list[int]:
        return [progress.checkpoint for progress in self._applied.progress.partitions]

    def _waits(self, tenant: str, offset: int) -> bool:
        return not self._applied.progress.applied(tenant, offset)

    def _pending(self, offsets: dict[tuple[str, _T], int]) -> dict[tuple[str, _T], int]:
        return {key: offset for key, offset in offsets.items() if self._waits(key[0], offset)}
