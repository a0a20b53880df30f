"""The worker's loop: takes queued jobs, the oldest first, and does each in a thread.

It does one job of a tenant at a time, so that tenants do not wait for each other. The process ends by itself when no
job was due for a while; its supervisor starts another when a byte is in the wake pipe. Jobs that were running when a
worker was killed are begun again by the next worker, one at a time and alone, so that a job that kills its process ends
no other job; it fails after MAX_ATTEMPTS.
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
LINGER_S: Final = 10.0  # how long an idle worker stays: starting one takes most of a second
_LOOK_EVERY_S: Final = 0.5
_PROGRESS_EVERY_S: Final = 0.5  # saving progress is a durable write
_FINISH_S: Final = 2.0
_ENDED: Final = (
    f"the process that worked on it ended {MAX_ATTEMPTS} times without an outcome; it may need more memory than "
    "TIDEMILL_WORKER_MEMORY allows, and the server's log says how the process ended"
)


class Worker:
    """Does the jobs of these kinds. `last_turn`: when its loop ran last, by `time.monotonic()`; `clock`: ns UTC."""

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
        """Do jobs until `stop` is set, or until none was due for `linger_s`. Jobs that are not done when `stop` is set
        are queued again."""
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
        """Queue the jobs again that an earlier worker left running; fail those that were begun MAX_ATTEMPTS times."""
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
        """Begin the job that is due; returns whether a job was due."""
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
        """The oldest queued job whose tenant has no running job; null: none. A job that was begun before runs alone."""
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
            work.carry_out(job, self._progress_callback(work, job, stop))
        except JobStoppedError:
            _log.info("job %s was stopped", job.id)
        except Exception as error:
            try:
                self._end_badly(work, job, error)
            except (ConflictError, NotFoundError):
                _log.info("job %s was cancelled", job.id)
            except UnavailableError:  # the catalog still has it as running
                self._recovered = False
        finally:
            with self._lock:
                if not stop.is_set():  # else the end of the loop queues it again, if it is not done
                    self._running.pop(job.id, None)
            self._wake.wake()

    def _progress_callback(self, work: JobWork, job: AnyJob, stop: threading.Event) -> Callable[[str, int, int], None]:
        """The job's `Progress`: saves the progress in the catalog twice a second, and raises JobStoppedError once the
        job is cancelled there or `stop` is set."""
        saved_at = 0.0

        def progress(step: str, done: int, total: int) -> None:
            nonlocal saved_at
            if stop.is_set():
                raise JobStoppedError
            if time.monotonic() - saved_at < _PROGRESS_EVERY_S:
                return
            saved_at = time.monotonic()
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
        """Queue the running jobs again, as if they had not been begun."""
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
