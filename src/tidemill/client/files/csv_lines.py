"""Cuts CSV for a feed that takes CSV: the rows stay byte for byte, and each payload has the header before them.

A block ends at a line break that stands in no quoted cell. Text of another encoding becomes UTF-8.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

from tidemill.client.files.chunks import CHUNK_BYTES, CSV, LONGEST_BYTES, FileChunk
from tidemill.client.files.csv_file import CsvDialect
from tidemill.client.files.inputs import InputStream
from tidemill.errors import InputError

_QUOTE: Final = b'"'
_MOST_TRIES: Final = 1000


def read_plain_csv(opened: InputStream, dialect: CsvDialect, *, with_header: bool) -> Iterator[FileChunk]:
    """Chunks of whole rows. `with_header`: the first line behind the skipped ones names the columns, and goes with each
    chunk. Raises InputError."""
    stream = opened.stream
    start = sum(len(stream.readline()) for _ in range(dialect.skip))
    head = stream.readline(LONGEST_BYTES) if with_header else b""
    start, number = start + len(head), dialect.skip + bool(head)
    head = head if not head or head.endswith(b"\n") else head + b"\n"
    for block in row_blocks(stream):
        rows = block.count(b"\n") + (not block.endswith(b"\n"))
        end = start + len(block)
        yield FileChunk(
            body=_utf8(head + block, dialect.encoding),
            start=start,
            end=end,
            records=rows,
            first=number + 1,
            done=opened.done,
            total=opened.size,
            content_type=CSV,
        )
        start, number = end, number + rows


def row_blocks(stream: BinaryIO, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a stream in blocks of whole rows, each of about `size`. Raises InputError for a quoted cell without
    an end."""
    held = b""
    while piece := stream.read(size):
        block = held + piece
        cut = _row_end(block)
        held = block[cut:]
        if len(held) > LONGEST_BYTES:
            raise InputError("a quoted cell does not end: look for a quote too many, or is this no CSV?")
        if cut:
            yield block[:cut]
    if held.strip():
        yield held


def _row_end(block: bytes) -> int:
    """The end of the last row that is whole; 0: there is none."""
    cut = block.rfind(b"\n") + 1
    odd = block.count(_QUOTE, 0, cut) % 2
    for _ in range(_MOST_TRIES):
        if not odd or not cut:
            return cut
        before = block.rfind(b"\n", 0, cut - 1) + 1
        odd ^= block.count(_QUOTE, before, cut) % 2
        cut = before
    return 0


def _utf8(body: bytes, encoding: str) -> bytes:
    """A body as UTF-8. Raises InputError."""
    if encoding == "utf-8-sig":
        return body
    try:
        return body.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise InputError(f"it is no text of {encoding} ({error.reason}); name another --encoding") from None
