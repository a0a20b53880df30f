"""The exact reader of line protocol: one line at a time, with escapes, quotes, comments, and every fault named.

The grammar is InfluxDB's. Stricter: a key stands once in a line, names hold no control characters, and lengths and
numbers of tags and fields are bounded. A line with texts only has no number, so no point: it is at fault.
"""

import re
from typing import Final

from tidemill.decode.open.records import NAME, NO_TIME, OpenPayload, OpenRecord, Tags
from tidemill.decode.open.regular_lines import MAX_FIELDS, MAX_NAME, MAX_TAGS
from tidemill.model.time import MAX_NS, MIN_NS

MAX_TEXT: Final = 64 << 10  # bytes of a field that is a text
_FIELD: Final = rb'(?:[^=, \n\\]|\\[^\n])++=(?:"(?:[^"\\]|\\[\s\S])*+"|[^ ,\r\n"]++)'
_LINE: Final = re.compile(
    rb"(?P<head>(?:[^ \n\\]|\\[^\n])++) ++(?P<fields>" + _FIELD + rb"(?:," + _FIELD + rb")*+)"
    rb"(?: ++(?P<time>[^ \r\n]++))? *+\r?(?=\n|\Z)"
)
_NEXT_FIELD: Final = re.compile(rb'((?:[^=, \n\\]|\\[^\n])++)=("(?:[^"\\]|\\[\s\S])*+"|[^ ,\r\n"]++),?')
_PARTS: Final = re.compile(rb"(?:[^,\\]|\\[\s\S])*+")
_TAG: Final = re.compile(rb"((?:[^=\\]|\\[\s\S])++)=((?:[^=\\]|\\[\s\S])++)")
_NUMBER: Final = re.compile(rb"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_INTEGER: Final = re.compile(rb"([-+]?[0-9]{1,20})([iu])")
_TIME: Final = re.compile(rb"[-+]?[0-9]{1,19}")
_ESCAPE: Final = re.compile(r"\\([,= ])")
_NAME_ESCAPE: Final = re.compile(r"\\([, ])")
_TEXT_ESCAPE: Final = re.compile(r'\\(["\\])')
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TRUTH: Final = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


class LineError(Exception):
    """A line is at fault: code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def read_exactly(body: bytes, first: int, unit_ns: int, payload: OpenPayload) -> int:
    """Read lines whose first has the index `first`; returns the number of lines that are neither empty nor comments.
    The index of a record is the number of its line, from 0."""
    at, index, records = 0, first, 0
    while at < len(body):
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        start = at + len(body[at:end]) - len(body[at:end].lstrip(b" \t"))
        if start < end and body[start] != 0x23 and body[start:end].strip():
            records += 1
            match = _LINE.match(body, start)
            end = match.end() if match else end
            try:
                payload.add_record(index, _record(body[start:end], match, unit_ns))
            except LineError as error:
                payload.reject(index, f"line {index + 1}", error.code, error.message)
        index += body.count(b"\n", at, end) + 1
        at = end + 1
    return records


def is_whole_line(line: bytes) -> bool:
    """Whether a line, without its end, is of the grammar by itself."""
    match = _LINE.match(line)
    return match is not None and match.end() == len(line)


def _record(line: bytes, match: re.Match[bytes] | None, unit_ns: int) -> OpenRecord:
    """The record of a line. Raises LineError."""
    if match is None:
        raise LineError("invalid_line", _why(line))
    try:
        tags = _tags(match["head"])
        fields, texts, rounded = _fields(match["fields"])
        time = _time(match["time"], unit_ns)
    except UnicodeDecodeError:
        raise LineError("invalid_utf8", "it is not UTF-8") from None
    if not fields:
        raise LineError("missing", "it has no number: fields that are texts make no point")
    return OpenRecord(tags, time, fields, texts, rounded)


def _why(line: bytes) -> str:
    """Why a line is not of the grammar."""
    parts = re.split(rb"(?<!\\) +", line, maxsplit=1)
    if len(parts) < 2 or not parts[1].strip():
        return "missing fields"
    if line.startswith((b",", b" ")):
        return "missing measurement"
    if parts[1].count(b'"') % 2:
        return "unbalanced quotes"
    return "invalid field format; a line is `name,tag=value field=1.5,other=2i 1700000000000000000`"


def _tags(head: bytes) -> Tags:
    parts = [part for part in _PARTS.findall(head) if part]
    if head.startswith(b",") or not parts:
        raise LineError("missing", "missing measurement")
    if head.count(b",") > 0 and _split_count(head) != len(parts):
        raise LineError("invalid_line", "missing tag key")
    if len(parts) - 1 > MAX_TAGS:
        raise LineError("too_many_members", f"it has {len(parts) - 1} tags, at most {MAX_TAGS} are taken")
    tags = {NAME: _name(_NAME_ESCAPE, parts[0], "the measurement")}
    for part in parts[1:]:
        match = _TAG.fullmatch(part)
        if match is None:
            raise LineError("invalid_line", "missing tag value" if part.endswith(b"=") else "invalid tag format")
        key, value = _name(_ESCAPE, match[1], "a tag's key"), _name(_ESCAPE, match[2], "a tag's value")
        if key == NAME:
            raise LineError("conflict", f"the tag {NAME} is the measurement's; name it otherwise")
        if key in tags:
            raise LineError("duplicate_key", f"the tag '{key[:60]}' is there twice")
        tags[key] = value
    return tuple(sorted(tags.items()))


def _split_count(head: bytes) -> int:
    """The parts of a head between commas that are not escaped."""
    return len(re.split(rb"(?<!\\),", head)) if b"\\" in head else head.count(b",") + 1


def _name(escape: re.Pattern[str], written: bytes, what: str) -> str:
    if len(written) > MAX_NAME:
        raise LineError("too_long", f"{what} has {len(written)} bytes, at most {MAX_NAME} are taken")
    text = written.decode()
    if "\\" in text:
        text = escape.sub(r"\1", text)
    if control := _CONTROL.search(text):
        raise LineError("control_character", f"{what} holds the control character U+{ord(control[0]):04X}")
    return text


def _fields(written: bytes) -> tuple[dict[str, float], dict[str, str], bool]:
    """(numbers, texts, whether a number is rounded) of the fields of a line. Raises LineError."""
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    rounded = False
    for count, match in enumerate(_NEXT_FIELD.finditer(written)):
        if count >= MAX_FIELDS:
            raise LineError("too_many_members", f"it has more than {MAX_FIELDS} fields")
        key, value = _name(_ESCAPE, match[1], "a field's key"), match[2]
        if key in numbers or key in texts:
            raise LineError("duplicate_key", f"the field '{key[:60]}' is there twice")
        if value[0] == 0x22:
            if len(value) > MAX_TEXT:
                raise LineError("too_long", f"the text of '{key[:60]}' has more than {MAX_TEXT} bytes")
            texts[key] = _TEXT_ESCAPE.sub(r"\1", value[1:-1].decode())
        else:
            numbers[key], inexact = read_number(value, key)
            rounded |= inexact
    return numbers, texts, rounded


def read_number(value: bytes, key: str) -> tuple[float, bool]:
    """(the value of a field, whether it is an integer that is kept as the nearest double). Raises LineError."""
    if value in _TRUTH:
        return _TRUTH[value], False
    if integer := _INTEGER.fullmatch(value):
        number = int(integer[1])
        low, high = (-(1 << 63), (1 << 63) - 1) if integer[2] == b"i" else (0, (1 << 64) - 1)
        if not low <= number <= high:
            raise LineError("out_of_range", f"invalid integer: '{key[:60]}' is no integer of 64 bits")
        return float(number), int(float(number)) != number
    if len(value) > MAX_NAME:
        raise LineError("too_long", f"the number of '{key[:60]}' has {len(value)} bytes, at most {MAX_NAME} are taken")
    if _NUMBER.fullmatch(value) is None:
        shown = value[:40].decode("utf-8", "replace")
        raise LineError("not_a_number", f"invalid number: '{key[:60]}' is {shown!r}; a text stands in double quotes")
    number_ = float(value)
    if number_ - number_ != 0:
        raise LineError("not_finite", f"invalid number: '{key[:60]}' is too large for a double")
    return number_, False


def _time(written: bytes | None, unit_ns: int) -> int:
    if written is None:
        return NO_TIME
    if _TIME.fullmatch(written) is None:
        shown = written[:40].decode("utf-8", "replace")
        raise LineError("time_invalid", f"bad timestamp: {shown!r} is no integer")
    time = int(written) * unit_ns
    if not MIN_NS <= time <= MAX_NS:
        raise LineError("time_out_of_range", "time outside range: it is outside 1900-01-01 to 2262-04-11")
    return time
