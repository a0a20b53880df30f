"""Pages of windows of one series, and the files of windows in every format. `window_frames` makes the windows.

A page without `fill` has only windows with points. The whole range is filled before it is cut into pages, so that page
limits change no value.
"""

from collections.abc import Iterator
from typing import Any, Literal, Required, TypedDict

import msgspec
import polars as pl

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.aggregates import aggregate_units
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.files import file_bytes, file_page
from tidemill.query.nearest import MAX_CELLS
from tidemill.query.points_query import PointsQuery
from tidemill.query.series_rows import Description
from tidemill.query.window_frames import BEFORE_ALL, window_frame
from tidemill.store.client import Store


class PointWindow(TypedDict, total=False):
    """A window of points: its start, and one member for each aggregate that `agg` asks for; also for quantiles, by
    names such as `p95`."""

    time: Required[str]
    mean: float | None
    min: float | None
    max: float | None
    sum: float | None
    count: int
    missing: int
    first: float | None
    last: float | None
    stddev: float | None
    median: float | None
    mode: float | None
    increase: float | None
    rate: float | None
    integral: float | None
    time_weighted_mean: float | None


class WindowPage(msgspec.Struct, frozen=True):
    """A page of windows of a length `every` (null: the range is one) by the calendar of `tz`, made of `source`.
    `units`: of each
    aggregate in `agg`, if the series has a unit; `count` and `missing` have none."""

    series: str
    every: str | None
    tz: str
    source: Literal["points", "rollups"]
    units: dict[str, str]
    items: list[PointWindow]
    next: str | None


def point_windows(store: Store, tenant: str, described: Description, query: PointsQuery, rollup_s: int) -> Page:
    """A page of windows of the length `every`, or of the whole range, from rollup windows of `rollup_s` (0: from
    points). Raises LimitError when `fill` needs more than
    MAX_WINDOWS."""
    if query.is_whole_file:
        return file_page(_window_tables(store, tenant, described, query, rollup_s), query.format, query.tz)
    after = query.cursor[0] if query.cursor else BEFORE_ALL
    frame, _ = window_frame(
        store, tenant, [described], query, query.every, after=after, limit=query.page + 1, rollup_s=rollup_s
    )
    page = frame.head(query.page)
    following = encode_cursor(page["ns"][-1], 0) if len(frame) > len(page) else None
    every = query.every.text if query.every else None
    head: dict[str, Any] = {"series": format_series(described.series), "every": every, "tz": query.tz}
    head["source"] = "rollups" if rollup_s else "points"
    head["units"] = aggregate_units(described.unit, query.aggregates)
    chosen = page.select("ns", *query.aggregates)
    if query.format == "json":
        items = answers.json_array([ndjson(chosen, query.tz)])
        return Page(b"".join(answers.object_with_items(head, items, {"next": following})), next=following)
    return Page(file_bytes(chosen, query.format, query.tz), answers.MEDIA_TYPES[query.format], following)


def _window_tables(
    store: Store, tenant: str, described: Description, query: PointsQuery, rollup_s: int
) -> Iterator[pl.DataFrame]:
    """All windows as tables for a file, in parts of at most MAX_CELLS windows."""
    bound = {"limit": MAX_CELLS + 1, "rollup_s": rollup_s}
    after = BEFORE_ALL
    while True:
        frame, _ = window_frame(store, tenant, [described], query, query.every, after=after, **bound)
        yield frame.head(MAX_CELLS).select("ns", *query.aggregates)
        if len(frame) <= MAX_CELLS:
            return
        after = int(frame["ns"][MAX_CELLS - 1])


def ndjson(frame: pl.DataFrame, zone: str) -> bytes:
    """The rows of a frame with the column `ns` as lines of JSON, with `time` in place of it."""
    return file_bytes(frame, "ndjson", zone)
