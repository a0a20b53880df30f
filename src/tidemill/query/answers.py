"""Answers as bytes: pieces that the store wrote, joined into the documents of the API without looking at each point.

A JSONEachRow stream is one object a line, and a newline inside a text is always escaped there; so an array is the same
bytes with commas at the ends of lines.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec

Body = bytes | Iterator[bytes]
AnyJson = Annotated[Any, msgspec.Meta(description="Any JSON value.")]

# format parameter -> the store's format for text or columns, and the content type of the answer
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
COLUMNAR: Final = frozenset({"arrow", "parquet"})


class Page(msgspec.Struct, frozen=True):
    """One page of an answer. `next` is the cursor of the following page; null on the last one.

    A `body` that is an iterator comes from the store while it is sent: read it to its end or close it.
    """

    body: Body
    media_type: str = MEDIA_TYPES["json"]
    next: str | None = None


def encoded(value: Any, next_cursor: str | None = None) -> Page:
    """A small answer: structs, dicts and lists as JSON."""
    return Page(msgspec.json.encode(value), next=next_cursor)


def array(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A JSONEachRow stream in pieces of any size -> a JSON array of the same objects."""
    yield b"["
    held = b""  # the newline at a piece's end: a comma if more comes, nothing if not
    for piece in lines:
        if not piece:
            continue
        body = piece.rstrip(b"\n")
        if held and body:
            yield held
            held = b""
        if body:
            yield body.replace(b"\n", b",\n")
        if len(body) < len(piece):
            held = b",\n"
    yield b"]"


def framed(head: dict[str, Any], name: str, items: Iterable[bytes], tail: dict[str, Any]) -> Iterator[bytes]:
    """`{**head, name: items, **tail}` with the items as they stream."""
    yield msgspec.json.encode(head)[:-1] + (b"," if head else b"") + msgspec.json.encode(name) + b":"
    yield from items
    end = msgspec.json.encode(tail)
    yield b"," + end[1:] if tail else b"}"


def with_columns(head: dict[str, Any], columns: Iterable[bytes]) -> Iterator[bytes]:
    """The members of `head`, then the members of a JSONColumns stream, as one object."""
    yield msgspec.json.encode(head)[:-1] + b","
    first = True
    for piece in columns:
        if first and piece:
            first = False
            yield piece[1:]  # its opening brace
        else:
            yield piece
