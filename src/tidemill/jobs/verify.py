"""Verifications as jobs: a client that waits gets the whole report, a client that asks later the first findings."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tidemill.catalog.verifications import CatalogVerifications
from tidemill.crash_points import reach
from tidemill.errors import UnavailableError
from tidemill.jobs.contract import Progress
from tidemill.model.verification import Verification

if TYPE_CHECKING:
    from tidemill.mill.verify.verifier import Verifier
    from tidemill.store.client import Store

STORE_WAIT_S: Final = 60.0  # a server that starts has its store some seconds later
_PING_EVERY_S: Final = 0.25


class VerifyWork:
    """Does verifications, each with a verifier of its own. `store` returns the store that they read."""

    def __init__(
        self,
        jobs: CatalogVerifications,
        store: "Callable[[], Store]",
        verifier: Callable[[], "Verifier"],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.jobs: Final = jobs
        self._store = store
        self._verifier = verifier
        self._clock = clock

    def carry_out(self, job: Verification, progress: Progress) -> None:
        """Verify, and save the report. Raises what `Verifier.run` raises."""
        from tidemill.mill.verify.verifier import VerifyScope

        if not job.request.followed:
            self._wait_for_store(progress)
        scope = VerifyScope(tenant=job.tenant, feed=job.request.feed, since_ns=job.request.since_ns)
        report = self._verifier().verify(scope, lambda now: progress(now.at, now.done, now.total))
        reach("job.before_done")
        self.jobs.finish(job, report, self._clock())

    def is_retried(self, job: Verification) -> bool:
        """False for a followed job: its client learns at once that it failed."""
        return not job.request.followed

    def _wait_for_store(self, progress: Progress) -> None:
        deadline = time.monotonic() + STORE_WAIT_S
        while True:
            try:
                self._store().ping()
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                progress("waiting for the store", 0, 0)
                time.sleep(_PING_EVERY_S)
            else:
                return
