"""Decides the format of a body: by its content type, or by the body itself where the type says nothing.

`curl -d` says `application/x-www-form-urlencoded` whatever it sends. So for that type, no type, text/plain and
application/octet-stream the body decides; a type that names another format is refused. A feed of binary records takes
any type. A plug-in's format is known by the content types that the plug-in names.
"""

from typing import Final

from tidemill.api.problems import MediaTypeError
from tidemill.decode.lines import looks_like_lines
from tidemill.decode.open.registry import OPEN_READERS
from tidemill.feeds.formats import JSON_FORMATS, LAYOUT_FORMATS, TABLE_FORMATS, plugin_decoders

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
_BUILT_IN: Final = frozenset((*JSON_FORMATS, *LAYOUT_FORMATS))
_UTF8: Final = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}


def named_format(content_type: bytes | None, taken: tuple[str, ...] = JSON_FORMATS) -> str | None:
    """The format that a content type names, for a feed that takes the formats `taken`; null when the body decides.
    Raises MediaTypeError."""
    if taken[0] in LAYOUT_FORMATS:
        return taken[0]
    if content_type == b"application/json" and taken[0] in JSON_FORMATS:  # nearly always
        return "json"
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    decoders = plugin_decoders()
    plugins = {media_type: name for name in taken if name in decoders for media_type in decoders[name].media_types}
    plugins |= {kind: name for name in taken if name in TABLE_FORMATS for kind in OPEN_READERS[name].media_types}
    if (media_type := kind.decode("latin-1")) in plugins:
        return plugins[media_type]
    name = _NAMED.get(kind)
    if name is not None:
        return name
    if kind in _VAGUE:
        return None
    if kind.startswith(b"application/") and kind.endswith(b"+json"):
        return "json"
    raise MediaTypeError(
        f"The content type '{kind.decode('latin-1')[:80]}' is not taken. Taken are: {'; '.join([*plugins, *TAKEN])}."
    )


def named_open_format(content_type: bytes | None) -> str | None:
    """The format of a payload of an open feed that a content type names; null when the body decides. Raises
    MediaTypeError."""
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    if kind in _VAGUE:
        return None
    text = kind.decode("latin-1")
    for entry in OPEN_READERS.values():
        if text in entry.media_types:
            return entry.name
    if _NAMED.get(kind):
        return "ndjson"
    known = sorted(media_type for entry in OPEN_READERS.values() for media_type in entry.media_types)
    raise MediaTypeError(f"The content type '{text[:80]}' is not taken. Taken are: {', '.join(known)}.")


def open_format_of(body: bytes) -> str:
    """The format of a payload of an open feed by a look at its first bytes: JSON, Arrow and Parquet can be told apart;
    anything else is line protocol (CSV says so by its content type)."""
    if body[:4] == b"PAR1":
        return "parquet"
    if body[:4] == b"\xff\xff\xff\xff":
        return "arrow"
    return "ndjson" if body[:64].lstrip()[:1] in (b"{", b"[") else "line_protocol"


def settle_format(named: str | None, body: bytes, taken: tuple[str, ...]) -> str:
    """The format of a body, one of `taken`: as `named` by its content type, else by its content (NDJSON is often sent
    as `application/json`). Raises MediaTypeError."""
    if named is None and not set(taken) & set(JSON_FORMATS):
        if len(taken) > 1:
            raise MediaTypeError(f"Say by the content type which format this is: {', '.join(taken)}.")
        return taken[0]
    chosen = named or "json"
    if chosen == "json" and "ndjson" in taken and looks_like_lines(body):  # as JSON the whole body would be refused
        chosen = "ndjson"
    if chosen not in taken:
        raise MediaTypeError(f"This feed does not take {chosen}; it takes {', '.join(taken)}.")
    return chosen


def takes_plugin_format(taken: tuple[str, ...]) -> bool:
    """Whether a plug-in's format is among those that a feed takes."""
    return not _BUILT_IN.issuperset(taken)


def foreign_charset(content_type: bytes | None, taken: tuple[str, ...]) -> str | None:
    """The charset that a content type names, where it is another than UTF-8 (or ASCII, a part of it) and the feed takes
    JSON; else None."""
    parameters = (content_type or b"").partition(b";")[2]
    if b"charset" not in parameters.lower() or not set(taken) & set(JSON_FORMATS):
        return None
    for part in parameters.split(b";"):
        name, _, value = part.partition(b"=")
        charset = value.strip().strip(b"\"'").lower()
        if name.strip().lower() == b"charset" and charset not in _UTF8:
            return charset.decode("latin-1")[:40] or "''"
    return None
