"""Reads records of open feeds as JSON, one a line or in an array:
`{"name": "cpu", "tags": {"host": "a"}, "fields": {"usage": 1.5}, "time": "2026-01-31T12:00:00Z"}`."""

import json
import re
from typing import Any, Final

import msgspec

from tidemill.decode.open.line_protocol import MAX_PAIRS
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import NAME, NO_TIME, OpenPayload, OpenRecord, Tags
from tidemill.decode.open.regular_lines import MAX_FIELDS, MAX_NAME, MAX_TAGS
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import MAX_NS, MIN_NS, parse_instant

MAX_TEXT: Final = 64 << 10
_MARK: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class JsonRecord(msgspec.Struct, forbid_unknown_fields=True):
    """A record as it is sent."""

    fields: dict[str, bool | int | float | str | None]
    name: str = ""
    tags: dict[str, str] = {}
    time: str | int | float | None = None


_record = msgspec.json.Decoder(JsonRecord)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def read_json_lines(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload of JSON records."""
    body = body.removeprefix(_MARK)
    if not body.strip():
        payload.refuse("empty_body", "there is nothing here; send records")
        return
    if body.rstrip().count(b"\n") >= MAX_RECORDS or body.count(b",") > MAX_PAIRS:
        payload.refuse("too_many_records", f"there are more than {MAX_RECORDS} records; send them in several bodies")
        return
    pieces: list[Any]
    if is_array(body):
        try:
            pieces = _array.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            payload.refuse("invalid_json", str(error))
            return
        if not pieces or len(pieces) > MAX_RECORDS:
            few = "empty_body", "there is nothing here; send records"
            many = "too_many_records", f"there are more than {MAX_RECORDS} records; send them in several bodies"
            payload.refuse(*(many if pieces else few))
            return
    else:
        pieces = body.split(b"\n")
    for index, piece in enumerate(pieces):
        written = bytes(piece)
        if written.strip():
            payload.count += 1
            _read(written, index, options, payload)


def is_array(body: bytes) -> bool:
    """Whether records are in an array, not one a line."""
    return body.removeprefix(_MARK).lstrip().startswith(b"[")


def _read(piece: bytes, index: int, options: OpenOptions, payload: OpenPayload) -> None:
    try:
        given = _record.decode(piece)
        if b"\\" in piece or piece.count(b'"') != 2 * _texts(given):
            json.loads(piece, object_pairs_hook=_without_duplicates, parse_int=str)
        payload.add_record(index, _checked(given, options))
    except msgspec.ValidationError as error:
        payload.reject(index, f"line {index + 1}", "wrong_type", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        payload.reject(index, f"line {index + 1}", "invalid_json", str(error))
    except _RecordError as error:
        payload.reject(index, f"line {index + 1}", error.code, str(error))


def _texts(given: JsonRecord) -> int:
    """The texts of a record as it is usually written, keys among them: two quotes are around each."""
    named, timed = bool(given.name), given.time is not None
    values = sum(isinstance(value, str) for value in given.fields.values())
    tags = bool(given.tags) + 2 * len(given.tags)
    return 1 + len(given.fields) + values + tags + 2 * named + timed + isinstance(given.time, str)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    """Raise _RecordError where a key of an object is there twice."""
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise _RecordError("duplicate_key", f"the key '{key[:60]}' is there twice")
        keys.add(key)


class _RecordError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _checked(given: JsonRecord, options: OpenOptions) -> OpenRecord:
    fields: dict[str, float] = {}
    texts: dict[str, str] = {}
    rounded = False
    for key, value in given.fields.items():
        if isinstance(value, str):
            texts[key] = value
        elif value is not None:
            try:
                fields[key] = float(value)
            except OverflowError:
                raise _RecordError("not_finite", f"'{key[:60]}' is too large for a double") from None
            rounded |= isinstance(value, int) and int(fields[key]) != value
    if not fields:
        raise _RecordError("missing", "it has no number: fields that are texts, or null, make no point")
    if len(given.tags) > MAX_TAGS or len(given.fields) > MAX_FIELDS:
        raise _RecordError("too_many_members", f"at most {MAX_TAGS} tags and {MAX_FIELDS} fields are taken")
    tags = record_tags(given.name or options.name, given.tags)
    for text in (*(text for pair in tags for text in pair), *given.fields):
        if fault := name_fault(text):
            raise _RecordError(*fault)
    if any(len(text) > MAX_TEXT for text in texts.values()):
        raise _RecordError("too_long", f"a text has more than {MAX_TEXT} characters")
    return OpenRecord(tags, _time(given.time, options.unit_ns), fields, texts, rounded)


def record_tags(name: str, tags: dict[str, str]) -> Tags:
    """The tags of a record with this name (empty: none). Raises when a tag has the name's key."""
    if NAME in tags:
        raise _RecordError("conflict", f"the tag {NAME} is the record's name; leave it out")
    return tuple(sorted({**({NAME: name} if name else {}), **tags}.items()))


def name_fault(text: str) -> tuple[str, str] | None:
    """(code, sentence) of what is wrong with a name, a key or a tag's value."""
    if not text:
        return "empty", "a name, a tag or a key is empty"
    if len(text) > MAX_NAME:
        return "too_long", f"a name, a tag or a key has {len(text)} characters, at most {MAX_NAME} are taken"
    if control := _CONTROL.search(text):
        return "control_character", f"a name, a tag or a key holds the control character U+{ord(control[0]):04X}"
    return None


def _time(value: str | int | float | None, unit_ns: int) -> int:
    if value is None:
        return NO_TIME
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError as error:
            raise _RecordError("time_invalid", str(error)) from None
    time = value * unit_ns
    if not MIN_NS <= time <= MAX_NS:  # infinities too
        raise _RecordError("time_out_of_range", "its time is outside 1900-01-01 to 2262-04-11")
    return round(time)
