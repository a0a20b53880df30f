"""How far the mill has applied the log, for those who wait for it, and the waking of the mill when the log grew.

Only the mill's durable position counts. Hints come over a socket pair, may be lost, and may be of an earlier start: one
says when to look. The position may fall, when the mill found that the store lacks what it held. Lives in one loop.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable
from typing import Final

from tidemill.hints import Hints

log = logging.getLogger(__name__)

LOOK_S: Final = 0.05  # between looks at the position while somebody waits
IDLE_LOOK_S: Final = 0.2


class Applied:
    """`seq` is the place up to which everything is applied, as it was when last looked at; `fell` is set when it fell.

    `position` reads the mill's durable position (microseconds); `hints` is this process's end of the pair, or null.
    """

    def __init__(self, position: Callable[[], int], hints: Hints | None = None) -> None:
        self._position, self._hints = position, hints
        self.seq = position()
        self.fell = asyncio.Event()
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []
        self._order = itertools.count()
        self._grown = 0
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
        for _, _, future in self._waiting:
            _resolve(future, False)

    @property
    def stopped(self) -> bool:
        """Whether the server is ending: waits are over."""
        return self._stopped

    def grew(self, seq: int) -> None:
        """Wake the mill: the log now reaches `seq`. Costs one system call for all that grew in one turn of the loop."""
        if not self._grown and self._hints is not None:
            asyncio.get_running_loop().call_soon(self._tell, self._hints)
        self._grown = max(self._grown, seq)

    async def wait(self, seq: int, timeout_s: float) -> bool:
        """Whether everything up to `seq` is applied, now or within `timeout_s` seconds."""
        if seq <= self.seq:
            return True
        if self._stopped:
            return False
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        heapq.heappush(self._waiting, (seq, next(self._order), future))
        timer = loop.call_later(timeout_s, _resolve, future, False)
        try:
            return await future
        finally:
            timer.cancel()

    def look(self) -> int:
        """Read the position now, higher or lower than before, and end the waits that it fulfils."""
        seq = self._position()
        if seq < self.seq:
            log.warning("the mill went back from %d to %d: what is between is applied again", self.seq, seq)
            self.fell.set()
        self.seq = seq
        while self._waiting and self._waiting[0][0] <= seq:
            _resolve(heapq.heappop(self._waiting)[2], True)
        return seq

    def _hinted(self, hints: Hints) -> None:
        hints.receive()
        self.look()

    def _tell(self, hints: Hints) -> None:
        hints.send(self._grown)
        self._grown = 0

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S if self._waiting else IDLE_LOOK_S)
            self.look()
            while self._waiting and self._waiting[0][2].done():  # gave up
                heapq.heappop(self._waiting)


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
