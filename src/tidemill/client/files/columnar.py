"""Reads Parquet and Arrow (IPC) files with Polars: each row becomes a record under the names of its columns.

Times are written as RFC 3339 (with `Z` where the column has a zone), not-a-number as null, infinite numbers as the
texts `Infinity` and `-Infinity`, which a feed rejects as it does any text where a number is to be. Rows are read some
thousand at a time.
"""

import importlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidemill.client.files.chunks import FileChunk, FileRecord, gathered
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError, MissingPackageError

_ROWS: Final = 20_000  # some MiB of records of ten columns


def read_parquet(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of rows of a Parquet file as NDJSON. Raises InputError, MissingPackageError."""
    yield from _read(opened, "scan_parquet", "Parquet")


def read_arrow(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of rows of an Arrow IPC file as NDJSON. Raises InputError, MissingPackageError."""
    yield from _read(opened, "scan_ipc", "Arrow")


def _read(opened: InputStream, scan: str, what: str) -> Iterator[FileChunk]:
    try:
        pl: Any = importlib.import_module("polars")
    except ModuleNotFoundError:
        raise MissingPackageError(f"A file of {what} needs Polars: pip install polars.") from None
    try:
        frame = getattr(pl, scan)(opened.stream)
        schema = frame.collect_schema()
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unusable(what, error) from None
    frame = frame.select(_written(pl, name, kind) for name, kind in schema.items())
    yield from gathered(_records(pl, frame, rows, what), unit="row", total=rows)


def _records(pl: Any, frame: Any, rows: int, what: str) -> Iterator[FileRecord]:
    number = 0
    for begin in range(0, rows, _ROWS):
        try:
            part = frame.slice(begin, _ROWS).collect()
            lines: list[bytes] = part.write_ndjson().encode().splitlines()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unusable(what, error) from None
        _name_infinite(part, lines)
        for line in lines:
            number += 1
            yield FileRecord(line, number, number)


def _name_infinite(part: Any, lines: list[bytes]) -> None:
    """Put the infinite numbers of some rows into their lines, which have null for them."""
    for name, kind in part.schema.items():
        if not kind.is_float():
            continue
        for row in part[name].is_infinite().fill_null(value=False).arg_true():
            record = msgspec.json.decode(lines[row])
            record[name] = "Infinity" if part[name][row] > 0 else "-Infinity"
            lines[row] = msgspec.json.encode(record)


def _written(pl: Any, name: str, kind: Any) -> Any:
    """A column as its values are written in JSON."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone:
            return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ")
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.9f")
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64)
    if isinstance(kind, pl.Binary):
        return column.bin.encode("base64")
    if isinstance(kind, pl.Duration):
        return column.dt.total_nanoseconds()
    if kind.is_float():
        return column.fill_nan(None)
    return column.cast(pl.String) if isinstance(kind, pl.Categorical | pl.Enum | pl.Time) else column


def _unusable(what: str, error: Exception) -> InputError:
    why = str(error).partition("\n")[0][:200]
    return InputError(f"it is no whole file of {what} ({why}); if it was copied, copy it again")
