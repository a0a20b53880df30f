"""Reads InfluxDB's line protocol, and the dumps of `influx_inspect export`, which are line protocol with headings.

An open feed takes the lines as they are. For another feed each line becomes a record: `{"measurement": ...,
"tags": {...}, "fields": {...}, "time": ...}`, the time in the unit of the file (a dump: nanoseconds), null where the
line has none. Integers (`7i`, `7u`) are numbers, booleans are true and false. A dump's records have the `database` and
the `retention_policy` they were in.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec

from tidemill.client.files.chunks import LINES, FileChunk, FileRecord, gathered, line_blocks
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_CONTEXT: Final = {"CONTEXT-DATABASE": "database", "CONTEXT-RETENTION-POLICY": "retention_policy"}
_CONTEXT_LINE: Final = re.compile(r"#\s*(CONTEXT-[A-Z-]+):\s*(.*)")
_DDL: Final = re.compile(rb"(CREATE|ALTER|DROP) (DATABASE|RETENTION POLICY) ", re.IGNORECASE)
_RECORD: Final = re.compile(  # to its end: a line break in a quoted text is none; `open`: the text has no end here
    rb'(?:[^\n\\=]++|\\[^\n]?+|=(?:"(?:[^"\\]++|\\[\s\S]?+)*+(?:"|(?P<open>\Z)))?+)*+(?:\n|\Z)'
)
_LONGEST_RECORD: Final = 1 << 20  # bytes of which the end is looked for: a server takes texts of 64 KiB
_PART: Final = r"((?:[^,= \\]|\\.)*)"  # a name or a tag's value; a backslash keeps the next character
_KEY: Final = re.compile(r"((?:[^, \\]|\\.)+)((?:,(?:[^ \\]|\\.)*)?) +(.*)", re.DOTALL)
_TAG: Final = re.compile(rf",{_PART}={_PART}")
_FIELD: Final = re.compile(rf'{_PART}=("(?:[^"\\]|\\.)*"|[^,\s]+)(,|\s+|$)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([,= \"\\])")
_BOOLEANS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}


class LineFaultError(ValueError):
    """A line is no line protocol; the message says why."""


def read_plain_lines(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of lines byte for byte, without the headings of a dump: for an open feed, which judges each line."""
    start = number = 0
    heading = _Heading()
    for block in _record_blocks(opened.stream):
        kept = block
        if b"#" in block or heading.inside:
            kept = b"".join(piece for piece in _pieces(block) if heading.is_record(piece))
        end = start + len(block)
        if kept:
            yield FileChunk(
                body=kept,
                start=start,
                end=end,
                records=_line_count(kept),
                first=number + 1,
                done=opened.done,
                total=opened.size,
                content_type=LINES,
            )
        start, number = end, number + _line_count(block)


class _Heading:
    """Tells records from comments, empty lines, and the heading of a dump, which is between `# DDL` and `# DML`."""

    def __init__(self) -> None:
        self.inside = False

    def is_record(self, piece: bytes) -> bool:
        """Whether the next piece of a file is a record."""
        text = piece.strip()
        if text.startswith(b"#"):
            word = text[1:].strip()
            self.inside = word == b"DDL" or (self.inside and word != b"DML")
            return False
        return bool(text) and not (self.inside and _DDL.match(text))


def _record_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream in blocks that end where a record ends. Raises InputError."""
    held = b""
    for lines in line_blocks(stream):
        block = held + lines
        cut = _whole(block)
        if len(block) - cut > _LONGEST_RECORD:
            cut = len(block)
        held = block[cut:]
        if cut:
            yield block[:cut]
    if held:
        yield held


def _whole(block: bytes) -> int:
    """Where the last record begins whose quoted text has no end in the block; else the end of the block."""
    quote = block.rfind(b'"')
    if quote < 1 or block[quote - 1] not in b"=\\":  # it is no quote that begins a text, and none within one
        return len(block)
    at = 0
    while at < len(block):
        end = _record_end(block, at)
        if not end:
            return at
        at = end
    return at


def _pieces(block: bytes) -> Iterator[bytes]:
    """The records, comments and empty lines of a block, with their line breaks. A text without an end ends its line."""
    at = 0
    while at < len(block):
        end = _record_end(block, at) or _line_end(block, at)
        yield block[at:end]
        at = end


def _record_end(block: bytes, at: int) -> int:
    """The end of the record or comment at `at`; 0: it has a quoted text without an end."""
    end = _line_end(block, at)
    if block.find(b'"', at, end) < 0 or block[at:end].lstrip().startswith(b"#"):
        return end
    match = _RECORD.match(block, at)
    if match is None:
        return end
    return match.end() if match["open"] is None else 0


def _line_end(block: bytes, at: int) -> int:
    return block.find(b"\n", at) + 1 or len(block)


def _line_count(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def read_line_protocol(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of lines as NDJSON records. Raises InputError naming the first line that is none."""
    yield from gathered(_records(opened), unit="line", total=opened.size)


def _records(opened: InputStream) -> Iterator[FileRecord]:
    context: dict[str, Any] = {}
    end = lines = 0
    heading = _Heading()
    for block in _record_blocks(opened.stream):
        for raw in _pieces(block):
            number = lines + 1
            end, lines = end + len(raw), lines + _line_count(raw)
            text = raw.decode("utf-8", "surrogateescape").strip("\r\n ")
            if not heading.is_record(raw):
                named = _CONTEXT_LINE.match(text)
                if named and named[1] in _CONTEXT:
                    context = context | {_CONTEXT[named[1]]: named[2].strip()}
                continue
            try:
                record = parse_line(text) | context
                yield FileRecord(msgspec.json.encode(record), end, opened.done)
            except (LineFaultError, UnicodeEncodeError) as error:
                raise InputError(f"line {number} is no line protocol: {error}: {text[:80]!r}") from None


def parse_line(text: str) -> dict[str, Any]:
    """The record of one line. Raises LineFaultError."""
    head = _KEY.match(text)
    if head is None:
        raise LineFaultError("a line is `measurement,tag=value field=value time`")
    measurement, tags, rest = head.groups()
    fields, time = _fields(rest)
    return {"measurement": _plain(measurement), "tags": _tags(tags), "fields": fields, "time": time}


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _TAG.match(text, at)
        if match is None or not match[1] or not match[2]:
            raise LineFaultError("a tag is `,name=value`")
        tags[_plain(match[1])] = _plain(match[2])
        at = match.end()
    return tags


def _fields(text: str) -> tuple[dict[str, Any], int | None]:
    fields: dict[str, Any] = {}
    at = 0
    while True:
        match = _FIELD.match(text, at)
        if match is None or not match[1]:
            raise LineFaultError("a field is `name=value`")
        fields[_plain(match[1])] = _value(match[2])
        at = match.end()
        if match[3] != ",":
            break
    time = text[at:].strip()
    if not time:
        return fields, None
    if not time.lstrip("-").isdigit():
        raise LineFaultError(f"'{time[:40]}' is no time: a whole number since 1970")
    return fields, int(time)


def _value(text: str) -> Any:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        return int(text[:-1]) if text[-1] in "iu" else float(text)
    except ValueError:
        raise LineFaultError(f"'{text[:40]}' is no value: a number, `7i`, true, false or a text in quotes") from None


def _plain(text: str) -> str:
    """A name or a value without its escapes."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
