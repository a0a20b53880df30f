"""The strict reader: reads one record at a time and names every fault with its path. Its result is authoritative.

It is some twenty times slower than `fast.py` and reads only what that reader is not certain of.
"""

from typing import Any, Final

from tidemill.decode.derived import derive_value
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plan import Column, DecodePlan, Node
from tidemill.decode.strict_json import NOT_FINITE, Object, as_written, json_type, not_finite_paths
from tidemill.decode.strict_values import (
    read_labels,
    read_number,
    read_numbers,
    read_octets,
    read_packed,
    read_registers,
    read_text,
    read_written,
)
from tidemill.decode.time_formats import TIME_KINDS, offset_s
from tidemill.decode.times import INSTANT, LOCAL_MAX_NS, LOCAL_MIN_NS
from tidemill.decode.values import packed_text
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S

_MISSING: Final = object()


class Record:
    """One record as the strict reader read it: a value for each column, the time (valid if `timed`; `time` is its path
    and value), the offset from a member of its own, the registers, and texts among them that are kept as attributes."""

    __slots__ = ("local", "offset_s", "registers", "texts", "time", "timed", "values", "wall_ns")

    def __init__(self, width: int) -> None:
        self.values: list[Any] = [None] * width
        self.wall_ns = 0
        self.local = INSTANT
        self.offset_s: int | None = None
        self.time: tuple[str, Any] | None = None
        self.timed = False
        self.registers: dict[str, float] | None = None
        self.texts: dict[str, str] = {}


def read_record(value: Any, path: str, plan: DecodePlan, faults: FaultCollector) -> Record:
    """Read one record by the plan, adding each of its faults. The result is only valid if none was added."""
    record = Record(len(plan.columns))
    record.timed = plan.time_received and isinstance(value, Object)
    if not isinstance(value, Object):
        faults.add(path, "wrong_type", f"must be an object, is {json_type(value)}")
        return record
    _RecordWalk(plan, record, faults).read_object(value, path, plan.root)
    if record.timed and record.time is not None:
        record.timed = _settle_time(record, plan, faults)
    if plan.derived:
        paths = [path + "".join(f".{key}" for key in column.keys) for column in plan.columns]
        record.values += [derive_value(derived, record.values, paths, faults) for derived in plan.derived]
    if plan.registers is not None:
        record.registers, record.texts = read_registers(value, path, plan, faults)
    for where in not_finite_paths(value, path):
        faults.add_once(where, "not_finite", NOT_FINITE)
    return record


class _RecordWalk:
    """Walks through one record, object by object."""

    def __init__(self, plan: DecodePlan, record: Record, faults: FaultCollector) -> None:
        self._plan = plan
        self._record = record
        self._faults = faults

    def read_object(self, value: Object, path: str, node: Node) -> None:
        """Read the members of one object and of the objects below it."""
        twice = value.duplicate_keys
        for key in sorted(twice & {*node.columns, *node.nodes}) if twice else ():
            self._faults.add(f"{path}.{key}", "duplicate_key", f"'{key}' is there twice")
        for key, number in node.columns.items():
            item = value.get(key, _MISSING)
            if item is not _MISSING or self._plan.columns[number].required:
                self._read_member(item, f"{path}.{key}", number)
            if key in twice:
                self._clear_column(number)
        for key, below in node.nodes.items():
            inner, where = value.get(key, _MISSING), f"{path}.{key}"
            if isinstance(inner, Object):
                self.read_object(inner, where, below)
            elif _is_present(inner, where, below.required(self._plan.columns), "an object", self._faults):
                self._faults.add(where, "wrong_type", f"must be an object, is {json_type(inner)}")

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
        elif column.kind in ("tag", "attribute", "zone"):
            values[number] = read_text(value, path, column.max_length, faults)
        elif column.kind == "number":
            values[number] = read_number(value, path, column, faults)
        elif column.kind == "numbers":
            values[number] = read_numbers(value, path, column, faults)
        elif column.kind in ("text_number", "boolean"):
            values[number] = read_written(value, path, column, faults)
        elif column.kind == "octets":
            values[number] = read_octets(value, path, column, faults)
        elif column.packed is not None:
            values[number] = read_packed(value, path, column, faults)
        else:
            values[number] = read_labels(value, path, faults)


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
        faults.add(path, "time_no_offset", f"'{shown}' has no offset from UTC; add Z or, for example, +01:00")
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
    "attribute": "a text",
    "number": "a number",
    "numbers": "an array of numbers",
    "labels": "an array of texts",
}
