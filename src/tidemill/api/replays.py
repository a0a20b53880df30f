"""Routes of replays, for administrators: ask for one, follow it, cancel it. A view of the jobs of that kind."""

from typing import Any, Final

import msgspec
from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api.job_request import replay_of
from tidemill.api.job_views import PayloadSelection, ReplayDifference, difference, selection, time_text
from tidemill.api.jobs import MAX_QUEUED, documented, queue_job, queued_answer, until_over
from tidemill.api.openapi_replays import PostReplay
from tidemill.api.prefer import wait_s
from tidemill.api.reads_common import AnyRequest, parameters
from tidemill.api.replay_request import read
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.catalog.replays import CatalogReplays
from tidemill.model.job import OVER, State
from tidemill.model.replay import Replay
from tidemill.model.time import format_instant
from tidemill.query.parameters import QueryParameters

MAX_LISTED: Final = 200


class ReplayProgress(msgspec.Struct, frozen=True):
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
    asked: PayloadSelection
    progress: ReplayProgress
    created_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    difference: ReplayDifference | None
    links: dict[str, str]


class ReplayPage(msgspec.Struct, frozen=True):
    """The replays of this tenant, newest first."""

    items: list[ReplayItem]


@post(
    "/v1/replays",
    tags=["ledger"],
    summary="Put payloads through the rules again",
    operation_id="createReplay",
    operation_class=PostReplay,
    status_code=202,
    responses={
        **documented(ReplayItem, "It is queued, or, with `Prefer: wait=N`, not over yet.", 400, status=202),
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

    def make() -> Replay:
        replay = replay_of(body, principal.tenant, services, services.clock())
        queue_job(services, replay)
        return replay

    replay, how = await queued_answer(services, request, await to_thread.run_sync(make), "/v1/replays")
    return Response(_item(replay), **how)


@get(
    "/v1/replays",
    tags=["ledger"],
    summary="List the replays",
    operation_id="listReplays",
    responses=documented(ReplayPage, f"The replays, newest first; of those that are over {MAX_LISTED}.", 400),
    opt={"scope": "admin"},
)
async def list_replays(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> ReplayPage:
    """Every replay of this tenant, newest first. `/v1/jobs?kind=replay` lists them in pages."""
    parameters(request, QueryParameters)
    replays, most = CatalogReplays(services.catalog), MAX_LISTED + MAX_QUEUED
    newest = await to_thread.run_sync(lambda: replays.page(principal.tenant, None, None, most))
    over = [replay.id for replay in newest if replay.state in OVER]
    unlisted = set(over[MAX_LISTED:])
    return ReplayPage([_item(replay) for replay in newest if replay.id not in unlisted])


@get(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="How far a replay is, and what it changes",
    operation_id="getReplay",
    responses=documented(ReplayItem, "The replay.", 400, 404),
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
    return _item(await until_over(services, found, wait or 0.0))


@delete(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="Cancel a replay",
    operation_id="cancelReplay",
    status_code=200,
    responses={
        **documented(ReplayItem, "It is cancelled, and changed nothing.", 400, 404),
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


def _item(replay: Replay) -> ReplayItem:
    asked = replay.request
    return ReplayItem(
        id=replay.id,
        feed=asked.feed,
        version=asked.version,
        dry_run=asked.dry_run,
        state=replay.state,
        asked=selection(replay),
        progress=ReplayProgress(replay.done, replay.total),
        created_at=format_instant(replay.created_ns),
        started_at=time_text(replay.started_ns),
        finished_at=time_text(replay.finished_ns),
        error=replay.error or None,
        difference=None if replay.result is None else difference(replay.result),
        links={
            "self": f"/v1/replays/{replay.id}",
            "rejections": f"/v1/rejections?feed={asked.feed}&recovered=only",
            "changes": f"/v1/changes?feed={asked.feed}",
        },
    )


REPLAY_ROUTES: Final = [create_replay, list_replays, get_replay, cancel_replay]
