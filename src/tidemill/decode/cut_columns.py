"""Cuts a document of parallel arrays into its records: where item n of each array is in the bytes.

The strict reader and the ledger use this module; a payload without fault is read without it (`columns.py`). A record is
made of the texts of its items: `{"time": 1658289600, "temperature": 24.1}`. Only members that the feed reads are cut.
"""

from json import JSONDecodeError
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.decode.column_walk import (
    ColumnMember,
    ColumnWalk,
    TooManyItemsError,
    all_columns,
    may_be_held,
)
from tidemill.decode.cut import cut_document
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan
from tidemill.decode.scanner import scan_value, skip_white
from tidemill.decode.strict_json import invalid_message, json_type
from tidemill.decode.texts import CUT_OFF, Texts
from tidemill.decode.time_formats import TIME_KINDS
from tidemill.feeds.paths import path_text
from tidemill.model.payload import MAX_RECORDS

RECORD_TEXT: Final = 1024  # bytes of a record in the ledger: its keys are repeated in each, so the payload is no bound
_ARRAY: Final = "an array, with an item for each record"


class ColumnCut(msgspec.Struct, frozen=True):
    """The records of a document of arrays: `items` are the numbers of the items that are records, ascending; `members`
    are those of a record; `begin`: a JSON text of what is read of the first record where the feed has a step."""

    body: bytes
    path: str
    items: NDArray[np.int64]
    members: tuple[ColumnMember, ...]
    begin: bytes

    def __len__(self) -> int:
        return len(self.items)

    def pieces(self, first: int, last: int) -> list[bytes]:
        """The JSON texts of the records `first` to `last` (exclusive), counted without items that are no records."""
        layout = _record_layout(self.members)
        return [self._text(layout, item) for item in self.items[first:last].tolist()]

    def record_faults(self, record: int) -> FaultCollector:
        """A collector for the faults of a record; its paths name the item of an array."""
        return ItemFaults(self, int(self.items[record]))

    def text(self, item: int) -> str:
        """The text of the record that is an item, at most RECORD_TEXT bytes; "" for an item that is no record."""
        at = int(np.searchsorted(self.items, item))
        if at == len(self) or self.items[at] != item:
            return ""
        written = self._text(_record_layout(self.members), item)
        if len(written) > RECORD_TEXT:
            written = written[: RECORD_TEXT - len(CUT_OFF.encode())]
            return written.decode("utf-8", "ignore") + CUT_OFF
        return written.decode("utf-8", "replace")

    def held_faults(self, faults: FaultCollector) -> FaultCollector:
        """Of the faults of a record those in a member that holds for each record: they are of the whole payload."""
        held = tuple(member.path for member in self.members if not member.listed)
        return faults.only(held)

    def _text(self, layout: list[bytes | ColumnMember], item: int) -> bytes:
        return b"".join(part if isinstance(part, bytes) else _value(self.body, part, item) for part in layout)


class ItemFaults(FaultCollector):
    """Collects the faults of one record, whose paths are those of a record: `$.hourly.snow` becomes
    `$.hourly.snow[17]`."""

    __slots__ = ("_cut", "_item")

    def __init__(self, cut: ColumnCut, item: int) -> None:
        super().__init__()
        self._cut, self._item = cut, item

    def add(self, path: str, code: str, message: str) -> None:
        """Add a fault of the record."""
        super().add(self._item_path(path), code, message)

    def add_once(self, path: str, code: str, message: str) -> None:
        """Add a fault unless a kept fault has the same path."""
        if self._item_path(path) not in {fault.path for fault in self._kept}:
            self.add(path, code, message)

    def _item_path(self, path: str) -> str:
        if path == self._cut.path:
            return f"{path}[{self._item}]"
        for member in self._cut.members:
            rest = path.removeprefix(member.path)
            if member.listed and path.startswith(member.path) and rest[:1] in ("", "[", "."):
                return f"{member.path}[{self._item}]{rest}"
        return path


def cut_columns(body: bytes, plan: DecodePlan, max_depth: int, faults: FaultCollector) -> ColumnCut | None:
    """The records of a document (without byte order mark) of arrays; None with faults where they cannot be known: it is
    no such document, an array that is required is missing, or arrays have different lengths."""
    path = path_text(plan.records)
    around = FaultCollector()
    outer = cut_document(body, plan.records, max_depth, around)
    if outer is None:
        faults.extend(around.reworded("an array of records", "an object of arrays"))
        return None
    start = outer.starts[0] if len(outer) and not outer.listed else 0
    walk = ColumnWalk(body, plan, path)
    try:
        at = skip_white(walk.text, start)
        if outer.listed or walk.text[at : at + 1] != "{":
            kind = "an array" if outer.listed else json_type(scan_value(walk.text, at)[0])
            faults.add(path, "wrong_type", f"must be an object of arrays, is {kind}")
            return None
        end = walk.read_object(at, walk.tree, path, ())
        if not plan.records and skip_white(walk.text, end) < len(walk.text):
            raise JSONDecodeError("Extra data", walk.text, skip_white(walk.text, end))
    except JSONDecodeError as error:
        faults.add("$", "invalid_json", invalid_message(error.msg, body, error.pos))
        return None
    except TooManyItemsError as error:
        message = f"has more items than the {MAX_RECORDS} records that a payload may hold; send several"
        faults.add(str(error), "too_many_records", message)
        return None
    return _settle(walk, body, plan, path, faults)


def _settle(walk: ColumnWalk, body: bytes, plan: DecodePlan, path: str, faults: FaultCollector) -> ColumnCut | None:
    """The cut of what was read of a document; None with faults."""
    faults.extend(walk.faults)
    columns = all_columns(plan)
    for number, column in enumerate(columns):
        where = column.path_in(path)
        _check_member(walk, number, column, where, faults)
    for name, member in walk.members.items():
        if isinstance(name, str) and not member.listed:
            message = f"must be {_ARRAY}; add a member that is no register to except_keys"
            faults.add(member.path, "wrong_type", message)
    arrays = [member for member in walk.members.values() if member.listed]
    arrays.sort(key=lambda member: member.column is None or columns[member.column].kind not in TIME_KINDS)
    if not faults.count and not arrays:
        faults.add(path, "missing", "has no array that the feed reads; it must have one for each member of a record")
    for member in arrays[1:]:
        if len(member.starts) != len(arrays[0].starts):
            message = f"has {len(member.starts)} items, and {arrays[0].path} has {len(arrays[0].starts)}"
            faults.add(member.path, "unequal_length", f"{message}: item n of both must belong to one record")
    if faults.count:
        return None
    own = [member for name, member in walk.members.items() if isinstance(name, str) or name < len(plan.columns)]
    begin = [member for name, member in walk.members.items() if isinstance(name, int) and name >= len(plan.columns)]
    text = b"".join(part if isinstance(part, bytes) else _value(body, part, 0) for part in _record_layout(tuple(begin)))
    return ColumnCut(body, path, _records(body, plan, own, len(arrays[0].starts)), tuple(own), text)


def _check_member(walk: ColumnWalk, number: int, column: Column, path: str, faults: FaultCollector) -> None:
    """Add the fault of a member that is missing, or no array where it must be one. A null that is optional is dropped
    from the walk."""
    member, once = walk.members.get(number), number >= walk.own
    if member is None:
        if column.required and not walk.faults.count:
            wanted = "the value for the first record" if once else _ARRAY
            faults.add(path, "missing", f"is missing; it must be {wanted}")
        return
    if once:
        if member.listed:
            faults.add(path, "wrong_type", "must be one value, for the first record, because the feed has a step")
        return
    if member.listed:
        return
    value = scan_value(walk.text, member.starts[0])[0]
    if value is None and not column.required:
        del walk.members[number]
    elif value is None or not may_be_held(column):
        faults.add(path, "wrong_type", f"must be {_ARRAY}, is {json_type(value)}")


def _records(body: bytes, plan: DecodePlan, members: list[ColumnMember], count: int) -> NDArray[np.int64]:
    """The numbers of the items that are records: all, but those whose fields are all null, if the feed needs a
    field."""
    items = np.arange(count)
    if not needs_a_field(plan):
        return items
    octets = np.frombuffer(body, np.uint8)
    values = [member for member in members if member.column is None or plan.columns[member.column].of_field]
    known = np.zeros(count, np.bool_)
    for member in values:
        if member.listed:
            known |= octets[np.frombuffer(member.starts, np.int64)] != ord("n")  # no other JSON value begins like null
    return items[known]


def needs_a_field(plan: DecodePlan) -> bool:
    """Whether a record must have some field, so that an item whose fields are all null is no record."""
    return plan.except_keys is not None or any(column.required and column.of_field for column in plan.columns)


def _record_layout(members: tuple[ColumnMember, ...]) -> list[bytes | ColumnMember]:
    """What the text of a record is made of: literal bytes, and members whose value stands there."""
    tree: dict[bytes, Any] = {}
    for member in members:
        node = tree
        for token in member.tokens[:-1]:
            node = node.setdefault(token, {})
        node[member.tokens[-1]] = member
    return _object_layout(tree)


def _object_layout(tree: dict[bytes, Any]) -> list[bytes | ColumnMember]:
    parts: list[bytes | ColumnMember] = [b"{"]
    for number, (token, value) in enumerate(tree.items()):
        parts.append((b", " if number else b"") + token + b": ")
        parts += [value] if isinstance(value, ColumnMember) else _object_layout(value)
    return [*parts, b"}"]


class ColumnTexts(Texts, frozen=True, kw_only=True):
    """The texts of the records of a document of arrays."""

    cut: ColumnCut

    def text(self, index: int) -> str:
        """The text of the record that is an item, as `ColumnCut.text`."""
        return self.cut.text(index)


def _value(body: bytes, member: ColumnMember, item: int) -> bytes:
    at = item if member.listed else 0
    return body[member.starts[at] : member.ends[at]]
