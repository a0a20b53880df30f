"""Decodes many payloads in one call of msgspec.

Payloads may be joined by line feeds, because each begins with a bracket and ends with the closing one, no JSON text has
`}` and then `{` (or `]` and then `[`) with only white space between, and none has a raw line feed inside a text.
So if the joined bytes decode to as many values as there are payloads, each value is exactly one payload.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tidemill.decode.cut import WHITE
from tidemill.decode.scan import BOM
from tidemill.feeds.paths import Path

_FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Documents:
    """Typed decoders of one record type: for single records, arrays, lines, and documents with the array at
    `records`."""

    def __init__(self, record: Any, records: Path) -> None:
        self._single = msgspec.json.Decoder(record)
        self._array = msgspec.json.Decoder(list[record])
        self._outer: msgspec.json.Decoder[Any] | None = None
        keys = [str(key) for key in records]
        self._outer_tokens = [f'"{key}"'.encode() for key in keys]
        self._depth = len(records)
        if records:
            kind: Any = list[record]
            for key in reversed(keys):
                kind = msgspec.defstruct("Document", [("inner", kind)], rename={"inner": key}, gc=False)
            self._outer = msgspec.json.Decoder(kind)

    def decode_payloads(self, bodies: Sequence[bytes], *, lines: bool) -> tuple[bytes, list[Any], list[int]] | None:
        """(the bytes joined, every record in order, how many each payload has); None where msgspec raises or the
        payload of a record is not certain. Payloads must be stripped (`strip_body`)."""
        joined = bodies[0] if len(bodies) == 1 else b"\n".join(bodies)
        try:
            if lines:
                return self._from_lines(bodies, joined)
            if not _alike(bodies):
                return None
            if self._outer is not None:
                return self._from_outer(bodies, joined)
            if bodies[0][0] == ord("{"):
                decoded = self._single.decode_lines(joined)
                return (joined, decoded, [1] * len(bodies)) if len(decoded) == len(bodies) else None
            return _flat(joined, self._array.decode_lines(joined), len(bodies))
        except _FAILURES:
            return None

    def decode_records(self, pieces: Sequence[bytes]) -> tuple[bytes, list[Any]] | None:
        """(the pieces as one JSON array, its records); None where msgspec raises. Each piece must be one JSON value."""
        joined = b"[%b]" % b",".join(pieces)
        try:
            return joined, self._array.decode(joined)
        except _FAILURES:
            return None

    def brackets(self, bodies: Sequence[bytes], *, lines: bool) -> int:
        """The number of brackets that each of these payloads opens around its records."""
        if lines or not bodies:
            return 0
        return self._depth + 1 if self._outer is not None else int(bodies[0][0] != ord("{"))

    def _from_lines(self, bodies: Sequence[bytes], joined: bytes) -> tuple[bytes, list[Any], list[int]] | None:
        counts = [_count_lines(body) for body in bodies]
        if not all(counts):
            return None
        decoded = self._single.decode_lines(joined)
        return (joined, decoded, counts) if len(decoded) == sum(counts) else None

    def _from_outer(self, bodies: Sequence[bytes], joined: bytes) -> tuple[bytes, list[Any], list[int]] | None:
        assert self._outer is not None
        decoded = self._outer.decode_lines(joined)
        if any(joined.count(token) != len(bodies) for token in self._outer_tokens) or b"\\" in joined:
            return None
        for _ in range(self._depth):
            decoded = [document.inner for document in decoded]
        return _flat(joined, decoded, len(bodies))


def strip_body(body: bytes) -> bytes:
    """A payload without a byte order mark (RFC 8259, 8.1, lets readers ignore it) and outer white space."""
    return body.removeprefix(BOM).strip(WHITE)


def _alike(bodies: Sequence[bytes]) -> bool:
    """Whether all bodies begin with the same bracket and end with its closing bracket."""
    first = bodies[0][:1]
    if first not in (b"{", b"["):
        return False
    last = b"}" if first == b"{" else b"]"
    return all(body[:1] == first and body[-1:] == last for body in bodies)


def _count_lines(body: bytes) -> int:
    """The number of records of NDJSON, if by its brackets each line is exactly one object, or each one array; else
    0."""
    first, last = body[:1], b"}" if body[:1] == b"{" else b"]"
    if first not in (b"{", b"[") or body[-1:] != last:
        return 0
    breaks = body.count(b"\n")
    if breaks == body.count(last + b"\n" + first) + body.count(last + b"\r\n" + first):
        return breaks + 1
    lines = [line.strip(WHITE) for line in body.split(b"\n") if line.strip(WHITE)]
    return len(lines) if all(line[:1] == first and line[-1:] == last for line in lines) else 0


def _flat(joined: bytes, decoded: Sequence[list[Any]], expected: int) -> tuple[bytes, list[Any], list[int]] | None:
    if len(decoded) != expected:
        return None
    return joined, [record for records in decoded for record in records], [len(records) for records in decoded]
