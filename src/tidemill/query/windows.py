"""Points aggregated over windows: the store aggregates, this module fills windows without points and writes the answer.

A page without `fill` has only windows with points. With it, windows run from `start` (else the first point) to `end`
(else the last point), and the whole range is filled before it is cut into pages: where a page ends changes no value.
"""

import io
from typing import Any, Final

import polars as pl

from tidemill.errors import LimitError
from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.query.cursor import encode
from tidemill.query.parameters import AGGREGATES, Asked, time_range
from tidemill.query.readers import Window
from tidemill.query.series import Description
from tidemill.query.times import instants
from tidemill.store.client import Store

MAX_WINDOWS: Final = 100_000  # windows that one request fills, before it is cut into pages
_BEFORE_ALL: Final = -(2**63)


def windows(store: Store, tenant: str, described: Description, asked: Asked) -> Page:
    """A page of windows by POINTS_PARAMETERS. Raises LimitError when more than MAX_WINDOWS would have to be filled."""
    every: Window = asked["every"]
    after = asked["cursor"][0] if asked["cursor"] else _BEFORE_ALL
    limit = asked["limit"] + 1
    if asked["fill"] is None:
        frame = _aggregated(store, tenant, described, asked, after=after, limit=limit)
    else:
        frame = _aggregated(store, tenant, described, asked, after=_BEFORE_ALL, limit=MAX_WINDOWS + 1)
        frame = _filled(frame, _grid(store, frame, asked), asked["fill"])
        frame = frame.filter(pl.col("ns") > after).head(limit)
    page = frame.head(asked["limit"])
    following = encode(page["ns"][-1], 0) if len(frame) > len(page) else None
    chosen = page.select("ns", *(_finite(name) for name in asked["agg"]))
    head = {"series": format_series(described.series), "every": every.text, "tz": asked["tz"]}
    return _written(chosen, head, asked, following)


def _aggregated(
    store: Store, tenant: str, described: Description, asked: Asked, *, after: int, limit: int
) -> pl.DataFrame:
    """Windows with points whose start is after `after`, with every aggregate."""
    span, every = time_range(asked), asked["every"]
    return store.frame(
        "points_windows",
        tenant=tenant,
        series=described.series,
        deleted_seq=described.deleted_seq,
        first=max(span.first_ns, after),
        last=span.last_ns,
        good=int(asked["quality"] == "good"),
        mark=asked["marked"] or "",
        count=every.count,
        unit=every.unit,
        tz=asked["tz"],
        agg=list(asked["agg"]),
        after=after,
        limit=limit,
    )


def _grid(store: Store, frame: pl.DataFrame, asked: Asked) -> pl.Series:
    """The starts of all windows of the request, in ns; those of a wall clock that never was are left out."""
    bounds = [frame["ns"][0], frame["ns"][-1]] if len(frame) else []
    if asked["start"] is not None:
        bounds.append(_window_start(store, asked, asked["start"]))
    if asked["end"] is not None and (bounds or asked["start"] is not None):
        bounds.append(_window_start(store, asked, max(asked["end"] - 1, asked["start"] or asked["end"] - 1)))
    if len(bounds) < 2:
        return pl.Series("ns", bounds, dtype=pl.Int64)
    return _starts(min(bounds), max(bounds), asked["every"], asked["tz"])


def _window_start(store: Store, asked: Asked, at_ns: int) -> int:
    every: Window = asked["every"]
    rows = store.rows("window_start", count=every.count, unit=every.unit, tz=asked["tz"], at=at_ns)
    return int(rows[0]["ns"])


def _starts(first_ns: int, last_ns: int, every: Window, zone: str) -> pl.Series:
    """Window starts from `first_ns` to `last_ns`, which are window starts themselves.

    Up to an hour windows are evenly spaced in UTC; longer ones are even on the wall clock of the zone.
    """
    if (last_ns - first_ns) // every.nominal_ns >= MAX_WINDOWS:
        message = f"More than {MAX_WINDOWS} windows to fill; ask for a shorter range or longer windows"
        raise LimitError("max_windows", MAX_WINDOWS, message)
    if every.nominal_ns <= 3600 * 10**9:
        return pl.Series("ns", range(first_ns, last_ns + 1, every.nominal_ns), dtype=pl.Int64)
    ends = pl.Series([first_ns, last_ns], dtype=pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone)
    wall = ends.dt.replace_time_zone(None)
    naive = pl.select(
        pl.datetime_range(pl.lit(wall[0:1]).first(), pl.lit(wall[1:2]).first(), every.text, time_unit="ns").alias("ns")
    )
    utc = pl.col("ns").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return naive.select(utc.dt.convert_time_zone("UTC").drop_nulls().dt.epoch("ns"))["ns"]


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
