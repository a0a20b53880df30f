"""Raw points of several series, thinned where a series has more than are asked for. Extremes are never hidden.

`minmax`: the first and the last point, and the points with the smallest and the largest value of each of some equal
stretches of time. `lttb`: Largest Triangle Three Buckets of four times as many points of `minmax` (Van Der Donckt et
al. (2023), MinMaxLTTB), and always the smallest and the largest value.
"""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from tidemill.analysis.thinning import largest_triangles
from tidemill.errors import LimitError
from tidemill.query.chosen_series import bound_series
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.nearest import MAX_CELLS
from tidemill.query.parameters import quality_params, time_range
from tidemill.query.series_rows import Description
from tidemill.store.client import Store

MAX_TRIANGLES: Final = 200_000  # points that `lttb` chooses for an answer: 10 us each
_PRESELECTED: Final = 4
_POINT: Final = ("ns", "ordinal", "value")
_KEY: Final = ("series", "ns", "ordinal")


def thinned_points(
    store: Store, tenant: str, query: ManyPointsQuery, series: Sequence[Description]
) -> tuple[pl.DataFrame, dict[int, int]]:
    """At most `points` points of each series with values in the range: columns `series`, `ns`, `value` in order of time
    and series; and how many points each series has there. Raises LimitError for more points than an answer holds."""
    points = query.points
    assert points is not None
    _check_size(len(series) * points, query.thin)
    span = time_range(query.start, query.end)
    bound = {"tenant": tenant, "first": span.first_ns, "last": span.last_ns, "nulls": 0}
    bound |= quality_params(query.quality, query.marked)
    extent, once = store.frame("points_extremes_once", **bound, **_bound(series, span.first_ns)), "_once"
    if (extent["ordinals"] > 0).any():
        extent, once = store.frame("points_extremes", **bound, **_bound(series, span.first_ns)), ""
    counts = dict(zip(extent["series"].to_list(), extent["count"].to_list(), strict=True))
    few = [item for item in series if 0 < counts.get(item.series, 0) <= points]
    many = [item for item in series if counts.get(item.series, 0) > points]
    parts = []
    if few:
        parts.append(store.frame("points_all", **bound, **_bound(few, span.first_ns)))
    if many:
        kept = points * (_PRESELECTED if query.thin == "lttb" else 1)
        stretches = [(item, (kept - 2) // 2) for item in many]
        parts.append(_extremes(store, bound, extent, stretches, first=span.first_ns, name=f"points_of_stretches{once}"))
    if not parts:
        return extent.select("series", ns="first_ns", value="first_value").clear(), counts
    frame = pl.concat(parts).sort("ns", "series", "ordinal")
    if many and query.thin == "lttb":
        frame = pl.concat(_triangles(part, points) for part in frame.partition_by("series")).sort(
            "ns", "series", "ordinal"
        )
    return frame.select("series", "ns", "value"), counts


def _check_size(points: int, thin: str | None) -> None:
    limit, allowed = ("max_triangles", MAX_TRIANGLES) if thin == "lttb" else ("max_cells", MAX_CELLS)
    if points > allowed:
        message = f"{points} points are more than {allowed}, the most of an answer; ask for fewer series or points"
        raise LimitError(limit, allowed, message)


def _bound(series: Sequence[Description], first: int) -> dict[str, Any]:
    return {**bound_series(series), "firsts": [first] * len(series)}


def _extremes(
    store: Store,
    bound: dict[str, Any],
    extent: pl.DataFrame,
    stretches: Sequence[tuple[Description, int]],
    *,
    first: int,
    name: str,
) -> pl.DataFrame:
    """The extremes of so many stretches of each series by the query `name`, and its first and last point."""
    counts = pl.DataFrame({"series": [item.series for item, _ in stretches], "stretches": [n for _, n in stretches]})
    own = counts.cast({"series": pl.UInt64}).join(extent, on="series", how="left", maintain_order="left")
    widths = ((own["last_ns"] - own["first_ns"]) // own["stretches"] + 1).to_list()
    chosen = _bound([item for item, _ in stretches], first)
    begins = own["first_ns"].to_list()
    inner = store.frame(name, **bound, **chosen, begins=begins, widths=widths)
    ends = [own.select("series", **{name: f"{at}_{name}" for name in _POINT}) for at in ("first", "last")]
    return pl.concat([inner, *ends]).unique(_KEY, maintain_order=True)


def _triangles(part: pl.DataFrame, points: int) -> pl.DataFrame:
    """The points of one series that largest triangles choose."""
    return part[largest_triangles(part["ns"].to_numpy(), part["value"].to_numpy(), points)]
