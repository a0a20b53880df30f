"""Chunks of records: what is sent as one payload, and the range of the file that it is made of.

Where a file is cut depends on its bytes alone, so that the same file gives the same chunks each time.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO, Final

import msgspec

from tidemill.errors import InputError

CHUNK_BYTES: Final = 4 << 20  # of a payload: half of what a server takes at once
LONGEST_BYTES: Final = 7 << 20  # of a line
NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
CSV: Final = "text/csv"
LINES: Final = "text/x-influx-line-protocol"


class FileChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A payload, made of [`start`, `end`) of a file: of its bytes unpacked, or of its rows. `first`: the number of the
    first record of the payload in the file, as `unit` (line, row) counts. `done` of `total` (0: not known) is how much
    of the file was read, as a progress bar shows it."""

    body: bytes
    start: int
    end: int
    records: int
    first: int
    unit: str = "line"
    done: int = 0
    total: int = 0
    content_type: str = NDJSON

    def key(self, identity: str) -> str:
        """The Idempotency-Key: of the same bytes at the same range of the same file it is the same."""
        digest = sha256(f"{identity}\n{self.start}-{self.end}\n{self.content_type}\n".encode())
        digest.update(self.body)
        return f"import-{digest.hexdigest()[:40]}"


class FileRecord(msgspec.Struct, frozen=True):
    """A record as a line of JSON (without its line break), and where the next record begins in the file."""

    line: bytes
    end: int
    done: int


def gathered(records: Iterable[FileRecord], *, unit: str, total: int) -> Iterator[FileChunk]:
    """Chunks of records, each of at most CHUNK_BYTES or of one record. `total` as in FileChunk; records count from 1.
    Raises InputError for a record that no server takes."""
    lines: list[bytes] = []
    size = start = end = number = done = 0

    def chunk() -> FileChunk:
        return FileChunk(
            body=b"\n".join(lines) + b"\n",
            start=start,
            end=end,
            records=len(lines),
            first=number - len(lines) + 1,
            unit=unit,
            done=done,
            total=total,
        )

    for record in records:
        if len(record.line) > LONGEST_BYTES:
            raise InputError(
                f"{unit} {number + 1} has {len(record.line) >> 20} MiB; at most {LONGEST_BYTES >> 20} are sent"
            )
        if lines and size + len(record.line) >= CHUNK_BYTES:
            yield chunk()
            lines, size, start = [], 0, end
        lines.append(record.line)
        size += len(record.line) + 1
        number, end, done = number + 1, record.end, record.done
    if lines:
        yield chunk()


def line_blocks(stream: BinaryIO, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a stream in blocks of whole lines, each of about `size`; the last line may lack its line break.
    Raises InputError for a line that no server takes."""
    held, lines = b"", 0
    while piece := stream.read(size):
        block = held + piece
        cut = block.rfind(b"\n") + 1
        held = block[cut:]
        if len(held) > LONGEST_BYTES:
            lines += block.count(b"\n", 0, cut)
            message = f"line {lines + 1} is longer than {LONGEST_BYTES >> 20} MiB: is this a file of lines?"
            raise InputError(message)
        if cut:
            lines += block.count(b"\n", 0, cut)
            yield block[:cut]
    if held:
        yield held
