"""Answers of analyses are computed once, in worker processes, kept, and ended when nobody waits for them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from tests.processes.test_process import DEADLINE_S, MEMORY, TASKS, until_ended
from tidemill.api.analyses import Analyses, AnswerCache
from tidemill.api.body import ClientGoneError
from tidemill.api.problems import OverloadedError
from tidemill.api.worker_pool import MAX_WAITING, WorkerPool
from tidemill.errors import LimitError, NotEnoughPointsError

T = TypeVar("T")


def run(work: Callable[[WorkerPool], Awaitable[T]], processes: int = 1) -> T:
    async def with_pool() -> T:
        pool = WorkerPool(processes, MEMORY)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await work(pool)
        finally:
            await asyncio.to_thread(pool.close)

    return asyncio.run(with_pool())


async def stays() -> Any:
    """A client that stays."""
    await asyncio.sleep(2 * DEADLINE_S)


def test_who_wants_the_same_waits_for_one_computation_and_it_is_kept() -> None:
    counted = []

    async def work(pool: WorkerPool) -> None:
        analyses = Analyses(pool)

        async def compute() -> tuple[bytes, bool]:
            counted.append(1)
            return b"%d" % await pool.call(f"{TASKS}:wait", {"seconds": 0.2}), True

        answers = await asyncio.gather(*(analyses.answer(("key",), compute, stays) for _ in range(5)))
        assert len(set(answers)) == len(counted) == 1
        assert await analyses.answer(("key",), compute, stays) == answers[0]
        assert len(counted) == 1
        await analyses.answer(("another",), compute, stays)
        assert len(counted) == 2

    run(work)


def test_what_may_not_be_kept_and_what_failed_is_computed_again() -> None:
    counted = []

    async def work(pool: WorkerPool) -> None:
        analyses = Analyses(pool)

        async def compute() -> tuple[bytes, bool]:
            counted.append(1)
            return b"{}", False

        async def fail() -> tuple[bytes, bool]:
            counted.append(1)
            return await pool.call(f"{TASKS}:lack_points", {}), True

        for _ in range(2):
            await analyses.answer(("changed",), compute, stays)
            with pytest.raises(NotEnoughPointsError):
                await analyses.answer(("failed",), fail, stays)
        assert len(counted) == 4

    run(work)


def test_a_computation_ends_when_all_who_wait_have_gone_and_not_before() -> None:
    async def work(pool: WorkerPool) -> None:
        analyses = Analyses(pool)
        gone = [asyncio.Event(), asyncio.Event()]
        pid = await pool.call(f"{TASKS}:process_id", {})

        async def compute() -> tuple[bytes, bool]:
            return b"%d" % await pool.call(f"{TASKS}:wait", {"seconds": 2 * DEADLINE_S}), True

        def receive_of(event: asyncio.Event) -> Callable[[], Awaitable[dict[str, str]]]:
            async def receive() -> dict[str, str]:
                await event.wait()
                return {"type": "http.disconnect"}

            return receive

        waiting = [asyncio.create_task(analyses.answer(("key",), compute, receive_of(event))) for event in gone]
        await asyncio.sleep(0.2)
        gone[0].set()
        with pytest.raises(ClientGoneError):
            await waiting[0]
        assert pool.pids == (pid,)
        gone[1].set()
        with pytest.raises(ClientGoneError):
            await waiting[1]
        await asyncio.to_thread(until_ended, pid)
        assert await pool.call(f"{TASKS}:process_id", {}) != pid

    run(work)


def test_more_calls_than_may_wait_are_refused_at_once_and_the_others_are_answered() -> None:
    async def work(pool: WorkerPool) -> None:
        calls = [asyncio.create_task(pool.call(f"{TASKS}:wait", {"seconds": 0.1})) for _ in range(1 + MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as raised:
            await pool.call(f"{TASKS}:process_id", {})
        assert raised.value.retry_after_s >= 1
        assert len(set(await asyncio.gather(*calls))) == 1

    run(work)


def test_one_that_gives_up_waiting_takes_no_process_with_it() -> None:
    async def work(pool: WorkerPool) -> None:
        first = asyncio.create_task(pool.call(f"{TASKS}:wait", {"seconds": 0.2}))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(pool.call(f"{TASKS}:process_id", {}))
        third = asyncio.create_task(pool.call(f"{TASKS}:process_id", {}))
        await asyncio.sleep(0.05)
        second.cancel()
        assert await first == await third

    run(work)


def test_each_call_runs_in_the_process_that_it_prefers_or_in_a_free_one() -> None:
    async def work(pool: WorkerPool) -> None:
        first = await pool.call(f"{TASKS}:process_id", {}, prefer=0)
        second = await pool.call(f"{TASKS}:process_id", {}, prefer=1)
        assert pool.pids == (first, second)
        busy = asyncio.create_task(pool.call(f"{TASKS}:wait", {"seconds": 0.3}, prefer=0))
        await asyncio.sleep(0.05)
        assert await pool.call(f"{TASKS}:process_id", {}, prefer=0) == second
        assert await busy == first

    run(work, processes=2)


def test_a_call_that_takes_too_long_is_ended_and_says_so() -> None:
    async def work() -> None:
        pool = WorkerPool(1, MEMORY, longest_s=1.5)
        with pytest.raises(LimitError, match=r"longer than 1\.5 s"):
            await pool.call(f"{TASKS}:wait", {"seconds": 2 * DEADLINE_S})
        assert pool.pids == (None,)
        await asyncio.to_thread(pool.close)

    asyncio.run(work())


def test_a_pool_that_closes_ends_what_runs() -> None:
    async def work() -> None:
        pool = WorkerPool(1, MEMORY)
        pid = await pool.call(f"{TASKS}:process_id", {})
        call = asyncio.create_task(pool.call(f"{TASKS}:wait", {"seconds": 2 * DEADLINE_S}))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(pool.close)
        with pytest.raises(Exception, match="ended"):
            await call
        until_ended(pid)
        with pytest.raises(OverloadedError):
            await pool.call(f"{TASKS}:process_id", {})

    asyncio.run(work())


def test_the_cache_drops_what_was_not_used_for_longest() -> None:
    cache = AnswerCache(most=3, most_bytes=100)
    for name in "abc":
        cache.put((name,), b"x" * 10)
    assert cache.get(("a",)) is not None
    cache.put(("d",), b"x" * 10)
    assert [cache.get((name,)) is not None for name in "abcd"] == [True, False, True, True]
    cache.put(("large",), b"x" * 95)
    assert len(cache) == 1
    cache.put(("large",), b"x" * 5)
    cache.put(("e",), b"x" * 90)
    assert len(cache) == 2
