"""Strict JSON (RFC 8259): parses one text at a time and reports what a plain parser hides: duplicate keys, NaN and
infinities written as words, integers of thousands of digits; and where a text is not JSON."""

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from json.scanner import make_scanner
from typing import Any, Final

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.scan import depth_within, is_utf8
from tidemill.feeds.paths import member_path

NOT_FINITE: Final = "NaN and Infinity are not JSON; leave the member out or send a number"
_GLUED: Final = ("Extra data", "{")
_EXACT_DIGITS: Final = 300  # integers of more digits may be beyond the range of a double


class Object(dict[str, Any]):
    """A JSON object with the set of its duplicate keys."""

    duplicate_keys: frozenset[str] = frozenset()


class NotJson(float):
    """NaN or an infinity written as a word, which is not JSON."""


class Digits(float):
    """A number with decimals, with its text as written."""

    text: str


def _with_digits(text: str) -> Digits:
    number = Digits(text)
    number.text = text
    return number


def as_written(number: float) -> float | Decimal:
    """A number exactly as it was written, where its text is known (`parse_json` with `digits`)."""
    return Decimal(number.text) if isinstance(number, Digits) else number


# One object for each word: creating a million of them would block all threads for a second.
not_json: Final = {name: NotJson(name) for name in ("NaN", "Infinity", "-Infinity")}.__getitem__


def parse_json(
    body: bytes, path: str, max_depth: int, faults: FaultCollector, *, line: int = 1, digits: bool = False
) -> Any:
    """The value of a JSON text, or None with a fault. Objects are `Object`, words such as NaN are `NotJson`; numbers
    with decimals are `Digits` where `digits` are wanted. `line` is the number of the text's first line."""
    if not is_readable(body, path, max_depth, faults, line=line):
        return None
    text = body.decode()
    try:
        value, end = (_scan_digits if digits else _scan)(text, 0)
        if end == len(text):
            return value
    except (StopIteration, json.JSONDecodeError, RecursionError):
        pass  # the decoder below accepts outer white space and raises an error with a message
    try:
        return (_DIGITS if digits else _JSON).decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno + line - 1}, column {error.colno}"
        hint = _lines_hint(error.msg, text[error.pos : error.pos + 1])
        faults.add(path, "invalid_json", f"not JSON: {_what_is_wrong(error.msg)} at {where}{hint}")
    except RecursionError:
        faults.add(path, "too_deep", f"arrays and objects nest deeper than {max_depth}")
    return None


def is_readable(body: bytes, path: str, max_depth: int, faults: FaultCollector, *, line: int = 1) -> bool:
    """Whether a text may be parsed as JSON: not empty, UTF-8, not too deep; else a fault is added."""
    if not body.strip(b" \t\r\n"):
        faults.add(path, "empty_body", "there is nothing here; send a JSON document")
    elif not is_utf8(body):
        faults.add(path, "invalid_utf8", _utf8_message(body, line))
    elif not depth_within(body, max_depth):
        faults.add(path, "too_deep", f"arrays and objects nest deeper than {max_depth}")
    else:
        return True
    return False


def invalid_message(message: str, body: bytes, at: int) -> str:
    """The sentence for a document that is not JSON from the byte offset `at` on."""
    before = body[:at]
    line, column = before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    hint = _lines_hint(message, body[at : at + 1].decode("latin-1"))
    return f"not JSON: {_what_is_wrong(message)} at line {line}, column {column}{hint}"


def _what_is_wrong(message: str) -> str:
    return "the document ends and something follows it" if message == "Extra data" else message


def _lines_hint(message: str, follows: str) -> str:
    """What to do where one more object follows a document: it is probably of lines that lost their ends."""
    return "; send lines with --data-binary: curl -d takes their ends out" if (message, follows) == _GLUED else ""


def _utf8_message(body: bytes, line: int) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start]
        number, byte = line + before.count(b"\n"), error.start - before.rfind(b"\n")
        return f"not UTF-8: {error.reason} ({body[error.start]:#04x}) at line {number}, byte {byte}"
    return "not UTF-8"


def has_lone_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def not_finite_paths(value: Any, path: str) -> Iterator[str]:
    """The paths of every NaN or infinity written as a word in a value."""
    if isinstance(value, NotJson):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(item, int | str) and type(item) is not float:
                yield from not_finite_paths(item, member_path(path, key))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            if not isinstance(item, int) and type(item) is not float and not isinstance(item, str):
                yield from not_finite_paths(item, f"{path}[{n}]")


def json_type(value: Any) -> str:
    """The type of a JSON value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"


_EMPTY: Final = Object()  # of all objects without members: read only


def _object(pairs: list[tuple[str, Any]]) -> Object:
    if not pairs:
        return _EMPTY
    members = Object(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        members.duplicate_keys = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return members


def _integer(text: str) -> float:
    """An integer with all its digits; infinity for one that no double can hold. Python refuses to read thousands of
    digits."""
    if len(text) > _EXACT_DIGITS and math.isinf(float(text)):
        return float(text)
    return int(text)


_JSON: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=not_json)
_DIGITS: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_with_digits, parse_int=_integer, parse_constant=not_json
)
_scan: Final = make_scanner(_JSON)  # type: ignore[arg-type]  # typeshed takes the decoder for a scanner
_scan_digits: Final = make_scanner(_DIGITS)  # type: ignore[arg-type]
