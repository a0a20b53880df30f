"""Walks through an object of parallel arrays, and notes where each item of those arrays is that the feed reads.

Used by `cut_columns.py` only. It ends at the first byte that is not JSON, and after one item more than a payload
may hold records.
"""

import json
import re
from array import array
from json import JSONDecodeError
from typing import Any, Final

import msgspec

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan
from tidemill.decode.scanner import scan_value, skip_white
from tidemill.decode.strict_json import json_type
from tidemill.feeds.paths import in_record, member_path
from tidemill.model.payload import MAX_RECORDS

_HELD: Final = frozenset(
    {"tag", "attribute", "zone", "offset", "register_name"}
)  # kinds that may stand once, for each record
_next: Final = re.compile(r"[ \t\n\r]*([,:]?)[ \t\n\r]*").match


def may_be_held(column: Column) -> bool:
    """Whether a member may stand once, instead of in an array, and hold for each record."""
    return column.beside or column.kind in _HELD or column.name.startswith("p.")


class ColumnMember(msgspec.Struct):
    """A member of the object of arrays: its `path`, its keys as written, and [start, end) of its items in the bytes, or
    of the one value that holds for each record (not `listed`)."""

    path: str
    tokens: tuple[bytes, ...]
    column: int | None
    starts: "array[int]"
    ends: "array[int]"
    listed: bool


class TooManyItemsError(Exception):
    """An array has more items than a payload may have records; the text is its path."""


class ColumnWalk:
    """Walks through the object of arrays. `tree`: the members that are read, by key: the number of a column (of the
    plan, or behind these of what the first record says for all), or the tree of an object."""

    def __init__(self, body: bytes, plan: DecodePlan, path: str) -> None:
        self.text = body.decode("latin-1")
        self.members: dict[int | str, ColumnMember] = {}
        self.faults = FaultCollector()
        self.tree: dict[Any, Any] = {}
        self._body = body
        self.own = len(plan.columns)  # members of records; those behind are read once
        self._except_keys = plan.except_keys
        self._path = path
        for number, column in enumerate(all_columns(plan)):
            node = self.tree
            for key in column.keys[:-1]:
                node = node.setdefault(key, {})
            node[column.keys[-1]] = number

    def read_object(self, at: int, tree: dict[Any, Any], path: str, above: tuple[bytes, ...]) -> int:
        """Read the members of the object at offset `at`; returns the offset after it. Raises JSONDecodeError."""
        seen: set[str] = set()
        at = skip_white(self.text, at + 1)
        if self.text[at : at + 1] == "}":
            return at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise JSONDecodeError("Expecting property name enclosed in double quotes", self.text, at)
            end = scan_value(self.text, at)[1]
            token = self._body[at:end]
            key = json.loads(token.decode())
            mark = _next(self.text, end)
            if mark is None or mark[1] != ":":
                raise JSONDecodeError("Expecting ':' delimiter", self.text, end)
            where = member_path(path, key)
            wanted = tree.get(key)
            if key in seen and (wanted is not None or self._is_register(key, path)):
                self.faults.add(where, "duplicate_key", f"'{key}' is there twice")
            seen.add(key)
            end = self._read_member(mark.end(), wanted, (path, key), (*above, token))
            mark = _next(self.text, end)
            if mark is None or mark[1] != ",":
                break
            at = mark.end()
        at = skip_white(self.text, end)
        if self.text[at : at + 1] != "}":
            raise JSONDecodeError("Expecting ',' delimiter", self.text, at)
        return at + 1

    def _read_member(self, at: int, wanted: Any, name: tuple[str, str], tokens: tuple[bytes, ...]) -> int:
        path, key = name
        where, first = member_path(path, key), self.text[at : at + 1]
        if isinstance(wanted, dict) and first == "{":
            return self.read_object(at, wanted, where, tokens)
        if wanted is None and not self._is_register(key, path):
            return scan_value(self.text, at)[1]
        if isinstance(wanted, dict):
            value, end = scan_value(self.text, at)
            if value is not None:
                self.faults.add(where, "wrong_type", f"must be an object, is {json_type(value)}")
            return end
        column = wanted if isinstance(wanted, int) else None
        member = ColumnMember(where, tokens, column, array("q"), array("q"), first == "[")
        self.members[where if column is None else column] = member
        if member.listed:
            return self._read_items(at, member)
        end = scan_value(self.text, at)[1]
        member.starts.append(at)
        member.ends.append(end)
        return end

    def _read_items(self, at: int, member: ColumnMember) -> int:
        text, starts, ends = self.text, member.starts, member.ends
        at = skip_white(text, at + 1)
        if text[at : at + 1] == "]":
            return at + 1
        while True:
            end = scan_value(text, at)[1]
            starts.append(at)
            ends.append(end)
            if len(starts) > MAX_RECORDS:
                raise TooManyItemsError(member.path)
            mark: Any = _next(text, end)
            if mark[1] != ",":
                break
            at = mark.end()
        at = skip_white(text, end)
        if text[at : at + 1] != "]":
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        return at + 1

    def _is_register(self, key: str, path: str) -> bool:
        return self._except_keys is not None and path == self._path and key not in self._except_keys


def all_columns(plan: DecodePlan) -> tuple[Column, ...]:
    """The columns of a plan, and behind them those that the first record says for all."""
    return (*plan.columns, *begin_columns(plan))


def begin_columns(plan: DecodePlan) -> tuple[Column, ...]:
    """The columns that the first record says for all, of those in the object of arrays."""
    first = () if plan.begin is None else plan.begin.plan.columns
    return tuple(column for column in first if in_record(column.keys))
