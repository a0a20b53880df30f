"""Records as they were sent, as JSON."""

import json
import math
from typing import Any

import msgspec


def json_or_text(text: str) -> Any:
    """The text of a record as raw JSON, byte for byte; decoded, with texts for NaN and infinities, where it is JSON but
    for these; or as a string where it is not JSON that can be sent."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _with_texts(text)
    return msgspec.Raw(text.encode())


def _with_texts(text: str) -> Any:
    """An object or array in which numbers that JSON or a double does not have are texts; the text itself for others."""
    try:
        value = json.loads(text, parse_constant=str, parse_float=_number)
        msgspec.json.encode(value)
    except (ValueError, RecursionError, UnicodeError, OverflowError):
        return text
    return value if isinstance(value, dict | list) else text


def _number(written: str) -> float | str:
    """A number, or its text where no double can hold it."""
    return number if math.isfinite(number := float(written)) else written
