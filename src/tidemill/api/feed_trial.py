"""The routes for a feed editor: `POST /v1/feeds/trial` tries a definition over a sample, and `GET /v1/feeds/schema`
says what a definition may hold. Neither stores anything."""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency

from tidemill.api.feed_trial_task import FeedTrial, TrialTask
from tidemill.api.openapi_bodies import PostTrial
from tidemill.api.reads_common import AnyRequest, ReadCall, answers_with, ask_store, parse_query, problem_spec, reading
from tidemill.api.services import Services
from tidemill.api.trial_body import MAX_SAMPLE, TrialRequest, decode_trial
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, GoneError, InputError, LimitError
from tidemill.feeds.schema import definition_schema, table_schema
from tidemill.query import readers
from tidemill.query.parameters import TEXT, Parameter, QueryParameters

LONGEST_S: Final = 10.0  # of a trial; a sample of a hundred records takes some 30 ms
_PROCESS: Final = 1  # of the pool: the one of everything but forecasts
_TASK: Final = "tidemill.api.feed_trial_task:try_feed"


@post(
    "/v1/feeds/trial",
    tags=["feeds"],
    summary="Try a definition over a sample",
    operation_id="tryFeed",
    operation_class=PostTrial,
    status_code=200,
    responses={
        **answers_with(FeedTrial, "What the definition makes of the sample; or its faults.", 400, 404, 422, 503),
        410: problem_spec("The feed was removed, or the bytes of the receipt were deleted on request."),
    },
    opt={"scope": "admin"},
)
async def try_feed(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[bytes]:
    """Checks a definition, and says what would become of each record of a sample if the definition were put and the
    sample sent to it: accepted, flagged or rejected, what each rule says, and which bytes are at fault. Stores nothing.
    The sample is a text, bytes in Base64, or the bytes of a `receipt`; it has at most 1 MiB. Faults of the definition
    come with line and columns. Duplicates and rules that look back are judged by the sample alone."""
    parse_query(request, QueryParameters)
    trial = decode_trial(await request.body())
    task = await ask_store(lambda: _task(trial, principal.tenant, services))
    pool = request.app.state["analyses"].pool
    try:
        async with asyncio.timeout(LONGEST_S):
            answer = await pool.call(_TASK, {"task": msgspec.msgpack.encode(task)}, prefer=_PROCESS, brief=True)
    except TimeoutError:
        message = f"This takes longer than {LONGEST_S:g} s; try a shorter sample, or fewer rules"
        raise LimitError("trial_time", LONGEST_S, message) from None
    return Response(answer, media_type="application/json")


def _task(trial: TrialRequest, tenant: str, services: Services) -> TrialTask:
    """The task of a request. Raises NotFoundError, GoneError and LimitError for its receipt."""
    body = trial.body
    sample, form, received_ns = trial.sample, None, trial.received_ns
    if body.receipt is not None:
        if services.pending_deletions.hides_payload(tenant, body.receipt):
            raise GoneError(f"the bytes of payload '{body.receipt[:64]}' were deleted on request")
        payload = services.queries.payload_entries.read(tenant, body.receipt, MAX_SAMPLE).entry.payload
        sample, form = payload.body, None if body.content_type else payload.format
        received_ns = payload.received_ns if received_ns is None else received_ns
    return TrialTask(
        tenant=tenant,
        text=body.definition,
        name=body.feed,
        before=None if body.feed is None else services.texts.current(tenant, body.feed),
        bound_variables=services.settings.source_variables,
        closed=services.keys.ever_keys(),
        sample=sample,
        form=form,
        content_type=body.content_type,
        received_ns=services.clock() if received_ns is None else received_ns,
        first=body.first,
        limit=body.limit,
        max_depth=services.settings.max_depth,
    )


class FeedSchemaQuery(QueryParameters, frozen=True):
    """Which part of the schema."""

    table: Annotated[
        str | None,
        Parameter("Only this table, such as `Tag`, `TimePolicy` or `check:range`.", readers.word, TEXT),
    ] = None


@reading(
    "/v1/feeds/schema",
    FeedSchemaQuery,
    of_store=False,
    tags=["feeds"],
    summary="What a definition may hold",
    responses=answers_with(dict[str, Any], "A JSON Schema (2020-12) with the meaning of every key.", 400),
)
def get_feed_schema(call: ReadCall[FeedSchemaQuery]) -> Response[dict[str, Any]]:
    """The JSON Schema of feed definitions, for completion and hover in editors: every table and key with its meaning,
    its default and the words that it takes; the checks that rules may name, those of plug-ins included, with their
    options. What goes beyond types, a trial says."""
    name = call.query.table
    schema = definition_schema() if name is None else table_schema(name)
    if schema is None:
        tables = definition_schema()["$defs"]
        message = f"table: '{name}' is no table of a definition{readers.nearest(str(name), tables)}"
        raise InputError(message, (Fault("$query.table", "invalid", message),))
    return Response(schema, headers={"Cache-Control": "private, max-age=3600"})


TRIAL_ROUTES: Final = [try_feed, get_feed_schema]
