"""Wakes the worker for jobs that wait, removes old jobs, and counts jobs for the metrics."""

import asyncio
import logging
from typing import Final

from tidemill.api.services import Services
from tidemill.catalog.contract import Catalog
from tidemill.catalog.jobs import CatalogJobs, jobs_of_kinds
from tidemill.errors import TidemillError
from tidemill.model.job import STATES
from tidemill.model.job_kinds import JOBS

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0
_NS_PER_DAY: Final = 86_400 * 10**9


def wake_for_waiting(services: Services) -> None:
    """Wake the worker if a job waits for it: one created before a restart, or whose wake-up call was lost."""
    worker_jobs = [CatalogJobs(services.catalog, kind) for kind in JOBS.values() if kind.ROLE == "worker"]
    if any(jobs.under_way() for jobs in worker_jobs):
        services.wake_worker()


def prune_jobs(services: Services) -> int:
    """Remove jobs that have been over for longer than they are kept; returns how many were removed. Removes nothing
    while the clock is in doubt."""
    if services.log.health().clock_doubt:
        return 0
    ended_before_ns = services.clock() - int(services.settings.job_keep_days * _NS_PER_DAY)
    kinds = jobs_of_kinds(services.catalog).values()
    return sum(jobs.prune(ended_before_ns, services.settings.job_keep) for jobs in kinds)


async def keep_jobs(services: Services) -> None:
    """Wake the worker and remove old jobs for as long as the API runs."""
    while True:
        try:
            await asyncio.to_thread(wake_for_waiting, services)
            if removed := await asyncio.to_thread(prune_jobs, services):
                _log.info("removed jobs that were over long ago", extra={"facts": {"jobs": removed}})
        except TidemillError as error:
            _log.info("jobs could not be looked after: %s", error.message)
        except Exception:
            _log.exception("jobs could not be looked after")
        await asyncio.sleep(LOOK_EVERY_S)


def job_gauges(catalog: Catalog, now_ns: int) -> tuple[dict[tuple[str, str], int], dict[str, float]]:
    """The number of jobs of all tenants by kind and state, and for how many seconds the oldest queued job of each kind
    has waited (0: none waits)."""
    counts: dict[tuple[str, str], int] = {}
    waits_s: dict[str, float] = {}
    for kind, jobs in jobs_of_kinds(catalog).items():
        states, queued_ns = jobs.summary()
        counts |= {(kind, state): states[state] for state in STATES}
        waits_s[kind] = 0.0 if queued_ns is None else max(0.0, (now_ns - queued_ns) / 1e9)
    return counts, waits_s
