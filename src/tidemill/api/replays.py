"""Routes of replays, for administrators: ask for one, follow it, cancel it. The mill does the work."""

import asyncio
import time
from typing import Any, Final

import msgspec
from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api.openapi_replays import PostReplay
from tidemill.api.prefer import applied_header, wait_s
from tidemill.api.reads_common import AnyRequest, answers, parameters
from tidemill.api.replay_request import Body, read, request
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.catalog.replays import CatalogReplays
from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.model.ids import new_receipt
from tidemill.model.replay import OVER, Difference, Replay, State
from tidemill.model.time import format_instant
from tidemill.query.parameters import QueryParameters

_LOOK_EVERY_S: Final = 0.1
_MAX_WAITING: Final = 100  # replays of a tenant that are not over


class Progress(msgspec.Struct, frozen=True):
    """How many payloads went through the rules, of how many."""

    done: int
    total: int


class ReplayItem(msgspec.Struct, frozen=True):
    """A replay as it is answered. `asked` is what was asked for; `difference` is what it changed, or would change."""

    id: str
    feed: str
    version: int
    dry_run: bool
    state: State
    asked: dict[str, Any]
    progress: Progress
    created_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    difference: dict[str, Any] | None
    links: dict[str, str]


class ReplayPage(msgspec.Struct, frozen=True):
    """The replays of this tenant, newest first."""

    items: list[ReplayItem]


def _answers(kind: Any, text: str, *problems: int, status: int = 200) -> dict[int, ResponseSpec]:
    """The documented answers of a route: `kind`, and these problems."""
    documented = answers(kind, text)
    return {status: documented[200], **{code: documented[code] for code in problems}}


@post(
    "/v1/replays",
    tags=["ledger"],
    summary="Put payloads through the rules again",
    operation_id="createReplay",
    operation_class=PostReplay,
    status_code=202,
    responses={
        **_answers(ReplayItem, "It is queued, or, with `Prefer: wait=N`, not over yet.", 400, status=202),
        200: ResponseSpec(ReplayItem, generate_examples=False, description="With `Prefer: wait=N`: it is over."),
    },
    opt={"scope": "admin"},
)
async def create_replay(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[ReplayItem]:
    """Payloads of a feed, chosen by time of receipt, by receipts or by their rejections, are decoded and judged again
    under a version of the feed (by default the one in force). With `dry_run` nothing is written: the answer says which
    records would be accepted or rejected newly, and which values and rollup windows would change. Without it, all of
    that is published together at the end; until then readers see nothing of it. A range takes payloads that were
    applied or set aside as poison; those that were refused come only when `receipts` or `rejections` name them."""
    parameters(request, QueryParameters)
    body = read(await request.body())
    now_ns = services.clock()

    def make() -> Replay:
        replays = CatalogReplays(services.catalog)
        replay = _new(body, principal.tenant, services, now_ns)
        waiting = sum(one.state not in OVER for one in replays.list(principal.tenant))
        if waiting >= _MAX_WAITING:
            message = f"{waiting} replays wait already; cancel some, or wait for them"
            raise InputError(message, (Fault("$", "too_many", message),))
        replays.create(replay)
        return replay

    replay = await to_thread.run_sync(make)
    wait = wait_s(request.headers.get("prefer", "").encode() or None, services.settings.max_wait)
    replay = await _over(services, replay, wait or 0.0)
    headers = {"Location": f"/v1/replays/{replay.id}"}
    if wait is not None:
        name, value = applied_header(wait)
        headers[name.decode()] = value.decode()
    return Response(_item(replay), status_code=200 if replay.state in OVER else 202, headers=headers)


@get(
    "/v1/replays",
    tags=["ledger"],
    summary="List the replays",
    operation_id="listReplays",
    responses=_answers(ReplayPage, "The replays, newest first; those that are over are kept up to 200.", 400),
    opt={"scope": "admin"},
)
async def list_replays(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> ReplayPage:
    """Every replay of this tenant, newest first."""
    parameters(request, QueryParameters)
    found = await to_thread.run_sync(lambda: CatalogReplays(services.catalog).list(principal.tenant))
    return ReplayPage([_item(replay) for replay in reversed(found)])


@get(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="How far a replay is, and what it changes",
    operation_id="getReplay",
    responses=_answers(ReplayItem, "The replay.", 400, 404),
    opt={"scope": "admin"},
)
async def get_replay(
    replay: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> ReplayItem:
    """A replay as it stands; with `Prefer: wait=N` as it is when it is over, or after N seconds."""
    parameters(request, QueryParameters)
    found = await to_thread.run_sync(lambda: CatalogReplays(services.catalog).get(principal.tenant, replay))
    wait = wait_s(request.headers.get("prefer", "").encode() or None, services.settings.max_wait)
    return _item(await _over(services, found, wait or 0.0))


@delete(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="Cancel a replay",
    operation_id="cancelReplay",
    status_code=200,
    responses={
        **_answers(ReplayItem, "It is cancelled, and changed nothing.", 400, 404),
        409: ResponseSpec(dict[str, Any], generate_examples=False, description="It is over, or being published."),
    },
    opt={"scope": "admin"},
)
async def cancel_replay(
    replay: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> ReplayItem:
    """End a replay that is not published yet; it leaves no trace."""
    parameters(request, QueryParameters)
    now_ns = services.clock()
    replays = CatalogReplays(services.catalog)
    return _item(await to_thread.run_sync(lambda: replays.cancel(principal.tenant, replay, now_ns)))


def _new(body: Body, tenant: str, services: Services, now_ns: int) -> Replay:
    """A replay of what is asked. Raises InputError for a feed or a version that is not there."""
    try:
        feed = services.book.current(tenant, body.feed)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.feed", "not_found", error.message),)) from None
    try:
        version = feed.version if body.version is None else body.version
        services.book.version(tenant, body.feed, version)
    except NotFoundError as error:
        raise InputError(error.message, (Fault("$.version", "not_found", error.message),)) from None
    return Replay(
        id=new_receipt(now_ns), tenant=tenant, request=request(body, version), state="queued", created_ns=now_ns
    )


async def _over(services: Services, replay: Replay, wait: float) -> Replay:
    """The replay when it is over, or after `wait` seconds."""
    until = time.monotonic() + wait
    replays = CatalogReplays(services.catalog)
    while replay.state not in OVER and time.monotonic() < until:
        await asyncio.sleep(min(_LOOK_EVERY_S, max(0.0, until - time.monotonic())))
        replay = await to_thread.run_sync(replays.get, replay.tenant, replay.id)
    return replay


def _item(replay: Replay) -> ReplayItem:
    asked = replay.request
    return ReplayItem(
        id=replay.id,
        feed=asked.feed,
        version=asked.version,
        dry_run=asked.dry_run,
        state=replay.state,
        asked=_asked(replay),
        progress=Progress(replay.done, replay.total),
        created_at=format_instant(replay.created_ns),
        started_at=_time(replay.started_ns),
        finished_at=_time(replay.finished_ns),
        error=replay.error or None,
        difference=None if replay.difference is None else _difference(replay.difference),
        links={
            "self": f"/v1/replays/{replay.id}",
            "rejections": f"/v1/rejections?feed={asked.feed}&recovered=only",
            "changes": f"/v1/changes?feed={asked.feed}",
        },
    )


def _asked(replay: Replay) -> dict[str, Any]:
    """What was asked for, without what was not: times as they are read."""
    asked = replay.request
    shown: dict[str, Any] = {"start": _time(asked.start_ns), "end": _time(asked.end_ns), "receipts": asked.receipts}
    if asked.rejections is not None:
        only = asked.rejections
        named = {"reason": only.reason, "receipt": only.receipt}
        named |= {"start": _time(only.start_ns), "end": _time(only.end_ns)}
        shown["rejections"] = {name: value for name, value in named.items() if value is not None}
    return {name: value for name, value in shown.items() if value is not None}


def _difference(found: Difference) -> dict[str, Any]:
    shown = msgspec.structs.asdict(found)
    shown["windows"] = [
        {
            "series": one.series,
            "window": format_instant(one.window_ns),
            "every_s": one.every_s,
            "old": {"mean": one.old_mean, "count": one.old_count},
            "new": {"mean": one.new_mean, "count": one.new_count},
        }
        for one in found.windows
    ]
    shown["points"] = [
        {"series": one.series, "time": format_instant(one.time_ns), "old": one.old, "new": one.new}
        for one in found.points
    ]
    return shown


def _time(ns: int | None) -> str | None:
    return None if ns is None else format_instant(ns)


REPLAY_ROUTES: Final = [create_replay, list_replays, get_replay, cancel_replay]
