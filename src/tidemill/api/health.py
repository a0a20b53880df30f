"""The routes `/healthz` (alive), `/readyz` (can acknowledge) and `/metrics`.

The first two need no key. Amounts of data and the progress of log and mill are of all tenants, so once keys exist, the
details of `/readyz` and all of `/metrics` are for administrators (Prometheus sends its key as a bearer token).
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from tidemill.api.auth import Authenticator
from tidemill.api.body import Gate
from tidemill.api.front import client_address
from tidemill.api.job_upkeep import job_gauges
from tidemill.api.metrics import MILL_COUNTERS, Acknowledgements, Metrics
from tidemill.api.services import Services
from tidemill.api.stall import Stall, StallWatch, TrimWatch
from tidemill.errors import TidemillError, UnavailableError
from tidemill.log.contract import Capability, LogHealth, LogPartition, capability_error
from tidemill.mill.status import MillStatus, combine_statuses
from tidemill.model.offset import seq_of
from tidemill.model.time import format_instant

STORE_MEMORY_S: Final = 1.0  # the least time between two pings of the store, however many requests come
STORE_PROMPT_S: Final = 0.2  # how long a request waits for a ping that it started; a later request shows the result
STORE_PATIENCE_S: Final = 2.0
MILL_SILENT_S: Final = 5.0
DRAINING: Final = "This server is ending: it serves what still comes; a balancer should send new requests elsewhere."
DEGRADED_UNSAID: Final = "Something does not go on as it should; a key with the scope 'admin' shows what."
WATCH_EVERY_S: Final = 1.0
RECENT_S: Final = 0.9
PUBLIC: Final = {"scope": None}


class MillView(msgspec.Struct, frozen=True):
    """The mill as the API sees it. `lag`: entries of the log that are not applied; `last_error`: the last one since the
    mill started ("": none); `recovered`: the mill has gone on since that error; `stalled_s`: for how many seconds
    nothing more was applied though entries wait."""

    state: str
    applied_seq: int
    lag: int
    last_error: str
    last_error_at: str | None = None
    recovered: bool = True
    stalled_s: float = 0.0


class StoreView(msgspec.Struct, frozen=True):
    """Whether the store answers, and the reason if not."""

    up: bool
    reason: str


class Ready(msgspec.Struct, frozen=True):
    """The answer of `/readyz`. `ready`: payloads can be acknowledged, and the server is not ending; store and mill are
    shown and do not decide it. `degraded`: what does not work as it should, one sentence each. Once keys exist, `log`,
    `mill` and `store` are null except for administrators, and `degraded` then says only that something is degraded.
    """

    ready: bool
    degraded: list[str]
    open_access: bool
    log: LogHealth | None
    mill: MillView | None
    store: StoreView | None


class State(msgspec.Struct, frozen=True):
    """The state of log, mill and store, with all details."""

    open_access: bool
    log: LogHealth
    mill: MillView
    store: StoreView
    degraded: list[str]
    draining: bool = False

    def shown(self, *, details: bool) -> Ready:
        """The answer of `/readyz`, with or without details."""
        if not details:
            degraded = [DEGRADED_UNSAID] if self.degraded else []
            return Ready(self.ready, degraded, self.open_access, None, None, None)
        return Ready(self.ready, self.degraded, self.open_access, self.log, self.mill, self.store)

    @property
    def ready(self) -> bool:
        """Whether new payloads should be sent here."""
        return self.log.accepting and not self.draining


class StoreWatch:
    """Pings the store, one ping at a time. No request waits for a store that hangs."""

    def __init__(self, ping: Callable[[], object]) -> None:
        self._ping = ping
        self._thread = ThreadPoolExecutor(1, "store-ping")
        self._view = StoreView(False, "not asked yet")
        self._pinged_at = 0.0
        self._pinging: asyncio.Task[None] | None = None

    async def view(self) -> StoreView:
        """The result of the last ping, at most about a second old; down where no answer came in time."""
        now = time.monotonic()
        if self._pinging is None or (self._pinging.done() and now - self._pinged_at > STORE_MEMORY_S):
            self._pinged_at, self._pinging = now, asyncio.create_task(self._ping_once(), name="store_ping")
        prompt_s = self._pinged_at + STORE_PROMPT_S - now
        if prompt_s > 0:
            await asyncio.wait({self._pinging}, timeout=prompt_s)
        if not self._pinging.done() and now - self._pinged_at > STORE_PATIENCE_S:
            return StoreView(False, f"no answer within {STORE_PATIENCE_S:g} s")
        return self._view

    async def _ping_once(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._ping)
        except TidemillError as error:
            self._view = StoreView(False, error.message)
        except Exception as error:  # any other error also means that the store does not answer
            self._view = StoreView(False, f"{type(error).__name__}: {error}")
        else:
            self._view = StoreView(True, "")


class Health:
    """Reads the state of log, mill and store, and the metrics. `is_open()`: whether a request needs no key."""

    def __init__(self, services: Services, gate: Gate, metrics: Metrics, is_open: Any) -> None:
        self._services, self._gate, self._metrics, self._is_open = services, gate, metrics, is_open
        self.started_ns = services.clock()
        self._looking = asyncio.Lock()
        self._recent: State | None = None
        self._recent_at = 0.0
        self._store = StoreWatch(services.store.ping)
        self._stalls = [StallWatch() for _ in services.log.partitions]
        self._trims = [TrimWatch() for _ in services.log.partitions]

    def _statuses(self) -> tuple[MillStatus | None, ...]:
        """The last status that the mill of each partition wrote."""
        return tuple(mill.telemetry() for mill in self._services.mills)

    def heartbeat_ns(self) -> int:
        """When the last turn of the mill began, ns since the epoch; of several partitions the oldest (0: never)."""
        status = combine_statuses(self._statuses())
        return status.looped_at_ns if status else 0

    def acknowledgements(self) -> Acknowledgements:
        """How long acknowledgements take."""
        return self._metrics.acknowledgements()

    async def recent_state(self) -> State:
        """The state as it was within the last second: for any number of streams that look every second."""
        async with self._looking:
            if self._recent is None or time.monotonic() - self._recent_at > RECENT_S:
                self._recent, self._recent_at = await self.state(), time.monotonic()
            return self._recent

    async def state(self) -> State:
        """The present state of log, mill and store."""
        log = await asyncio.to_thread(self._services.log.health)
        store, draining = await self._store.view(), self._services.draining.under_way
        return State(self._is_open(), log, self.mill(), store, self._degraded(log), draining)

    def _degraded(self, log: LogHealth) -> list[str]:
        status = combine_statuses(self._statuses())
        doubt = log.clock_doubt or (status.clock_doubt if status else "")
        stall = self.stall()
        stalled = f"the mill has applied nothing more for {stall.seconds:.0f} s: {stall.why}" if stall.why else ""
        ending = DRAINING if self._services.draining.under_way else ""
        return [reason for reason in (ending, doubt, log.degraded, stalled, self._not_trimmed(log)) if reason]

    def _not_trimmed(self, log: LogHealth) -> str:
        """Why the log has not been trimmed for long, or never can be; empty: it is trimmed."""
        if Capability.ERASURE not in self._services.log.capabilities:
            return capability_error(log.implementation, Capability.ERASURE).message
        return "; ".join(self._trims_held_back())

    def _trims_held_back(self) -> list[str]:
        """The reasons of all partitions that cannot be trimmed."""
        applied = self._services.applied.refresh().partitions
        reasons = [
            watch.observe(mill.confirmed().checkpoint, progress.checkpoint, mill.telemetry())
            for watch, progress, mill in zip(self._trims, applied, self._services.mills, strict=True)
        ]
        return [reason for reason in reasons if reason]

    def stall(self) -> Stall:
        """The present stall of the mill, if any; of several partitions the longest one."""
        statuses, applied = self._statuses(), self._services.applied.refresh().partitions
        stalls = [
            watch.observe(applied[n].checkpoint, partition.last_seq(), statuses[n], silent=self._silent(statuses[n]))
            for n, (watch, partition) in enumerate(zip(self._stalls, self._services.log.partitions, strict=True))
        ]
        return max(stalls, key=lambda stall: stall.seconds)

    async def keep_watching(self) -> None:
        """Observe the mill for as long as the API runs, so that a stall is noticed without requests."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self.stall()
            self._trims_held_back()

    def _silent(self, status: MillStatus | None) -> bool:
        return status is None or (self._services.clock() - status.looped_at_ns) / 1e9 > MILL_SILENT_S

    def mill(self) -> MillView:
        """The progress of the mill and its last status, over all partitions."""
        applied = sum(seq_of(progress.checkpoint) for progress in self._services.applied.progress.partitions)
        last = sum(seq_of(partition.last_seq()) for partition in self._services.log.partitions)
        status = combine_statuses(self._statuses())
        if status is None:
            return MillView("unknown", applied, last - applied, "")
        state = "silent" if self._silent(status) else status.state
        at = format_instant(status.last_error_at_ns) if status.last_error_at_ns else None
        stalled_s = round(self.stall().seconds, 3)
        return MillView(state, applied, last - applied, status.last_error, at, status.recovered, stalled_s)

    async def metrics(self) -> str:
        """The Prometheus page."""
        state, mill = await self.state(), combine_statuses(self._statuses())
        counted = {f"tidemill_mill_{name}_total": getattr(mill, name) for name in MILL_COUNTERS} if mill else {}
        offsets = await asyncio.to_thread(self._offsets)
        offsets["tidemill_confirmed_seq"] = [seq_of(status.confirmed) if status else 0 for status in self._statuses()]
        return self._metrics.prometheus_page(
            {
                **counted,
                "tidemill_intake_in_flight": self._gate.requests,
                "tidemill_intake_in_flight_bytes": self._gate.bytes,
                "tidemill_log_bytes": state.log.size_bytes,
                "tidemill_log_free_bytes": state.log.free_bytes,
                "tidemill_log_accepting": state.log.accepting,
                "tidemill_clock_trusted": not state.log.clock_doubt,
                "tidemill_mill_stalled": bool(self.stall().why),
                "tidemill_mill_no_progress_seconds": state.mill.stalled_s,
                "tidemill_store_up": state.store.up,
            },
            offsets,
            await asyncio.to_thread(self._jobs) | self._metrics.series_of_open_feeds(),
        )

    def _jobs(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """The gauges of jobs by kind and state, and of the oldest queued job; empty where they cannot be read."""
        try:
            counts, waits_s = job_gauges(self._services.catalog, self._services.clock())
        except UnavailableError:
            return {}
        return {
            "tidemill_jobs": [({"kind": kind, "state": state}, count) for (kind, state), count in counts.items()],
            "tidemill_jobs_oldest_queued_seconds": [({"kind": kind}, wait_s) for kind, wait_s in waits_s.items()],
        }

    def _offsets(self) -> dict[str, list[int]]:
        """The first, last and applied offset of every partition."""
        partitions, applied = self._services.log.partitions, self._services.applied.progress.partitions
        return {
            "tidemill_log_last_seq": [seq_of(partition.last_seq()) for partition in partitions],
            "tidemill_log_first_seq": [_first_seq(partition) for partition in partitions],
            "tidemill_applied_seq": [seq_of(progress.checkpoint) for progress in applied],
        }


def _first_seq(partition: LogPartition) -> int:
    """The oldest offset in a partition; 0 also where it cannot be read."""
    try:
        return seq_of(partition.first_seq())
    except UnavailableError:
        return 0


@get("/healthz", opt=PUBLIC, tags=["health"], summary="Alive", operation_id="healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. Says nothing of anything else."""
    return {"status": "alive"}


@get(
    "/readyz",
    opt=PUBLIC,
    tags=["health"],
    summary="Can acknowledge",
    operation_id="readyz",
    responses={503: ResponseSpec(Ready, generate_examples=False, description="It cannot; `Retry-After` says when.")},
)
async def readyz(
    request: Request[Any, Any, Any], health: NamedDependency[Health], authenticator: NamedDependency[Authenticator]
) -> Response[Ready]:
    """Whether payloads can be made durable and acknowledged; `503` when they cannot, or the server is ending. Shows
    log, mill and store to administrators, and to everybody while no key exists. Needs no key; a wrong one is
    refused."""
    details = authenticator.has_scope(dict(request.scope["headers"]), "admin", client_address(request.scope))
    ready = (await health.state()).shown(details=details)
    if ready.ready:
        return Response(ready)
    return Response(ready, status_code=503, headers={"Retry-After": "5"})


@get(
    "/metrics",
    opt={"scope": "admin"},
    tags=["health"],
    summary="Prometheus metrics",
    operation_id="metrics",
    media_type="text/plain",
)
async def metrics(health: NamedDependency[Health]) -> Response[str]:
    """Counters and gauges of this process in Prometheus' text format, for administrators."""
    return Response(await health.metrics(), media_type="text/plain; version=0.0.4")


HEALTH_ROUTES: Final = [healthz, readyz, metrics]
