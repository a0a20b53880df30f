"""Routes of lineage: from a point or a rollup window to the payloads that made it, and why an instant is as it is."""

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, respond, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.query.lineage import PointLineage
from tidemill.query.lineage_asked import LINEAGE_PARAMETERS, lineage
from tidemill.query.why import WHY_PARAMETERS, Story
from tidemill.query.window_lineage import WindowLineage


@get(
    "/v1/series/{series:str}/lineage",
    tags=["ledger"],
    summary="Where a point or a rollup window comes from",
    operation_id="getSeriesLineage",
    operation_class=taking(LINEAGE_PARAMETERS),
    responses=answers(
        PointLineage | WindowLineage,
        "With `time` the lineage of what stands then; with `window` that of the window that begins then.",
        more=True,
    ),
    opt={"scope": "read"},
)
async def get_series_lineage(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[Any]:
    """With `time`: the point that stands then, its payload and place in it, the record as it came, the rules that it
    passed, every value that it replaced, the duplicates that lost against it, and the rollup windows it is in. With
    `window`: the window's row and evidence, a page of the payloads that made it, values replaced and records rejected
    in it. Where nothing stands, the problem names the nearest points; `/v1/why` says why. Whoever may read sees it; the
    ledger of rejections and `/v1/why` are for administrators."""
    asked = parameters(request, LINEAGE_PARAMETERS)
    return respond(request, await ask(lambda: lineage(services.queries, principal.tenant, series, asked)))


@get(
    "/v1/why",
    tags=["ledger"],
    summary="The whole story of one instant",
    operation_id="getWhy",
    operation_class=taking(WHY_PARAMETERS),
    responses=answers(Story, "Ordered events, a verdict, and where nothing stands what is around."),
    opt={"scope": "admin"},
)
async def get_why(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Story:
    """Of an instant of a series (named by its id, or by feed, field and tags): received when and in which payload, what
    the rules said, duplicate contests, what replaced what, replays, windows, deletions, and a verdict in one sentence.
    Where nothing stands: the nearest points, records rejected nearby, and how the source was doing then. A record of
    which no time could be read is in the ledger only. For administrators, since it shows rejected records."""
    asked = parameters(request, WHY_PARAMETERS)
    story: Story = await ask(lambda: services.queries.why.why(principal.tenant, asked))
    return story


READ_ROUTES: Final = [get_series_lineage, get_why]
