"""Answers as bytes: joins the byte pieces that the store wrote into the documents of the API, without parsing a point.

A JSONEachRow stream has one object per line and escapes every newline inside a text; so a JSON array is the same bytes
with commas at the ends of lines.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec

Body = bytes | Iterator[bytes]
AnyJson = Annotated[Any, msgspec.Meta(description="Any JSON value.")]

# Of each value of the parameter `format`: the store's format, and the content type of the answer.
STORE_FORMATS: Final = {
    "ndjson": "JSONEachRow",
    "csv": "CSVWithNames",
    "arrow": "ArrowStream",
    "parquet": "Parquet",
}
MEDIA_TYPES: Final = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
STORE_ROWS: Final = {
    "json": "JSONEachRow",
    "ndjson": "JSONEachRow",
    "csv": "CSV",
}  # text without a head, which the store sends as it reads
COLUMNAR: Final = frozenset({"arrow", "parquet"})


class Page(msgspec.Struct, frozen=True):
    """One page of an answer. `next` is the cursor of the following page; null on the last one.

    A `body` that is an iterator comes from the store while it is sent: read it to its end or close it. `etag`: the tag
    of the state that it was made from; `unchanged`: the client has an answer of that state already, and gets no body.
    """

    body: Body
    media_type: str = MEDIA_TYPES["json"]
    next: str | None = None
    etag: str | None = None
    unchanged: bool = False


def json_page(value: Any, next_cursor: str | None = None) -> Page:
    """A small answer as a Page: structs, dicts and lists encoded as JSON."""
    return Page(msgspec.json.encode(value), next=next_cursor)


def json_array(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON array of the objects of a JSONEachRow stream, whose pieces may have any size."""
    yield b"["
    separator = b""  # for the newline at the end of a piece: written only when another row follows
    for piece in lines:
        if not piece:
            continue
        body = piece.rstrip(b"\n")
        if separator and body:
            yield separator
            separator = b""
        if body:
            yield body.replace(b"\n", b",\n")
        if len(body) < len(piece):
            separator = b",\n"
    yield b"]"


def object_with_items(head: dict[str, Any], items: Iterable[bytes], tail: dict[str, Any]) -> Iterator[bytes]:
    """The JSON object `{**head, "items": items, **tail}`; `items` are the bytes of one JSON value, streamed."""
    yield msgspec.json.encode(head)[:-1] + (b"," if head else b"") + b'"items":'
    yield from items
    end = msgspec.json.encode(tail)
    yield b"," + end[1:] if tail else b"}"
