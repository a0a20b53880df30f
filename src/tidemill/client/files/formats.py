"""The formats of files that `tidemill import` reads: a table from the name of a format to what reads it."""

from collections.abc import Iterator
from typing import Final

import msgspec

from tidemill.client.files.chunks import FileChunk
from tidemill.client.files.columnar import read_arrow, read_parquet
from tidemill.client.files.csv_file import CsvDialect, read_csv
from tidemill.client.files.csv_lines import read_plain_csv
from tidemill.client.files.green_button import read_green_button
from tidemill.client.files.home_assistant import read_home_assistant
from tidemill.client.files.inputs import InputFile, first_bytes, open_input
from tidemill.client.files.line_protocol import read_line_protocol, read_plain_lines
from tidemill.client.files.lines import read_json, read_ndjson
from tidemill.errors import InputError

_READERS: Final = {
    "ndjson": read_ndjson,
    "json": read_json,
    "line-protocol": read_line_protocol,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "green-button": read_green_button,
}
LINE_PROTOCOL: Final = "line-protocol"
_SEEKABLE: Final = frozenset({"parquet", "arrow", "green-button"})
FORMATS: Final = ("csv", *_READERS, "home-assistant")
_BEGINS: Final = (
    (b"SQLite format 3\0", "home-assistant"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"# INFLUXDB EXPORT", "line-protocol"),
    (b"<?xml", "green-button"),
    (b"<feed", "green-button"),
)
_OF_BEGIN_ALONE: Final = frozenset(kind for _, kind in _BEGINS) - {"line-protocol", "green-button"}


def file_format(file: InputFile, wanted: str = "") -> str:
    """The format of a file: the `wanted` one, else by its first bytes, else by the end of its name. Raises InputError
    where neither says, and for a file that is not what its name says."""
    if wanted:
        return wanted
    head = first_bytes(file)
    by_bytes = next((kind for begin, kind in _BEGINS if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(begin)), None)
    if by_bytes is not None:
        return by_bytes
    by_name = file.kind
    if by_name in _OF_BEGIN_ALONE and head:
        raise InputError(f"{file.name} is no file of {by_name}, whatever its name says; name its format with --format")
    if by_name is None:
        raise InputError(f"{file.name}: say what it is with --format: {', '.join(FORMATS)}")
    return by_name


class FeedTakes(msgspec.Struct, frozen=True):
    """What a feed takes as it is: lines of line protocol; CSV, and whether the first line of that has the names of the
    columns. All else is sent as JSON."""

    plain_lines: bool = False
    plain_csv: bool = False
    csv_header: bool = True


JSON_ALONE: Final = FeedTakes()


def read_chunks(file: InputFile, kind: str, dialect: CsvDialect, takes: FeedTakes = JSON_ALONE) -> Iterator[FileChunk]:
    """The chunks of a file, in order, as a feed takes them. Raises InputError that names the file and says what to
    do."""
    try:
        if kind == "home-assistant":
            if file.path is None:
                raise InputError("a database is read from a file, not from standard input")
            yield from read_home_assistant(file)
            return
        with open_input(file, seekable=kind in _SEEKABLE) as opened:
            if kind == "csv" and takes.plain_csv:
                yield from read_plain_csv(opened, dialect, with_header=takes.csv_header)
            elif kind == "csv":
                yield from read_csv(opened, dialect)
            elif kind == LINE_PROTOCOL and takes.plain_lines:
                yield from read_plain_lines(opened)
            else:
                yield from _READERS[kind](opened)
    except InputError as error:
        message = error.message if error.message.startswith(file.name) else f"{file.name}: {error.message}"
        raise InputError(message) from None
