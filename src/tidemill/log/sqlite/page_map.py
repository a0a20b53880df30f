"""Reads entries from the single pages of the log's file without SQLite, which cannot read a table whose inner pages,
header or schema are damaged. A leaf page holds the number and offsets of its rows
(https://sqlite.org/fileformat2.html, sections 1.6 and 2.1); skips whatever is no whole row of `entries`.
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidemill.log.sqlite.entries import Row

SIZE: Final = 4096  # bytes of a page: SQLite's default, with which every log is made
_LEAF: Final = 0x0D  # a leaf of a table
_COLUMNS: Final = (11, 12)  # of a row without a seal, and with one
_WAL_HEADER: Final = 32
_FRAME: Final = 24
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_NO_ROW: Final = (IndexError, ValueError, struct.error, UnicodeDecodeError)


class Pages:
    """The pages of a file, each with the content of the last commit in the file's WAL."""

    def __init__(self, path: Path) -> None:
        self._main = path.read_bytes()
        self._newer = _committed(Path(f"{path}-wal"))

    def rows(self) -> Iterator[Row]:
        """Every row of `entries` that can be decoded from a leaf, in no order; a row may come twice."""
        numbers = set(range(1, len(self._main) // SIZE + 1)) | self._newer.keys()
        for number in sorted(numbers):
            page = self._page(number)
            head = 100 if number == 1 else 0
            if page[head] != _LEAF:
                continue
            count = int.from_bytes(page[head + 3 : head + 5], "big")
            for cell in range(min(count, SIZE // 4)):
                with contextlib.suppress(*_NO_ROW):
                    start = int.from_bytes(page[head + 8 + 2 * cell : head + 10 + 2 * cell], "big")
                    yield self._row(page, start)

    def _page(self, number: int) -> bytes:
        page = self._newer.get(number) or self._main[(number - 1) * SIZE : number * SIZE]
        if len(page) != SIZE:
            raise ValueError(f"there is no page {number}")
        return page

    def _row(self, page: bytes, start: int) -> Row:
        size, start = _varint(page, start)
        seq, start = _varint(page, start)
        return _record(seq, self._payload(page, start, size))

    def _payload(self, page: bytes, start: int, size: int) -> bytes:
        """The bytes of a cell, with those on its overflow pages."""
        most, least = SIZE - 35, (SIZE - 12) * 32 // 255 - 23
        if size <= most:
            return _whole(page[start : start + size], size)
        local = least + (size - least) % (SIZE - 4)
        local = local if local <= most else least
        parts, number = [page[start : start + local]], int.from_bytes(page[start + local : start + local + 4], "big")
        missing = size - local
        while missing > 0:
            more = self._page(number)
            parts.append(more[4 : 4 + missing])
            missing, number = missing - (SIZE - 4), int.from_bytes(more[:4], "big")
        return _whole(b"".join(parts), size)


def _record(seq: int, payload: bytes) -> Row:
    """A record of `entries`. Raises ValueError for that of another table."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) not in _COLUMNS:
        raise ValueError("no row of entries")
    values: list[object] = []
    for kind in kinds:
        size = _INTEGERS.get(kind, max(0, (kind - 12) // 2))
        data = _whole(payload[at : at + size], size)
        at += size
        values.append(_value(kind, data))
    values += [None] * (_COLUMNS[-1] - len(values))
    return (seq, *values[1:])


def _value(kind: int, data: bytes) -> object:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind in _INTEGERS:
        return int.from_bytes(data, "big", signed=True)
    if kind < 12:
        raise ValueError("no type of a column of entries")
    return data.decode("utf-8", "surrogateescape") if kind % 2 else data


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """(a number of one to nine bytes, the index of the byte after the number)."""
    value = 0
    for index in range(8):
        byte = data[start + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, start + index + 1
    return value << 8 | data[start + 8], start + 9


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError("it ends before its length")
    return data


def _committed(path: Path) -> dict[int, bytes]:
    """The pages of a WAL up to its last commit, from all frames with the WAL's salt, without checking their
    checksums."""
    if not path.exists() or len(content := path.read_bytes()) < _WAL_HEADER:
        return {}
    salt = content[16:24]
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for start in range(_WAL_HEADER, len(content) - _FRAME - SIZE + 1, _FRAME + SIZE):
        if content[start + 8 : start + 16] != salt:
            break
        number, committed = struct.unpack(">2I", content[start : start + 8])
        pending[number] = content[start + _FRAME : start + _FRAME + SIZE]
        if committed:
            pages |= pending
            pending = {}
    return pages
