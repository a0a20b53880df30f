"""Routes of feeds: what a feed holds, in its own shape. Bodies are bare JSON arrays; `Link` leads to the next page."""

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, respond, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.feeds.definition import Feed
from tidemill.query.feeds import POINTS_PARAMETERS, ROLLUP_PARAMETERS, FeedPoint, with_tags
from tidemill.query.rows import LINEAGE_PARAMETERS, ROW_PARAMETERS, Lineage, Row


async def _feed(services: NamedDependency[Services], principal: NamedDependency[Principal], name: str) -> Feed:
    """The feed in force. Raises NotFoundError."""
    return await ask(lambda: services.book.current(principal.tenant, name))


@get(
    "/v1/feeds/{feed:str}/points",
    tags=["feeds"],
    summary="A feed's points",
    operation_id="listFeedPoints",
    operation_class=taking(POINTS_PARAMETERS),
    responses=answers(list[FeedPoint], "Points in time order.", more=True),
    opt={"scope": "read"},
)
async def list_feed_points(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """Points of one field in [start, end), in time order. A feed with several fields needs `field`; its tags filter,
    also by their plain names."""
    found = await _feed(services, principal, feed)
    asked = parameters(request, with_tags(POINTS_PARAMETERS, found))
    return respond(request, await ask(lambda: services.queries.feeds.points(principal.tenant, found, asked)))


@get(
    "/v1/feeds/{feed:str}/rows",
    tags=["feeds"],
    summary="A feed's summary rows",
    operation_id="listRows",
    operation_class=taking(ROW_PARAMETERS),
    responses=answers(list[Row], "Rows in time order.", more=True),
    opt={"scope": "read"},
)
async def list_rows(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """Mean, deviations and count of each record of a feed with shape `summary`, and the receipt it came with."""
    found = await _feed(services, principal, feed)
    asked = parameters(request, with_tags(ROW_PARAMETERS, found))
    return respond(request, await ask(lambda: services.queries.rows.page(principal.tenant, found, asked)))


@get(
    "/v1/feeds/{feed:str}/rows/{time:str}/lineage",
    tags=["feeds"],
    summary="Where a row comes from",
    operation_id="getLineage",
    operation_class=taking(LINEAGE_PARAMETERS),
    responses=answers(Lineage, "The row, its payload, the rules that made it, and every row it replaced."),
    opt={"scope": "read"},
)
async def get_lineage(
    feed: FromPath[str],
    time: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Lineage:
    """From a row (its time in any offset) to the payload, byte for byte, that made it, the version of the rules, and
    every row that stood there before, newest first."""
    found = await _feed(services, principal, feed)
    asked = parameters(request, with_tags(LINEAGE_PARAMETERS, found))
    lineage: Lineage = await ask(lambda: services.queries.rows.lineage(principal.tenant, found, time, asked))
    return lineage


@get(
    "/v1/feeds/{feed:str}/rollups",
    tags=["feeds"],
    summary="A feed's rollup windows",
    operation_id="listRollups",
    operation_class=taking(ROLLUP_PARAMETERS),
    responses=answers(list[dict[str, Any]], "Windows in time order: time, tags, averages by field, count.", more=True),
    opt={"scope": "read"},
)
async def list_rollups(
    feed: FromPath[str], request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """One row a window and set of tags. A field's mean has the field's name, other aggregates `field_aggregate`;
    `count` is how many records the window has. Tags filter, also by their plain names (`user_id=a1`). With
    `evidence=true` also `n`, `expected`, `coverage`, `rejected`, `late`, `restated_at`, `sealed`, and of a feed with a
    source what came of its polls."""
    found = await _feed(services, principal, feed)
    asked = parameters(request, with_tags(ROLLUP_PARAMETERS, found))
    return respond(request, await ask(lambda: services.queries.feeds.rollups(principal.tenant, found, asked)))


READ_ROUTES: Final = [list_feed_points, list_rows, get_lineage, list_rollups]
