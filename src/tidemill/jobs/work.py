"""Builds the work on each kind of job whose role is `worker`. No other module names these kinds."""

from typing import TYPE_CHECKING, Final

from tidemill.catalog.contract import Catalog
from tidemill.catalog.jobs import CatalogJobs
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.jobs.contract import JobWork, Progress
from tidemill.jobs.verify import VerifyWork
from tidemill.model.forecast import Fit
from tidemill.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.jobs.forecast import FitWork
    from tidemill.mill.verify.verifier import Verifier
    from tidemill.store.client import Store


def job_works(catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> list[JobWork]:
    """The work on every kind of job, for one data folder. `store` is called only when a job needs the store: so a
    process that only looks for jobs is small, and one with too little memory for a job has begun it and can fail it."""
    return [make(catalog, store, settings) for make in JOB_WORKS.values()]


def _verify(catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> JobWork:
    def verifier() -> "Verifier":
        from tidemill.catalog.feeds import CatalogFeeds
        from tidemill.feeds.book import FeedBook
        from tidemill.log.opening import open_log_reader
        from tidemill.mill.state import progress_of
        from tidemill.mill.state_files import mill_states
        from tidemill.mill.verify.verifier import Verifier

        mills = mill_states(settings.folder, settings.partitions)
        return Verifier(
            store(),
            FeedBook(CatalogFeeds(catalog)),
            lambda: open_log_reader(settings.folder, settings.log),
            lambda: progress_of(mills),
            catalog=catalog,
            live=True,
            max_depth=settings.max_depth,
        )

    jobs = CatalogVerifications(catalog)
    jobs.remove_reports()  # of an earlier worker: the clients that waited for them have disconnected
    return VerifyWork(jobs, store, verifier)


class LateFits:
    """`FitWork` that is made when the first fit begins: until then a worker needs no arrays."""

    def __init__(self, catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> None:
        self.jobs: Final = CatalogJobs(catalog, Fit)
        self._catalog, self._store, self._settings = catalog, store, settings

    def carry_out(self, job: Fit, progress: Progress) -> None:
        """See `FitWork`."""
        _fit_work(self.jobs, self._catalog, self._store, self._settings).carry_out(job, progress)

    def is_retried(self, job: Fit) -> bool:
        """See `FitWork`."""
        return True


def _fit_work(jobs: CatalogJobs[Fit], catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> "FitWork":
    from tidemill.catalog.feeds import CatalogFeeds
    from tidemill.catalog.forecasts import CatalogForecasts
    from tidemill.feeds.book import FeedBook
    from tidemill.jobs.forecast import FitWork
    from tidemill.mill.state import progress_of
    from tidemill.mill.state_files import mill_states

    mills = mill_states(settings.folder, settings.partitions)
    book = FeedBook(CatalogFeeds(catalog))
    return FitWork(jobs, CatalogForecasts(catalog), book, store, lambda: progress_of(mills))


JOB_WORKS: Final[dict[str, "Callable[[Catalog, Callable[[], Store], Settings], JobWork]"]] = {
    "verify": _verify,
    "forecast": LateFits,
}
