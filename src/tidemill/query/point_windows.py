"""Pages of windows of one series, and the files of windows in every format. `window_frames` makes the windows.

A page without `fill` has only windows with points. The whole range is filled before it is cut into pages, so that page
limits change no value.
"""

import io
from typing import Any, Required, TypedDict

import msgspec
import polars as pl

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.aggregates import aggregate_units
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.instants import format_instants
from tidemill.query.points_query import PointsQuery
from tidemill.query.series import Description
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
    """A page of windows of a length `every` (null: the range is one) that follow the calendar of `tz`. `units`: of each
    aggregate in `agg`, if the series has a unit; `count` and `missing` have none."""

    series: str
    every: str | None
    tz: str
    units: dict[str, str]
    items: list[PointWindow]
    next: str | None


def point_windows(store: Store, tenant: str, described: Description, query: PointsQuery) -> Page:
    """A page of windows of the length `every`, or of the whole range. Raises LimitError when `fill` needs more than
    MAX_WINDOWS."""
    after = query.cursor[0] if query.cursor else BEFORE_ALL
    frame, _ = window_frame(store, tenant, [described], query, query.every, after=after, limit=query.limit + 1)
    page = frame.head(query.limit)
    following = encode_cursor(page["ns"][-1], 0) if len(frame) > len(page) else None
    every = query.every.text if query.every else None
    head: dict[str, Any] = {"series": format_series(described.series), "every": every, "tz": query.tz}
    head["units"] = aggregate_units(described.unit, query.aggregates)
    chosen = page.select("ns", *query.aggregates)
    if query.format == "json":
        items = answers.json_array([ndjson(chosen, query.tz)])
        return Page(b"".join(answers.object_with_items(head, items, {"next": following})), next=following)
    return Page(encode_frame(chosen, query.format, query.tz), answers.MEDIA_TYPES[query.format], following)


def encode_frame(frame: pl.DataFrame, kind: str, zone: str) -> bytes:
    """The rows of a frame with the column `ns` as a file of this format (not json), with `time` in place of it."""
    if kind == "ndjson":
        return ndjson(frame, zone)
    buffer = io.BytesIO()
    if kind == "csv":  # as the store writes CSV: texts in quotes, numbers without, null empty
        texts = _with_time(frame, format_instants(frame["ns"], zone))
        buffer.write((",".join(f'"{name}"' for name in texts.columns) + "\n").encode())
        texts.write_csv(buffer, include_header=False, quote_style="non_numeric")
        return buffer.getvalue()
    typed = _with_time(frame, frame["ns"].cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))
    if kind == "arrow":
        typed.write_ipc_stream(buffer)
    else:
        typed.write_parquet(buffer)
    return buffer.getvalue()


def ndjson(frame: pl.DataFrame, zone: str) -> bytes:
    """The rows of a frame with the column `ns` as lines of JSON, with `time` in place of it."""
    buffer = io.BytesIO()
    _with_time(frame, format_instants(frame["ns"], zone)).write_ndjson(buffer)
    return buffer.getvalue()


def _with_time(frame: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    at = frame.columns.index("ns")
    return frame.drop("ns").insert_column(at, times.alias("time"))
