"""The formats of open feeds, in one place: name, content types, and the reader that makes columns of bytes."""

from collections.abc import Callable
from typing import Final

import msgspec

from tidemill.decode.open.line_protocol import read_line_protocol
from tidemill.decode.open.ndjson import read_json_lines
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import OpenPayload
from tidemill.decode.open.tables import read_arrow, read_csv, read_parquet

Read = Callable[[bytes, OpenOptions, OpenPayload], None]


class OpenFormat(msgspec.Struct, frozen=True):
    """A format: its content types, its reader, and whether its payloads are lines, a record each."""

    name: str
    media_types: tuple[str, ...]
    read: Read
    lines: bool = False


_ALL: Final = (
    OpenFormat("line_protocol", ("text/x-influx-line-protocol",), read_line_protocol, lines=True),
    OpenFormat(
        "ndjson", ("application/x-ndjson", "application/jsonl", "application/json"), read_json_lines, lines=True
    ),
    OpenFormat("csv", ("text/csv",), read_csv),
    OpenFormat("arrow", ("application/vnd.apache.arrow.stream",), read_arrow),
    OpenFormat("parquet", ("application/vnd.apache.parquet",), read_parquet),
)
OPEN_READERS: Final = {entry.name: entry for entry in _ALL}
