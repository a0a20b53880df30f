"""Reads bodies that would take gigabytes, minutes or the process itself, under a limit of memory, and prints for each
a line of JSON: its name, and the codes of its refusal and of its records' faults.

python -m tests.decode.hostile_child LIMIT_BYTES
"""

import io
import json
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from tests.decode.test_open_lines import DECODER

_I32, _I64, _BYTES, _LIST, _STRUCT = 5, 6, 8, 9, 12


def varint(number: int) -> bytes:
    written = b""
    while number > 127:
        written += bytes([number & 127 | 128])
        number >>= 7
    return written + bytes([number])


def thrift(*fields: tuple[int, int, bytes | int]) -> bytes:
    """A struct of Thrift's compact protocol: (number, kind, value) of each field."""
    written, last = b"", 0
    for number, kind, value in fields:
        own = varint(value << 1) if isinstance(value, int) else value
        own = varint(len(own)) + own if kind == _BYTES else own
        written += bytes([number - last << 4 | kind]) + own
        last = number
    return written + b"\x00"


def listed(kind: int, items: list[bytes]) -> bytes:
    return bytes([0xF0 | kind]) + varint(len(items)) + b"".join(items)


def parquet_file(data: bytes, elements: list[bytes], rows: int, groups: list[bytes]) -> bytes:
    footer = thrift(
        (1, _I32, 1), (2, _LIST, listed(_STRUCT, elements)), (3, _I64, rows), (4, _LIST, listed(_STRUCT, groups))
    )
    return b"PAR1" + data + footer + struct.pack("<I", len(footer)) + b"PAR1"


def nested_parquet(depth: int) -> bytes:
    """A file without rows, whose one column is in `depth` groups."""
    group = thrift((3, _I32, 1), (4, _BYTES, b"g"), (5, _I32, 1))
    leaf = thrift((1, _I32, 2), (3, _I32, 1), (4, _BYTES, b"a"))
    return parquet_file(b"", [thrift((4, _BYTES, b"r"), (5, _I32, 1)), *[group] * depth, leaf], 0, [])


def lying_parquet(page_values: int, chunk_values: int, rows: int, group_rows: int) -> bytes:
    """A file of one column of nulls, which says in four places how many they are."""
    run = varint(page_values << 1) + b"\x00"
    levels = struct.pack("<I", len(run)) + run
    head = thrift((1, _I32, page_values), (2, _I32, 0), (3, _I32, 3), (4, _I32, 3))
    data = thrift((1, _I32, 0), (2, _I32, len(levels)), (3, _I32, len(levels)), (5, _STRUCT, head)) + levels
    column = thrift(
        (1, _I32, 2), (2, _LIST, listed(_I32, [b"\x00", b"\x06"])), (3, _LIST, listed(_BYTES, [b"\x01a"])),
        (4, _I32, 0), (5, _I64, chunk_values), (6, _I64, len(data)), (7, _I64, len(data)), (9, _I64, 4),
    )  # fmt: skip
    columns = listed(_STRUCT, [thrift((2, _I64, 4), (3, _STRUCT, column))])
    group = thrift((1, _LIST, columns), (2, _I64, len(data)), (3, _I64, group_rows))
    leaf = thrift((1, _I32, 2), (3, _I32, 1), (4, _BYTES, b"a"))
    return parquet_file(data, [thrift((4, _BYTES, b"r"), (5, _I32, 1)), leaf], rows, [group])


def nested_arrow(depth: int) -> bytes:
    """A stream of no rows, whose one column holds lists `depth` deep."""
    kind: pl.DataType = pl.Int64()
    for _ in range(depth):
        kind = pl.List(kind)
    stream = io.BytesIO()
    pl.DataFrame(schema={"a": kind}).write_ipc_stream(stream)
    return stream.getvalue()


HOSTILE: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "groups in groups": ("parquet", lambda: nested_parquet(10_000)),
    "lists in lists": ("arrow", lambda: nested_arrow(60)),
    "a page of many values": ("parquet", lambda: lying_parquet(500_000_000, 1, 1, 1)),
    "columns behind a line feed in quotes": ("csv", lambda: b'time,"a\nb"' + b"," * 79_000 + b"\n1\n" * 90),
    "a number of a million digits": ("line_protocol", lambda: b"m f=" + b"1" * 1_000_000 + b"x 1"),
    "arrays in an array": ("ndjson", lambda: b"[" * 100_000),
    "a group of many rows": ("parquet", lambda: lying_parquet(500_000_000, 1, 1, 500_000_000)),
}


def main(limit_bytes: int) -> None:
    """Print the line of each body."""
    bodies = {name: (format, make()) for name, (format, make) in HOSTILE.items()}
    for format in ("csv", "arrow", "parquet", "ndjson", "line_protocol"):
        DECODER.check_open(b"time,a\n1,1\n", format)  # what is loaded once
    resource.setrlimit(resource.RLIMIT_AS, (_size() + limit_bytes,) * 2)
    for name, (format, body) in bodies.items():
        check = DECODER.check_open(body, format)
        codes = [*(fault.code for fault in check.refused), *(fault.code for _, fault in check.faults)]
        print(json.dumps([name, codes]), flush=True)


def _size() -> int:
    """The address space of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(int(sys.argv[1]))
