"""Reads CSV, Arrow IPC streams and Parquet into tables of bounded size, or says why that cannot be."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.csv_rows import STRAY_QUOTE, CsvRows, csv_rows
from tidemill.decode.declared_size import MAX_COLUMNS, NestedColumnError, arrow_size, parquet_size
from tidemill.model.payload import MAX_RECORDS

MAX_BYTES: Final = 256 << 20  # that a table may take in memory
MAX_VALUES: Final = 8 << 20  # of CSV, whatever they are
_MAX_MESSAGE: Final = 200


class TableError(ValueError):
    """The bytes are no table that can be taken: `code` and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CsvTable(msgspec.Struct, frozen=True):
    """A table of texts (an empty one is null). `rows`: the index of each row in the payload; `ragged`: (index,
    sentence) of rows with another number of columns than the first, or stray quotes, which are not in the table."""

    table: pl.DataFrame
    rows: NDArray[np.int64]
    ragged: Sequence[tuple[int, str]]


def csv_table(body: bytes, separator: str, columns: Sequence[str] | None) -> CsvTable:
    """The table of CSV; `columns`: their names (None: the first line has them). Raises TableError."""
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if not body.strip():
        raise TableError("empty_body", "there is nothing here; send CSV with a line of column names")
    mark, lines = separator.encode(), body.count(b"\n")
    if lines > MAX_RECORDS + 1:
        raise TableError("too_many_records", f"there are more than {MAX_RECORDS} rows; send them in several bodies")
    if body.count(mark) + lines > MAX_VALUES:
        raise TableError("too_many_records", f"there are more than {MAX_VALUES} values; send them in several bodies")
    rows = csv_rows(body, mark)
    if rows.open:
        raise TableError("undecodable", "it is not CSV that can be read: its last quote is not closed")
    filled = rows.ends > rows.starts
    head = columns is None
    wanted = _named_columns(body, rows, int(np.argmax(filled)), separator) if columns is None else len(columns)
    even = (rows.counts == wanted) & ~rows.stray
    ragged = [
        (n - head, STRAY_QUOTE if rows.stray[n] else f"it has {rows.counts[n]} columns, there should be {wanted}")
        for n in np.flatnonzero(filled & ~even).tolist()
    ]
    kept = np.flatnonzero(filled & even)
    table = _guarded(
        lambda: pl.read_csv(
            _text_of(body, rows, kept), separator=separator, infer_schema=False, quote_char='"', null_values=[""],
            has_header=head, new_columns=columns,
        ),
        "CSV",
    )  # fmt: skip
    if len(table) != len(kept) - head:
        raise TableError("undecodable", f"it is not CSV that can be read: of {len(kept) - head} rows {len(table)} are")
    return CsvTable(table, kept[int(head) :] - head, ragged)


def _named_columns(body: bytes, rows: CsvRows, head: int, separator: str) -> int:
    """The number of columns that the row `head` names. Raises TableError where it cannot be their names."""
    width = int(rows.counts[head])
    if width > MAX_COLUMNS:
        raise TableError("too_many_members", f"there are {width} columns, at most {MAX_COLUMNS} are taken")
    if rows.stray[head]:
        raise TableError("undecodable", f"it is not CSV that can be read: in the names of its columns, {STRAY_QUOTE}")
    try:
        names = next(csv.reader([body[rows.starts[head] : rows.ends[head]].decode()], delimiter=separator))
    except UnicodeDecodeError:
        raise TableError("invalid_utf8", "the names of its columns are not UTF-8") from None
    except csv.Error as error:
        raise TableError("too_long", f"the names of its columns cannot be read: {error}") from None
    known: set[str] = set()
    for name in names:
        if name in known:
            raise TableError("duplicate_key", f"the column '{name[:60]}' is there twice")
        known.add(name)
    return width


def _text_of(body: bytes, rows: CsvRows, kept: NDArray[np.int64]) -> bytes:
    """The rows that are `kept`."""
    if len(kept) == len(rows.ends):
        return body
    bounds = zip(rows.starts[kept].tolist(), rows.ends[kept].tolist(), strict=True)
    return b"\n".join([body[start:end] for start, end in bounds])


def typed_table(body: bytes, name: str) -> pl.DataFrame:
    """The table of an Arrow IPC stream (`arrow`) or a Parquet file (`parquet`). Raises TableError."""
    what, size_of, read = _KINDS[name]
    if not body:
        raise TableError("empty_body", f"there is nothing here; send {what}")
    try:
        rows, size = size_of(body)
    except NestedColumnError as error:
        raise TableError("wrong_type", str(error)) from None
    except ValueError as error:
        raise TableError("undecodable", f"it is not {what}: {error}") from None
    if rows > MAX_RECORDS:
        raise TableError("too_many_records", f"{rows} rows are more than {MAX_RECORDS}; send them in several bodies")
    if size > MAX_BYTES:
        raise TableError("too_long", f"it unpacks to {size} bytes, more than {MAX_BYTES}; send it in several bodies")
    return _guarded(lambda: read(io.BytesIO(body)), what)


_KINDS: Final[dict[str, tuple[str, Callable[[bytes], tuple[int, int]], Any]]] = {
    "arrow": ("an Arrow IPC stream", arrow_size, pl.read_ipc_stream),
    "parquet": ("a Parquet file", parquet_size, pl.read_parquet),
}


def _guarded(read: Callable[[], pl.DataFrame], what: str) -> pl.DataFrame:
    """The table that `read` makes. Raises TableError where it makes none, or one that is too large."""
    try:
        table = read()
    except (Exception, pl.exceptions.PanicException) as error:  # the reader's own kinds, OSError, MemoryError
        code = "invalid_utf8" if "utf-8" in str(error).lower() else "undecodable"
        raise TableError(code, f"it is not {what} that can be read: {str(error)[:_MAX_MESSAGE]}") from None
    if len(table) > MAX_RECORDS:
        raise TableError("too_many_records", f"{len(table)} rows are more than {MAX_RECORDS}")
    if table.width > MAX_COLUMNS:
        raise TableError("too_many_members", f"there are {table.width} columns, at most {MAX_COLUMNS} are taken")
    texts = table.select(pl.col(pl.String).str.len_bytes().cast(pl.UInt64).sum())
    if sum(int(value or 0) for value in (texts.row(0) if texts.width else ())) > MAX_BYTES:
        raise TableError("too_long", f"its texts have more than {MAX_BYTES} bytes; send them in several bodies")
    return table
