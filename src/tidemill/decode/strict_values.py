"""Reads the values of one record strictly: texts, numbers, numbers in texts, packed numbers, bytes, labels, registers.

Each function adds every fault with its path, and returns the value, which is only valid if no fault was added.
"""

import math
import re
from typing import Any, Final

from tidemill.decode.exactness import judge_exactness
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan
from tidemill.decode.register_values import (
    MARK,
    MAX_TEXT,
    RegisterForm,
    attribute_text,
    read_register,
    register_fault,
)
from tidemill.decode.strict_json import NotJson, Object, has_lone_surrogate, json_type
from tidemill.decode.text_numbers import NumberText, TextFault, read_number_text, read_truth
from tidemill.decode.values import packed_bytes, packed_text, plain_bytes, unpack_numbers
from tidemill.feeds.definition import NotExact
from tidemill.feeds.paths import member_path

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,40}([.,][0-9]{1,40})?\s*")
_TEXT_HINTS: Final = {"number": "type = 'text_number'", "register_value": "[registers] number_texts = true"}
# The column of a plain number, by what becomes of integers that are not exact.
NUMBER_COLUMNS: Final[dict[NotExact, Column]] = {
    policy: Column(name="number", keys=(), kind="number", required=False, not_exact=policy)
    for policy in ("reject", "flag", "round")
}


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


def read_name(value: Any, path: str, column: Column, faults: FaultCollector) -> str | None:
    """A text as of `read_text`; of a column that may be an integer, its decimal digits."""
    if isinstance(value, bool) or not isinstance(value, int):
        return read_text(value, path, column.max_length, faults)
    if column.integer:
        return read_text(str(value), path, column.max_length, faults)
    hint = "; for an integer give it type = 'integer'" if column.kind in ("tag", "attribute") else ""
    faults.add(path, "wrong_type", f"must be a text, is {json_type(value)}{hint}")
    return None


def read_number(
    value: Any, path: str, column: Column | None, faults: FaultCollector, expected: str = "a number"
) -> float | None:
    """A finite number, times the column's scale plus its offset, within its range; else a fault is added. Without a
    column, integers of any size count as the nearest double."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.add(path, "wrong_type", f"must be {expected}, is {json_type(value)}{_text_hint(value, column)}")
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


def _text_hint(value: Any, column: Column | None) -> str:
    """What the author of a feed can do about a number in a text."""
    if column is None or column.kind not in _TEXT_HINTS or not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return ""
    return f"; for numbers in texts write {_TEXT_HINTS[column.kind]}"


def read_written(value: Any, path: str, column: Column, faults: FaultCollector) -> float | None:
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


def read_octets(value: Any, path: str, column: Column, faults: FaultCollector) -> bytes | None:
    """The bytes of a member; None with a fault."""
    if not _is_packed(value, path, column, faults):
        return None
    try:
        return plain_bytes(value, column)
    except ValueError as error:
        faults.add(path, "invalid_value", str(error))
        return None


def read_numbers(value: Any, path: str, column: Column, faults: FaultCollector) -> list[float | None] | None:
    """An array of numbers, at least one; None with a fault where it is none."""
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of numbers, is {json_type(value)}")
        return None
    if not value:
        faults.add(path, "empty", "must hold at least one number")
    return [read_number(item, f"{path}[{n}]", column, faults) for n, item in enumerate(value)]


def read_packed(value: Any, path: str, column: Column, faults: FaultCollector) -> Any:
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


def read_labels(value: Any, path: str, faults: FaultCollector) -> list[str] | None:
    """An array of texts; None with a fault where it is none."""
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of texts, is {json_type(value)}")
        return None
    for n, item in enumerate(value):
        if not isinstance(item, str):
            faults.add(f"{path}[{n}]", "wrong_type", f"must be a text, is {json_type(item)}")
        elif has_lone_surrogate(item):
            faults.add(f"{path}[{n}]", "lone_surrogate", "holds half of a surrogate pair, which is no character")
    return value


def read_registers(
    value: Object, path: str, plan: DecodePlan, faults: FaultCollector
) -> tuple[dict[str, float | None], dict[str, str]]:
    """(every member that is no exception and is a number, or null where there is no reading; the texts among the others
    that are kept as attributes)."""
    except_keys, form = plan.except_keys or frozenset(), plan.registers
    assert form is not None
    registers: dict[str, float | None] = {}
    others: dict[str, Any] = {}
    before, column = faults.count, NUMBER_COLUMNS[form.not_exact]
    for key, item in value.items():
        if key in except_keys:
            continue
        where, count = member_path(path, key), faults.count
        if key in value.duplicate_keys:
            faults.add(where, "duplicate_key", f"'{key}' is there twice")
        name = read_text(key, path, 256, faults)
        if item is None:
            if name is not None:
                registers[name] = None
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
    return registers, _read_others(others, path, form, faults, alone=set(registers.values()) <= {None})


def _read_others(
    others: dict[str, Any], path: str, form: RegisterForm, faults: FaultCollector, *, alone: bool
) -> dict[str, str]:
    """The texts that are kept as attributes, of members among registers that are no numbers; the other members mark the
    record, or are faults: also where they are `alone`."""
    texts = {}
    for key, item in others.items():
        where = member_path(path, key)
        text = attribute_text(item) if form.texts == "attribute" else None
        if form.texts == "reject" or alone:
            faults.add(where, *register_fault(item, form))
        elif text is None:
            faults.mark(MARK)
        elif text and (kept := read_text(text, where, MAX_TEXT, faults)) is not None:
            texts[key] = kept
    return texts
