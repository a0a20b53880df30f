"""Reads CSV: each row becomes a record with a text for each cell, under the names of the header.

An empty cell is null. A row that is shorter than the header lacks members, which the feed's contract judges; cells
beyond the header are kept as `more_cells`. Numbers stay texts: the feed says how they are written.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tidemill.client.files.chunks import FileChunk, FileRecord, gathered
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_DELIMITERS: Final = ",;\t|"
_LONGEST_CELL: Final = 1 << 20
MORE: Final = "more_cells"


class CsvDialect(msgspec.Struct, frozen=True):
    """How a CSV file is written. `delimiter` "": as the header shows; `columns`: the names of a file without a header;
    `skip`: lines before the header."""

    delimiter: str = ""
    encoding: str = "utf-8-sig"
    columns: tuple[str, ...] = ()
    skip: int = 0


class _CountedLines:
    """The lines of a stream as texts, and how many bytes they had."""

    def __init__(self, opened: InputStream, encoding: str) -> None:
        self._stream, self._encoding = opened.stream, encoding
        self.bytes = self.lines = 0

    def __iter__(self) -> "_CountedLines":
        return self

    def __next__(self) -> str:
        line = self._stream.readline(_LONGEST_CELL + 1)
        if not line:
            raise StopIteration
        self.bytes += len(line)
        self.lines += 1
        if len(line) > _LONGEST_CELL:
            raise InputError(f"line {self.lines} is longer than {_LONGEST_CELL >> 20} MiB: is this CSV?")
        try:
            return line.decode(self._encoding if self.lines == 1 else self._encoding.removesuffix("-sig"))
        except UnicodeDecodeError as error:
            message = f"line {self.lines} is no text of {self._encoding.removesuffix('-sig')} ({error.reason})"
            raise InputError(f"{message}; name the encoding, such as --encoding latin-1") from None


def read_csv(opened: InputStream, dialect: CsvDialect) -> Iterator[FileChunk]:
    """Chunks of rows as NDJSON. Raises InputError for a file without a header, or of another encoding."""
    lines = _CountedLines(opened, dialect.encoding)
    for _ in range(dialect.skip):
        next(lines, "")
    yield from gathered(_records(opened, lines, dialect), unit="row", total=opened.size)


def _records(opened: InputStream, lines: _CountedLines, dialect: CsvDialect) -> Iterator[FileRecord]:
    names: Sequence[str] = dialect.columns
    delimiter = dialect.delimiter
    if not names or not delimiter:
        first = next(lines, "")
        delimiter = delimiter or max(_DELIMITERS, key=first.count)
        row = next(csv.reader([first], delimiter=delimiter), [])
        if names:
            yield FileRecord(_line(names, row), lines.bytes, opened.done)
        else:
            names = _header(row)
    encode = msgspec.json.encode
    width = len(names)
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if len(row) == width:
                cells = [cell or None for cell in row]
                yield FileRecord(encode(dict(zip(names, cells, strict=True))), lines.bytes, opened.done)
            elif row:
                yield FileRecord(_line(names, row), lines.bytes, opened.done)
    except csv.Error as error:
        raise InputError(f"line {lines.lines} is no CSV: {error}") from None


def _header(row: Sequence[str]) -> list[str]:
    """The names of the columns; a column without a name has that of its number."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(row, 1)]
    if not any(cell.strip() for cell in row):
        raise InputError("it has no header line; name its columns with --columns")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"its header has {', '.join(twice[:5])} twice; name its columns with --columns and --skip 1")
    return names


def _line(names: Sequence[str], row: Sequence[str]) -> bytes:
    """The record of a row that is not as wide as the header."""
    record: dict[str, object] = {name: cell or None for name, cell in zip(names, row, strict=False)}
    if len(row) > len(names):
        record[MORE] = row[len(names) :]
    return msgspec.json.encode(record)
