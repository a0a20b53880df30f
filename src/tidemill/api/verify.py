"""The route of `tidemill verify` at a running server: progress as newline-delimited JSON, the report as the last line.

The route follows a job that a worker does, and cancels it when the client disconnects. A verification reads all data of
a tenant, so each tenant has one at a time, and there are at most MAX_RUNS; a further request is answered 503.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Final

import msgspec
from anyio import to_thread
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from tidemill.api.job_request import verification_of
from tidemill.api.job_views import VerifyReportItem, verify_report_item
from tidemill.api.jobs import queue_job
from tidemill.api.reads_common import AnyRequest, answers_with, operation_of, parse_query
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import ConflictError, NotFoundError, UnavailableError
from tidemill.mill.verify.scope import check_feed
from tidemill.model.job import OVER
from tidemill.model.verification import Verification, VerifyRequest
from tidemill.query import readers
from tidemill.query.parameters import TEXT, FeedName, Parameter, QueryParameters, Unit


class VerifyQuery(QueryParameters, frozen=True):
    """The scope of a verification."""

    feed: FeedName = None
    since: Annotated[int | None, Parameter("Only what was received from this instant on.", readers.instant, TEXT)] = (
        None
    )
    unit: Unit = None


MAX_RUNS: Final = 2
_RETRY_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1
_queue_lock: Final = threading.Lock()


class VerifyProgress(msgspec.Struct, frozen=True):
    """The progress: `done` of `total` payloads, and `at`, the present step."""

    at: str
    done: int
    total: int


class VerifyFailure(msgspec.Struct, frozen=True):
    """Why a verification ended without a report."""

    code: str
    message: str


class VerifyLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. Lines with `progress` come first; the last line has `report`, or the `error` that ended the work.
    `report.adds_up` says whether everything is accounted for; `report.counts` has the number of findings by code."""

    progress: VerifyProgress | None = None
    report: VerifyReportItem | None = None
    error: VerifyFailure | None = None


@get(
    "/v1/verify",
    tags=["ledger"],
    summary="Prove that everything is accounted for",
    operation_id="verify",
    operation_class=operation_of(VerifyQuery),
    responses=answers_with(VerifyLine, "One line after the other.", 400, 404, 503, media_type="application/x-ndjson"),
    opt={"scope": "admin"},
)
async def stream_verification(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Stream:
    """Reads log, payloads, ledger, points and rollups of this tenant and checks that accepted and rejected records of
    every receipt add up to the records in its bytes, and that every point of an accepted record exists, was replaced,
    or its absence is explained. Differences are listed. A million payloads take about a minute."""
    query = parse_query(request, VerifyQuery)
    scope = VerifyRequest(feed=query.feed or "", since_ns=query.since, followed=True)
    await to_thread.run_sync(check_feed, services.store, services.book, [principal.tenant], scope.feed)
    jobs = CatalogVerifications(services.catalog)
    await to_thread.run_sync(_check_room, jobs, principal.tenant)
    await to_thread.run_sync(services.store.ping)  # a store that is down is a 503, not a line of the stream
    job = verification_of(principal.tenant, scope, services.clock(), principal.key_id)
    await to_thread.run_sync(_queue_if_room, services, jobs, job)
    return Stream(_lines(services, jobs, job), media_type="application/x-ndjson")


def _check_room(jobs: CatalogVerifications, tenant: str) -> None:
    """Raises UnavailableError when no verification of this tenant can begin now."""
    tenants = {job.tenant for job in jobs.under_way()}
    if tenant in tenants:
        raise UnavailableError("A verification of yours is running; ask again when it has ended.", _RETRY_S)
    if len(tenants) >= MAX_RUNS:
        raise UnavailableError(f"{MAX_RUNS} verifications are running; ask again in a while.", _RETRY_S)


def _queue_if_room(services: Services, jobs: CatalogVerifications, job: Verification) -> None:
    with _queue_lock:
        _check_room(jobs, job.tenant)
        queue_job(services, job)


async def _lines(services: Services, jobs: CatalogVerifications, job: Verification) -> AsyncIterator[bytes]:
    last_progress = None
    try:
        while not services.applied.stopped:
            with suppress(UnavailableError):  # the catalog is busy: look again
                job = await to_thread.run_sync(jobs.get, job.tenant, job.id)
            if job.state in OVER:
                yield _line(await to_thread.run_sync(_last_line, jobs, job))
                return
            progress = VerifyProgress(job.step, job.done, job.total)
            if job.step and progress != last_progress:
                last_progress = progress
                yield _line(VerifyLine(progress=progress))
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:  # nothing may be awaited here: the client may have disconnected
        with suppress(RuntimeError):  # the event loop has ended with the server: the job goes on
            asyncio.get_running_loop().run_in_executor(None, _cancel_unfollowed, services, jobs, job)


def _last_line(jobs: CatalogVerifications, job: Verification) -> VerifyLine:
    whole = jobs.take_report(job) if job.state == "done" else None
    if whole is not None:
        return VerifyLine(report=verify_report_item(whole))
    message = job.error or f"the verification was {job.state}"
    return VerifyLine(error=VerifyFailure(job.code or job.state, message))


def _cancel_unfollowed(services: Services, jobs: CatalogVerifications, job: Verification) -> None:
    """Cancel a job whose client has disconnected, if it is not over, and remove its report."""
    with suppress(ConflictError, NotFoundError, UnavailableError):
        jobs.take_report(job)
        jobs.cancel(job.tenant, job.id, services.clock())


def _line(line: VerifyLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


VERIFY_ROUTES: Final = [stream_verification]
