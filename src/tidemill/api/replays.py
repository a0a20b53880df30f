"""Routes of replays, for administrators: create, follow and cancel them. They are views of the jobs of that kind."""

from typing import Final

import msgspec
from anyio import to_thread
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.job_request import replay_of
from tidemill.api.job_views import (
    PayloadSelection,
    ReplayDifference,
    instant_text,
    payload_selection,
    replay_difference,
)
from tidemill.api.jobs import MAX_QUEUED, queue_job, queued_answer, queued_answers, wait_until_over
from tidemill.api.openapi_bodies import PostReplay
from tidemill.api.prefer import preferred_wait_s
from tidemill.api.reads_common import (
    AnyRequest,
    ReadCall,
    answer_specs,
    answers_with,
    parse_query,
    problem_spec,
    reading,
)
from tidemill.api.replay_request import decode_replay_body
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.catalog.replays import CatalogReplays
from tidemill.errors import ConflictError
from tidemill.model.job import OVER, State
from tidemill.model.replay import Replay
from tidemill.model.time import format_instant
from tidemill.query.answers import Page
from tidemill.query.parameters import QueryParameters
from tidemill.query.replay_differences import DifferencePage, DifferenceQuery

MAX_LISTED: Final = 200


class ReplayProgress(msgspec.Struct, frozen=True):
    """How many payloads are done, of how many."""

    done: int
    total: int


class ReplayItem(msgspec.Struct, frozen=True):
    """A replay as the API answers it. `asked`: the chosen payloads; `difference`: what it changed, or would change,
    with the largest changes (all of them are at `links.difference`). `draft`: a draft was tried, and `version` is the
    one in force when it was."""

    id: str
    feed: str
    version: int
    dry_run: bool
    draft: bool
    state: State
    payloads: PayloadSelection = msgspec.field(name="asked")
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
    responses=queued_answers(ReplayItem),
    opt={"scope": "admin"},
)
async def create_replay(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[ReplayItem]:
    """Payloads of a feed, chosen by time of receipt, by receipts or by their rejections, are decoded and checked again
    under a version of the feed (by default the one in force). With `dry_run` nothing is written: the answer says which
    records would be newly accepted or rejected, and which values and rollup windows would change. Without it, all
    changes are published at once at the end; until then no answer shows them. A range takes payloads that were applied
    or set aside as poison; refused payloads are taken only where `receipts` or `rejections` name them."""
    parse_query(request, QueryParameters)
    body = decode_replay_body(await request.body())

    def make() -> Replay:
        replay = replay_of(body, principal.tenant, services, services.clock())
        queue_job(services, replay)
        return replay

    replay, options = await queued_answer(services, request, await to_thread.run_sync(make), "/v1/replays")
    return Response(_item(replay), **options)


@get(
    "/v1/replays",
    tags=["ledger"],
    summary="List the replays",
    operation_id="listReplays",
    responses=answers_with(ReplayPage, f"The replays, newest first; of those that are over {MAX_LISTED}.", 400),
    opt={"scope": "admin"},
)
async def list_replays(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> ReplayPage:
    """Every replay of this tenant, newest first. `/v1/jobs?kind=replay` lists them in pages."""
    parse_query(request, QueryParameters)
    replays, limit = CatalogReplays(services.catalog), MAX_LISTED + MAX_QUEUED
    newest = await to_thread.run_sync(lambda: replays.page(principal.tenant, None, None, limit))
    over = [replay.id for replay in newest if replay.state in OVER]
    unlisted = set(over[MAX_LISTED:])
    return ReplayPage([_item(replay) for replay in newest if replay.id not in unlisted])


@get(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="How far a replay is, and what it changes",
    operation_id="getReplay",
    responses=answers_with(ReplayItem, "The replay.", 400, 404),
    opt={"scope": "admin"},
)
async def get_replay(
    replay: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> ReplayItem:
    """The present state of a replay; with `Prefer: wait=N` its state when it is over, or after N seconds."""
    parse_query(request, QueryParameters)
    current = await to_thread.run_sync(lambda: CatalogReplays(services.catalog).get(principal.tenant, replay))
    wait_s = preferred_wait_s(request.headers.get("prefer"), services.settings.max_wait)
    return _item(await wait_until_over(services, current, wait_s or 0.0))


@delete(
    "/v1/replays/{replay:str}",
    tags=["ledger"],
    summary="Cancel a replay",
    operation_id="cancelReplay",
    status_code=200,
    responses={
        **answers_with(ReplayItem, "It is cancelled, and changed nothing.", 400, 404),
        409: problem_spec("It is over, or being published."),
    },
    opt={"scope": "admin"},
)
async def cancel_replay(
    replay: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> ReplayItem:
    """Ends a replay that has not published anything yet; it changes nothing."""
    parse_query(request, QueryParameters)
    now_ns = services.clock()
    replays = CatalogReplays(services.catalog)
    return _item(await to_thread.run_sync(lambda: replays.cancel(principal.tenant, replay, now_ns)))


@reading(
    "/v1/replays/{replay:str}/difference",
    DifferenceQuery,
    scope="admin",
    tags=["ledger"],
    summary="All that a replay changes",
    responses={
        **answer_specs(DifferencePage, "A page of the difference; `next` is the cursor of the next.", more=True),
        409: problem_spec("It is not concluded yet, or was cancelled."),
    },
)
def get_replay_difference(call: ReadCall[DifferenceQuery], replay: str) -> Page:
    """What a replay changes, or as a dry run would change, row by row: the windows and points with the largest changes
    first, or the records whose outcome changes, in the order of the log; of each kind at most a million. As csv, ndjson
    or parquet the whole kind. Kept of the newest 20 replays, until something of the feed is deleted."""
    current = CatalogReplays(call.services.catalog).get(call.tenant, replay)
    outcome = current.result
    if outcome is None:
        message = f"replay {replay[:64]} is {current.state}: what it changes is known once it is concluded"
        raise ConflictError(message)
    changes = outcome.points_added + outcome.points_removed + outcome.points_changed + outcome.windows_changed
    changes += outcome.newly_accepted_total + outcome.newly_rejected_total + outcome.reasons_changed
    return call.queries.replay_differences.answer(
        call.tenant, replay, current.request.feed, call.query, changes=changes > 0
    )


def _item(replay: Replay) -> ReplayItem:
    request = replay.request
    return ReplayItem(
        id=replay.id,
        feed=request.feed,
        version=request.version,
        dry_run=request.dry_run,
        draft=request.draft,
        state=replay.state,
        payloads=payload_selection(replay),
        progress=ReplayProgress(replay.done, replay.total),
        created_at=format_instant(replay.created_ns),
        started_at=instant_text(replay.started_ns),
        finished_at=instant_text(replay.finished_ns),
        error=replay.error or None,
        difference=None if replay.result is None else replay_difference(replay.result),
        links={
            "self": f"/v1/replays/{replay.id}",
            "difference": f"/v1/replays/{replay.id}/difference",
            "rejections": f"/v1/rejections?feed={request.feed}&recovered=only",
            "changes": f"/v1/changes?feed={request.feed}",
        },
    )


REPLAY_ROUTES: Final = [create_replay, list_replays, get_replay, cancel_replay, get_replay_difference]
