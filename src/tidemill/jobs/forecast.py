"""Fits of forecasts as jobs: the forecast is stored under the id of its job, and the job holds no value of it.

The fit runs in a process of its own, so that a cancelled job ends at once.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.catalog.jobs import CatalogJobs
from tidemill.crash_points import reach
from tidemill.errors import ConflictError, LimitError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.jobs.contract import JobStoppedError, Progress
from tidemill.mill.progress import LogProgress
from tidemill.model.forecast import Fit, FitResult, StoredForecast
from tidemill.model.job import RUNNING
from tidemill.processes.process import WorkerProcess
from tidemill.query.analysis import AnalysisQueries, task_subject
from tidemill.query.forecasts import (
    FORECAST_TASK,
    ForecastStamp,
    StoredForecastQueries,
    forecast_options,
    forecast_query,
    store_forecast,
)
from tidemill.query.series import SeriesQueries
from tidemill.store.client import Store

MEMORY_BYTES: Final = 1 << 30  # of data that a fit may use
LONGEST_S: Final = 600.0
_LOOK_EVERY_S: Final = 0.1
_STEPS: Final = 3


class FitWork:
    """Does fits, each in a process of its own. `store` returns the store that they read, `progress_of_log` what of the
    log is applied, `task` the function that makes the answer (for tests)."""

    def __init__(
        self,
        jobs: CatalogJobs[Fit],
        forecasts: CatalogForecasts,
        book: FeedBook,
        store: Callable[[], Store],
        progress_of_log: Callable[[], LogProgress],
        *,
        clock: Callable[[], int] = time.time_ns,
        task: str = FORECAST_TASK,
    ) -> None:
        self.jobs: Final = jobs
        self._forecasts = forecasts
        self._book = book
        self._store = store
        self._progress_of_log = progress_of_log
        self._clock = clock
        self._task = task

    def carry_out(self, job: Fit, progress: Progress) -> None:
        """Fit, and store the forecast. A fit that an earlier attempt stored is not made again.

        Raises NotFoundError for a series that there is not, SeriesError, ConflictError where points that it was made of
        were deleted meanwhile.
        """
        try:
            self._forecasts.get(job.tenant, job.id)
        except NotFoundError:
            store_forecast(self._forecasts, StoredForecastQueries(self._store()), self._make(job, progress))
        reach("job.before_done")
        finished = {"state": "done", "finished_ns": self._clock(), "result": FitResult(job.id)}
        try:
            self.jobs.change(job, only=RUNNING, step="", done=_STEPS, total=_STEPS, **finished)
        except (ConflictError, NotFoundError):  # cancelled
            self._forecasts.remove(job.tenant, job.id)
            raise JobStoppedError from None

    def is_retried(self, job: Fit) -> bool:
        """True: nobody waits for it."""
        return True

    def _make(self, job: Fit, progress: Progress) -> StoredForecast:
        progress("reading the points", 0, _STEPS)
        query = forecast_query(job.request.parameters)
        applied = self._progress_of_log().through(job.tenant)
        store = self._store()
        read = AnalysisQueries(store, SeriesQueries(store, lambda tenant: ()))
        subject = read.subject(job.tenant, job.request.series, query.start, query.end)
        samples = read.latest(subject, query)
        arguments = {
            "subject": task_subject(subject, query),
            "times_ns": samples.times_ns,
            "values": samples.values,
            "options": forecast_options(query),
        }
        answer = self._fit(arguments, progress)
        stamp = ForecastStamp(
            id=job.id,
            created_ns=self._clock(),
            request=job.request,
            feed_version=self._book.newest(job.tenant, subject.described.feed).version,
            reach=applied,
        )
        return StoredForecastQueries(store).make(subject, answer, stamp)

    def _fit(self, arguments: dict[str, Any], progress: Progress) -> bytes:
        """The answer, made in a process that ends when the job is stopped or takes longer than LONGEST_S."""
        process = WorkerProcess(MEMORY_BYTES)
        outcome: list[Any] = []

        def call() -> None:
            try:
                outcome.append(process.call(self._task, arguments))
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=call, name="fit", daemon=True)
        thread.start()
        deadline = time.monotonic() + LONGEST_S
        try:
            while thread.is_alive():
                if time.monotonic() > deadline:
                    message = f"This fit takes longer than {LONGEST_S:g} s; ask for a shorter range or longer windows"
                    raise LimitError("analysis_time", LONGEST_S, message)
                progress("fitting the models", 1, _STEPS)
                thread.join(_LOOK_EVERY_S)
        finally:
            process.end()
            thread.join()
            process.close()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        progress("storing the forecast", 2, _STEPS)
        answer: bytes = outcome[0]
        return answer
