"""Windows of everything that series have, of aggregates that follow from their extents: the last value of each of a
thousand series is known without reading all of their points."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.series_extents import SeriesExtents
from tidemill.query.series_rows import Description

OF_EXTENTS: Final = frozenset({"first", "last", "count", "missing"})


def whole_range_frame(
    extents: SeriesExtents, tenant: str, series: Sequence[Description], query: ManyPointsQuery
) -> pl.DataFrame | None:
    """The one window of a question about all points of series, as `window_frame` has it, with a row of each series with
    points, by series; null where the question needs the points themselves, or series have samples without a value."""
    bounded = (query.every, query.points, query.start, query.end, query.cursor, query.fill)
    chosen = (query.quality, query.marked, query.as_of)
    if any(given is not None for given in (*bounded, *chosen)) or not OF_EXTENTS.issuperset(query.aggregates):
        return None
    known = extents.read(tenant, {item.series: item.deleted_seq for item in series})
    if any(extent.missing for extent in known.values()):
        return None
    present = dict(sorted((number, extent) for number, extent in known.items() if extent.count))
    begin = min((extent.first_ns for extent in present.values() if extent.first_ns is not None), default=0)
    columns: dict[str, pl.Series] = {
        "series": pl.Series(list(present), dtype=pl.UInt64),
        "ns": pl.Series([begin] * len(present), dtype=pl.Int64),
        "count": pl.Series([extent.count for extent in present.values()], dtype=pl.Int64),
        "missing": pl.Series([0] * len(present), dtype=pl.Int64),
    }
    for name in {"first", "last"}.intersection(query.aggregates):
        values = extents.values_at_ends(tenant, present, newest=name == "last")
        columns[name] = pl.Series([values.get(number) for number in present], dtype=pl.Float64)
    return pl.DataFrame(columns).select(list(dict.fromkeys(["series", "ns", *query.aggregates, "count"])))
