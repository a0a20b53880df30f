"""What a worker does for each kind of job whose role is `worker`: the one place that names it."""

from typing import TYPE_CHECKING, Final

from tidemill.catalog.contract import Catalog
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.jobs.contract import JobWork
from tidemill.jobs.verify import VerifyWork
from tidemill.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.mill.verify.verifier import Verifier
    from tidemill.store.client import Store


def works(catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> list[JobWork]:
    """The work on every kind, over one data folder. `store` is called by the work that needs one: a process that only
    looks for jobs is small, and one that has too little memory for a job has begun it, and can say so."""
    return [make(catalog, store, settings) for make in WORKS.values()]


def _verify(catalog: Catalog, store: "Callable[[], Store]", settings: Settings) -> JobWork:
    def verifier() -> "Verifier":
        from tidemill.catalog.feeds import CatalogFeeds
        from tidemill.feeds.book import FeedBook
        from tidemill.log.opening import open_reader
        from tidemill.mill.state import progress_of
        from tidemill.mill.state_files import mill_states
        from tidemill.mill.verify.verifier import Verifier

        mills = mill_states(settings.folder, settings.partitions)
        return Verifier(
            store(),
            FeedBook(CatalogFeeds(catalog)),
            lambda: open_reader(settings.folder),
            lambda: progress_of(mills),
            catalog=catalog,
            live=True,
            max_depth=settings.max_depth,
        )

    jobs = CatalogVerifications(catalog)
    jobs.remove_reports()  # of an earlier worker: whoever waited for one has gone
    return VerifyWork(jobs, store, verifier)


WORKS: Final[dict[str, "Callable[[Catalog, Callable[[], Store], Settings], JobWork]"]] = {"verify": _verify}
