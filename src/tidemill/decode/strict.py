"""The strict reader: reads one record at a time and names every fault with its path. Its result is authoritative.

It is some twenty times slower than `fast.py` and reads only what that reader is not certain of.
"""

from collections.abc import Iterable
from typing import Any, Final

from tidemill.decode.derived import derive_value
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan, Node, OuterPart
from tidemill.decode.strict_json import NOT_FINITE, Object, as_written, json_type, not_finite_paths
from tidemill.decode.strict_values import (
    read_labels,
    read_name,
    read_number,
    read_numbers,
    read_octets,
    read_packed,
    read_registers,
    read_written,
)
from tidemill.decode.time_formats import TIME_KINDS, offset_s
from tidemill.decode.times import INSTANT, LOCAL_MAX_NS, LOCAL_MIN_NS
from tidemill.decode.values import packed_text
from tidemill.feeds.paths import KEY, below, path_text, step_text
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S

_MISSING: Final = object()
_NONE_TWICE: Final[frozenset[str]] = frozenset()


class Record:
    """One record as the strict reader read it: a value for each column, the time (valid if `timed`; `time` is its path
    and value), the offset from a member of its own, the registers, and texts among them that are kept as attributes. Of
    what is around records it has the `path`, that of the level."""

    __slots__ = ("local", "offset_s", "path", "registers", "texts", "time", "timed", "values", "wall_ns")

    def __init__(self, width: int) -> None:
        self.path = "$"
        self.values: list[Any] = [None] * width
        self.wall_ns = 0
        self.local = INSTANT
        self.offset_s: int | None = None
        self.time: tuple[str, Any] | None = None
        self.timed = False
        self.registers: dict[str, float | None] | None = None
        self.texts: dict[str, str] = {}

    def take(self, part: OuterPart, outer: "Record") -> None:
        """Take over what was read of a part around the record."""
        for number in part.columns:
            self.values[number] = outer.values[number]
        if outer.time is not None:
            self.time, self.timed, self.wall_ns, self.local = outer.time, outer.timed, outer.wall_ns, outer.local
        if outer.offset_s is not None:
            self.offset_s = outer.offset_s


def read_record(
    value: Any,
    path: str,
    plan: DecodePlan,
    faults: FaultCollector,
    outer: Iterable[tuple[OuterPart, Record]] = (),
) -> Record:
    """Read one record by the plan, adding each of its faults. `outer` is what was read around it, by part. The result
    is only valid if no fault was added."""
    record = Record(len(plan.columns))
    if not _fits(value, plan.root):
        hint = "; for lists in a list end [input] records with [*]" if isinstance(value, list) else ""
        faults.add(path, "wrong_type", f"must be {_container(plan.root)}, is {json_type(value)}{hint}")
        return record
    record.timed = plan.times_elsewhere
    _RecordWalk(plan, record, faults).read_value(value, path, plan.root)
    for part, read in outer:
        record.take(part, read)
    if record.timed and record.time is not None:
        record.timed = _settle_time(record, plan, faults)
    if plan.derived:
        paths = [column.path_in(path) for column in plan.columns]
        for part, read in outer:
            for number in part.columns:
                paths[number] = outer_path(read, plan.columns[number])
        record.values += [derive_value(derived, record.values, paths, faults) for derived in plan.derived]
    if plan.except_keys is not None:
        record.registers, record.texts = read_registers(value, path, plan, faults)
    for where in not_finite_paths(value, path):
        faults.add_once(where, "not_finite", NOT_FINITE)
    return record


def read_outer(value: Any, path: str, plan: DecodePlan, part: OuterPart, faults: FaultCollector) -> Record:
    """Read one part around records: an object with what was cut out of it (`nest.py`). The record that is returned has
    only the columns of the part."""
    record = Record(len(plan.columns))
    record.path = path
    _RecordWalk(plan, record, faults).read_value(value, path, part.root)
    for where in not_finite_paths(value, path):
        faults.add_once(where, "not_finite", NOT_FINITE)
    return record


def _fits(value: Any, node: Node) -> bool:
    """Whether a value is of the type that has the node's members."""
    return node.value is not None or isinstance(value, list if node.is_array else Object)


def _container(node: Node) -> str:
    return "an array" if node.is_array else "an object"


class _RecordWalk:
    """Walks through one record, value by value."""

    def __init__(self, plan: DecodePlan, record: Record, faults: FaultCollector) -> None:
        self._plan = plan
        self._record = record
        self._faults = faults

    def read_value(self, value: Any, path: str, node: Node) -> None:
        """Read a value that fits the node: itself, or its members and those of the values below it."""
        if node.value is not None:
            self._read_member(value, path, node.value)
        else:
            self._read_members(value, path, node)

    def _read_members(self, value: Object | list[Any], path: str, node: Node) -> None:
        twice = value.duplicate_keys if isinstance(value, Object) else _NONE_TWICE
        for key in sorted(map(str, twice & {*node.columns, *node.nodes})) if twice else ():
            self._faults.add(path + step_text(key), "duplicate_key", f"'{key}' is there twice")
        for step, number in node.columns.items():
            item = _item(value, step)
            if item is not _MISSING or self._plan.columns[number].required:
                self._read_member(item, path + step_text(step), number)
            if step in twice:
                self._clear_column(number)
        for step, inside in node.nodes.items():
            inner, where = _item(value, step), path + step_text(step)
            if _fits(inner, inside):
                self._read_members(inner, where, inside)
            elif _is_present(inner, where, inside.required(self._plan.columns), _container(inside), self._faults):
                self._faults.add(where, "wrong_type", f"must be {_container(inside)}, is {json_type(inner)}")

    def _clear_column(self, number: int) -> None:
        """Drop the value of a column whose member is duplicate."""
        self._record.values[number] = None
        self._record.timed &= self._plan.columns[number].kind not in (*TIME_KINDS, "offset")

    def _read_member(self, value: Any, path: str, number: int) -> None:
        column, faults, values = self._plan.columns[number], self._faults, self._record.values
        timely = column.kind in TIME_KINDS
        expected = self._plan.times.expected if timely else _expected(column)
        if not _is_present(value, path, column.required, expected, faults):
            return
        if timely:
            before = faults.count
            self._record.wall_ns, self._record.local = _read_time(value, path, self._plan, faults)
            self._record.timed, self._record.time = faults.count == before, (path, value)
        elif column.kind == "offset":
            self._record.offset_s = _read_offset(value, path, self._plan, faults)
        elif column.kind in ("tag", "attribute", "zone", "register_name"):
            values[number] = read_name(value, path, column, faults)
        elif column.kind in ("number", "register_value"):
            values[number] = read_number(value, path, column, faults)
        elif column.kind == "numbers":
            values[number] = read_numbers(value, path, column, faults)
        elif column.kind in ("text_number", "boolean"):
            values[number] = read_written(value, path, column, faults)
        elif column.kind == "octets":
            values[number] = read_octets(value, path, column, faults)
        elif column.packed is not None:
            values[number] = read_packed(value, path, column, faults)
        elif column.kind in ("step", "rate"):
            values[number] = value  # `steps.py` checks it
        else:
            values[number] = read_labels(value, path, faults)


def outer_path(outer: Record, column: Column) -> str:
    """The path of a member of what is around a record; of a key that of what stands under it."""
    keys = below(column.keys)
    return outer.path if keys[0] is KEY else outer.path + path_text(keys)[1:]


def _item(value: Any, step: str | int) -> Any:
    """The member of an object or the item of an array; _MISSING where there is none."""
    if isinstance(step, int):
        return value[step] if step < len(value) else _MISSING
    return value.get(step, _MISSING)


def _is_present(value: Any, path: str, required: bool, expected: str, faults: FaultCollector) -> bool:
    """Whether a member has a value. False if it is missing (with a fault, if it is required) or null and optional."""
    if value is _MISSING:
        if required:
            faults.add(path, "missing", f"is missing; it must be {expected}")
        return False
    return required or value is not None


def _read_time(value: Any, path: str, plan: DecodePlan, faults: FaultCollector) -> tuple[int, int]:
    """(ns, INSTANT, WALL or DAY), not checked for range; (0, INSTANT) with a fault."""
    times = plan.times
    if not isinstance(value, str):
        before = faults.count
        if times.kind == "time_text":
            faults.add(path, "wrong_type", f"must be {times.expected}, is {json_type(value)}")
        else:
            read_number(value, path, None, faults, times.expected)
        return (0, INSTANT) if faults.count > before else times.parse_value(as_written(value))
    try:
        return times.parse_value(value)
    except ValueError as error:
        if times.kind == "time_number":
            faults.add(path, "wrong_type", f"must be {times.expected}, is {json_type(value)}")
        else:
            faults.add(path, "time_invalid", str(error).encode(errors="backslashreplace").decode())
        return 0, INSTANT


def _read_offset(value: Any, path: str, plan: DecodePlan, faults: FaultCollector) -> int | None:
    """Seconds east of UTC; None with a fault."""
    before = faults.count
    if not isinstance(value, str):
        read_number(value, path, None, faults, _EXPECTED["offset"])
    if faults.count > before:
        return None
    try:
        return offset_s(value, plan.offset_unit)
    except ValueError as error:
        faults.add(path, "time_invalid", str(error).encode(errors="backslashreplace").decode())
        return None


def _settle_time(record: Record, plan: DecodePlan, faults: FaultCollector) -> bool:
    """Apply the offset that a record has to its wall clock; returns whether the time is valid, else adds a fault."""
    assert record.time is not None
    path, value = record.time
    if record.local and record.offset_s is not None:
        record.wall_ns, record.local = record.wall_ns - record.offset_s * NS_PER_S, INSTANT
    before = faults.count
    if record.local and plan.offset_required:
        shown = str(value)[:40].encode(errors="backslashreplace").decode()
        message = f"'{shown}' has no offset from UTC; add Z or, for example, +01:00, or give [time] a zone"
        faults.add(path, "time_no_offset", f"{message} (zone = 'Europe/Zurich', offset = 'optional')")
    low, high = (LOCAL_MIN_NS, LOCAL_MAX_NS) if record.local else (MIN_NS, MAX_NS)
    if not low <= record.wall_ns <= high:
        faults.add(path, "time_out_of_range", "the time is outside 1900-01-01 to 2262-04-11")
        record.wall_ns = 0
    return faults.count == before


def _expected(column: Column) -> str:
    """What a member must be, in words."""
    if column.packed or column.kind == "octets":
        return packed_text(column)
    return column.text.expected if column.text else _EXPECTED[column.kind]


_EXPECTED: Final = {
    "offset": "an offset from UTC such as +01:00, or a number",
    "zone": "a text",
    "tag": "a text",
    "register_name": "a text",
    "register_value": "a number",
    "step": "a number, or a duration such as 15m",
    "rate": "a number of records a second",
    "attribute": "a text",
    "number": "a number",
    "numbers": "an array of numbers",
    "labels": "an array of texts",
}
