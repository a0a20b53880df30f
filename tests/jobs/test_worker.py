"""The worker: which job is due, what becomes of one that is cancelled, that fails, or whose process ends."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import StoreUnavailableError
from tidemill.jobs.contract import Progress
from tidemill.jobs.worker import MAX_ATTEMPTS, SLOTS, Worker
from tidemill.model.ids import new_receipt
from tidemill.model.job import AnyJob
from tidemill.model.verification import Verification, VerifyRequest
from tidemill.wake import WakePipe


class Steps:
    """Work that goes on until it is let go, or raises what it is given. `begun` are the jobs that it began."""

    def __init__(self, jobs: CatalogVerifications) -> None:
        self.jobs = jobs
        self.let_go = threading.Event()
        self.begun: list[str] = []
        self.error: Exception | None = None

    def carry_out(self, job: Any, progress: Progress) -> None:
        self.begun.append(job.id)
        progress("counting", 1, 2)
        if self.error is not None:
            raise self.error
        while not self.let_go.wait(0.01):
            progress("counting", 1, 2)
        self.jobs.change(job, state="done")

    def is_retried(self, job: Any) -> bool:
        return not job.request.followed


class Room:
    """A catalog with jobs, and a pipe."""

    def __init__(self, folder: Path) -> None:
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")
        self.jobs = CatalogVerifications(self.catalog)
        self.work = Steps(self.jobs)
        self.wake = WakePipe.new()
        self._number = 0

    def add(self, tenant: str = "a", **changes: Any) -> Verification:
        self._number += 1
        job = Verification(
            id=new_receipt(self._number * 10**6), tenant=tenant, request=VerifyRequest(), state="queued", created_ns=0
        )
        job = msgspec.structs.replace(job, **changes)
        self.jobs.create(job)
        self.wake.wake()
        return job

    def now(self, job: AnyJob) -> Verification:
        return self.jobs.get(job.tenant, job.id)

    def until(self, job: AnyJob, state: str) -> Verification:
        wait_until(lambda: self.now(job).state == state)
        return self.now(job)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.catalog.close()
    room.wake.close()


@contextmanager
def working(room: Room, linger_s: float = 3600) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=Worker([room.work], room.wake, linger_s=linger_s).run_jobs, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        room.wake.wake()
        thread.join(30)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cancelled_job_stops_and_the_next_begins(room: Room) -> None:
    first, second = room.add(), room.add()
    with working(room):
        running = room.until(first, "running")
        assert (running.attempts, running.started_ns is not None) == (1, True)
        wait_until(lambda: room.now(first).step == "counting")
        assert (room.now(first).done, room.now(first).total) == (1, 2)
        room.jobs.cancel("a", first.id, 7)
        room.until(second, "running")
        room.work.let_go.set()
        room.until(second, "done")
    assert (room.now(first).state, room.now(first).finished_ns) == ("cancelled", 7)


def test_tenants_do_not_wait_for_each_other(room: Room) -> None:
    first, same, other, third = room.add("a"), room.add("a"), room.add("b"), room.add("c")
    with working(room):
        wait_until(lambda: len(room.work.begun) == SLOTS)
        assert set(room.work.begun) == {first.id, other.id}
        assert room.now(same).state == room.now(third).state == "queued"
        room.work.let_go.set()
        for job in (first, same, other, third):
            room.until(job, "done")


def test_what_is_not_done_at_the_end_is_queued_as_if_it_had_not_begun(room: Room) -> None:
    job = room.add()
    with working(room):
        room.until(job, "running")
    left = room.now(job)
    assert (left.state, left.attempts, left.started_ns) == ("queued", 0, None)
    assert room.wake.is_woken(), "the supervisor sees that there is something to do"
    with working(room):
        room.work.let_go.set()
        room.until(job, "done")


def test_what_a_killed_worker_left_is_begun_again_alone(room: Room) -> None:
    left = room.add("a", state="running", attempts=1)
    others = [room.add("b"), room.add("c")]
    with working(room):
        room.until(left, "running")
        wait_until(lambda: room.work.begun == [left.id])
        assert [room.now(job).state for job in others] == ["queued", "queued"]
        room.work.let_go.set()
        for job in (left, *others):
            room.until(job, "done")
    assert room.now(left).attempts == 2


def test_a_job_that_ends_its_process_again_and_again_fails(room: Room) -> None:
    job, next_one = room.add(state="running", attempts=MAX_ATTEMPTS), room.add()
    with working(room):
        failed = room.until(job, "failed")
        room.until(next_one, "running")
    assert "TIDEMILL_WORKER_MEMORY" in failed.error and failed.code == "internal"
    assert room.work.begun == [next_one.id]


AWAY = StoreUnavailableError("the store is away")


@pytest.mark.parametrize(
    ("error", "followed", "expected"),
    [
        (AWAY, False, (MAX_ATTEMPTS, "store_unavailable", "the store is away")),
        (AWAY, True, (1, "store_unavailable", "the store is away")),
        (MemoryError(), False, (1, "internal", "it needs more memory than TIDEMILL_WORKER_MEMORY allows")),
        (ValueError("x"), False, (1, "internal", "the verification failed; the server's log says why")),
    ],
)
def test_a_failed_job_says_why(room: Room, error: Exception, followed: bool, expected: tuple[int, str, str]) -> None:
    room.work.error = error
    job = room.add(request=VerifyRequest(followed=followed))
    with working(room):
        failed = room.until(job, "failed")
    assert (failed.attempts, failed.code, failed.error) == expected
    assert len(room.work.begun) == failed.attempts and failed.finished_ns is not None


def test_a_worker_without_work_ends_by_itself(room: Room) -> None:
    room.work.let_go.set()
    job = room.add()
    with working(room, linger_s=0) as thread:
        room.until(job, "done")
        thread.join(60)
        assert not thread.is_alive()
    room.wake.drain()
    room.add()
    assert room.wake.is_woken(), "a job that comes after it wakes the next"
