"""How many rows an Arrow IPC stream or a Parquet file has and how many bytes it unpacks to, read from its own headers:
so that a small body that unpacks to gigabytes is refused before anything is unpacked. So is one with nested columns,
which no feed takes: readers of such files recurse into a schema as deep as it is.

Sources: Apache Arrow, "Encapsulated message format", `Message.fbs`; Apache Parquet, `parquet.thrift`; Apache Thrift,
"Thrift compact protocol".
"""

import base64
import binascii
import struct
from typing import Any, Final

_CELL: Final = 8  # bytes of a value in memory, however it is packed
_DEPTH: Final = 16
_MAX_PAGES: Final = 100_000
_MAX_HEADER_VALUES: Final = 4 << 20  # of a footer, each of which takes up to 100 bytes of memory
MAX_COLUMNS: Final = 10_000
_SCHEMA, _DICTIONARY, _RECORD_BATCH = 1, 2, 3
_REPEATED: Final = 2
_ARROW_SCHEMA: Final = b"ARROW:schema"


class NestedColumnError(ValueError):
    """A column holds lists or structs."""

    def __init__(self, name: bytes) -> None:
        shown = name[:60].decode("utf-8", "replace")
        super().__init__(f"the column '{shown}' is nested: it holds lists or structs, and no feed takes such a column")


def arrow_size(body: bytes) -> tuple[int, int]:
    """(rows, bytes in memory) of an Arrow IPC stream. Raises ValueError, NestedColumnError among them."""
    try:
        return _arrow_size(memoryview(body))
    except (struct.error, IndexError) as error:
        raise ValueError(f"its messages are cut off or broken ({error})") from None


def _arrow_size(body: memoryview) -> tuple[int, int]:
    at, rows, size = 0, 0, 0
    while at < len(body):
        (length,) = struct.unpack_from("<i", body, at)
        at += 4
        if length == -1:
            (length,) = struct.unpack_from("<i", body, at)
            at += 4
        if length == 0:
            break
        if length < 0 or at + length > len(body):
            raise ValueError("it is cut off")
        head = body[at : at + length]
        at += length
        root = _FlatTable(head, struct.unpack_from("<I", head, 0)[0])
        body_length = root.number(3, "<q")
        if body_length < 0 or at + body_length > len(body):
            raise ValueError("it is cut off")
        kind = root.number(1, "<B")
        if kind == _SCHEMA:
            _check_schema(root.table(2))
        if kind in (_RECORD_BATCH, _DICTIONARY):
            batch = root.table(2)
            batch = batch.table(1) if kind == _DICTIONARY else batch
            count = batch.number(0, "<q")
            rows += count if kind == _RECORD_BATCH else 0
            size += _batch_size(batch, body[at : at + body_length], count)
        at += body_length
    return rows, size


def _check_schema(schema: "_FlatTable") -> None:
    """Raise NestedColumnError for a schema with a nested column, ValueError for one with too many."""
    at, columns = schema.vector(1)
    if columns > MAX_COLUMNS:
        raise ValueError(f"there are {columns} columns, at most {MAX_COLUMNS} are taken")
    for slot in range(at, at + 4 * columns, 4):
        field = _FlatTable(schema.buffer, slot + struct.unpack_from("<I", schema.buffer, slot)[0])
        if field.vector(5)[1]:
            name, length = field.vector(0)
            raise NestedColumnError(bytes(schema.buffer[name : name + length]))


def _batch_size(batch: "_FlatTable", body: memoryview, count: int) -> int:
    buffers, number = batch.vector(2)
    _, nodes = batch.vector(1)
    if not batch.at_of(3):
        return max(len(body), count * nodes * _CELL)
    size = 0
    for n in range(number):
        offset, length = struct.unpack_from("<qq", batch.buffer, buffers + 16 * n)
        if length:
            (unpacked,) = struct.unpack_from("<q", body, offset)
            size += max(unpacked, 0) or length
    return max(size, count * nodes * _CELL)


class _FlatTable:
    """A table of a flat buffer."""

    def __init__(self, buffer: memoryview, at: int) -> None:
        self.buffer, self._at = buffer, at
        self._vtable = at - struct.unpack_from("<i", buffer, at)[0]
        if self._vtable < 0:
            raise ValueError("a table of its messages is broken")
        (self._size,) = struct.unpack_from("<H", buffer, self._vtable)

    def at_of(self, field: int) -> int:
        """Where a field is; 0: it is not there."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self.buffer, self._vtable + slot)
        return self._at + int(offset) if offset else 0

    def number(self, field: int, form: str) -> int:
        """A number, 0 where it is not there."""
        at = self.at_of(field)
        return int(struct.unpack_from(form, self.buffer, at)[0]) if at else 0

    def table(self, field: int) -> "_FlatTable":
        """A table in this one."""
        at = self.at_of(field)
        if not at:
            raise ValueError("a part of its messages is missing")
        return _FlatTable(self.buffer, at + struct.unpack_from("<I", self.buffer, at)[0])

    def vector(self, field: int) -> tuple[int, int]:
        """(where its items begin, how many there are); (0, 0) where it is not there."""
        at = self.at_of(field)
        if not at:
            return 0, 0
        start = at + struct.unpack_from("<I", self.buffer, at)[0]
        return start + 4, int(struct.unpack_from("<I", self.buffer, start)[0])


def parquet_size(body: bytes) -> tuple[int, int]:
    """(rows, bytes in memory) of a Parquet file. Raises ValueError, NestedColumnError among them."""
    if len(body) < 12 or body[:4] != b"PAR1" or body[-4:] != b"PAR1":
        raise ValueError("it does not begin and end with PAR1, so it is cut off or another format")
    (length,) = struct.unpack_from("<I", body, len(body) - 8)
    if length > len(body) - 12:
        raise ValueError("its footer is cut off")
    try:
        return _parquet_size(body, _Thrift(body, len(body) - 8 - length).struct(0))
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"its footer is broken ({type(error).__name__})") from None


def _parquet_size(body: bytes, footer: dict[int, Any]) -> tuple[int, int]:
    _check_elements(footer[2])
    for pair in footer.get(5, []):
        if pair[1] == _ARROW_SCHEMA:
            _check_arrow_schema(pair[2])
    groups = footer.get(4, [])
    size = pages = 0
    for group in groups:
        for column in group[1]:
            own, values, pages = _column_size(body, column[3], pages)
            size += max(own, max(values, int(group[3])) * _CELL)
    return max(int(footer[3]), sum(int(group[3]) for group in groups)), size


def _check_elements(elements: list[Any]) -> None:
    """Raise NestedColumnError where an element of a Parquet schema, but its root, has children or is repeated."""
    for element in elements[1:]:
        if element.get(5) or element.get(3) == _REPEATED:
            raise NestedColumnError(element[4])
    if len(elements) > MAX_COLUMNS + 1:
        raise ValueError(f"there are {len(elements) - 1} columns, at most {MAX_COLUMNS} are taken")


def _check_arrow_schema(written: bytes) -> None:
    """The same of the schema that writers of Arrow keep beside that of Parquet, and readers follow."""
    try:
        message = memoryview(base64.b64decode(written, validate=True))
        if bytes(message[:4]) == b"\xff\xff\xff\xff":
            message = message[8:]
        _check_schema(_FlatTable(message, struct.unpack_from("<I", message, 0)[0]).table(2))
    except (struct.error, IndexError, binascii.Error) as error:
        raise ValueError(f"its schema of Arrow is broken ({error})") from None


def _column_size(body: bytes, data: dict[int, Any], pages: int) -> tuple[int, int, int]:
    """(bytes of the unpacked pages of a column, the most values that it may have by its headers, `pages` and its
    own)."""
    at = min(offset for offset in (data.get(11, data[9]), data[9]) if offset > 0)
    end = at + data[7]
    own = values = 0
    while at < end:
        reader = _Thrift(body, at)
        head = reader.struct(0)
        own += max(int(head[2]), 0)
        values += sum(max(int(head[kind][1]), 0) for kind in (5, 8) if kind in head)
        at = reader.at + max(int(head[3]), 0)
        pages += 1
        if pages > _MAX_PAGES:
            raise ValueError(f"it has more than {_MAX_PAGES} pages")
    return own, max(values, int(data[5])), pages


class _Thrift:
    """Reads the compact protocol of Thrift. Raises IndexError at the end of the bytes."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self.at, self._values = body, at, 0

    def struct(self, depth: int) -> dict[int, Any]:
        """The fields of a struct, by number."""
        if depth > _DEPTH:
            raise ValueError("its headers are nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if self._values > _MAX_HEADER_VALUES:
            raise ValueError(f"its headers hold more than {_MAX_HEADER_VALUES} values")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            self.at += 8
            return None
        if kind == 8:
            length = self._varint()
            self.at += length
            return self._body[self.at - length : self.at]
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"its headers hold a value of kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > len(self._body):
            raise ValueError("a list of its headers is longer than the file")
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        value = self._body[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of its headers is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
