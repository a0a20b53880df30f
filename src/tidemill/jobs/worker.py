"""The worker's loop: takes queued jobs, the oldest first, and has each done in a thread.

One job of a tenant at a time, so that tenants do not wait for each other. The process ends by itself when nothing has
been due for a while; its supervisor starts another when somebody wakes it. Jobs that were running when a worker was
killed are begun again by the next one, alone: a job that kills its process takes no other along, and fails after
MAX_ATTEMPTS.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from tidemill.crash_points import reach
from tidemill.errors import ConflictError, NotFoundError, TidemillError, UnavailableError
from tidemill.jobs.contract import JobStoppedError, JobWork
from tidemill.model.job import QUEUED, RUNNING, AnyJob
from tidemill.wake import WakePipe

_log = logging.getLogger(__name__)

SLOTS: Final = 2  # jobs at a time
MAX_ATTEMPTS: Final = 3
LINGER_S: Final = 10.0  # a worker that is there begins at once; to start one takes the better part of a second
_LOOK_EVERY_S: Final = 0.5
_PROGRESS_EVERY_S: Final = 0.5  # each is a durable write
_FINISH_S: Final = 2.0
_ENDED: Final = (
    f"the process that worked on it ended {MAX_ATTEMPTS} times without an outcome; it may need more memory than "
    "TIDEMILL_WORKER_MEMORY allows, and the server's log says how the process ended"
)


class Worker:
    """Works on jobs of these kinds. `last_turn` is the last sign of life, by `time.monotonic()`; `clock` is ns UTC."""

    def __init__(
        self,
        works: Sequence[JobWork],
        wake: WakePipe,
        *,
        clock: Callable[[], int] = time.time_ns,
        linger_s: float = LINGER_S,
    ) -> None:
        self._works = works
        self._wake = wake
        self._clock = clock
        self._linger_s = linger_s
        self._lock = threading.Lock()
        self._running: dict[str, tuple[JobWork, AnyJob]] = {}  # by id
        self._threads: list[threading.Thread] = []
        self._recovered = False
        self.last_turn = time.monotonic()

    def run_jobs(self, stop: threading.Event) -> None:
        """Work until `stop` is set, or until nothing has been due for a while. Jobs that are not done when `stop` is
        set are queued again."""
        idle_since = time.monotonic()
        while not stop.is_set():
            self.last_turn = time.monotonic()
            self._wake.drain()
            try:
                self._recover()
                while self._begin_next(stop):
                    pass
            except UnavailableError as error:
                self._recovered = False
                _log.warning("jobs cannot be looked at: %s", error)
            if self._running or not self._recovered:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > self._linger_s:
                return
            self._wake.is_woken(_LOOK_EVERY_S)
        self._hand_back()

    def _recover(self) -> None:
        """Queue again what a worker before this one left running, or fail what has ended too many."""
        if self._recovered:
            return
        self._recovered = True
        for work in self._works:
            for job in work.jobs.under_way():
                if job.state != "running" or job.id in self._running:
                    continue
                with suppress(ConflictError, NotFoundError):
                    if job.attempts >= MAX_ATTEMPTS:
                        self._fail(work, job, "internal", _ENDED)
                    else:
                        work.jobs.change(job, only=RUNNING, state="queued")

    def _begin_next(self, stop: threading.Event) -> bool:
        """Begin the job that is due; whether there was one."""
        due = self._due()
        if due is None:
            return False
        work, job = due
        begun = {"state": "running", "started_ns": self._clock(), "attempts": job.attempts + 1}
        try:
            job = work.jobs.change(job, only=QUEUED, **begun, done=0, total=0, step="")
        except (ConflictError, NotFoundError):  # cancelled a moment ago
            return True
        with self._lock:
            self._running[job.id] = work, job
        thread = threading.Thread(target=self._do, args=(work, job, stop), name=f"job-{job.kind}", daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()
        return True

    def _due(self) -> tuple[JobWork, AnyJob] | None:
        """The oldest queued job of a tenant of whom none is running; one that was begun before waits to be alone."""
        with self._lock:
            running = [job for _, job in self._running.values()]
        if len(running) >= SLOTS or any(job.attempts > 1 for job in running):
            return None
        busy = {job.tenant for job in running}
        queued = [(work, job) for work in self._works for job in work.jobs.under_way() if job.state == "queued"]
        for work, job in sorted(queued, key=lambda each: each[1].id):
            if job.tenant not in busy:
                return None if job.attempts and running else (work, job)
        return None

    def _do(self, work: JobWork, job: AnyJob, stop: threading.Event) -> None:
        try:
            reach("job.begun")
            work.carry_out(job, self._progress_of(work, job, stop))
        except JobStoppedError:
            _log.info("job %s was stopped", job.id)
        except Exception as error:
            try:
                self._end_badly(work, job, error)
            except (ConflictError, NotFoundError):
                _log.info("job %s was cancelled", job.id)
            except UnavailableError:  # it is still running as far as the catalog knows
                self._recovered = False
        finally:
            with self._lock:
                self._running.pop(job.id, None)
            self._wake.wake()

    def _progress_of(self, work: JobWork, job: AnyJob, stop: threading.Event) -> Callable[[str, int, int], None]:
        """What the work says how far it is by: kept in the catalog now and then, where it meets a cancellation."""
        kept_at = 0.0

        def progress(step: str, done: int, total: int) -> None:
            nonlocal kept_at
            if stop.is_set():
                raise JobStoppedError
            if time.monotonic() - kept_at < _PROGRESS_EVERY_S:
                return
            kept_at = time.monotonic()
            try:
                work.jobs.change(job, only=RUNNING, step=step, done=done, total=total)
            except (ConflictError, NotFoundError):
                raise JobStoppedError from None

        return progress

    def _end_badly(self, work: JobWork, job: AnyJob, error: Exception) -> None:
        if isinstance(error, UnavailableError) and job.attempts < MAX_ATTEMPTS and work.is_retried(job):
            work.jobs.change(job, only=RUNNING, state="queued")
            _log.warning("job %s is begun again: %s", job.id, error)
        elif isinstance(error, TidemillError):
            self._fail(work, job, error.code, error.message)
            _log.warning("job %s failed: %s", job.id, error)
        elif isinstance(error, MemoryError):
            self._fail(work, job, "internal", "it needs more memory than TIDEMILL_WORKER_MEMORY allows")
            _log.error("job %s failed for want of memory", job.id)
        else:
            self._fail(work, job, "internal", f"the {type(job).__name__.lower()} failed; the server's log says why")
            _log.error("job %s failed", job.id, exc_info=error)

    def _fail(self, work: JobWork, job: AnyJob, code: str, error: str) -> None:
        work.jobs.change(job, only=RUNNING, state="failed", finished_ns=self._clock(), code=code, error=error)

    def _hand_back(self) -> None:
        """Queue again what is running, as if it had not been begun."""
        with self._lock:
            running = list(self._running.values())
        for work, job in running:
            changes: dict[str, Any] = {"state": "queued", "started_ns": None, "attempts": job.attempts - 1}
            with suppress(ConflictError, NotFoundError, UnavailableError):
                work.jobs.change(job, only=RUNNING, **changes)
            self._wake.wake()
        deadline = time.monotonic() + _FINISH_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
