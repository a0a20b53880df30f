"""Judges whether a body of no known format is NDJSON: several lines, or the objects of lines whose ends were lost.

`curl -d @file` takes line ends out of a file, so that the objects stand one behind the other. They are read as lines;
intake and the poller use the same judgement.
"""

import json
import re
from typing import Final

import msgspec

from tidemill.decode.cut import WHITE
from tidemill.decode.joined import joined_objects
from tidemill.decode.scan import BOM

LOOKED_AT: Final = 1000  # at most so many lines are examined
_LINE: Final = re.compile(rb"[^\n]+")
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def looks_like_lines(body: bytes) -> bool:
    """Whether a body is NDJSON: of its first thousand lines at least half are JSON objects (a JSON document that is
    written in several lines has fewer), or all have the brackets of one; or it is one line of several objects."""
    body = body.removeprefix(BOM).strip(WHITE)
    if b"\n" not in body:
        return body[:1] == b"{" and joined_objects(body) is not None
    lines, objects, bracketed = 0, 0, 0
    for match in _LINE.finditer(body):
        line = match[0].strip(WHITE)
        if not line:
            continue
        lines += 1
        alike = line[:1] == b"{" and line[-1:] == b"}"
        bracketed += alike
        objects += alike and is_object(line)
        if lines == LOOKED_AT:
            break
    return lines > 1 and ((2 * objects >= lines > 0 and objects > 0) or bracketed == lines)


def is_object(text: bytes) -> bool:
    """Whether a text (stripped of white space) is a JSON object, also with NaN in it."""
    if text[:1] != b"{" or text[-1:] != b"}":
        return False
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return isinstance(json.loads(text, parse_int=len, parse_float=len), dict)
        except (ValueError, RecursionError):
            return False
    return True
