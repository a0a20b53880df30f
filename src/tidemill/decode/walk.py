"""Walks through a document to its records, in one pass over the bytes, and notes the groups that they are in.

Used by `cut.py` only. It ends at the first byte that is not JSON, and after one record more than a payload may hold.
"""

import json
import re
from array import array
from json import JSONDecodeError
from typing import Final

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import ALONE, Nest
from tidemill.decode.scanner import scan_value, skip_white
from tidemill.decode.strict_json import NOT_FINITE, json_type, not_finite_paths
from tidemill.feeds.paths import MEMBERS, Path, member_path, step_text
from tidemill.model.payload import MAX_RECORDS

_comma: Final = re.compile(r"[ \t\n\r]*,[ \t\n\r]*").match
_colon: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*").match


class EnoughError(Exception):
    """More records than a payload may hold."""


class TooManyGroupsError(Exception):
    """More groups than a payload may hold."""


class DocumentWalk:
    """Walks through a document to its records. `faults`: those of each value on the path that lies in no group,
    outermost first."""

    def __init__(self, body: bytes, records: Path, nest: Nest | None) -> None:
        self.text = body.decode("latin-1")
        self.starts, self.ends, self.listed = array("q"), array("q"), True
        self.faults = [FaultCollector() for _ in records]
        self._body = body
        self._records = records
        self._nest = nest
        self._depth, self._groups = 0, 0  # of groups: where the walk is, and how many it has seen
        self._node = [0] * (1 if nest is None else nest.depth + 1)  # the group at each depth in which the walk is
        self._suffixes = [""] * len(records)  # of the path at each step, from the group that it lies in
        for n, step in enumerate(records[:-1]):
            self._suffixes[n + 1] = self._suffixes[n] + step_text(step) if isinstance(step, str | int) else ""

    def walk_value(self, at: int, step: int) -> int:
        """Read the value at offset `at`, which the path has reached before its step `step`; returns the offset after it
        and white space. Raises JSONDecodeError, whose `pos` is an offset in the bytes."""
        opening = self.text[at : at + 1]
        if step == len(self._records):
            return self._array(at) if opening == "[" else self._alone(at)
        wanted = self._records[step]
        bracket = "{" if isinstance(wanted, str) or wanted is MEMBERS else "["
        if opening != bracket:
            value, end = scan_value(self.text, at)
            expected = "an object" if bracket == "{" else "an array"
            self._fault(step, "", "wrong_type", f"must be {expected}, is {json_type(value)}")
            return skip_white(self.text, end)
        if isinstance(wanted, str):
            return self._object(at, step, wanted)
        if isinstance(wanted, int):
            return self._items(at, step, wanted)
        last = step == len(self._records) - 1
        if wanted is MEMBERS:
            return self._keyed(at, step, records=last)
        return self._array(at) if last else self._items(at, step, None)

    def _fault(self, step: int, suffix: str, code: str, message: str) -> None:
        """Add a fault of the value before a step, or of its member `suffix`."""
        suffix = self._suffixes[step] + suffix
        if self._depth == 0 or self._nest is None:
            self.faults[step].add("$" + suffix, code, message)
        else:
            self._nest.add_fault(self._depth, self._node[self._depth], suffix, code, message)

    def _alone(self, at: int) -> int:
        """Read a record that is in no list."""
        end = scan_value(self.text, at)[1]
        self.starts.append(at)
        self.ends.append(end)
        if self._nest is None or not self._nest.depth:
            self.listed = False
        if self._nest is not None:
            self._nest.records.add(self._node[-1], ALONE)
        return skip_white(self.text, end)

    def _array(self, at: int) -> int:
        """Read the records of a list."""
        text, starts, ends = self.text, self.starts, self.ends
        before = len(starts)
        at = end = skip_white(text, at + 1)
        if text[at : at + 1] != "]":
            while True:
                _, end = scan_value(text, at)
                starts.append(at)
                ends.append(end)
                if len(starts) > MAX_RECORDS:
                    raise EnoughError
                comma = _comma(text, end)
                if comma is None:
                    break
                at = comma.end()
        if self._nest is not None:
            self._nest.records.add_list(self._node[-1], len(starts) - before)
        return self._after_bracket(end, "]")

    def _items(self, at: int, step: int, item: int | None) -> int:
        """Read the items of an array on the path: each is a group, or only the one `item` leads on. Returns the offset
        after the array and white space."""
        text, number = self.text, 0
        at = end = skip_white(text, at + 1)
        while text[at : at + 1] != "]":
            if item is None:
                end = self._group(at, step, number)
            elif number == item:
                end = self.walk_value(at, step + 1)
            else:
                end = self._other(at, step, number)
            number += 1
            comma = _comma(text, end)
            if comma is None:
                break
            at = comma.end()
            if text[at : at + 1] == "]":
                raise JSONDecodeError("Expecting value", text, at)
        if item is not None and number <= item:
            self._fault(step, f"[{item}]", "missing", _NO_RECORDS)
        return self._after_bracket(end, "]")

    def _keyed(self, at: int, step: int, *, records: bool) -> int:
        """Read the members of a keyed object: each is a record, or a group. Returns the offset after the object and
        white space."""
        text, nest, known = self.text, self._nest, dict[str, int]()
        assert nest is not None
        at = end = skip_white(text, at + 1)
        while text[at : at + 1] != "}":
            key, value = self._member(at)
            if records:
                end = self._keyed_record(at, value)
                number, before = len(self.starts) - 1, known.setdefault(key, len(self.starts) - 1)
                if before != number:
                    nest.doubled[before] = nest.doubled[number] = True
            else:
                end = self._group(value, step, at, doubled=key in known)
                known[key] = 0
            at, more = self._next_member(end)
            if not more:
                break
        return self._after_bracket(end, "}")

    def _keyed_record(self, key_at: int, at: int) -> int:
        _, end = scan_value(self.text, at)
        assert self._nest is not None
        self.starts.append(at)
        self.ends.append(end)
        self._nest.records.add(self._node[-1], key_at)
        self._nest.doubled.append(False)
        if len(self.starts) > MAX_RECORDS:
            raise EnoughError
        return end

    def _group(self, at: int, step: int, slot: int, *, doubled: bool = False) -> int:
        """Read a group: an item of a list, or a member of a keyed object, in which records are. One without any is
        passed over, or is a record at fault if it has a fault."""
        nest, starts, depth = self._nest, self.starts, self._depth + 1
        assert nest is not None
        self._groups += 1
        if self._groups > MAX_RECORDS:
            raise TooManyGroupsError
        node = nest.begin_node(depth, self._node[self._depth], slot)
        self._depth, self._node[depth], before = depth, node, len(starts)
        if doubled:
            nest.add_double(depth, node)
        end = self.walk_value(at, step + 1)
        self._depth = depth - 1
        if len(starts) > before:
            return end
        if node in nest.faults[depth]:
            starts.append(at)
            self.ends.append(end)
            nest.break_below(depth, node)
            if len(starts) > MAX_RECORDS:
                raise EnoughError
        else:
            nest.drop_node(depth)
        return end

    def _object(self, at: int, step: int, wanted: str) -> int:
        """Read the members of an object on the path: one leads to the records, some are noted; the others are only
        checked for NaN and infinities. Returns the offset after the object and white space."""
        text, nest = self.text, self._nest
        noted = {} if nest is None else nest.noted.get(step, {})
        seen = 0
        at = end = skip_white(text, at + 1)
        while text[at : at + 1] != "}":
            key, value = self._member(at)
            if key == wanted and not seen:
                end = self.walk_value(value, step + 1)
            elif nest is not None and key in noted:
                _, end = scan_value(text, value)
                if not nest.note(step, key, self._node[self._depth], value, end):
                    self._fault(step, step_text(key), "duplicate_key", f"'{key}' is there twice")
            elif key == wanted:
                _, end = scan_value(text, value)
            else:
                end = self._other(value, step, key)
            seen += key == wanted
            at, more = self._next_member(end)
            if not more:
                break
        if seen > 1:
            self._fault(step, step_text(wanted), "duplicate_key", f"'{wanted}' is there twice")
        if not seen:
            self._fault(step, step_text(wanted), "missing", _NO_RECORDS)
        return self._after_bracket(end, "}")

    def _other(self, at: int, step: int, name: str | int) -> int:
        """Read a member or an item that does not lead to records, and check it; returns the offset after it."""
        item, end = scan_value(self.text, at)
        if not isinstance(item, int | str):
            for where in not_finite_paths(item, f"[{name}]" if isinstance(name, int) else member_path("", name)):
                self._fault(step, where, "not_finite", NOT_FINITE)
        return end

    def _member(self, at: int) -> tuple[str, int]:
        """The key at an offset, and the offset of its value."""
        key, after = self._key(at)
        colon = _colon(self.text, after)
        if colon is None:
            raise JSONDecodeError("Expecting ':' delimiter", self.text, skip_white(self.text, after))
        return key, colon.end()

    def _next_member(self, end: int) -> tuple[int, bool]:
        """The offset of the member after one that ends at `end`, and whether there is one."""
        comma = _comma(self.text, end)
        if comma is None:
            return end, False
        at = comma.end()
        if self.text[at : at + 1] != '"':
            raise JSONDecodeError(_NO_NAME, self.text, at)
        return at, True

    def _key(self, at: int) -> tuple[str, int]:
        if self.text[at : at + 1] != '"':
            raise JSONDecodeError(_NO_NAME, self.text, at)
        key, end = scan_value(self.text, at)
        raw = self._body[at:end]
        return (key if raw.isascii() else json.loads(raw.decode())), end

    def _after_bracket(self, at: int, bracket: str) -> int:
        """The offset after a closing bracket and white space."""
        at = skip_white(self.text, at)
        if self.text[at : at + 1] != bracket:
            raise JSONDecodeError("Expecting ',' delimiter", self.text, at)
        return skip_white(self.text, at + 1)


_NO_RECORDS: Final = "is missing; it must be an array of records"
_NO_NAME: Final = "Expecting property name enclosed in double quotes"
