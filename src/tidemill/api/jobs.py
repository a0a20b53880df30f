"""Routes of jobs, for administrators: create, follow, list and cancel them. Mill and worker do the work.

The routes of replays and verifications (`replays.py`, `verify.py`) are views of the same jobs.
"""

import asyncio
import time
from typing import Annotated, Any, Final, TypeVar

from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api.job_request import job_of, requested_by
from tidemill.api.job_views import JobPage, ReplayJob, VerifyJob, job_item
from tidemill.api.json_body import decode_document
from tidemill.api.openapi_bodies import PostJob
from tidemill.api.prefer import location_headers, preferred_wait_s
from tidemill.api.reads_common import AnyRequest, answers_with, next_page, operation_of, parse_query, problem_spec
from tidemill.api.services import Services
from tidemill.catalog.jobs import CatalogJobs, jobs_of_kinds
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.model.job import OVER, STATES, AnyJob, State
from tidemill.model.job_kinds import JOBS, KINDS
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import QueryParameters, limit_to, one_of, page_cursor


class JobsQuery(QueryParameters, frozen=True):
    """The jobs to list."""

    kind: Annotated[str | None, one_of("Only jobs of this kind.", *KINDS)] = None
    state: Annotated[State | None, one_of("Only jobs in this state.", *STATES)] = None
    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[tuple[str] | None, page_cursor(str)] = None


MAX_QUEUED: Final = 100  # of a tenant and a kind that are not over
_LOOK_EVERY_S: Final = 0.1
_JobT = TypeVar("_JobT", bound=AnyJob)
_AnyJobItem = ReplayJob | VerifyJob


def queue_job(services: Services, job: AnyJob) -> None:
    """Store a new job, durable on return, and wake its worker. Raises InputError when MAX_QUEUED wait already."""
    jobs = CatalogJobs(services.catalog, JOBS[job.kind])
    waiting = sum(other.tenant == job.tenant for other in jobs.under_way())
    if waiting >= MAX_QUEUED:
        message = f"{waiting} {job.PREFIX.rstrip('/')} wait already; cancel some, or wait for them"
        raise InputError(message, (Fault("$", "too_many", message),))
    jobs.create(job)
    if job.ROLE == "worker":
        services.wake_worker()


async def wait_until_over(services: Services, job: _JobT, wait_s: float) -> _JobT:
    """The job when it is over, or its state after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    jobs = CatalogJobs(services.catalog, type(job))
    while job.state not in OVER and time.monotonic() < deadline:
        await asyncio.sleep(min(_LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))
        job = await to_thread.run_sync(jobs.get, job.tenant, job.id)
    return job


async def queued_answer(services: Services, request: AnyRequest, job: _JobT, path: str) -> tuple[_JobT, dict[str, Any]]:
    """A job that was just queued, after the wait that its request prefers; and the arguments `status_code` and
    `headers` of the response, whose `Location` is below `path`."""
    wait_s = preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    job = await wait_until_over(services, job, wait_s or 0.0)
    headers = location_headers(f"{path}/{job.id}", wait_s)
    return job, {"status_code": 200 if job.state in OVER else 202, "headers": headers}


def queued_answers(kind: Any) -> dict[int, ResponseSpec]:
    """The documented answers of a route that queues a job and answers it as `kind`."""
    return {
        **answers_with(kind, "It is queued, or, with `Prefer: wait=N`, not over yet.", 400, status=202),
        **answers_with(kind, "With `Prefer: wait=N`: it is over."),
    }


@post(
    "/v1/jobs",
    tags=["jobs"],
    summary="Ask for long work",
    operation_id="createJob",
    operation_class=PostJob,
    status_code=202,
    responses=queued_answers(_AnyJobItem),
    opt={"scope": "admin"},
)
async def create_job(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[_AnyJobItem]:
    """Queues a job of a kind: `replay` applies the rules to payloads again, `verify` proves that everything is
    accounted for. The job outlives the request and a restart of the server. Follow it by its `Location`, or wait for
    its end with `Prefer: wait=N`. No job runs in the process that takes payloads."""
    parse_query(request, QueryParameters)
    data = decode_document(await request.body())

    def make() -> AnyJob:
        job = requested_by(job_of(data, principal.tenant, services, services.clock()), principal.key_id)
        queue_job(services, job)
        return job

    job, options = await queued_answer(services, request, await to_thread.run_sync(make), "/v1/jobs")
    return Response(job_item(job), **options)


@get(
    "/v1/jobs",
    tags=["jobs"],
    summary="List the jobs",
    operation_id="listJobs",
    operation_class=operation_of(JobsQuery),
    responses=answers_with(JobPage, "A page of jobs; `next` is the cursor of the next.", 400, more=True),
    opt={"scope": "admin"},
)
async def list_jobs(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[JobPage]:
    """The jobs of this tenant, of every kind, newest first. Jobs that are over are kept for `TIDEMILL_JOB_KEEP_DAYS`
    days, the newest `TIDEMILL_JOB_KEEP` of each kind longer, and never more than 1,000 of a kind."""
    query = parse_query(request, JobsQuery)
    page = await to_thread.run_sync(_job_page, services, principal.tenant, query)
    headers = {} if page.next is None else {"Link": f'<{next_page(request, page.next)}>; rel="next"'}
    return Response(page, headers=headers)


@get(
    "/v1/jobs/{job:str}",
    tags=["jobs"],
    summary="How far a job is, and what comes of it",
    operation_id="getJob",
    responses=answers_with(_AnyJobItem, "The job.", 400, 404),
    opt={"scope": "admin"},
)
async def get_job(
    job: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> _AnyJobItem:
    """The present state of a job; with `Prefer: wait=N` its state when it is over, or after N seconds."""
    parse_query(request, QueryParameters)
    current = await to_thread.run_sync(lambda: _find_job(services, principal.tenant, job)[1])
    wait_s = preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    return job_item(await wait_until_over(services, current, wait_s or 0.0))


@delete(
    "/v1/jobs/{job:str}",
    tags=["jobs"],
    summary="Cancel a job",
    operation_id="cancelJob",
    status_code=200,
    responses={
        **answers_with(_AnyJobItem, "It is cancelled, and changed nothing.", 400, 404),
        409: problem_spec("It is over, or being published."),
    },
    opt={"scope": "admin"},
)
async def cancel_job(
    job: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> _AnyJobItem:
    """Ends a job that has not published anything yet; it changes nothing."""
    parse_query(request, QueryParameters)

    def cancel() -> AnyJob:
        jobs, current = _find_job(services, principal.tenant, job)
        return jobs.cancel(principal.tenant, current.id, services.clock())

    return job_item(await to_thread.run_sync(cancel))


def _find_job(services: Services, tenant: str, job: str) -> tuple[CatalogJobs[AnyJob], AnyJob]:
    """A job of any kind, and the jobs of that kind. Raises NotFoundError."""
    for jobs in jobs_of_kinds(services.catalog).values():
        try:
            return jobs, jobs.get(tenant, job)
        except NotFoundError:
            continue
    raise NotFoundError(f"there is no job '{job[:64]}'")


def _job_page(services: Services, tenant: str, query: JobsQuery) -> JobPage:
    before, count = (query.cursor or (None,))[0], query.limit
    pages = [
        jobs.page(tenant, query.state, before, count + 1)
        for jobs in jobs_of_kinds(services.catalog, query.kind).values()
    ]
    newest = sorted((job for page in pages for job in page), key=lambda job: job.id, reverse=True)
    shown = newest[:count]
    return JobPage([job_item(job) for job in shown], encode_cursor(shown[-1].id) if len(newest) > count else None)


JOB_ROUTES: Final = [create_job, list_jobs, get_job, cancel_job]
