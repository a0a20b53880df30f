"""Points aggregated over windows: the store aggregates, this module fills windows without points and writes the answer.

A page without `fill` has only windows with points. With it, windows run from `start` (else the first point) to `end`
(else the last point), and the whole range is filled before it is cut into pages: where a page ends changes no value.
"""

import io
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from tidemill.errors import LimitError
from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursor import encode
from tidemill.query.parameters import AGGREGATES, Asked, Range, time_range
from tidemill.query.readers import Window
from tidemill.query.series import Description
from tidemill.query.times import instants
from tidemill.query.wall_clock import WallClock, wall_clock
from tidemill.store.client import Store

MAX_WINDOWS: Final = 100_000  # windows that one request fills, before it is cut into pages
_BEFORE_ALL: Final = -(2**63)


def windows(store: Store, tenant: str, described: Description, asked: Asked) -> Page:
    """A page of windows by POINTS_PARAMETERS. Raises LimitError when more than MAX_WINDOWS would have to be filled."""
    every: Window = asked["every"]
    clock = _clock(store, tenant, described, asked)
    after = asked["cursor"][0] if asked["cursor"] else _BEFORE_ALL
    limit = asked["limit"] + 1
    if asked["fill"] is None:
        frame = _aggregated(store, tenant, described, asked, clock, after=after, limit=limit)
    else:
        frame = _aggregated(store, tenant, described, asked, clock, after=_BEFORE_ALL, limit=MAX_WINDOWS + 1)
        frame = _filled(frame, _grid(store, frame, asked, clock), asked["fill"])
        frame = frame.filter(pl.col("ns") > after).head(limit)
    page = frame.head(asked["limit"])
    following = encode(page["ns"][-1], 0) if len(frame) > len(page) else None
    chosen = page.select("ns", *(_finite(name) for name in asked["agg"]))
    head = {"series": format_series(described.series), "every": every.text, "tz": asked["tz"]}
    return _written(chosen, head, asked, following)


def _clock(store: Store, tenant: str, described: Description, asked: Asked) -> WallClock:
    """The wall clock of the zone for as long as the request can be about."""
    every: Window = asked["every"]
    if asked["tz"] == "UTC" or every.of_epoch:
        return wall_clock("UTC", 0, 0)
    span = _span(asked)
    place = {"tenant": tenant, "series": described.series, "first": span.first_ns, "last": span.last_ns}
    bounds = [row[name] for row in store.rows("points_extent", **place) for name in ("first", "last")]
    bounds += [asked[name] for name in ("start", "end") if asked["fill"] is not None and asked[name] is not None]
    if not bounds:
        return wall_clock("UTC", 0, 0)
    return wall_clock(asked["tz"], min(bounds) - every.nominal_ns, max(bounds))


def _span(asked: Asked) -> Range:
    """The points of the request: [start, end), or (start, end] where windows are closed at the right."""
    span = time_range(asked)
    if asked["closed"] == "left":
        return span
    first = span.first_ns if asked["start"] is None else span.first_ns + 1
    return Range(first, span.last_ns if asked["end"] is None else span.last_ns + 1)


def _bound(asked: Asked, clock: WallClock) -> dict[str, Any]:
    """What every question about windows binds."""
    every: Window = asked["every"]
    closed_right = int(asked["closed"] == "right")
    length = every.nominal_ns
    return {"count": every.count, "unit": every.unit, "length": length, "closed_right": closed_right, **clock.tables()}


def _aggregated(
    store: Store, tenant: str, described: Description, asked: Asked, clock: WallClock, *, after: int, limit: int
) -> pl.DataFrame:
    """Windows with points whose start is after `after`, with every aggregate."""
    span = _span(asked)
    return store.frame(
        "points_windows",
        tenant=tenant,
        series=described.series,
        deleted_seq=described.deleted_seq,
        first=max(span.first_ns, after),
        last=span.last_ns,
        good=int(asked["quality"] == "good"),
        mark=asked["marked"] or "",
        agg=list(asked["agg"]),
        after=after,
        limit=limit,
        **_bound(asked, clock),
    )


def _grid(store: Store, frame: pl.DataFrame, asked: Asked, clock: WallClock) -> pl.Series:
    """The starts of all windows of the request, in ns; those of a wall clock that never was are left out."""
    right = asked["closed"] == "right"
    bounds = [frame["ns"][0], frame["ns"][-1]] if len(frame) else []
    inside = [ns + right for ns in bounds]
    if asked["start"] is not None:
        inside.append(asked["start"] + right)
    if asked["end"] is not None and inside:
        last = asked["end"] - 1 + right
        inside.append(last if asked["start"] is None else max(last, asked["start"] + right))
    if not inside:
        return pl.Series("ns", inside, dtype=pl.Int64)
    first, last = (_window_start(store, asked, clock, ns) for ns in (min(inside), max(inside)))
    return _starts(first, last, asked["every"], clock)


def _window_start(store: Store, asked: Asked, clock: WallClock, at_ns: int) -> tuple[int, int]:
    """(ns, what the wall clock shows) of the start of the window that an instant is in."""
    [row] = store.rows("window_start", at=at_ns, **_bound(asked, clock))
    return int(row["ns"]), int(row["label"])


def _starts(first: tuple[int, int], last: tuple[int, int], every: Window, clock: WallClock) -> pl.Series:
    """Window starts from one start to another: even from the epoch up to seconds, else even on the wall clock."""
    (first_ns, first_wall), (last_ns, last_wall) = first, last
    if (last_ns - first_ns) // every.nominal_ns >= MAX_WINDOWS:
        message = f"More than {MAX_WINDOWS} windows to fill; ask for a shorter range or longer windows"
        raise LimitError("max_windows", MAX_WINDOWS, message)
    if every.of_epoch:
        return pl.Series("ns", range(first_ns, last_ns + 1, every.nominal_ns), dtype=pl.Int64)
    ends = pl.Series([first_wall, max(last_wall, first_wall)], dtype=pl.Datetime("ns"))
    # Two days more: the last start may show less than one before it, where clocks were put back in between.
    naive = pl.datetime_range(ends[0], ends[1] + timedelta(days=2), every.text, time_unit="ns", eager=True)
    walls = naive.to_physical().to_numpy()
    starts = np.unique(np.concatenate([clock.first(walls), clock.again(walls, every.nominal_ns)]))
    return pl.Series("ns", starts[(starts >= first_ns) & (starts <= last_ns)], dtype=pl.Int64)


def _filled(frame: pl.DataFrame, grid: pl.Series, fill: str) -> pl.DataFrame:
    """The windows of `frame` and of `grid` in order; where only `grid` has one, count is 0 and the rest is filled."""
    every = pl.DataFrame({"ns": pl.concat([frame["ns"], grid]).unique().sort()})
    joined = every.join(frame, on="ns", how="left", maintain_order="left").with_columns(pl.col("count").fill_null(0))
    values = [name for name in AGGREGATES if name != "count"]
    if fill == "previous":
        return joined.with_columns(pl.col(values).forward_fill())
    if fill == "linear":
        return joined.with_columns(pl.col(name).interpolate_by("ns") for name in values)
    return joined


def _finite(name: str) -> pl.Expr:
    """An aggregate with what a double cannot hold (a sum of huge values) as null."""
    column = pl.col(name)
    return column if name == "count" else pl.when(column.is_finite()).then(column).alias(name)


def _written(frame: pl.DataFrame, head: dict[str, Any], asked: Asked, following: str | None) -> Page:
    """The page in the format asked for, `time` first."""
    kind = asked["format"]
    buffer = io.BytesIO()
    if kind in answers.COLUMNAR:
        times = frame["ns"].cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").alias("time")
        typed = frame.drop("ns").insert_column(0, times)
        if kind == "arrow":
            typed.write_ipc_stream(buffer)
        else:
            typed.write_parquet(buffer)
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    texts = frame.drop("ns").insert_column(0, instants(frame["ns"], asked["tz"]).alias("time"))
    if kind == "csv":
        texts.write_csv(buffer)
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    texts.write_ndjson(buffer)
    if kind == "ndjson":
        return Page(buffer.getvalue(), answers.MEDIA_TYPES[kind], following)
    body = answers.framed(head, "items", answers.array([buffer.getvalue()]), {"next": following})
    return Page(b"".join(body), next=following)
