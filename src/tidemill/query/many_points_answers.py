"""Answers about several series: columns or rows, as JSON or as files."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import polars as pl

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.aggregates import aggregate_units
from tidemill.query.answers import Page
from tidemill.query.gaps import ReasonedGap
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.point_windows import encode_frame, format_instants, ndjson
from tidemill.query.series import Description

Source = Literal["points", "rollups"]  # what the windows of an answer were made of


class SeriesColumns(msgspec.Struct, frozen=True):
    """A series of an answer. `columns` has an array for each aggregate, each as long as `time` of the answer; of raw
    points `value`, as long as `times`. `units`: of each aggregate that has one. `evidence`, if asked for, has `n`,
    `expected`, `rejected`, `late`, `flagged` and `restated` (values that changed after they were published) of each
    window; null: not known."""

    id: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    units: dict[str, str]
    columns: dict[str, list[float | None]]
    times: list[str] | None = None
    evidence: dict[str, list[float | None]] | None = None


class PointColumns(msgspec.Struct, frozen=True):
    """Series in columns. `time`: the starts of the windows; empty for raw points, which have `times` of each series.
    `every` null: the whole range is one window, or the points are raw. `ladder`: the lengths from which the server
    picked `every`, for `points`. `windows` and `points_read` count what is in this page; `took_ms`: how long the server
    took to make it. `gaps`, and `evidence` of each series: with `evidence=true`."""

    every: str | None
    tz: str
    source: Source
    ladder: list[str] | None
    windows: int
    points_read: int
    took_ms: float
    time: list[str]
    series: list[SeriesColumns]
    next: str | None
    gaps: list[ReasonedGap] | None = None


class PointRow(msgspec.Struct, frozen=True):
    """A row: a raw point, with `value`; a window has a member for each aggregate instead."""

    series: str
    time: str
    value: float | None = None


class PointRows(msgspec.Struct, frozen=True):
    """Series in rows, by time, then by the order of the series; the other members are those of columns."""

    every: str | None
    tz: str
    source: Source
    ladder: list[str] | None
    windows: int
    points_read: int
    took_ms: float
    items: list[PointRow]
    next: str | None


def rows_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    """The page of a frame with a row for each window or point, in rows."""
    rows = page.with_columns(pl.col("series").replace_strict(_ids(series), return_dtype=pl.String))
    if query.format != "json":
        body = encode_frame(rows, query.format, query.tz)
        return Page(body, answers.MEDIA_TYPES[query.format], following)
    items = answers.json_array([ndjson(rows, query.tz)])
    return Page(b"".join(answers.object_with_items(head, items, {"next": following})), next=following)


def columns_page(
    aligned: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    """The page of a frame that has a row for each window and series, by window."""
    parts = {item.series: aligned.gather_every(len(series), offset) for offset, item in enumerate(series)}
    times = aligned["ns"].gather_every(len(series))
    if query.format != "json":
        named = {
            f"{format_series(number)}.{name}": part[name] for number, part in parts.items() for name in query.aggregates
        }
        body = encode_frame(pl.DataFrame({"ns": times, **named}), query.format, query.tz)
        return Page(body, answers.MEDIA_TYPES[query.format], following)
    evidence = head.pop("evidence", {})
    columns = [
        _series_columns(item, parts[item.series].select(query.aggregates), evidence=evidence.get(item.series))
        for item in series
    ]
    answer = PointColumns(**head, time=format_instants(times, query.tz).to_list(), series=columns, next=following)
    return answers.json_page(answer, following)


def raw_columns_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    """The page of a frame of raw points, in columns of each series."""
    parts = page.partition_by("series", as_dict=True, include_key=False)
    empty = page.clear()
    columns = []
    for item in series:
        part = parts.get((item.series,), empty)
        columns.append(_series_columns(item, part.select("value"), format_instants(part["ns"], query.tz).to_list()))
    return answers.json_page(PointColumns(**head, time=[], series=columns, next=following), following)


def _series_columns(
    item: Description,
    frame: pl.DataFrame,
    times: list[str] | None = None,
    evidence: dict[str, list[Any]] | None = None,
) -> SeriesColumns:
    return SeriesColumns(
        id=format_series(item.series),
        feed=item.feed,
        name=item.name,
        field=item.field,
        tags=item.tags,
        unit=item.unit or None,
        units=aggregate_units(item.unit, frame.columns),
        columns={name: frame[name].to_list() for name in frame.columns},
        times=times,
        evidence=evidence,
    )


def _ids(series: Sequence[Description]) -> dict[int, str]:
    return {item.series: format_series(item.series) for item in series}
