"""Follows how far the mill has applied the log, for requests that wait for it, and wakes the mill when the log grows.

Only the mill's durable progress in each partition counts. A tenant may be ahead of the checkpoint, so every wait is for
one tenant. Hints come over a socket pair and only say when to read the progress: they may be lost or be of an earlier
start. Progress may go back, when the mill notices that the store lacks what it held. Lives in one event loop.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable
from typing import Final

from tidemill.hints import Hints
from tidemill.mill.progress import LogProgress, PartitionProgress
from tidemill.model.offset import Reach, partition_of

log = logging.getLogger(__name__)

LOOK_S: Final = 0.05  # between reads of the progress while a request waits
IDLE_LOOK_S: Final = 0.2


class AppliedOffsets:
    """`progress` is what is applied, as it was when last looked at; `went_back` is set when it fell.

    `read_progress` reads the mill's durable checkpoint in every partition (microseconds); `hints` is this process's end
    of the pair, or null.
    """

    def __init__(self, read_progress: Callable[[], LogProgress], hints: Hints | None = None) -> None:
        self._read_progress, self._hints = read_progress, hints
        self.progress = read_progress()
        self.went_back = asyncio.Event()
        self._waiting: dict[tuple[str, int], list[tuple[int, int, asyncio.Future[bool]]]] = {}
        self._next_progress: asyncio.Future[bool] | None = None
        self._order = itertools.count()
        self._unsent: dict[int, int] = {}  # offset by partition
        self._look: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin to listen to hints and to read the progress, in the running event loop."""
        if self._hints is not None:
            asyncio.get_running_loop().add_reader(self._hints.fileno(), self._hinted, self._hints)
        self._look = asyncio.create_task(self._keep_looking(), name="applied")

    def stop(self) -> None:
        """End listening; every wait, now or later, ends with "not applied yet". May be called again."""
        self._stopped = True
        if self._hints is not None:
            asyncio.get_running_loop().remove_reader(self._hints.fileno())
        if self._look is not None:
            self._look.cancel()
        for waiting in self._waiting.values():
            for _, _, future in waiting:
                _resolve(future, False)
        if self._next_progress is not None:
            _resolve(self._next_progress, False)

    @property
    def stopped(self) -> bool:
        """Whether the server is ending, so that nothing is waited for."""
        return self._stopped

    def log_grew(self, seq: int) -> None:
        """Wake the mill: the log now reaches `seq`. One system call serves all calls within one turn of the loop."""
        if not self._unsent and self._hints is not None:
            asyncio.get_running_loop().call_soon(self._send_hints, self._hints)
        partition = partition_of(seq)
        self._unsent[partition] = max(self._unsent.get(partition, 0), seq)

    def through(self, tenant: str) -> Reach:
        """The offset of each partition up to which everything of a tenant is applied."""
        return self.progress.through(tenant)

    async def wait_until_applied(self, tenant: str, seq: int, timeout_s: float) -> bool:
        """Whether everything of a tenant up to `seq` in its partition is applied, now or within `timeout_s` seconds."""
        if self.progress.applied(tenant, seq):
            return True
        if self._stopped:
            return False
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        heapq.heappush(self._waiting.setdefault((tenant, partition_of(seq)), []), (seq, next(self._order), future))
        timer = loop.call_later(timeout_s, _resolve, future, False)
        try:
            return await future
        finally:
            timer.cancel()

    async def wait_for_progress(self, timeout_s: float) -> bool:
        """Whether the progress changes, forward or back, within `timeout_s` seconds."""
        if self._stopped:
            return False
        if self._next_progress is None or self._next_progress.done():
            self._next_progress = asyncio.get_running_loop().create_future()
        change = self._next_progress
        done, _ = await asyncio.wait({change}, timeout=timeout_s)
        return bool(done) and change.result()

    def refresh(self) -> LogProgress:
        """Read the progress now, end the waits that it fulfils, and return it: it may be less than before."""
        progress, before = self._read_progress(), self.progress
        if progress == before:
            return progress
        for now, earlier in zip(progress.partitions, before.partitions, strict=True):
            if _went_back(earlier, now):
                offsets = earlier.highest, now.checkpoint
                log.warning("the mill went back from %d to %d: what is between is applied again", *offsets)
                self.went_back.set()
        self.progress = progress
        for (tenant, _), waiting in self._waiting.items():
            while waiting and progress.applied(tenant, waiting[0][0]):
                _resolve(heapq.heappop(waiting)[2], True)
        if self._next_progress is not None:
            _resolve(self._next_progress, True)
        return progress

    def _hinted(self, hints: Hints) -> None:
        hints.receive()
        self.refresh()

    def _send_hints(self, hints: Hints) -> None:
        for seq in self._unsent.values():
            hints.send(seq)
        self._unsent = {}

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S if self._waiting else IDLE_LOOK_S)
            self.refresh()
            for key, waiting in list(self._waiting.items()):
                while waiting and waiting[0][2].done():  # its time is over
                    heapq.heappop(waiting)
                if not waiting:
                    del self._waiting[key]


def _went_back(before: PartitionProgress, now: PartitionProgress) -> bool:
    """Whether less of a partition is applied than before."""
    return now.checkpoint < before.checkpoint or any(now.through(tenant) < seq for tenant, seq in before.ahead.items())


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
