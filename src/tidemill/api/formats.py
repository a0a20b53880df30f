"""Which format a body is in: by its content type, or by a look at it when the type says nothing.

`curl -d` says `application/x-www-form-urlencoded` whatever it sends, so that type, none at all, text/plain and
application/octet-stream are looked through; a type that names another format is refused. A feed of binary records takes
any type: its payloads are bytes. A plug-in's format is known by the content types that it names.
"""

import re
from typing import Final

import msgspec

from tidemill.api.problems import MediaTypeError
from tidemill.feeds.formats import JSON_FORMATS, LAYOUT_FORMATS, plugin_decoders

TAKEN: Final = (
    "application/json",
    "application/x-ndjson",
    "application/jsonl",
    "and, looked through: no content type, application/x-www-form-urlencoded, text/plain, application/octet-stream",
)
_NAMED: Final = {
    b"application/json": "json",
    b"text/json": "json",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
    b"application/x-jsonl": "ndjson",
    b"application/jsonlines": "ndjson",
    b"application/x-jsonlines": "ndjson",
    b"application/json-seq": None,
}
_VAGUE: Final = {b"", b"application/x-www-form-urlencoded", b"text/plain", b"application/octet-stream", b"*/*"}
_OURS: Final = frozenset((*JSON_FORMATS, *LAYOUT_FORMATS))
_FIRST_LINE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(\{[^\n]*\})[ \t\r]*\n\s*\S")
_UTF8: Final = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}


def named(content_type: bytes | None, taken: tuple[str, ...] = JSON_FORMATS) -> str | None:
    """The format that a content type names to a feed that takes some; null when the body has to be looked at. Raises
    MediaTypeError."""
    if taken[0] in LAYOUT_FORMATS:
        return taken[0]
    if content_type == b"application/json" and taken[0] in JSON_FORMATS:  # nearly always
        return "json"
    kind, _, parameters = (content_type or b"").partition(b";")
    kind = kind.strip().lower()
    decoders = plugin_decoders()
    theirs = {media_type: name for name in taken if name in decoders for media_type in decoders[name].media_types}
    if (known := kind.decode("latin-1")) in theirs:
        return theirs[known]
    _check_charset(parameters)
    found = _NAMED.get(kind)
    if found is not None:
        return found
    if kind in _VAGUE:
        return None
    if kind.startswith(b"application/") and kind.endswith(b"+json"):
        return "json"
    raise MediaTypeError(
        f"The content type '{kind.decode('latin-1')[:80]}' is not taken. Taken are: {'; '.join([*theirs, *TAKEN])}."
    )


def settle(found: str | None, body: bytes, taken: tuple[str, ...]) -> str:
    """The format of a body: as named, else as it looks (lines of JSON often come as `application/json`); one that the
    feed takes. Raises MediaTypeError."""
    if found is None and not set(taken) & set(JSON_FORMATS):
        if len(taken) > 1:
            raise MediaTypeError(f"Say by the content type which format this is: {', '.join(taken)}.")
        return taken[0]
    chosen = found or "json"
    if chosen == "json" and "ndjson" in taken and _looks_like_lines(body):  # as JSON it would be refused whole
        chosen = "ndjson"
    if chosen not in taken:
        raise MediaTypeError(f"This feed does not take {chosen}; it takes {', '.join(taken)}.")
    return chosen


def plug_in(taken: tuple[str, ...]) -> bool:
    """Whether a format of another package is among those that a feed takes."""
    return not _OURS.issuperset(taken)


def _looks_like_lines(body: bytes) -> bool:
    """Whether the first line is an object of its own and others follow it."""
    match = _FIRST_LINE.match(body) if b"\n" in body else None
    if match is None:
        return False
    try:
        msgspec.json.decode(match[1], type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True


def _check_charset(parameters: bytes) -> None:
    if b"charset" not in parameters.lower():
        return
    for part in parameters.split(b";"):
        name, _, value = part.partition(b"=")
        charset = value.strip().strip(b"\"'").lower()
        if name.strip().lower() == b"charset" and charset not in _UTF8:
            raise MediaTypeError(f"The charset '{charset.decode('latin-1')[:40]}' is not taken; JSON is UTF-8.")
