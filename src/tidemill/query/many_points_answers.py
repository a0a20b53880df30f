"""Answers about several series: columns or rows, as JSON or as files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.aggregates import aggregate_units
from tidemill.query.answers import Page
from tidemill.query.files import file_bytes
from tidemill.query.gaps import ReasonedGap
from tidemill.query.instants import format_instants
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.point_windows import ndjson
from tidemill.query.series_rows import Description

Source = Literal["points", "rollups"]  # what the windows of an answer were made of


class SeriesColumns(msgspec.Struct, frozen=True):
    """A series of an answer. `columns` has an array for each aggregate, each as long as `time` of the answer; of raw
    points `value`, as long as `times`. `thinned_from`: how many points these were chosen from (null: all are here).
    `units`: of each aggregate that has one. `evidence`, if asked for, has `n`,
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
    thinned_from: int | None = None
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


def rows_table(page: pl.DataFrame, series: Sequence[Description]) -> pl.DataFrame:
    """The rows of a frame with the ids of their series as texts."""
    return page.with_columns(pl.col("series").replace_strict(_ids(series), return_dtype=pl.String))


def columns_table(aligned: pl.DataFrame, series: Sequence[Description], aggregates: Sequence[str]) -> pl.DataFrame:
    """A frame that has a row for each window and series, by window, as one with a row for each window."""
    named = {
        f"{format_series(item.series)}.{name}": aligned[name].gather_every(len(series), offset)
        for offset, item in enumerate(series)
        for name in aggregates
    }
    return pl.DataFrame({"ns": aligned["ns"].gather_every(len(series)), **named})


def rows_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None,
) -> Page:
    """The page of a frame with a row for each window or point, in rows."""
    rows = rows_table(page, series)
    if query.format != "json":
        return Page(file_bytes(rows, query.format, query.tz), answers.MEDIA_TYPES[query.format], following)
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
    if query.format != "json":
        table = columns_table(aligned, series, query.aggregates)
        return Page(file_bytes(table, query.format, query.tz), answers.MEDIA_TYPES[query.format], following)
    evidence = head.pop("evidence", {})
    columns = [
        _series_columns(item, lists, evidence=evidence.get(item.series))
        for item, lists in zip(series, _lists(aligned, len(series), query.aggregates), strict=True)
    ]
    times = format_instants(aligned["ns"].gather_every(len(series)), query.tz).to_list()
    return answers.json_page(PointColumns(**head, time=times, series=columns, next=following), following)


def _lists(aligned: pl.DataFrame, series: int, aggregates: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """The columns of each series as lists, of a frame by window. One gather serves all series: of 1,000 series each
    gather costs more than its values."""
    windows = aligned.height // series
    by_series = pl.Series(np.arange(aligned.height).reshape(windows, series).T.ravel())
    whole = {name: aligned[name].gather(by_series).to_list() for name in aggregates}
    for first in range(0, aligned.height, max(windows, 1)):
        yield {name: values[first : first + windows] for name, values in whole.items()}
    if not windows:
        yield from ({name: [] for name in aggregates} for _ in range(series))


def raw_columns_page(
    page: pl.DataFrame,
    series: Sequence[Description],
    query: ManyPointsQuery,
    head: dict[str, Any],
    following: str | None = None,
    *,
    counts: Mapping[int, int] | None = None,
) -> Page:
    """The page of a frame of raw points, in columns of each series; `counts`: how many points of each series these were
    chosen from."""
    parts = page.partition_by("series", as_dict=True, include_key=False)
    empty = page.clear()
    columns = []
    for item in series:
        part = parts.get((item.series,), empty)
        count = counts.get(item.series, 0) if counts else 0
        times = format_instants(part["ns"], query.tz).to_list()
        columns.append(
            _series_columns(
                item, {"value": part["value"].to_list()}, times, thinned_from=count if count > len(part) else None
            )
        )
    return answers.json_page(PointColumns(**head, time=[], series=columns, next=following), following)


def _series_columns(
    item: Description,
    columns: dict[str, list[Any]],
    times: list[str] | None = None,
    evidence: dict[str, list[Any]] | None = None,
    thinned_from: int | None = None,
) -> SeriesColumns:
    return SeriesColumns(
        id=format_series(item.series),
        feed=item.feed,
        name=item.name,
        field=item.field,
        tags=item.tags,
        unit=item.unit or None,
        units=aggregate_units(item.unit, list(columns)),
        columns=columns,
        times=times,
        thinned_from=thinned_from,
        evidence=evidence,
    )


def _ids(series: Sequence[Description]) -> dict[int, str]:
    return {item.series: format_series(item.series) for item in series}
