"""Files of any length from frames that come one by one: the memory that a file takes is that of a few frames.

CSV has texts in quotes, numbers without, null empty, as the store writes it. Arrow is one IPC stream. Parquet is
written to a temporary file first, because its end describes the whole.
"""

import io
import struct
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import polars as pl
from polars.io.plugins import register_io_source

from tidemill.query.answers import MEDIA_TYPES, Page
from tidemill.query.instants import format_instants

_PIECE_BYTES: Final = 1 << 20
_ARROW_END: Final = 8  # bytes at the end of an IPC stream
_ARROW_HEAD: Final = 8  # bytes in front of the first message of an IPC stream, which has the schema


def file_page(frames: Iterable[pl.DataFrame], kind: str, zone: str, *, time: str = "time") -> Page:
    """A page that is a whole file of the format `kind` (not json), of the rows of frames with the column `ns` and equal
    columns, at least one frame; `time` is the name of the column that takes the place of `ns`. What the first frame
    raises is raised by the call itself, for Parquet also what the others do."""
    rows = (_with_time(frame, kind, zone, time) for frame in frames)
    return Page(started(_ENCODERS[kind](rows)), MEDIA_TYPES[kind])


def file_bytes(frame: pl.DataFrame, kind: str, zone: str) -> bytes:
    """The rows of one frame with the column `ns` as a file."""
    return b"".join(_ENCODERS[kind](iter([_with_time(frame, kind, zone, "time")])))


def started(body: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a body whose first piece is made now, so that an error shows before an answer begins."""
    first = next(body, b"")
    return _continued(first, body)


def _continued(first: bytes, body: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from body


def csv_head(columns: Iterable[str]) -> bytes:
    """The first line of a CSV file."""
    return (",".join(f'"{name}"' for name in columns) + "\n").encode()


def csv_lines(frame: pl.DataFrame) -> bytes:
    """The rows of a frame as lines of CSV."""
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=False, quote_style="non_numeric")
    return buffer.getvalue()


def _csv(frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    first = next(frames)
    yield csv_head(first.columns) + csv_lines(first)
    for frame in frames:
        yield csv_lines(frame)


def _ndjson(frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    for frame in frames:
        yield json_lines(frame)


def json_lines(frame: pl.DataFrame) -> bytes:
    """The rows of a frame as lines of JSON."""
    buffer = io.BytesIO()
    frame.write_ndjson(buffer)
    return buffer.getvalue()


def _arrow(frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    """The IPC streams of the frames as one: each has a head with the schema, batches, and an end."""
    end = b""
    for number, frame in enumerate(frames):
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer)
        data = buffer.getvalue()
        head = _ARROW_HEAD + struct.unpack_from("<i", data, 4)[0] if number else 0
        end = data[-_ARROW_END:]
        yield data[head:-_ARROW_END]
    yield end


def _parquet(frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    first = next(frames)

    def source(*_: Any) -> Iterator[pl.DataFrame]:
        yield from chain([first], frames)

    with tempfile.TemporaryFile() as file:
        register_io_source(source, schema=first.schema).sink_parquet(file)
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece


_ENCODERS: Final = {"csv": _csv, "ndjson": _ndjson, "arrow": _arrow, "parquet": _parquet}


def _with_time(frame: pl.DataFrame, kind: str, zone: str, name: str) -> pl.DataFrame:
    """The frame with its times in place of `ns`: texts in text formats, else timestamps in UTC."""
    at, ns = frame.columns.index("ns"), frame["ns"]
    typed = kind in ("arrow", "parquet")
    times = ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC") if typed else format_instants(ns, zone)
    return frame.drop("ns").insert_column(at, times.alias(name))
