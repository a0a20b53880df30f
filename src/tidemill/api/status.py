"""The routes `GET /v1/status`, the parts of the server with heartbeats, and `GET /v1/verify/last`, the last proof.

Amounts and progress are of all tenants, so only administrators see them (and everybody while access is open); others
see whether each part works.
"""

import asyncio
import platform
import time
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency

from tidemill import __version__
from tidemill.api.health import Health, State
from tidemill.api.job_views import instant_text
from tidemill.api.reads_common import AnyRequest, ReadCall, answers_with, ask_store, parse_query, reading
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import StoreQueryError, UnavailableError
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.model.verification import Totals, Verification
from tidemill.query.flow import lag_s
from tidemill.query.parameters import FeedName, QueryParameters

_ABOUT_S: Final = 5.0  # how long the facts of the store are kept
_PROMPT_S: Final = 0.3  # how long a request waits for facts that are being read
_PAGE: Final = 20


class ApiPart(msgspec.Struct, frozen=True):
    """The API. `acknowledging`: payloads are made durable and answered; else `why` not. `p50_ms`, `p99_ms`: how long
    the acknowledgements of the last 5 minutes took, of `acknowledged` payloads (null: none)."""

    state: Literal["acknowledging", "refusing"]
    why: str
    started_at: str
    acknowledged: int | None
    p50_ms: float | None
    p99_ms: float | None


class MillPart(msgspec.Struct, frozen=True):
    """The mill. `state`: what it does; `silent` without a heartbeat for 5 s. `heartbeat_s`: how long ago its last turn
    began. `lag`: entries of the log that are not applied; `lag_s`: how long the oldest payload of this tenant waits."""

    state: str
    heartbeat_at: str | None
    heartbeat_s: float | None
    lag: int | None
    lag_s: float | None
    stalled_s: float | None
    last_error: str | None
    last_error_at: str | None
    recovered: bool


class StorePart(msgspec.Struct, frozen=True):
    """The store. `why`: of `down`. `point_rows`: rows of points, also those that a merge will remove; `store_bytes`: of
    all tables on disk."""

    state: Literal["up", "down"]
    why: str
    point_rows: int | None
    store_bytes: int | None


class DiskPart(msgspec.Struct, frozen=True):
    """The disk of the log. `low`: free space is below `needed_bytes`, and nothing is acknowledged."""

    state: Literal["ok", "low"]
    free_bytes: int | None
    needed_bytes: int | None
    log_bytes: int | None


class Status(msgspec.Struct, frozen=True):
    """The parts of the server. Numbers and reasons are null or empty except for administrators. `degraded`: what does
    not work as it should, one sentence each. `demo`: simulators send what flows (`--demo`). `versions`: of `tidemill`,
    `python`, `log` and `store` (where known)."""

    as_of: str
    version: str
    versions: dict[str, str]
    open_access: bool
    degraded: list[str]
    demo: bool
    api: ApiPart
    mill: MillPart
    store: StorePart
    disk: DiskPart


class Proof(msgspec.Struct, frozen=True):
    """A verification that ended. `by`: the id of the key that asked for it (`open`: access was open; empty: not known).
    `feed`, `since`: what it was limited to (null: everything). `adds_up`: everything is accounted for; `findings`: how
    many differences by code; `took_s`: how long it took."""

    id: str
    finished_at: str
    by: str
    feed: str | None
    since: str | None
    adds_up: bool
    complete: bool
    findings: dict[str, int]
    totals: Totals
    took_s: float


class LastProof(msgspec.Struct, frozen=True):
    """`proof`: the newest one of everything (with `feed`: of everything or of that feed), null: there is none. `age_s`:
    how long ago it ended. `running`: a verification is under way or queued."""

    proof: Proof | None
    age_s: float | None
    running: bool


class LastProofQuery(QueryParameters, frozen=True):
    """Which proof is asked for."""

    feed: FeedName = None


class StoreFacts:
    """What the store says of itself. Read at most every few seconds, beside the requests: none waits for a store that
    hangs."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._facts: dict[str, Any] = {}
        self._reading: asyncio.Task[None] | None = None
        self._read_at = -_ABOUT_S

    async def facts(self) -> dict[str, Any]:
        """`version`, `points`, `bytes` as last read; empty before the store has answered once."""
        reads = self._reading is not None and not self._reading.done()
        if not reads and time.monotonic() - self._read_at >= _ABOUT_S:
            self._read_at = time.monotonic()
            self._reading = asyncio.create_task(self._read(), name="store_facts")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=_PROMPT_S)
        return self._facts

    async def _read(self) -> None:
        with suppress(UnavailableError, StoreQueryError):
            self._facts = (await ask_store(lambda: self._store.rows("store_facts")))[0]


@get(
    "/v1/status",
    tags=["health"],
    summary="The parts of the server",
    operation_id="getStatus",
    responses=answers_with(Status, "The parts, each with its state.", 400),
)
async def get_status(
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
    health: NamedDependency[Health],
    *,
    store_facts: NamedDependency[StoreFacts],
) -> Status:
    """API, mill, store and disk: whether each works, since when, how fast, and how far behind. Answers also while the
    store is down. Numbers are for administrators; `degraded` says to others only that something is."""
    parse_query(request, QueryParameters)
    state, admin = await health.state(), "admin" in principal.scopes
    facts = await store_facts.facts() if admin and state.store.up else {}
    waiting_s = await asyncio.to_thread(_longest_wait_s, services, principal.tenant) if admin else None
    status = _status(services.clock(), health, state, facts, waiting_s, admin=admin)
    return msgspec.structs.replace(status, demo=services.settings.demo)


def _longest_wait_s(services: Services, tenant: str) -> float | None:
    """How long the oldest payload of a tenant waits; null where the log cannot be read."""
    try:
        _, waiting = services.queries.waiting.read(tenant)
    except UnavailableError:
        return None
    now = services.clock()
    return max((lag_s(item, now) for item in waiting.values()), default=0.0)


def _status(
    now: int, health: Health, state: State, facts: dict[str, Any], waiting_s: float | None, *, admin: bool
) -> Status:
    shown, details = state.shown(details=admin), state.log.details
    versions = {"tidemill": __version__, "python": platform.python_version()} if admin else {"tidemill": __version__}
    if admin and "sqlite_version" in details:
        versions["log"] = f"{state.log.implementation} {details['sqlite_version']}"
    if facts:
        versions["store"] = facts["version"]
    times = health.acknowledgements() if admin else None
    beat = health.heartbeat_ns()
    needed = int(details.get("needed_free_bytes", 0))
    low = 0 <= state.log.free_bytes < needed
    return Status(
        as_of=format_instant(now),
        version=__version__,
        versions=versions,
        open_access=state.open_access,
        degraded=shown.degraded,
        demo=False,
        api=ApiPart(
            state="acknowledging" if state.log.accepting else "refusing",
            why=state.log.reason if admin else "",
            started_at=format_instant(health.started_ns),
            acknowledged=times.count if times else None,
            p50_ms=times.p50_ms if times else None,
            p99_ms=times.p99_ms if times else None,
        ),
        mill=MillPart(
            state=state.mill.state,
            heartbeat_at=format_instant(beat) if beat else None,
            heartbeat_s=round(max(0, now - beat) / NS_PER_S, 3) if beat else None,
            lag=state.mill.lag if admin else None,
            lag_s=waiting_s,
            stalled_s=state.mill.stalled_s if admin else None,
            last_error=state.mill.last_error or None if admin else None,
            last_error_at=state.mill.last_error_at if admin else None,
            recovered=state.mill.recovered,
        ),
        store=StorePart(
            state="up" if state.store.up else "down",
            why=state.store.reason if admin else "",
            point_rows=facts.get("points"),
            store_bytes=facts.get("bytes"),
        ),
        disk=DiskPart(
            state="low" if low else "ok",
            free_bytes=state.log.free_bytes if admin else None,
            needed_bytes=needed if admin else None,
            log_bytes=state.log.size_bytes if admin else None,
        ),
    )


@reading(
    "/v1/verify/last",
    LastProofQuery,
    of_store=False,
    tags=["ledger"],
    summary="The last proof that everything is accounted for",
    responses=answers_with(LastProof, "The newest verification that ended, and whether one runs.", 400),
)
def get_last_proof(call: ReadCall[LastProofQuery]) -> LastProof:
    """When this tenant's data was last verified, by whom, and the result. Verifications are kept as jobs are
    (`TIDEMILL_JOB_KEEP_DAYS`); `POST /v1/jobs` with `kind: verify`, `GET /v1/verify` and `tidemill verify` make one."""
    jobs = CatalogVerifications(call.services.catalog)
    running = any(job.tenant == call.tenant for job in jobs.under_way())
    job = _newest_proof(jobs, call.tenant, call.query.feed)
    if job is None or job.result is None or job.finished_ns is None:
        return LastProof(None, None, running)
    report = job.result
    proof = Proof(
        id=job.id,
        finished_at=format_instant(job.finished_ns),
        by=job.by,
        feed=job.request.feed or None,
        since=instant_text(job.request.since_ns),
        adds_up=report.adds_up,
        complete=report.complete,
        findings=report.counts,
        totals=report.totals,
        took_s=report.seconds,
    )
    return LastProof(proof, round(max(0, call.services.clock() - job.finished_ns) / NS_PER_S, 3), running)


def _newest_proof(jobs: CatalogVerifications, tenant: str, feed: str | None) -> Verification | None:
    before: str | None = None
    while page := jobs.page(tenant, "done", before, _PAGE):
        for job in page:
            if job.request.since_ns is None and job.request.feed in ("", feed or ""):
                return job
        before = page[-1].id
    return None


STATUS_ROUTES: Final = [get_status, get_last_proof]
