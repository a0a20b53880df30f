"""Whole files of raw points of any number of series: `series`, `time` and `value`, series by series in order of their
ids, each in time order.

The store sends points in the order of its key, which it reads and sends without holding them: texts as they are, and
rows of a fixed length for the columnar formats. A statement takes some series at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from tidemill.query.answers import COLUMNAR, MEDIA_TYPES, STORE_ROWS, Page
from tidemill.query.files import csv_head, file_page, started
from tidemill.query.parameters import TimeRange
from tidemill.store.client import Store

_SERIES: Final = 1_000  # of a statement
_ROW: Final = np.dtype([("series", "<u8"), ("ns", "<i8"), ("empty", "u1"), ("value", "<f8")])
_BATCH_BYTES: Final = _ROW.itemsize * 100_000
_NO_ROWS: Final = np.empty(0, dtype=_ROW)


def points_file(
    store: Store,
    tenant: str,
    series: Mapping[int, int],
    span: TimeRange,
    *,
    kind: str,
    zone: str,
    nulls: bool,
    quality: dict[str, Any],
    names: bool = True,
) -> Page:
    """The points of these series (id to the offset up to which it is deleted) in a span as a whole file of the format
    `kind`; `nulls`: also missing samples; `names` false: without the column `series`, for columnar formats of one
    series."""
    ordered = sorted(series)
    batches = [_bound(ordered[n : n + _SERIES], series, span) for n in range(0, len(ordered), _SERIES)]
    bound = {"tenant": tenant, "first": span.first_ns, "last": span.last_ns, "nulls": int(nulls), **quality}
    if kind in COLUMNAR:
        frames = _frames(store, batches, bound)
        return file_page(frames if names else (frame.drop("series") for frame in frames), kind, zone)
    text = _text(store, batches, {**bound, "tz": zone}, STORE_ROWS[kind])
    head = csv_head(("series", "time", "value")) if kind == "csv" else b""
    return Page(started(with_head(head, text)), MEDIA_TYPES[kind])


def _bound(ids: Sequence[int], series: Mapping[int, int], span: TimeRange) -> dict[str, Any]:
    firsts = [span.first_ns] * len(ids)
    return {"series": list(ids), "deleted_seqs": [series[number] for number in ids], "firsts": firsts}


def with_head(head: bytes, body: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a body after its head, which also a body without pieces has."""
    yield head + next(body, b"")
    yield from body


def _text(store: Store, batches: Sequence[dict[str, Any]], bound: dict[str, Any], fmt: str) -> Iterator[bytes]:
    for batch in batches:
        yield from store.stream("points_file_text", fmt, **bound, **batch)


def _frames(store: Store, batches: Sequence[dict[str, Any]], bound: dict[str, Any]) -> Iterator[pl.DataFrame]:
    held = b""
    sent = False
    for batch in batches:
        for piece in store.stream("points_file_rows", "RowBinary", **bound, **batch):
            held += piece
            whole = len(held) // _ROW.itemsize * _ROW.itemsize
            if whole >= _BATCH_BYTES or not sent:
                yield _frame(np.frombuffer(held[:whole], dtype=_ROW))
                held, sent = held[whole:], True
    if held or not sent:
        yield _frame(np.frombuffer(held, dtype=_ROW) if held else _NO_ROWS)


def _frame(rows: Any) -> pl.DataFrame:
    """A frame of `series` (its id as text), `ns` and `value` (null: missing)."""
    numbers = np.unique(rows["series"])
    names = pl.Series("name", [f"{number:016x}" for number in numbers.tolist()], dtype=pl.String)
    places = pl.Series(np.searchsorted(numbers, rows["series"]))
    value = pl.Series(np.ascontiguousarray(rows["value"]))
    present = pl.Series(rows["empty"] == 0)
    frame = pl.DataFrame({"ns": pl.Series(np.ascontiguousarray(rows["ns"])), "value": value, "present": present})
    frame = frame.with_columns(pl.when(pl.col("present")).then(pl.col("value")).alias("value"))
    return frame.select(names.gather(places).alias("series"), "ns", "value")
