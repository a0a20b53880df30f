"""How far the mill has applied the log, for those who wait for it, and the waking of the mill when the log grew.

Only the mill's durable position in each partition counts; tenants may be ahead of its checkpoint, so who waits, waits
for a tenant. Hints come over a socket pair, may be lost, and may be of an earlier start: one says when to look. A
position may fall, when the mill found that the store lacks what it held. Lives in one loop.
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

LOOK_S: Final = 0.05  # between looks at the position while somebody waits
IDLE_LOOK_S: Final = 0.2


class AppliedOffsets:
    """`progress` is what is applied, as it was when last looked at; `fell` is set when it fell.

    `position` reads the mill's durable position in every partition (microseconds); `hints` is this process's end of the
    pair, or null.
    """

    def __init__(self, position: Callable[[], LogProgress], hints: Hints | None = None) -> None:
        self._position, self._hints = position, hints
        self.progress = position()
        self.fell = asyncio.Event()
        self._waiting: dict[tuple[str, int], list[tuple[int, int, asyncio.Future[bool]]]] = {}
        self._moved: asyncio.Future[bool] | None = None
        self._order = itertools.count()
        self._grown: dict[int, int] = {}  # offset by partition
        self._look: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin to listen and look, in the running event loop."""
        if self._hints is not None:
            asyncio.get_running_loop().add_reader(self._hints.fileno(), self._hinted, self._hints)
        self._look = asyncio.create_task(self._keep_looking(), name="applied")

    def stop(self) -> None:
        """End listening; those who wait, now or later, are told that it is not applied yet. Harmless when repeated."""
        self._stopped = True
        if self._hints is not None:
            asyncio.get_running_loop().remove_reader(self._hints.fileno())
        if self._look is not None:
            self._look.cancel()
        for waiting in self._waiting.values():
            for _, _, future in waiting:
                _resolve(future, False)
        if self._moved is not None:
            _resolve(self._moved, False)

    @property
    def stopped(self) -> bool:
        """Whether the server is ending: waits are over."""
        return self._stopped

    def grew(self, seq: int) -> None:
        """Wake the mill: the log now reaches `seq`. Costs one system call for all that grew in one turn of the loop."""
        if not self._grown and self._hints is not None:
            asyncio.get_running_loop().call_soon(self._tell, self._hints)
        partition = partition_of(seq)
        self._grown[partition] = max(self._grown.get(partition, 0), seq)

    def through(self, tenant: str) -> Reach:
        """Of each partition, the offset up to which everything of a tenant is applied."""
        return self.progress.through(tenant)

    async def wait(self, tenant: str, seq: int, timeout_s: float) -> bool:
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

    async def moves(self, timeout_s: float) -> bool:
        """Whether anything more is applied, or less, within `timeout_s` seconds."""
        if self._stopped:
            return False
        if self._moved is None or self._moved.done():
            self._moved = asyncio.get_running_loop().create_future()
        moved = self._moved
        done, _ = await asyncio.wait({moved}, timeout=timeout_s)
        return bool(done) and moved.result()

    def look(self) -> LogProgress:
        """Read the position now, higher or lower than before, and end the waits that it fulfils."""
        progress, before = self._position(), self.progress
        if progress == before:
            return progress
        for now, earlier in zip(progress.partitions, before.partitions, strict=True):
            if _is_back(earlier, now):
                went = earlier.highest, now.checkpoint
                log.warning("the mill went back from %d to %d: what is between is applied again", *went)
                self.fell.set()
        self.progress = progress
        for (tenant, _), waiting in self._waiting.items():
            while waiting and progress.applied(tenant, waiting[0][0]):
                _resolve(heapq.heappop(waiting)[2], True)
        if self._moved is not None:
            _resolve(self._moved, True)
        return progress

    def _hinted(self, hints: Hints) -> None:
        hints.receive()
        self.look()

    def _tell(self, hints: Hints) -> None:
        for seq in self._grown.values():
            hints.send(seq)
        self._grown = {}

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S if self._waiting else IDLE_LOOK_S)
            self.look()
            for key, waiting in list(self._waiting.items()):
                while waiting and waiting[0][2].done():  # gave up
                    heapq.heappop(waiting)
                if not waiting:
                    del self._waiting[key]


def _is_back(before: PartitionProgress, now: PartitionProgress) -> bool:
    """Whether less of a partition is applied than before."""
    return now.checkpoint < before.checkpoint or any(now.through(tenant) < seq for tenant, seq in before.ahead.items())


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
