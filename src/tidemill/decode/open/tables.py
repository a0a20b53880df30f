"""Reads CSV, Arrow IPC streams and Parquet of open feeds: a row is a record, a column its time, its name, a tag or a
field. What a column is depends on its name and, in Arrow and Parquet, on its type, never on the values of a payload."""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.open.declared_size import arrow_size, parquet_size
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import OpenPayload, OpenRecords
from tidemill.decode.open.table_rows import MAX_COLUMNS, read_rows
from tidemill.decode.texts import Texts
from tidemill.model.payload import MAX_RECORDS

MAX_BYTES: Final = 256 << 20  # that a table may take in memory
TYPED: Final = ("arrow", "parquet")  # formats of tables whose columns have types
MAX_VALUES: Final = 8 << 20  # of a table, whatever they are
_MAX_MESSAGE: Final = 200
_QUOTE: Final = b'"'


def read_csv(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload of CSV, whose first line names the columns."""
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if not body.strip():
        payload.refuse("empty_body", "there is nothing here; send CSV with a line of column names")
        return
    if body.count(b"\n") > MAX_RECORDS + 1:
        payload.refuse("too_many_records", f"there are more than {MAX_RECORDS} rows; send them in several bodies")
        return
    columns = body.partition(b"\n")[0].count(options.separator.encode()) + 1
    if columns > MAX_COLUMNS:
        payload.refuse("too_many_members", f"there are {columns} columns, at most {MAX_COLUMNS} are taken")
        return
    if columns * body.count(b"\n") > MAX_VALUES:
        payload.refuse("too_many_records", f"there are more than {MAX_VALUES} values; send them in several bodies")
        return
    body, rows = _without_ragged(body, options.separator.encode(), payload)
    frame = _guarded(
        lambda: pl.read_csv(body, separator=options.separator, infer_schema=False, quote_char='"', null_values=[""]),
        "CSV",
        payload,
    )
    if frame is not None:
        if rows is None:
            rows = np.arange(len(frame))
        if len(rows) != len(frame):  # quotes: an empty line, or a line break in a text
            rows = np.arange(len(frame))
        read_rows(frame, rows, options, payload, first_line=2, typed=False)


def _without_ragged(body: bytes, separator: bytes, payload: OpenPayload) -> tuple[bytes, NDArray[np.int64] | None]:
    """(the body without lines of another number of columns than the first, which are at fault; the rows of the other
    lines). Of a body with quotes nothing is taken out: the columns' engine judges it."""
    if _QUOTE in body:
        return body, None
    octets = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(octets == 0x0A)
    if not body.endswith(b"\n"):
        ends = np.append(ends, len(body))
    marks = np.flatnonzero(octets == separator[0])
    counts = np.diff(np.searchsorted(marks, ends), prepend=0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    empty = ends == starts
    ragged = np.flatnonzero((counts != counts[0]) & ~empty)
    if not len(ragged) and not empty.any():
        return body, None
    for line in ragged.tolist():
        message = f"it has {counts[line] + 1} columns, the first line has {counts[0] + 1}"
        payload.reject(line - 1, f"line {line + 1}", "unequal_length", message)
    payload.count += len(ragged)
    kept = ~empty
    kept[ragged] = False
    lines = body.split(b"\n")
    text = b"\n".join([lines[number] for number in np.flatnonzero(kept).tolist()])
    return text, np.flatnonzero(kept[1:])


class RowTexts(Texts, frozen=True, kw_only=True):
    """The texts of the rows of a table, as JSON."""

    table: pl.DataFrame

    def text(self, index: int) -> str:
        """The text of a row; "" where there is none."""
        if index >= len(self.table):
            return ""
        row = self.table[index].write_ndjson().rstrip("\n")
        return Texts(row.encode()).text(0)


def row_texts(body: bytes, name: str) -> Texts:
    """The texts of the rows of an Arrow IPC stream or a Parquet file; of one that cannot be read none."""
    size_of, read = (arrow_size, pl.read_ipc_stream) if name == "arrow" else (parquet_size, pl.read_parquet)
    try:
        rows, size = size_of(body)
    except ValueError:
        return Texts(b"")
    payload = OpenRecords().payload(0)
    table = None
    if rows <= MAX_RECORDS and size <= MAX_BYTES:
        table = _guarded(lambda: read(io.BytesIO(body)), name, payload)
    return Texts(b"") if table is None else RowTexts(b"", table=table)


def read_arrow(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload that is a stream of Arrow IPC."""
    _read_typed(body, options, payload, "an Arrow IPC stream", arrow_size, pl.read_ipc_stream)


def read_parquet(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload that is a Parquet file."""
    _read_typed(body, options, payload, "a Parquet file", parquet_size, pl.read_parquet)


def _read_typed(  # noqa: PLR0917 - what differs between two formats
    body: bytes,
    options: OpenOptions,
    payload: OpenPayload,
    what: str,
    size_of: Callable[[bytes], tuple[int, int]],
    read: Callable[[io.BytesIO], pl.DataFrame],
) -> None:
    if not body:
        payload.refuse("empty_body", f"there is nothing here; send {what}")
        return
    try:
        rows, size = size_of(body)
    except ValueError as error:
        payload.refuse("undecodable", f"it is not {what}: {error}")
        return
    if rows > MAX_RECORDS:
        payload.refuse("too_many_records", f"{rows} rows are more than {MAX_RECORDS}; send them in several bodies")
    elif size > MAX_BYTES:
        payload.refuse("too_long", f"it unpacks to {size} bytes, more than {MAX_BYTES}; send it in several bodies")
    else:
        frame = _guarded(lambda: read(io.BytesIO(body)), what, payload)
        if frame is not None:
            read_rows(frame, np.arange(len(frame)), options, payload, first_line=1, typed=True)


def _guarded(read: Callable[[], pl.DataFrame], what: str, payload: OpenPayload) -> pl.DataFrame | None:
    """The table that `read` makes; None, and a refused payload, where it makes none or one that is too large."""
    try:
        frame = read()
    except pl.exceptions.PanicException as error:
        payload.refuse("undecodable", f"it is not {what} that can be read: {str(error)[:_MAX_MESSAGE]}")
        return None
    except Exception as error:  # the reader's own kinds, OSError, MemoryError
        code = "invalid_utf8" if "utf-8" in str(error).lower() else "undecodable"
        payload.refuse(code, f"it is not {what} that can be read: {str(error)[:_MAX_MESSAGE]}")
        return None
    if len(frame) > MAX_RECORDS:
        payload.refuse("too_many_records", f"{len(frame)} rows are more than {MAX_RECORDS}")
    elif frame.width > MAX_COLUMNS:
        payload.refuse("too_many_members", f"there are {frame.width} columns, at most {MAX_COLUMNS} are taken")
    elif _text_bytes(frame) > MAX_BYTES:
        payload.refuse("too_long", f"its texts have more than {MAX_BYTES} bytes; send them in several bodies")
    else:
        return frame
    return None


def _text_bytes(frame: pl.DataFrame) -> int:
    texts = frame.select(pl.col(pl.String).str.len_bytes().cast(pl.UInt64).sum())
    return sum(int(value or 0) for value in (texts.row(0) if texts.width else ()))
