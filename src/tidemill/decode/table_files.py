"""Reads CSV, Arrow IPC streams and Parquet into tables of bounded size, or says why that cannot be."""

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.declared_size import MAX_COLUMNS, NestedColumnError, arrow_size, parquet_size
from tidemill.model.payload import MAX_RECORDS

MAX_BYTES: Final = 256 << 20  # that a table may take in memory
MAX_VALUES: Final = 8 << 20  # of CSV, whatever they are
_MAX_MESSAGE: Final = 200
_QUOTE: Final = b'"'


class TableError(ValueError):
    """The bytes are no table that can be taken: `code` and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CsvTable(msgspec.Struct, frozen=True):
    """A table of texts (an empty one is null). `rows`: the index of each row in the payload; `ragged`: (index,
    sentence) of lines with another number of columns than the first, which are no rows of the table."""

    table: pl.DataFrame
    rows: NDArray[np.int64]
    ragged: Sequence[tuple[int, str]]


def csv_table(body: bytes, separator: str, columns: Sequence[str] | None) -> CsvTable:
    """The table of CSV; `columns`: their names (None: the first line has them). Raises TableError."""
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if not body.strip():
        raise TableError("empty_body", "there is nothing here; send CSV with a line of column names")
    mark, lines = separator.encode(), body.count(b"\n")
    width = body.partition(b"\n")[0].count(mark) + 1
    if lines > MAX_RECORDS + 1:
        raise TableError("too_many_records", f"there are more than {MAX_RECORDS} rows; send them in several bodies")
    if width > MAX_COLUMNS:
        raise TableError("too_many_members", f"there are {width} columns, at most {MAX_COLUMNS} are taken")
    if width * lines > MAX_VALUES:
        raise TableError("too_many_records", f"there are more than {MAX_VALUES} values; send them in several bodies")
    head = columns is None
    wanted = width if columns is None else len(columns)
    text, rows, ragged = _without_ragged(body, mark, wanted, head=head)
    table = _guarded(
        lambda: pl.read_csv(
            text, separator=separator, infer_schema=False, quote_char='"', null_values=[""], has_header=head,
            new_columns=columns,
        ),
        "CSV",
    )  # fmt: skip
    if rows is None or len(rows) != len(table):  # with quotes a row may have several lines
        rows = np.arange(len(table))
    return CsvTable(table, rows, ragged)


def _without_ragged(
    body: bytes, mark: bytes, wanted: int, *, head: bool
) -> tuple[bytes, NDArray[np.int64] | None, list[tuple[int, str]]]:
    """(the body without empty lines and those with other than `wanted` columns, the indexes of its rows, those lines).
    Of a body with quotes nothing is taken out: the columns' engine judges it."""
    if _QUOTE in body:
        return body, None, []
    octets = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(octets == 0x0A)
    if not body.endswith(b"\n"):
        ends = np.append(ends, len(body))
    starts = np.concatenate([[0], ends[:-1] + 1])
    counts = np.diff(np.searchsorted(np.flatnonzero(octets == mark[0]), ends), prepend=0) + 1
    empty = ends == starts
    uneven = np.flatnonzero((counts != wanted) & ~empty)
    first = int(head)
    if not len(uneven) and not empty.any():
        return body, np.arange(len(ends) - first), []
    ragged = [(n - first, f"it has {counts[n]} columns, there should be {wanted}") for n in uneven.tolist()]
    kept = ~empty
    kept[uneven] = False
    lines = body.split(b"\n")
    text = b"\n".join([lines[number] for number in np.flatnonzero(kept).tolist()])
    return text, np.flatnonzero(kept[first:]), ragged


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
