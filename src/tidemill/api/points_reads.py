"""Routes of questions about several series: `GET /v1/points` and `POST /v1/query`."""

from typing import Any, Final

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency

from tidemill.api.openapi_bodies import PostQuestion
from tidemill.api.query_body import decode_question
from tidemill.api.reads_common import (
    AnyRequest,
    ReadCall,
    answer_specs,
    ask_store,
    known_tags,
    parse_query,
    reading,
    response_of,
)
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import InputError
from tidemill.query.answers import Page
from tidemill.query.many_points_answers import PointColumns, PointRows
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.parameters import QueryParameters
from tidemill.query.questions import Answer, Question


@reading(
    "/v1/points",
    ManyPointsQuery,
    tags=["series"],
    summary="Points of several series, raw or over windows",
    responses=answer_specs(
        PointColumns | PointRows, "A page of columns, or with `shape=rows` of rows.", more=True, tagged=True
    ),
)
def list_many_points(call: ReadCall[ManyPointsQuery]) -> Page:
    """Series chosen by ids, or by feed, field, name and tags (at most 1,000), in [start, end): over windows of `every`,
    over at most `points` windows whose length the server picks, with `agg` alone over the whole range, else raw. All
    windows follow the calendar of `tz`. A page has at most `limit` windows (or raw points), and at most 1,000,000
    values of an aggregate. `evidence=true` says what is missing, and why: `gaps` are runs of windows without points in
    which one was due, and `why` is `unknown` where the reason cannot be known. `ladder` has the lengths from which
    `points` picks."""
    return call.queries.many_points.read_many(call.tenant, call.query, call.services.clock(), call.known)


@post(
    "/v1/query",
    tags=["series"],
    summary="Ask about several series: group by tags, and compute with them",
    operation_id="querySeries",
    operation_class=PostQuestion,
    status_code=200,
    responses=answer_specs(Answer, "The selections and the expressions of each group, in columns.", tagged=True),
    opt={"scope": "read"},
)
async def query_series(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """Windows of selected series, as `GET /v1/points` has them, grouped by tags. Series belong together whose tags of
    `group_by` agree (by default all tags; `[]`: all series); `across` says what the values of several series of a
    selection become in a window. `expressions` are numbers made of the names of selections by `+ - * / %`, parentheses
    and `abs min max round sqrt`, for each aggregate; a value is null where one of its values is, or by division by
    zero. `evidence` adds up what is known of a group's series, and `gaps` are those of each series; `thin` answers raw
    points of groups with one series each. An answer about a closed range has an `ETag`: with it in `If-None-Match` the
    same question is answered 304. A file (`format`) has a row for each group, selection or expression, and window, with
    the columns `name`, `tag.NAME` for each tag, `time` and the aggregates."""
    parse_query(request, QueryParameters)
    body = await request.body()
    question = decode_question(body)
    request.scope["state"]["question"] = msgspec.json.decode(body)  # for the nearest questions, if it is too big
    now_ns = services.clock()
    known = known_tags(request)
    return response_of(request, await ask_store(lambda: _answer(services, principal.tenant, question, now_ns, known)))


def _answer(services: Services, tenant: str, question: Question, now_ns: int, known: frozenset[str]) -> Page:
    """The answer to a question. Raises what `Questions.read_page` does, with paths in the body."""
    try:
        return services.queries.questions.read_page(tenant, question, now_ns, known)
    except InputError as error:
        error.faults = tuple(msgspec.structs.replace(f, path=f.path.replace("$query", "$")) for f in error.faults)
        raise


POINTS_ROUTES: Final = [list_many_points, query_series]
