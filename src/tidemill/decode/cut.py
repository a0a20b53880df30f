"""Cuts a payload into its records: the offsets at which each begins and ends, in one pass over the bytes.

All readers and the ledger use this module, so they agree on the index of each record. NaN, infinities, halves of
surrogate pairs and duplicate keys do not stop the cut; the strict reader reports them. A document that is not JSON from
some offset on has no records, and a fault says where.
"""

import json
import re
from array import array
from json import JSONDecodeError
from typing import Any, Final

import msgspec

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.joined import joined_objects
from tidemill.decode.strict_json import NOT_FINITE, invalid_message, is_readable, json_type, not_finite_paths, not_json
from tidemill.model.payload import MAX_RECORDS

WHITE: Final = b" \t\r\n"

# Values are parsed to know where they end, and dropped; for numbers `len` is enough. The scanner of the standard
# library runs in C (8 MiB of records of 50 bytes in 0.18 s); it reads the bytes as Latin-1, a character for each byte,
# so that its offsets are offsets in the bytes.
_scan: Final = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=not_json).raw_decode
_white: Final = re.compile(r"[ \t\n\r]*").match
_comma: Final = re.compile(r"[ \t\n\r]*,[ \t\n\r]*").match
_colon: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*").match
_LINE: Final = re.compile(rb"[^\n]+")


class Cut(msgspec.Struct, frozen=True):
    """The records of a payload: [start, end) of each in its bytes. `listed`: the records are items of an array, or
    lines; else the payload is a single record. Cutting ends after one record more than a payload may hold."""

    starts: "array[int]"
    ends: "array[int]"
    listed: bool = True

    def __len__(self) -> int:
        return len(self.starts)

    def pieces(self, body: bytes, first: int, last: int) -> list[bytes]:
        """The bytes of the records `first` to `last` (exclusive)."""
        return [body[start:end] for start, end in zip(self.starts[first:last], self.ends[first:last], strict=True)]


def cut_lines(body: bytes) -> Cut:
    """The lines of NDJSON that are not blank; of a body that is one line of several objects, the objects."""
    if (objects := joined_objects(body)) is not None:
        return Cut(array("q", [start for start, _ in objects]), array("q", [end for _, end in objects]))
    starts, ends = array("q"), array("q")
    for line in _LINE.finditer(body):
        if line[0].strip(WHITE):
            starts.append(line.start())
            ends.append(line.end())
            if len(starts) > MAX_RECORDS:
                break
    return Cut(starts, ends)


def cut_document(body: bytes, records: tuple[str, ...], max_depth: int, faults: FaultCollector) -> Cut | None:
    """The records of a document (without byte order mark) at the path of the keys `records`; None with faults where it
    has none. Without a path, a document that is no array is one record, JSON or not."""
    if not is_readable(body, "$", max_depth, faults):
        return None
    if not records and not is_array(body):
        return Cut(array("q", [0]), array("q", [len(body)]), listed=False)
    walk = _DocumentWalk(body, records)
    try:
        after = walk.walk_value(_skip(walk.text, 0), 0)
        if after < len(walk.text):
            raise JSONDecodeError("Extra data", walk.text, after)
    except _EnoughError:
        return walk.cut
    except JSONDecodeError as error:
        faults.add("$", "invalid_json", invalid_message(error.msg, body, error.pos))
        return None
    for level_faults in walk.faults:
        if level_faults.count:
            faults.extend(level_faults)
            return None
    return walk.cut


def is_array(body: bytes) -> bool:
    """Whether a document begins as an array."""
    return body[: len(body) - len(body.lstrip(WHITE)) + 1][-1:] == b"["


class _EnoughError(Exception):
    """More records than a payload may hold."""


class _DocumentWalk:
    """Walks through a document to its records. `faults`: those of each object on the path, outermost first."""

    def __init__(self, body: bytes, records: tuple[str, ...]) -> None:
        self.text = body.decode("latin-1")
        self.cut: Cut | None = None
        self.faults = [FaultCollector() for _ in records]
        self._body = body
        self._records = records
        self._paths = ["$" + "".join(f".{key}" for key in records[:above]) for above in range(len(records) + 1)]

    def walk_value(self, at: int, level: int) -> int:
        """Read the value at offset `at`, `level` objects below the root; returns the offset after it and white space.
        Raises JSONDecodeError, whose `pos` is an offset in the bytes."""
        if level < len(self._records):
            if self.text[at : at + 1] == "{":
                return self._object(at, level)
            value, end = _scan(self.text, at)
            self.faults[level].add(self._paths[level], "wrong_type", f"must be an object, is {json_type(value)}")
        elif self.text[at : at + 1] == "[":
            self.cut = Cut(array("q"), array("q"))
            return self._array(at, self.cut)
        else:
            end = _scan(self.text, at)[1]
            self.cut = Cut(array("q", [at]), array("q", [end]), listed=False)
        return _skip(self.text, end)

    def _array(self, at: int, cut: Cut) -> int:
        text, starts, ends = self.text, cut.starts, cut.ends
        at = end = _skip(text, at + 1)
        if text[at : at + 1] != "]":
            while True:
                _, end = _scan(text, at)
                starts.append(at)
                ends.append(end)
                if len(starts) > MAX_RECORDS:
                    raise _EnoughError
                comma = _comma(text, end)
                if comma is None:
                    break
                at = comma.end()
        return self._after_bracket(end, "]")

    def _object(self, at: int, level: int) -> int:
        """Read the members of an object on the path: one leads to the records; the others are only checked for NaN and
        infinities. Returns the offset after the object and white space."""
        text, wanted, path = self.text, self._records[level], self._paths[level]
        seen, others = 0, FaultCollector()
        at = end = _skip(text, at + 1)
        while text[at : at + 1] != "}":
            key, after = self._key(at)
            colon = _colon(text, after)
            if colon is None:
                raise JSONDecodeError("Expecting ':' delimiter", text, _skip(text, after))
            if key == wanted and not seen:
                end = self.walk_value(colon.end(), level + 1)
            else:
                item, end = _scan(text, colon.end())
                for where in not_finite_paths(item, f"{path}.{key}") if key != wanted else ():
                    others.add(where, "not_finite", NOT_FINITE)
            seen += key == wanted
            comma = _comma(text, end)
            if comma is None:
                break
            at = comma.end()
            if text[at : at + 1] != '"':
                raise JSONDecodeError(_NO_NAME, text, at)
        if seen > 1:
            self.faults[level].add(f"{path}.{wanted}", "duplicate_key", f"'{wanted}' is there twice")
        if not seen:
            message = "is missing; it must be an array of records"
            self.faults[level].add(f"{path}.{wanted}", "missing", message)
        self.faults[level].extend(others)
        return self._after_bracket(end, "}")

    def _key(self, at: int) -> tuple[str, int]:
        if self.text[at : at + 1] != '"':
            raise JSONDecodeError(_NO_NAME, self.text, at)
        key, end = _scan(self.text, at)
        raw = self._body[at:end]
        return (key if raw.isascii() else json.loads(raw.decode())), end

    def _after_bracket(self, at: int, bracket: str) -> int:
        """The offset after a closing bracket and white space."""
        at = _skip(self.text, at)
        if self.text[at : at + 1] != bracket:
            raise JSONDecodeError("Expecting ',' delimiter", self.text, at)
        return _skip(self.text, at + 1)


_NO_NAME: Final = "Expecting property name enclosed in double quotes"


def _skip(text: str, at: int) -> int:
    """The offset after white space."""
    white: Any = _white(text, at)
    return int(white.end())
