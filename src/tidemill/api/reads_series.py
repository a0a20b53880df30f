"""Routes of series: list, count, one in full, its points, its metrics."""

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, respond, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.query.points import POINTS_PARAMETERS, PointPage
from tidemill.query.series import (
    FILTERS,
    FULL_PARAMETERS,
    METRICS_PARAMETERS,
    PAGE_PARAMETERS,
    FullSeries,
    SeriesCount,
    SeriesMetrics,
    SeriesPage,
)


@get(
    "/v1/series",
    tags=["series"],
    summary="List series",
    operation_id="listSeries",
    operation_class=taking(PAGE_PARAMETERS),
    responses=answers(SeriesPage, "A page of series; `next` is the cursor of the following one."),
    opt={"scope": "read"},
)
async def list_series(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> SeriesPage:
    """Series by feed, name, field and id, with the count of present points and the times of the first and last."""
    asked = parameters(request, PAGE_PARAMETERS)
    page: SeriesPage = await ask(lambda: services.queries.series.page(principal.tenant, asked))
    return page


@get(
    "/v1/series/count",
    tags=["series"],
    summary="Count series",
    operation_id="countSeries",
    operation_class=taking(FILTERS),
    responses=answers(SeriesCount, "How many series match, in all and by feed."),
    opt={"scope": "read"},
)
async def count_series(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> SeriesCount:
    """How many series match the filters. A deleted series counts no more from the moment its deletion is answered."""
    asked = parameters(request, FILTERS)
    count: SeriesCount = await ask(lambda: services.queries.series.count(principal.tenant, asked))
    return count


@get(
    "/v1/series/{series:str}",
    tags=["series"],
    summary="A series with every sample",
    operation_id="getSeries",
    operation_class=taking(FULL_PARAMETERS),
    responses=answers(FullSeries, "As JSON: what the series is, and its `values` and `times`. Else rows of both."),
    opt={"scope": "read"},
)
async def get_series(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Every sample in time order, streamed: JSON up to 5,000,000 samples, ndjson, csv, arrow and parquet without
    limit. A sample that is present but missing is null."""
    asked = parameters(request, FULL_PARAMETERS)
    return respond(request, await ask(lambda: services.queries.series.full(principal.tenant, series, asked)))


@get(
    "/v1/series/{series:str}/points",
    tags=["series"],
    summary="Points of a series, raw or over windows",
    operation_id="listPoints",
    operation_class=taking(POINTS_PARAMETERS),
    responses=answers(PointPage, "A page of points or windows.", more=True),
    opt={"scope": "read"},
)
async def list_points(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Points in [start, end), raw or (with `every`) aggregated over windows that follow the calendar of `tz`. The first
    and last window hold only points in the range; `time` is where the window starts. A raw point as json, ndjson or csv
    has `flags`: what was decided about a local time that a clock change made twice (`fold_earlier`, `fold_later`) or
    skipped (`gap_shifted`), or that the feed's shift was added (`shifted`), and `marks`: the reason codes of rules that
    flagged it. `quality=good` leaves flagged points out, `marked=CODE` shows only those flagged so; both hold for
    windows, too."""
    asked = parameters(request, POINTS_PARAMETERS)
    return respond(request, await ask(lambda: services.queries.points.page(principal.tenant, series, asked)))


@get(
    "/v1/series/{series:str}/metrics",
    tags=["series"],
    summary="Time-domain metrics of a series",
    operation_id="getMetrics",
    operation_class=taking(METRICS_PARAMETERS),
    responses=answers(SeriesMetrics, "The metrics; null where one is not defined, never NaN."),
    opt={"scope": "read"},
)
async def get_metrics(
    series: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> SeriesMetrics:
    """Location, spread, shape, amplitude and sampling of the samples in [start, end). `kurtosis` is 3 for a normal
    distribution, `kurtosis_excess` 0; quantiles interpolate linearly (type 7)."""
    asked = parameters(request, METRICS_PARAMETERS)
    found: SeriesMetrics = await ask(lambda: services.queries.series.metrics(principal.tenant, series, asked))
    return found


READ_ROUTES: Final = [list_series, count_series, get_series, list_points, get_metrics]
