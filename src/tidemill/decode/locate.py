"""Finds where the member at a path is in the bytes of a JSON document, to show it to people.

A locator has a budget of bytes that it may scan, because a path of a large record leads over all that comes before its
member: once the budget is used up, nothing more is found.
"""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.decode.scanner import scan_value, skip_white

BUDGET: Final = 4 << 20  # bytes that one locator scans, some 80 ms


class ByteSpan(msgspec.Struct, frozen=True):
    """[start, end) in the bytes of a payload."""

    start: int
    end: int


class Locator:
    """Locates members in a document. Its text is the document read as Latin-1: a character for each byte."""

    def __init__(self, body: bytes, budget: int = BUDGET) -> None:
        self._text = body.decode("latin-1")
        self._left = budget

    def locate(self, at: int, steps: Sequence[str | int]) -> ByteSpan | None:
        """The span of the member at the keys and items `steps` of the value that begins at or after the offset `at`.
        None where there is none, where the bytes are no JSON, and once the budget is used up."""
        if self._left <= 0:
            return None
        end = at
        try:
            at = skip_white(self._text, at)
            for step in steps:
                found = self._member(at, step) if isinstance(step, str) else self._item(at, step)
                if found is None:
                    return None
                at = found
            end = scan_value(self._text, at)[1]
            return ByteSpan(at, end)
        except (ValueError, RecursionError, StopIteration):
            return None
        finally:
            self._left -= max(1, end - at)

    def _member(self, at: int, key: str) -> int | None:
        """The offset of the value of a member; of a key that is there twice, of the last one. The scan is counted."""
        begin, found = at, None
        if self._text[at : at + 1] != "{":
            return None
        at = skip_white(self._text, at + 1)
        while self._left > 0 and self._text[at : at + 1] == '"':
            name, after = scan_value(self._text, at)
            at = skip_white(self._text, after)
            if self._text[at : at + 1] != ":":
                break
            at = skip_white(self._text, at + 1)
            if _same_key(name, key):
                found = at
            at = skip_white(self._text, scan_value(self._text, at)[1])
            if self._text[at : at + 1] != ",":
                break
            at = skip_white(self._text, at + 1)
        self._left -= at - begin
        return found

    def _item(self, at: int, item: int) -> int | None:
        """The offset of an item of an array. The scan is counted."""
        begin = at
        if self._text[at : at + 1] != "[":
            return None
        at = skip_white(self._text, at + 1)
        for _ in range(item):
            at = skip_white(self._text, scan_value(self._text, at)[1])
            if self._text[at : at + 1] != "," or at - begin > self._left:
                return None
            at = skip_white(self._text, at + 1)
        self._left -= at - begin
        return None if self._text[at : at + 1] in ("]", "") else at


def _same_key(name: str, key: str) -> bool:
    """Whether a key that was read as Latin-1 is a key of the document."""
    if name == key and key.isascii():
        return True
    try:
        written = json.dumps(name, ensure_ascii=False).encode("latin-1").decode()
        return bool(json.loads(written) == key)
    except (ValueError, UnicodeError):
        return name == key
