"""Reads JSON: NDJSON goes as it is, in blocks of whole lines; a document goes as it is, a long array by its items."""

from collections.abc import Iterator

import msgspec

from tidemill.client.files.chunks import CHUNK_BYTES, JSON, LONGEST_BYTES, FileChunk, FileRecord, gathered, line_blocks
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_MOST_BYTES = 512 << 20  # of a JSON document, which is read whole


def read_ndjson(opened: InputStream) -> Iterator[FileChunk]:
    """Chunks of whole lines, byte for byte. A block that was cut in the middle of a line waits for the rest."""
    start = number = 0
    for block in line_blocks(opened.stream):
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        end = start + len(block)
        yield FileChunk(
            body=block, start=start, end=end, records=lines, first=number + 1, done=opened.done, total=opened.size
        )
        start, number = end, number + lines


def read_json(opened: InputStream) -> Iterator[FileChunk]:
    """A document as one chunk, if it is short; else the items of an array, as lines. Raises InputError."""
    body = opened.stream.read(_MOST_BYTES + 1)
    if len(body) <= CHUNK_BYTES:
        if not body.strip():
            return
        yield FileChunk(
            body=body, start=0, end=len(body), records=1, first=1, unit="document", done=opened.size,
            total=opened.size, content_type=JSON,
        )  # fmt: skip
        return
    if len(body) > _MOST_BYTES:
        raise InputError(
            f"it is a JSON document of more than {_MOST_BYTES >> 20} MiB; write a record on each line (NDJSON)"
        )
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        hint = f"a JSON document of more than {LONGEST_BYTES >> 20} MiB is taken if it is an array of records"
        raise InputError(f"{hint}: {error}") from None
    yield from gathered(_items(items), unit="item", total=len(items))


def _items(items: list[msgspec.Raw]) -> Iterator[FileRecord]:
    for number, item in enumerate(items, 1):
        line = bytes(item).replace(b"\r", b" ").replace(b"\n", b" ")  # between tokens: in a text they would be escaped
        yield FileRecord(line, number, number)
