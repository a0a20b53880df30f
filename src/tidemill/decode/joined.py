"""Recognises lines of JSON objects whose ends were lost, as `curl -d @file` takes them out of a file."""

import json
import re
from typing import Any, Final

from tidemill.decode.strict_json import not_json
from tidemill.model.payload import MAX_RECORDS

_LOST_END: Final = re.compile(rb"\}[ \t\r]*\{")  # between two objects in one line
_scan: Final = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=not_json).raw_decode
_white: Final = re.compile(r"[ \t\n\r]*").match


def joined_objects(body: bytes) -> list[tuple[int, int]] | None:
    """[start, end) of each object of a body that is one line of several JSON objects, up to one more than a payload may
    hold; None for any other body."""
    if b"\n" in body.strip() or _LOST_END.search(body) is None:
        return None
    text, objects = body.decode("latin-1"), list[tuple[int, int]]()
    at = _after_white(text, 0)
    while at < len(text) and len(objects) <= MAX_RECORDS:
        try:
            value, end = _scan(text, at)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        objects.append((at, end))
        at = _after_white(text, end)
    return objects if len(objects) > 1 else None


def _after_white(text: str, at: int) -> int:
    white: Any = _white(text, at)
    return int(white.end())
