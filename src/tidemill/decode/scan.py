"""Scans raw bytes before they are decoded for anything that the fast reader would accept silently.

The fast reader (msgspec) skips what it does not read, keeps the last of two equal keys and has no limit of depth that
we can set. The scans are linear, most of them in C; they may report what is harmless, but miss nothing.
"""

import re
from typing import Final

import numpy as np

BOM: Final = b"\xef\xbb\xbf"

# Escapes that could spell a key in another way (ASCII), a control character, or half of a surrogate pair.
_ESCAPES: Final = re.compile(rb"\\(?:[bfnrt]|u(?:00[0-7]|[dD][89a-fA-F]))")
_STEP: Final = np.zeros(256, np.int8)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1
_MARK: Final = _STEP.copy()
_MARK[ord('"')] = 2


def is_plain(body: bytes, max_depth: int, *, usual_brackets: int = 0, any_escape: bool = False) -> bool:
    """Whether nothing in `body` needs the strict reader: valid UTF-8, no suspicious escapes, no DEL, not too deep.

    `usual_brackets`: the number of opening brackets that are known not to nest in others (they are of other records).
    `any_escape`: every escape is suspicious (because it could spell a key that is read)."""
    if b"\\" in body and (any_escape or _ESCAPES.search(body)):
        return False
    return b"\x7f" not in body and is_utf8(body) and depth_within(body, max_depth, usual_brackets)


def is_utf8(body: bytes) -> bool:
    """Whether `body` is UTF-8 (encoded surrogates are not)."""
    if body.isascii():
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def depth_within(body: bytes, max_depth: int, usual_brackets: int = 0) -> bool:
    """Whether arrays and objects nest at most `max_depth` deep. Brackets inside texts do not count.

    For bytes that are not JSON the result is undefined; they fail elsewhere.
    """
    if body.count(b"[") + body.count(b"{") - usual_brackets <= max_depth:
        return True
    if b"\\" in body:  # a backslash only means something inside a text: drop escaped backslashes, then escaped quotes
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = _MARK[np.frombuffer(body, np.uint8)]
    marks = marks[marks != 0]
    inside = np.cumsum(marks == 2) & 1
    steps = marks[(marks != 2) & (inside == 0)]
    return bool(np.cumsum(steps, dtype=np.int32).max(initial=0) <= max_depth)
