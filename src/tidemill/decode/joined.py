"""Recognises lines of JSON objects whose ends were lost, as `curl -d @file` takes them out of a file."""

import re
from typing import Final

from tidemill.decode.scanner import scan_value, skip_white
from tidemill.model.payload import MAX_RECORDS

_LOST_END: Final = re.compile(rb"\}[ \t\r]*\{")  # between two objects in one line


def joined_objects(body: bytes) -> list[tuple[int, int]] | None:
    """[start, end) of each object of a body that is one line of several JSON objects, up to one more than a payload may
    hold; None for any other body."""
    if b"\n" in body.strip() or _LOST_END.search(body) is None:
        return None
    text, objects = body.decode("latin-1"), list[tuple[int, int]]()
    at = skip_white(text, 0)
    while at < len(text) and len(objects) <= MAX_RECORDS:
        try:
            value, end = scan_value(text, at)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        objects.append((at, end))
        at = skip_white(text, end)
    return objects if len(objects) > 1 else None
