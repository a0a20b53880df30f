"""Whole files of a feed in its own shape: summary rows and rollup windows, in time order, with the columns of the JSON
answers.

The store sends rows as lines of JSON, which become frames of some thousand rows at a time.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.feeds.definition import Feed
from tidemill.query.answers import Page
from tidemill.query.files import file_page

_BATCH_BYTES: Final = 1 << 20
ALL_ROWS: Final = 2**32 - 1  # a limit that is none
_NUMBERS: Final = {"mean": pl.Float64, "stddev": pl.Float64, "stddev_pop": pl.Float64, "count": pl.Int64}
_VALUES: Final = ("mean", "min", "max", "sum")


def refuse_pages(**given: Any) -> None:
    """Raises InputError for parameters of pages that are given for a file."""
    faults = [
        Fault(f"$query.{name}", "contradiction", f"'{name}' is about pages of json, and this file is whole")
        for name, value in given.items()
        if value not in (None, "false")
    ]
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))


def rows_file(lines: Iterator[bytes], feed: Feed, kind: str) -> Page:
    """The file of summary rows from the lines of the query summary_rows."""
    schema = {"ns": pl.Int64, **_tags(feed), **_NUMBERS, "receipt": pl.String}
    receipt = pl.when(pl.col("receipt") != "").then(pl.col("receipt"))
    columns = {
        "ns": pl.col("ns"),
        **_tag_columns(feed),
        **{name: pl.col(name) for name in _NUMBERS},
        "receipt": receipt,
    }
    return file_page((part.select(**columns) for part in _parts(lines, schema)), kind, "UTC")


def windows_file(lines: Iterator[bytes], feed: Feed, fields: Sequence[str], kind: str, begins: str) -> Page:
    """The file of rollup windows from the lines of the query rollup_rows; `begins` is the name of the column of their
    begins."""
    assert feed.rollups is not None
    values = {f"groupArray({name})": pl.List(pl.Float64) for name in _VALUES}
    lists = {"fields": pl.List(pl.String), "counts": pl.List(pl.Int64), **values}
    schema = {"ns": pl.Int64, **_tags(feed), **lists, "count": pl.Int64}
    columns = {"ns": pl.col("ns").first(), **{name: tag.first() for name, tag in _tag_columns(feed).items()}}
    for field in fields:
        for aggregate in feed.rollups.aggregates:
            value = pl.col("counts" if aggregate == "count" else f"groupArray({aggregate})")
            key = field if aggregate == "mean" else f"{field}_{aggregate}"
            columns[key] = value.filter(pl.col("fields") == field).first()
    columns["count"] = pl.col("count").first()

    def frames() -> Iterator[pl.DataFrame]:
        for part in _parts(lines, schema):
            long = part.with_row_index("window number").explode(list(lists))
            yield long.group_by("window number", maintain_order=True).agg(**columns).drop("window number")

    return file_page(frames(), kind, "UTC", time=begins)


def _tags(feed: Feed) -> dict[str, Any]:
    return {"tags": pl.Struct(dict.fromkeys(feed.tags, pl.String))} if feed.tags else {}


def _tag_columns(feed: Feed) -> dict[str, pl.Expr]:
    return {tag: pl.col("tags").struct.field(tag) for tag in feed.tags}


def _parts(lines: Iterator[bytes], schema: dict[str, Any]) -> Iterator[pl.DataFrame]:
    """The rows of lines of JSON, as frames of these columns; at least one frame."""
    held, sent = b"", False
    for piece in lines:
        held += piece
        whole = held.rfind(b"\n") + 1
        if whole >= _BATCH_BYTES:
            yield pl.read_ndjson(io.BytesIO(held[:whole]), schema=schema)
            held, sent = held[whole:], True
    if held:
        yield pl.read_ndjson(io.BytesIO(held), schema=schema)
    elif not sent:
        yield pl.DataFrame(schema=schema)
