"""Reads InfluxDB's line protocol, and the dumps of `influx_inspect export`, which are line protocol with headings.

An open feed takes the lines as they are. For another feed each line becomes a record: `{"measurement": ...,
"tags": {...}, "fields": {...}, "time": ...}`, the time in the unit of the file (a dump: nanoseconds), null where the
line has none. Integers (`7i`, `7u`) are numbers, booleans are true and false. A dump's records have the `database` and
the `retention_policy` they were in.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidemill.client.files.chunks import LINES, FileChunk, FileRecord, gathered, line_blocks
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_CONTEXT: Final = {"CONTEXT-DATABASE": "database", "CONTEXT-RETENTION-POLICY": "retention_policy"}
_CONTEXT_LINE: Final = re.compile(r"#\s*(CONTEXT-[A-Z-]+):\s*(.*)")
_DDL: Final = re.compile(r"(CREATE|ALTER|DROP) (DATABASE|RETENTION POLICY) ", re.IGNORECASE)
_DDL_BYTES: Final = re.compile(_DDL.pattern.encode(), re.IGNORECASE)
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
    for block in line_blocks(opened.stream):
        lines = block.splitlines(keepends=True)
        kept = lines if b"#" not in block and not _DDL_BYTES.search(block) else [*filter(_is_record, lines)]
        end = start + len(block)
        if kept:
            yield FileChunk(
                body=b"".join(kept),
                start=start,
                end=end,
                records=len(kept),
                first=number + 1,
                done=opened.done,
                total=opened.size,
                content_type=LINES,
            )
        start, number = end, number + len(lines)


def _is_record(line: bytes) -> bool:
    return not (line.lstrip().startswith(b"#") or _DDL_BYTES.match(line) or not line.strip())


def read_line_protocol(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of lines as NDJSON records. Raises InputError naming the first line that is none."""
    yield from gathered(_records(opened), unit="line", total=opened.size)


def _records(opened: InputStream) -> Iterator[FileRecord]:
    context: dict[str, Any] = {}
    end = number = 0
    for block in line_blocks(opened.stream):
        for raw in block.splitlines(keepends=True):
            end, number = end + len(raw), number + 1
            text = raw.decode("utf-8", "surrogateescape").strip("\r\n ")
            if not text or text.startswith("#") or _DDL.match(text):
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
