"""Routes of questions about several series: `GET /v1/points` and `POST /v1/query`."""

from typing import Final

from tidemill.api.reads_common import ReadCall, answer_specs, reading
from tidemill.query.answers import Page
from tidemill.query.many_points import ManyPointsQuery, PointColumns, PointRows


@reading(
    "/v1/points",
    ManyPointsQuery,
    tags=["series"],
    summary="Points of several series, raw or over windows",
    responses=answer_specs(PointColumns | PointRows, "A page of columns, or with `shape=rows` of rows.", more=True),
)
def list_many_points(call: ReadCall[ManyPointsQuery]) -> Page:
    """Series chosen by ids, or by feed, field, name and tags (at most 1,000), in [start, end): over windows of `every`,
    over at most `points` windows whose length the server picks, with `agg` alone over the whole range, else raw. All
    windows follow the calendar of `tz`. A page has at most `limit` windows (or raw points), and at most 1,000,000
    values of an aggregate."""
    return call.queries.many_points.read_many(call.tenant, call.query)


POINTS_ROUTES: Final = [list_many_points]
