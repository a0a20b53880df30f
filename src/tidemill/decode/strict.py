"""The strict reader: reads one record at a time and names every fault with its path. Its result is authoritative.

It is some twenty times slower than `fast.py` and reads only what that reader is not certain of.
"""

import math
import re
from typing import Any, Final

from tidemill.decode.derived import derive_value
from tidemill.decode.exactness import judge_exactness
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plan import Column, DecodePlan, Node
from tidemill.decode.register_values import (
    MARK,
    MAX_TEXT,
    RegisterForm,
    attribute_text,
    read_register,
    register_fault,
)
from tidemill.decode.strict_json import (
    NOT_FINITE,
    NotJson,
    Object,
    as_written,
    has_lone_surrogate,
    json_type,
    not_finite_paths,
)
from tidemill.decode.text_numbers import NumberText, TextFault, read_number_text, read_truth
from tidemill.decode.time_formats import TIME_KINDS, offset_s
from tidemill.decode.times import INSTANT, LOCAL_MAX_NS, LOCAL_MIN_NS
from tidemill.decode.values import packed_bytes, packed_text, plain_bytes, unpack_numbers
from tidemill.feeds.definition import NotExact
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
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
        record.registers, record.texts = _read_registers(value, path, plan, faults)
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
            values[number] = _read_numbers(value, path, column, faults)
        elif column.kind in ("text_number", "boolean"):
            values[number] = _read_written(value, path, column, faults)
        elif column.kind == "octets":
            values[number] = _read_octets(value, path, column, faults)
        elif column.packed is not None:
            values[number] = _read_packed(value, path, column, faults)
        else:
            values[number] = _read_labels(value, path, faults)


def _is_present(value: Any, path: str, required: bool, expected: str, faults: FaultCollector) -> bool:
    """Whether a member has a value. False if it is missing (with a fault, if it is required) or null and optional."""
    if value is _MISSING:
        if required:
            faults.add(path, "missing", f"is missing; it must be {expected}")
        return False
    return required or value is not None


def read_text(value: Any, path: str, max_length: int, faults: FaultCollector) -> str | None:
    """A text that names something: not empty, at most `max_length` characters, no control characters, no half of a
    surrogate pair; else None with a fault."""
    if not isinstance(value, str):
        faults.add(path, "wrong_type", f"must be a text, is {json_type(value)}")
    elif not value:
        faults.add(path, "empty", "must not be empty")
    elif has_lone_surrogate(value):
        faults.add(path, "lone_surrogate", "holds half of a surrogate pair, which is no character")
    elif control := _CONTROL.search(value):
        faults.add(path, "control_character", f"holds the control character U+{ord(control[0]):04X}")
    elif len(value) > max_length:
        faults.add(path, "too_long", f"has {len(value)} characters, at most {max_length} are allowed")
    else:
        return value
    return None


def read_number(
    value: Any, path: str, column: Column | None, faults: FaultCollector, expected: str = "a number"
) -> float | None:
    """A finite number, times the column's scale plus its offset, within its range; else a fault is added. Without a
    column, integers of any size count as the nearest double."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.add(path, "wrong_type", f"must be {expected}, is {json_type(value)}")
        return None
    number = float(value)
    if not math.isfinite(number):
        faults.add(path, "not_finite", "must be a finite number that a double can hold")
        return number
    if column is not None and column.scaled:
        number = number * column.scale + column.offset
    if not math.isfinite(number):
        faults.add(path, "not_finite", "with scale and offset it is no finite number that a double can hold")
    elif column is not None and column.min is not None and number < column.min:
        faults.add(path, "out_of_range", f"{number!r} is below {column.min:g}")
    elif column is not None and column.max is not None and number > column.max:
        faults.add(path, "out_of_range", f"{number!r} is above {column.max:g}")
    elif column is not None and isinstance(value, int):
        judge_exactness(value, path, column.not_exact, faults)
    return number


def _read_written(value: Any, path: str, column: Column, faults: FaultCollector) -> float | None:
    """The number of a number or of a text with one, or of a boolean; None for a text that stands for null, and with a
    fault."""
    form = column.text
    assert form is not None
    if isinstance(value, str):
        read = read_number_text(value, form) if form.truth is None else read_truth(value, form)
    elif form.truth is not None and isinstance(value, bool | int | float) and not isinstance(value, NotJson):
        read = read_truth(value, form)
    elif form.truth is None and isinstance(value, int | float) and not isinstance(value, bool):
        read = NumberText(float(value), value if isinstance(value, int) else None, form.linear)
    else:
        faults.add(path, "wrong_type", f"must be {form.expected}, is {json_type(value)}")
        return None
    if isinstance(read, TextFault):
        faults.add(path, read.code, read.message)
    elif isinstance(read, NumberText):
        scaled = read.number * read.linear[0] + read.linear[1]
        number = read_number(scaled, path, column, faults)
        if read.integer is not None and read.exact is False:
            judge_exactness(read.integer, path, column.not_exact, faults)
        return number
    elif read is not None:
        return read
    elif column.required:
        faults.add(path, "not_a_number", f"the text '{value.strip()[:40]}' stands for no value, and one is required")
    return None


def _read_octets(value: Any, path: str, column: Column, faults: FaultCollector) -> bytes | None:
    """The bytes of a member; None with a fault."""
    if not _is_packed(value, path, column, faults):
        return None
    try:
        return plain_bytes(value, column)
    except ValueError as error:
        faults.add(path, "invalid_value", str(error))
        return None


def _read_numbers(value: Any, path: str, column: Column, faults: FaultCollector) -> list[float | None] | None:
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of numbers, is {json_type(value)}")
        return None
    if not value:
        faults.add(path, "empty", "must hold at least one number")
    return [read_number(item, f"{path}[{n}]", column, faults) for n, item in enumerate(value)]


def _read_packed(value: Any, path: str, column: Column, faults: FaultCollector) -> Any:
    """A packed number, or a list of them; None with a fault."""
    kind = column.packed
    assert kind is not None
    if not _is_packed(value, path, column, faults):
        return None
    if kind.array and not value:
        faults.add(path, "empty", "must hold at least one number")
        return None
    try:
        numbers = unpack_numbers(packed_bytes(value, column), column)
    except ValueError as error:
        faults.add(path, "invalid_value", str(error))
        return None
    if not kind.array:
        return read_number(numbers[0], path, column, faults)
    return [read_number(number, f"{path}[{n}]", column, faults) for n, number in enumerate(numbers)]


def _is_packed(value: Any, path: str, column: Column, faults: FaultCollector) -> bool:
    """Whether a member is of a type that bytes can be written in: a text, or an array of integers 0..255; else faults
    are added."""
    if isinstance(value, list) and column.encoding in ("auto", "array"):
        before = faults.count
        for n, item in enumerate(value):
            if type(item) is not int:
                faults.add(f"{path}[{n}]", "wrong_type", f"must be an integer 0..255, is {json_type(item)}")
            elif not 0 <= item <= 255:
                faults.add(f"{path}[{n}]", "out_of_range", f"must be an integer 0..255, is {item}")
        return faults.count == before
    if not isinstance(value, str) or column.encoding == "array":
        faults.add(path, "wrong_type", f"must be {packed_text(column)}, is {json_type(value)}")
        return False
    return True


def _read_labels(value: Any, path: str, faults: FaultCollector) -> list[str] | None:
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of texts, is {json_type(value)}")
        return None
    for n, item in enumerate(value):
        if not isinstance(item, str):
            faults.add(f"{path}[{n}]", "wrong_type", f"must be a text, is {json_type(item)}")
        elif has_lone_surrogate(item):
            faults.add(f"{path}[{n}]", "lone_surrogate", "holds half of a surrogate pair, which is no character")
    return value


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


def _read_registers(
    value: Object, path: str, plan: DecodePlan, faults: FaultCollector
) -> tuple[dict[str, float], dict[str, str]]:
    """(every member that is no exception and is a number, the texts among the others that are kept as attributes). Null
    is a register without a reading and is left out."""
    except_keys, form = plan.except_keys or frozenset(), plan.registers
    assert form is not None
    registers: dict[str, float] = {}
    others: dict[str, Any] = {}
    before, column = faults.count, NUMBER_COLUMNS[form.not_exact]
    for key, item in value.items():
        if key in except_keys:
            continue
        where, count = f"{path}.{key}", faults.count
        if key in value.duplicate_keys:
            faults.add(where, "duplicate_key", f"'{key}' is there twice")
        name = read_text(key, path, 256, faults)
        if item is None:
            continue
        if isinstance(item, int | float) and not isinstance(item, bool):
            number = read_number(item, where, column, faults)
        else:
            number = read_register(item, where, form, faults)
        if number is None and faults.count == count:
            others[key] = item
        elif name is not None and number is not None:
            registers[name] = number
    if not registers and not others and faults.count == before:
        faults.add(path, "missing", "has no register (a member with a number)")
    return registers, _read_others(others, path, form, faults, alone=not registers)


def _read_others(
    others: dict[str, Any], path: str, form: RegisterForm, faults: FaultCollector, *, alone: bool
) -> dict[str, str]:
    """The texts that are kept as attributes, of members among registers that are no numbers; the other members mark the
    record, or are faults: also where they are `alone`."""
    texts = {}
    for key, item in others.items():
        where = f"{path}.{key}"
        text = attribute_text(item) if form.texts == "attribute" else None
        if form.texts == "reject" or alone:
            faults.add(where, *register_fault(item, form))
        elif text is None:
            faults.mark(MARK)
        elif text and (kept := read_text(text, where, MAX_TEXT, faults)) is not None:
            texts[key] = kept
    return texts


def _expected(column: Column) -> str:
    """What a member must be, in words."""
    if column.packed or column.kind == "octets":
        return packed_text(column)
    return column.text.expected if column.text else _EXPECTED[column.kind]


NUMBER_COLUMNS: Final[dict[NotExact, Column]] = {
    policy: Column(name="number", keys=(), kind="number", required=False, not_exact=policy)
    for policy in ("reject", "flag", "round")
}
_EXPECTED: Final = {
    "offset": "an offset from UTC such as +01:00, or a number",
    "zone": "a text",
    "tag": "a text",
    "attribute": "a text",
    "number": "a number",
    "numbers": "an array of numbers",
    "labels": "an array of texts",
}
