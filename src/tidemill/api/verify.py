"""The route of `tidemill verify` at a running server: newline-delimited JSON while the work goes on, the report last.

The work is done in a thread of its own, and ends when whoever asked goes away. It reads a whole tenant, so
each tenant has one at a time, and there are MAX_RUNS in all; who comes too many is told to come back.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from tidemill.api.reads_common import AnyRequest, answers, parameters, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import TidemillError, UnavailableError
from tidemill.mill.verify.report import Report
from tidemill.mill.verify.scope import check_feed
from tidemill.mill.verify.walk import Progress, Scope, Verifier
from tidemill.query import readers
from tidemill.query.parameters import TEXT, FeedName, Parameter, QueryParameters, Unit


class VerifyQuery(QueryParameters, frozen=True):
    """What is verified."""

    feed: FeedName = None
    since: Annotated[int | None, Parameter("Only what was received from this instant on.", readers.instant, TEXT)] = (
        None
    )
    unit: Unit = None


_TELL_EVERY_S: Final = 0.2
MAX_RUNS: Final = 2
_RETRY_S: Final = 30.0
_running: Final = set[str]()  # tenants
_lock: Final = threading.Lock()
_log = logging.getLogger(__name__)


class VerifyLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `progress` comes now and then; the last line has `report`, or the `error` that ended the work.
    `report.adds_up` says whether everything is accounted for; `report.counts` has every finding by its code."""

    progress: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    error: dict[str, str] | None = None


class _GoneError(Exception):
    """Nobody listens any more."""


@get(
    "/v1/verify",
    tags=["ledger"],
    summary="Prove that everything is accounted for",
    operation_id="verify",
    operation_class=taking(VerifyQuery),
    responses={
        status: spec
        for status, spec in answers(VerifyLine, "One line after the other.", "application/x-ndjson").items()
        if status in (200, 400, 404, 503)
    },
    opt={"scope": "admin"},
)
async def verify(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Stream:
    """Walks log, payloads, ledger, points and rollups of this tenant: of every receipt accepted + rejected are the
    records in its bytes, and of every accepted record each point stands, was replaced, or its absence is explained.
    What does not add up is listed. A million payloads take about a minute."""
    query = parameters(request, VerifyQuery)
    scope = Scope(tenant=principal.tenant, feed=query.feed or "", since_ns=query.since)
    await to_thread.run_sync(check_feed, services.store, services.book, [scope.tenant], scope.feed)
    _room(scope.tenant)
    await to_thread.run_sync(services.store.ping)  # what cannot begin is said by the status
    return Stream(_lines(services, scope), media_type="application/x-ndjson")


def _room(tenant: str) -> None:
    """Raises UnavailableError when no verification of this tenant can begin now."""
    if tenant in _running:
        raise UnavailableError("A verification of yours is running; ask again when it has ended.", _RETRY_S)
    if len(_running) >= MAX_RUNS:
        raise UnavailableError(f"{MAX_RUNS} verifications are running; ask again in a while.", _RETRY_S)


def _enter(tenant: str) -> None:
    with _lock:
        _room(tenant)
        _running.add(tenant)


def _leave(tenant: str) -> None:
    with _lock:
        _running.discard(tenant)


async def _lines(services: Services, scope: Scope) -> AsyncIterator[bytes]:
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[VerifyLine]()
    gone = threading.Event()

    def say(line: VerifyLine) -> None:
        if gone.is_set():
            raise _GoneError
        loop.call_soon_threadsafe(lines.put_nowait, line)

    try:
        _enter(scope.tenant)
    except UnavailableError as error:  # somebody else was faster since the answer began
        refused = VerifyLine(error={"code": error.code, "message": error.message})
        yield msgspec.json.encode(refused) + b"\n"
        return
    threading.Thread(target=_work, args=(services, scope, say), name="verify", daemon=True).start()
    try:
        while True:
            line = await lines.get()
            yield msgspec.json.encode(line) + b"\n"
            if line.progress is None:
                return
    finally:
        gone.set()


def _work(services: Services, scope: Scope, say: Callable[[VerifyLine], None]) -> None:
    try:
        try:
            report = _verifier(services).run(scope, _now_and_then(say))
        finally:
            _leave(scope.tenant)
        say(VerifyLine(report=_shown(report)))
    except _GoneError:
        return
    except TidemillError as error:
        _fail(say, error.code, error.message)
    except RuntimeError:  # the server's loop has ended
        return
    except Exception:
        _log.exception("a verification failed")
        _fail(say, "internal", "the verification failed; the server's log says why")


def _fail(say: Callable[[VerifyLine], None], code: str, message: str) -> None:
    try:
        say(VerifyLine(error={"code": code, "message": message}))
    except (_GoneError, RuntimeError):
        return


def _verifier(services: Services) -> Verifier:
    return Verifier(
        services.store,
        services.book,
        services.settings.folder,
        lambda: services.applied.progress,
        catalog=services.catalog,
        live=True,
        max_depth=services.settings.max_depth,
        clock=services.clock,
    )


def _now_and_then(say: Callable[[VerifyLine], None]) -> Callable[[Progress], None]:
    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_EVERY_S:
            told = time.monotonic()
            say(VerifyLine(progress=msgspec.structs.asdict(progress)))

    return tell


def _shown(report: Report) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(report)
    return shown | {"adds_up": report.adds_up}


VERIFY_ROUTES: Final = [verify]
