"""Reads CSV, Arrow IPC streams and Parquet of open feeds: a row is a record, a column its time, its name, a tag or a
field. What a column is depends on its name and, in Arrow and Parquet, on its type, never on the values of a payload."""

from typing import Final

import numpy as np
import polars as pl

from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import OpenPayload
from tidemill.decode.open.table_rows import read_rows
from tidemill.decode.table_files import TableError, csv_table, typed_table
from tidemill.decode.texts import Texts

TYPED: Final = ("arrow", "parquet")  # formats of tables whose columns have types


def read_csv(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload of CSV, whose first line names the columns."""
    try:
        csv = csv_table(body, options.separator, None)
    except TableError as error:
        payload.refuse(error.code, str(error))
        return
    payload.count += len(csv.ragged)
    for row, message in csv.ragged:
        payload.reject(row, f"line {row + 2}", "unequal_length", message)
    read_rows(csv.table, csv.rows, options, payload, first_line=2, typed=False)


def read_arrow(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload that is a stream of Arrow IPC."""
    _read_typed(body, "arrow", options, payload)


def read_parquet(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload that is a Parquet file."""
    _read_typed(body, "parquet", options, payload)


def _read_typed(body: bytes, name: str, options: OpenOptions, payload: OpenPayload) -> None:
    try:
        table = typed_table(body, name)
    except TableError as error:
        payload.refuse(error.code, str(error))
    else:
        read_rows(table, np.arange(len(table)), options, payload, first_line=1, typed=True)


def row_texts(body: bytes, name: str) -> Texts:
    """The texts of the rows of an Arrow IPC stream or a Parquet file; of one that cannot be read none."""
    try:
        return TableRowTexts(b"", table=typed_table(body, name))
    except TableError:
        return Texts(b"")


class TableRowTexts(Texts, frozen=True, kw_only=True):
    """The texts of the rows of a table, as JSON."""

    table: pl.DataFrame

    def text(self, index: int) -> str:
        """The text of a row; "" where there is none."""
        if index >= len(self.table):
            return ""
        row = self.table[index].write_ndjson().rstrip("\n")
        return Texts(row.encode()).text(0)
