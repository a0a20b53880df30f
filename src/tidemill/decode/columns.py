"""The fast reader of parallel arrays: each array becomes a column in one call of msgspec, without an object a record.

It returns columns only when they certainly have no fault, else None without a reason: then the document is cut into
records (`cut_columns.py`), which the readers of records judge.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.decode.column_walk import all_columns, begin_columns, may_be_held
from tidemill.decode.compile import column_type
from tidemill.decode.cut_columns import needs_a_field
from tidemill.decode.exactness import EXACT
from tidemill.decode.fast import DecodedColumns, FastReader
from tidemill.decode.feed_columns import MAX_REGISTER_NAME
from tidemill.decode.plan import DecodePlan
from tidemill.decode.registers import RegisterColumns
from tidemill.decode.scan import is_plain
from tidemill.feeds.paths import Path
from tidemill.model.payload import MAX_RECORDS

_FAILURES: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MAX_REGISTERS: Final = 256  # each costs a pass over the bytes
_members: Final[msgspec.json.Decoder[dict[Any, msgspec.Raw]]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_numbers = msgspec.json.Decoder(list[float | None])


class ReadColumns(msgspec.Struct, frozen=True):
    """The records of a document: their columns, the number of the item that each is, and a JSON text of what the first
    record says for all."""

    columns: DecodedColumns
    items: NDArray[np.int64]
    begin: bytes


class ColumnsReader:
    """Reads documents of parallel arrays, one at a time. Thread-safe."""

    def __init__(self, plan: DecodePlan, fast: FastReader, max_depth: int) -> None:
        self._plan = plan
        self._fast = fast
        self._max_depth = max_depth
        self._document: msgspec.json.Decoder[Any] | None = None
        if plan.records:
            kind: Any = msgspec.Raw
            for key in map(str, reversed(plan.records)):
                kind = msgspec.defstruct("Document", [("inner", kind)], rename={"inner": key}, gc=False)
            self._document = msgspec.json.Decoder(kind)
        kinds: list[Any] = [column_type(column, plan, False) | None for column in plan.columns]
        self._single = [msgspec.json.Decoder(kind) for kind in kinds]
        self._listed = [msgspec.json.Decoder(list[kind]) for kind in kinds]  # type: ignore[valid-type]
        keys = [str(key) for column in all_columns(plan) for key in (*column.keys, *plan.records)]
        self._any_escape = plan.except_keys is not None or any("/" in key or not key.isascii() for key in keys)
        self._needs_a_field = needs_a_field(plan)

    def read_document(self, body: bytes) -> ReadColumns | None:
        """The records of a document (stripped of outer white space); None if it is not certain to be without fault."""
        try:
            return self._read(body)
        except _FAILURES:
            return None

    def _read(self, body: bytes) -> ReadColumns | None:
        if not is_plain(body, self._max_depth, any_escape=self._any_escape):
            return None
        inner = body
        if self._document is not None:
            document = self._document.decode(body)
            for _ in self._plan.records:
                document = document.inner
            inner = bytes(document)
        members = _members.decode(inner)
        texts = [_member(members, column.keys) for column in all_columns(self._plan)]
        registers = self._registers(members)
        if registers is None or not self._keys_are_single(body, inner, texts, registers):
            return None
        begin = texts[len(self._plan.columns) :]
        if any(raw is None or bytes(raw[:1]) == b"[" for raw in begin):
            return None
        text = _begin_text(self._plan, begin)
        return self._columns(texts[: len(self._plan.columns)], registers, text)

    def _registers(self, members: dict[str, msgspec.Raw]) -> dict[str, list[float | None]] | None:
        """The arrays of registers; None if one is no array of numbers."""
        if self._plan.except_keys is None:
            return {}
        names = [name for name in members if name not in self._plan.except_keys]
        if not 0 < len(names) <= _MAX_REGISTERS or any(not 0 < len(name) <= MAX_REGISTER_NAME for name in names):
            return None
        registers = {name: _numbers.decode(members[name]) for name in names}
        return registers if all(map(self._is_exact, registers.values())) else None

    def _is_exact(self, numbers: Sequence[float | None]) -> bool:
        """Whether every number is certain to be what was sent, as far as the feed asks for that."""
        form = self._plan.registers
        if form is None or form.not_exact == "round":
            return True
        return all(-EXACT < number < EXACT for number in numbers if number is not None)

    def _keys_are_single(
        self, body: bytes, inner: bytes, texts: Sequence[bytes | None], registers: dict[str, Any]
    ) -> bool:
        """Whether no key that is read is there twice: each is in the bytes as often as its members are."""
        above: set[Path] = {(name,) for name in registers}
        for column, raw in zip(all_columns(self._plan), texts, strict=True):
            if raw is not None:
                above.update(column.keys[:end] for end in range(1, len(column.keys) + 1))
        expected: dict[str, int] = {}
        for keys in above:
            expected[str(keys[-1])] = expected.get(str(keys[-1]), 0) + 1
        if any(inner.count(f'"{key}"'.encode()) != count for key, count in expected.items()):
            return False
        outer = [f'"{key}"'.encode() for key in self._plan.records]
        return all(body.count(token) - inner.count(token) == outer.count(token) for token in outer)

    def _columns(
        self, texts: Sequence[bytes | None], registers: dict[str, list[float | None]], begin: bytes
    ) -> ReadColumns | None:
        """The columns of the members in `texts`, each as its JSON text (None: it is missing)."""
        values: list[Any] = []
        held: list[int] = []
        for number, (column, raw) in enumerate(zip(self._plan.columns, texts, strict=True)):
            if raw is not None and raw[:1] == b"[":
                values.append(self._listed[number].decode(raw))
                continue
            single = None if raw is None else self._single[number].decode(raw)
            if (single is None and column.required) or (single is not None and not may_be_held(column)):
                return None
            held.append(number)
            values.append(single)
        lengths = {len(given) for number, given in enumerate(values) if number not in held}
        lengths |= {len(numbers) for numbers in registers.values()}
        if len(lengths) != 1 or (count := lengths.pop()) > MAX_RECORDS:
            return None
        for number in held:
            values[number] = [values[number]] * count
        items = self._records(values, registers, count)
        if items is not None:
            keep = np.zeros(count, np.bool_)
            keep[items] = True
            chosen = keep.tolist()
            values = [list(compress(given, chosen)) for given in values]
            registers = {name: list(compress(numbers, chosen)) for name, numbers in registers.items()}
        if any(column.required and None in given for column, given in zip(self._plan.columns, values, strict=True)):
            return None
        items = np.arange(count) if items is None else items
        columns = self._fast.decode_values(values, len(items))
        if columns is None:
            return None
        if self._plan.except_keys is not None:
            columns = msgspec.structs.replace(columns, registers=RegisterColumns.of_arrays(registers))
        return ReadColumns(columns, items, begin)

    def _records(
        self, values: Sequence[list[Any]], registers: dict[str, list[float | None]], count: int
    ) -> NDArray[np.int64] | None:
        """The numbers of the items that have some field, where the feed needs one; None: all items."""
        if not self._needs_a_field:
            return None
        fields = [given for column, given in zip(self._plan.columns, values, strict=True) if column.of_field]
        known = np.zeros(count, np.bool_)
        for given in (*fields, *registers.values()):
            if None not in given:
                return None
            known |= np.fromiter((value is not None for value in given), np.bool_, count)
        return np.flatnonzero(known)


def _member(members: dict[Any, msgspec.Raw], keys: Path) -> bytes | None:
    """The JSON text of a member; None where it, or an object above it, is missing or null."""
    raw: Any = members.get(keys[0])
    for key in keys[1:]:
        if raw is None or bytes(raw) == b"null":
            return None
        raw = _members.decode(raw).get(key)
    return None if raw is None else bytes(raw)


def _begin_text(plan: DecodePlan, values: Sequence[bytes | None]) -> bytes:
    """A JSON object of what the first record says for all."""
    if plan.begin is None:
        return b""
    tree: dict[Any, Any] = {}
    for column, value in zip(begin_columns(plan), values, strict=True):
        node = tree
        for key in column.keys[:-1]:
            node = node.setdefault(key, {})
        node[column.keys[-1]] = msgspec.Raw(value or b"null")
    return msgspec.json.encode(tree)
