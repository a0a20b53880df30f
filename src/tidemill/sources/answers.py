"""What bytes are, at a glance: well-formed in one of a feed's formats, and how many records they hold."""

from typing import Final

import msgspec

_CONTENT_TYPES: Final = {"json": "application/json", "ndjson": "application/x-ndjson"}
_json = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])


def recognised(body: bytes, formats: tuple[str, ...], claimed: str = "") -> str | None:
    """The content type of bytes that are well-formed in one of the formats, None for garbage.

    For JSON and NDJSON what a server claims is not looked at: many say text/plain or text/html. Bytes of a feed that
    takes other formats too may be anything: they go with the type that was claimed. What they mean is the mill's to
    judge.
    """
    for name in formats:
        if name not in _CONTENT_TYPES:
            continue
        try:
            if name == "json":
                _json.decode(body)
            else:
                _json.decode_lines(body)
        except (msgspec.DecodeError, RecursionError):
            continue
        return _CONTENT_TYPES[name]
    if all(name in _CONTENT_TYPES for name in formats):
        return None
    return claimed or "application/octet-stream"


def count(body: bytes, content_type: str | None, records: tuple[str, ...]) -> int | None:
    """How many records there are at a path of well-formed bytes; None where none could be, and for other formats."""
    try:
        if content_type == _CONTENT_TYPES["ndjson"]:
            return len(_json.decode_lines(body))
        if content_type != _CONTENT_TYPES["json"]:
            return None
        raw: bytes | msgspec.Raw = body
        for name in records:
            raw = _object.decode(raw)[name]
    except (msgspec.DecodeError, KeyError, RecursionError):
        return None
    try:
        return len(_array.decode(raw))
    except (msgspec.DecodeError, RecursionError):
        return 1 if bytes(raw).lstrip()[:1] == b"{" else None
