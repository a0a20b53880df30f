"""Runs functions in worker processes beside the API, so that its event loop and its threads never compute.

A call that is cancelled ends its process: a function that nobody waits for does not go on. Another process is started
by the next call, which takes a few tenths of a second more.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from tidemill.api.problems import OverloadedError
from tidemill.errors import LimitError, TidemillError
from tidemill.processes.process import WorkerProcess

log = logging.getLogger(__name__)

MEMORY_BYTES: Final = 1 << 30  # of data that one process may use
PROCESSES: Final = 2
LONGEST_S: Final = 30.0  # that a call may take; the slowest analysis of a million points takes two
MAX_WAITING: Final = 4  # calls; another one is refused at once, with the time after which to try again
MAX_WAITING_BRIEF: Final = 64  # calls of a few milliseconds each
WARM_UP_S: Final = 5.0  # after the start: what makes the server ready comes first
_RETRY_S: Final = 1.0


class WorkerPool:
    """Worker processes that the calls of one event loop share. A process starts when it is first needed.

    Each call names the process that it would rather run in: forecasts run in the first one, which then has imported
    nothing else, everything else in the second; either takes the other's calls where it is free.
    """

    def __init__(
        self, processes: int = PROCESSES, memory_bytes: int = MEMORY_BYTES, longest_s: float = LONGEST_S
    ) -> None:
        self._longest_s = longest_s
        self._free = [WorkerProcess(memory_bytes) for _ in range(processes)]
        self._all = tuple(self._free)
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="worker-process")
        self._ended = False

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The ids of the processes that run now."""
        return tuple(process.pid for process in self._all)

    async def call(self, name: str, arguments: dict[str, Any], *, prefer: int = 0, brief: bool = False) -> Any:
        """What the function `module:name` returns. Raises what `WorkerProcess.call` raises, OverloadedError where
        MAX_WAITING calls (`brief`: MAX_WAITING_BRIEF) wait already, and LimitError for a call that takes too long."""
        process = await self._take(prefer, MAX_WAITING_BRIEF if brief else MAX_WAITING)
        try:
            call = asyncio.get_running_loop().run_in_executor(self._threads, process.call, name, arguments)
            try:
                async with asyncio.timeout(self._longest_s):
                    return await asyncio.shield(call)
            except (asyncio.CancelledError, TimeoutError):
                await asyncio.shield(_end(process, call))
                raise
        except TimeoutError:
            message = f"This takes longer than {self._longest_s:g} s; ask for a shorter range, or for longer windows"
            raise LimitError("analysis_time", self._longest_s, message) from None
        finally:
            self._give_back(process)

    async def warm_up(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Start the processes, each by one of `calls`, one after the other (the last one also by all further calls);
        what fails is only logged."""
        for number, (name, arguments) in enumerate(calls):
            try:
                await self.call(name, arguments, prefer=min(number, len(self._all) - 1))
            except (TidemillError, RuntimeError) as error:
                log.warning("a worker process is not warm", extra={"facts": {"error": str(error)}})

    def close(self) -> None:
        """End all processes. Calls that are under way raise ProcessEndedError."""
        self._ended = True
        for process in self._all:
            process.end()
        self._threads.shutdown(wait=True)
        for process in self._all:
            process.close()

    async def _take(self, prefer: int, most_waiting: int) -> WorkerProcess:
        if self._ended:
            raise OverloadedError("The server is ending; ask again in a moment.", _RETRY_S)
        if self._free:
            preferred = self._all[prefer % len(self._all)]
            process = preferred if preferred in self._free else self._free[0]
            self._free.remove(process)
            return process
        if len(self._waiting) >= most_waiting:
            raise OverloadedError(f"{len(self._waiting)} analyses wait already; ask again in a moment", _RETRY_S)
        turn: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # a process was given to this call, which goes to the next one
                self._give_back(turn.result())
            raise

    def _give_back(self, process: WorkerProcess) -> None:
        """Give a process to the call that waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(process)
                return
        self._free.append(process)


def pool_lifespan(pool: WorkerPool, calls: Sequence[tuple[str, dict[str, Any]]]) -> Any:
    """A lifespan for Litestar: starts the processes by `calls` WARM_UP_S after the server, and ends them with it."""

    @asynccontextmanager
    async def of_app(_: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(_warm_up_later(pool, calls), name="warm-up") if calls else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
            await asyncio.to_thread(pool.close)

    return of_app


async def _warm_up_later(pool: WorkerPool, calls: Sequence[tuple[str, dict[str, Any]]]) -> None:
    await asyncio.sleep(WARM_UP_S)
    await pool.warm_up(calls)


async def _end(process: WorkerProcess, call: "asyncio.Future[Any]") -> None:
    """End a call and wait until its thread is free."""
    await asyncio.to_thread(process.end)
    await asyncio.wait([call])
    call.exception()  # it is ended on purpose
