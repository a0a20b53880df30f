"""Routes that read series: the list, the count, a series in full, its points. `series.py` writes them."""

from typing import Final

from tidemill.api.reads_common import ReadCall, answer_specs, reading
from tidemill.query.answers import Page
from tidemill.query.point_windows import WindowPage
from tidemill.query.points import PointPage
from tidemill.query.points_query import PointsQuery
from tidemill.query.series import (
    FullSeries,
    FullSeriesQuery,
    SeriesCount,
    SeriesFilter,
    SeriesPage,
    SeriesQuery,
)


@reading(
    "/v1/series",
    SeriesQuery,
    tags=["series"],
    summary="List series",
    responses=answer_specs(SeriesPage, "A page of series; `next` is the cursor of the following one."),
)
def list_series(call: ReadCall[SeriesQuery]) -> SeriesPage:
    """Series by feed, name, field and id, with the count of present points and the times of the first and last. With
    `q` a search: the best matches first, and how many match in `total`. `facets` counts the values of feeds, fields and
    tags among all that match."""
    removed = call.services.book.removed(call.tenant)
    return call.queries.series.list_series(call.tenant, call.query, removed)


@reading(
    "/v1/series/count",
    SeriesFilter,
    tags=["series"],
    summary="Count series",
    responses=answer_specs(SeriesCount, "How many series match, in all and by feed."),
)
def count_series(call: ReadCall[SeriesFilter]) -> SeriesCount:
    """How many series match the filters. A series is not counted any more once its deletion is answered."""
    return call.queries.series.count_series(call.tenant, call.query)


@reading(
    "/v1/series/{series:str}",
    FullSeriesQuery,
    tags=["series"],
    summary="A series with every sample",
    responses=answer_specs(FullSeries, "As JSON: what the series is, and its `values` and `times`. Else rows of both."),
)
def get_series(call: ReadCall[FullSeriesQuery], series: str) -> Page:
    """Every sample in time order, streamed: JSON up to 5,000,000 samples, ndjson, csv, arrow and parquet without
    limit. A sample without a value is null."""
    return call.queries.series.read_series(call.tenant, series, call.query)


@reading(
    "/v1/series/{series:str}/points",
    PointsQuery,
    tags=["series"],
    summary="Points of a series, raw or over windows",
    responses=answer_specs(WindowPage | PointPage, "A page of points, or with `every` of windows.", more=True),
)
def list_points(call: ReadCall[PointsQuery], series: str) -> Page:
    """Points in [start, end), raw or (with `every`) aggregated over windows that follow the calendar of `tz`. The first
    and last window hold only points in the range; `time` is the start of the window. A raw point as json, ndjson or csv
    has `flags`: how a local time was read that a clock change repeated (`fold_earlier`, `fold_later`) or skipped
    (`gap_shifted`), or that the feed's shift was added (`shifted`), and `marks`: the reason codes of rules that flagged
    it. `quality=good` leaves flagged points out, `marked=CODE` selects those with that mark, also for windows."""
    return call.queries.points.read_points(call.tenant, series, call.query)


SERIES_ROUTES: Final = [list_series, count_series, get_series, list_points]
