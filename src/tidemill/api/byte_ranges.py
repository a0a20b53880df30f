"""Reads the `Range` header of a request for bytes (RFC 9110, section 14): one range, or the whole.

Several ranges, other units, a header that is not well-formed, and an `If-Range` that is not the hash of the bytes mean
the whole, as the RFC allows.
"""

import re
from collections.abc import Mapping
from typing import Final

from tidemill.errors import Fault, InputError

_ONE_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.ASCII | re.IGNORECASE)


class RangeError(InputError):
    """The range that was asked for has no byte of the payload."""

    code = "range_not_satisfiable"


def requested_range(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """The offsets of the bytes that a request asks for, of `size` bytes; None: all of them. `etag` is their hash.
    Raises RangeError."""
    match = _ONE_RANGE.fullmatch(headers.get("range", ""))
    condition = headers.get("if-range")
    if match is None or (condition is not None and condition.strip() != f'"{etag}"'):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        begin, end = max(0, size - int(suffix)), size
    else:
        begin, end = int(first), size if not last else min(size, int(last) + 1)
        if last and int(last) < int(first):
            return None
    if begin >= end:
        message = f"the payload has {size} bytes, and the range begins behind its end"
        raise RangeError(message, (Fault("$header.Range", "out_of_range", message),))
    return range(begin, end)
