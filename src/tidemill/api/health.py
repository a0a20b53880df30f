"""`/healthz` (alive), `/readyz` (can acknowledge) and `/metrics`. None of them needs a key."""

import asyncio
import time
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from tidemill.api.body import Gate
from tidemill.api.metrics import Metrics
from tidemill.api.services import Services
from tidemill.errors import TidemillError
from tidemill.log.contract import LogHealth

STORE_MEMORY_S: Final = 1.0  # the store is not asked more often than this, whoever asks us
STORE_PATIENCE_S: Final = 2.0
MILL_SILENT_S: Final = 5.0
PUBLIC: Final = {"scope": None}


class MillView(msgspec.Struct, frozen=True):
    """The mill as the API sees it: how far it is, how far behind, and what it says of itself."""

    state: str
    applied_seq: int
    lag: int
    last_error: str


class StoreView(msgspec.Struct, frozen=True):
    """Whether the store answers, and if not, why."""

    up: bool
    reason: str


class Ready(msgspec.Struct, frozen=True):
    """What `/readyz` says. `ready`: payloads can be acknowledged; store and mill are shown and do not decide it."""

    ready: bool
    open_access: bool
    log: LogHealth
    mill: MillView
    store: StoreView


class Health:
    """Looks at the parts; remembers the store's state for a moment."""

    def __init__(self, services: Services, gate: Gate, metrics: Metrics, is_open: Any) -> None:
        self._services, self._gate, self._metrics, self._is_open = services, gate, metrics, is_open
        self._store = StoreView(False, "not asked yet")
        self._asked = -STORE_MEMORY_S
        self._asking = asyncio.Lock()

    async def ready(self) -> Ready:
        """The state of everything, now."""
        log = await asyncio.to_thread(self._services.log.health)
        store = await self.store()
        return Ready(log.accepting, self._is_open(), log, self.mill(), store)

    async def store(self) -> StoreView:
        """Whether the store answers; asked at most once a second."""
        async with self._asking:
            if time.monotonic() - self._asked > STORE_MEMORY_S:
                self._store = await self._ask_store()
                self._asked = time.monotonic()
        return self._store

    async def _ask_store(self) -> StoreView:
        try:
            async with asyncio.timeout(STORE_PATIENCE_S):
                await asyncio.to_thread(self._services.store.ping)
        except TimeoutError:
            return StoreView(False, f"no answer within {STORE_PATIENCE_S:g} s")
        except TidemillError as error:
            return StoreView(False, error.message)
        return StoreView(True, "")

    def mill(self) -> MillView:
        """How far the mill is, and what it said last."""
        applied, last = self._services.applied.seq, self._services.log.last_seq()
        status = self._services.mill_status()
        if status is None:
            return MillView("unknown", applied, last - applied, "")
        silent_s = (self._services.clock() - status.looped_at_ns) / 1e9
        state = "silent" if silent_s > MILL_SILENT_S else status.state
        return MillView(state, applied, last - applied, status.last_error)

    async def metrics(self) -> str:
        """The Prometheus page."""
        state = await self.ready()
        return self._metrics.render(
            {
                "tidemill_intake_in_flight": self._gate.requests,
                "tidemill_intake_in_flight_bytes": self._gate.bytes,
                "tidemill_log_last_seq": state.log.last_seq,
                "tidemill_log_first_seq": state.log.first_seq,
                "tidemill_log_bytes": state.log.size_bytes,
                "tidemill_log_free_bytes": state.log.free_bytes,
                "tidemill_log_accepting": state.log.accepting,
                "tidemill_applied_seq": state.mill.applied_seq,
                "tidemill_store_up": state.store.up,
            }
        )


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
async def readyz(health: NamedDependency[Health]) -> Response[Ready]:
    """Whether payloads can be made durable and acknowledged; shows log, mill and store. `503` when they cannot."""
    state = await health.ready()
    if state.ready:
        return Response(state)
    return Response(state, status_code=503, headers={"Retry-After": "5"})


@get(
    "/metrics",
    opt=PUBLIC,
    tags=["health"],
    summary="Prometheus metrics",
    operation_id="metrics",
    media_type="text/plain",
)
async def metrics(health: NamedDependency[Health]) -> Response[str]:
    """Counters and gauges of this process in Prometheus' text format."""
    return Response(await health.metrics(), media_type="text/plain; version=0.0.4")


HEALTH_ROUTES: Final = [healthz, readyz, metrics]
