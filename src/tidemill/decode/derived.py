"""Computes the columns that a record says with several members: a number with its unit, factor or power of ten beside
it, and numbers that are packed into the bytes of one member.

A column for many records at once for the fast reader, and one record with its faults for the strict one; a property
test compares them. The order: bytes, bits, power of ten, factor, then `scale`, `offset` and unit as one step.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.exactness import judge_exactness
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Derived
from tidemill.decode.plan import DecodePlan
from tidemill.decode.values import is_certain, is_in_bounds, taken_bits, unpack_numbers

MAX_EXPONENT: Final = 30
_POWERS: Final = np.array([float(10**power) for power in range(MAX_EXPONENT + 1)])


def derived_columns(plan: DecodePlan, values: Sequence[list[Any]]) -> list[list[Any]] | None:
    """The values of each derived column; `values` are those of the plan's columns. None if any is not certain."""
    columns = []
    for derived in plan.derived:
        column = _derive_column(derived, values)
        if column is None:
            return None
        columns.append(column)
    return columns


def _derive_column(derived: Derived, values: Sequence[list[Any]]) -> list[Any] | None:
    source = values[derived.source]
    rows = [row for row, value in enumerate(source) if value is not None]
    present = [source[row] for row in rows]
    counts = [len(value) if isinstance(value, list) else 1 for value in present]
    numbers = _packed_numbers(present, derived) if derived.at is not None else _flat(present)
    factors = [None if n is None else [values[n][row] for row in rows] for n in (derived.exponent, derived.factor)]
    units = None if derived.unit is None else [values[derived.unit][row] for row in rows]
    linear = _linear_columns(derived, units, len(rows))
    if numbers is None or linear is None or any(None in given for given in factors if given is not None):
        return None
    exponents, factor = (None if given is None else np.array(given, np.float64) for given in factors)
    if exponents is not None and not ((exponents == np.rint(exponents)) & (np.abs(exponents) <= MAX_EXPONENT)).all():
        return None
    each = None if len(numbers) == len(rows) else np.array(counts)

    def spread(given: NDArray[np.float64]) -> NDArray[np.float64]:
        return given if each is None else np.repeat(given, each)

    with np.errstate(invalid="ignore", over="ignore"):
        if exponents is not None:
            numbers = _times_power(numbers, spread(exponents).astype(np.int64))
        if factor is not None:
            numbers = numbers * spread(factor)
        numbers = numbers * spread(linear[0]) + spread(linear[1])
    if not is_in_bounds(numbers, derived.column).all():
        return None
    results: list[Any] = [None] * len(source)
    flat, at = numbers.tolist(), 0
    for row, value, count in zip(rows, present, counts, strict=True):
        results[row] = flat[at : at + count] if isinstance(value, list) and derived.at is None else flat[at]
        at += count if derived.at is None else 1
    return results


def _flat(present: Sequence[Any]) -> NDArray[np.float64]:
    if present and isinstance(present[0], list):
        return np.array([number for value in present for number in value], np.float64)
    return np.array(present, np.float64)


def _packed_numbers(parts: Sequence[bytes], derived: Derived) -> NDArray[np.float64] | None:
    """The numbers at one place of bytes; None if any has too few, or an integer is not certain."""
    kind, at = derived.column.packed, derived.at
    assert kind is not None
    assert at is not None
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    if len(parts) and sizes.min() < at + kind.size:
        return None
    buffer = np.frombuffer(b"".join(parts), np.uint8)
    places = (np.cumsum(sizes) - sizes + at)[:, None] + np.arange(kind.size)
    numbers = np.ascontiguousarray(buffer[places]).view(kind.code).reshape(-1)
    if not is_certain(numbers, derived.column):
        return None
    with np.errstate(invalid="ignore"):
        return taken_bits(numbers, derived.column).astype(np.float64)


def _linear_columns(
    derived: Derived, units: Sequence[str | None] | None, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Factor and summand of each number; None if any names no unit that can be converted."""
    if units is None or derived.linear_of is None:
        scale, offset = derived.column.scale, derived.column.offset
        return np.full(count, scale), np.full(count, offset)
    known: dict[str | None, tuple[float, float]] = {}
    for unit in set(units):
        pair = _linear(derived, unit)
        if isinstance(pair, str):
            return None
        known[unit] = pair
    pairs = np.array([known[unit] for unit in units], np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _linear(derived: Derived, unit: str | None) -> tuple[float, float] | str:
    """Factor and summand of a number in a unit; or a sentence."""
    if unit is None:
        return derived.linear or "is missing; it must be a unit, as the feed has no from_unit"
    assert derived.linear_of is not None
    return derived.linear_of(unit)


def _times_power(numbers: NDArray[np.float64], exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers times powers of ten. Negative powers divide: 2301 / 10 is 230.1, and 2301 * 0.1 is not."""
    powers = _POWERS[np.abs(exponents)]
    return np.asarray(np.where(exponents < 0, numbers / powers, numbers * powers))


def derive_value(
    derived: Derived, values: Sequence[Any], paths: Sequence[str], faults: FaultCollector
) -> float | list[float | None] | None:
    """The value of a derived column of one record, with its faults; `values` and `paths` are those of the plan's
    columns. None where it has no value."""
    source, path = values[derived.source], paths[derived.source]
    if source is None:
        return None
    name = derived.column.name.removeprefix("f.")
    number = _unpack(source, derived, name, path, faults) if derived.at is not None else source
    factor = _factor(derived, values, paths, name, faults)
    if number is None or factor is None:
        return None
    if isinstance(number, list):
        return [_settle(one, factor, derived, f"{path}[{n}]", faults) for n, one in enumerate(number)]
    return _settle(number, factor, derived, path, faults)


_Factor = tuple[int | None, float | None, tuple[float, float]]


def _factor(
    derived: Derived, values: Sequence[Any], paths: Sequence[str], name: str, faults: FaultCollector
) -> _Factor | None:
    """The power of ten, the factor, and the factor and summand of the unit; None with a fault."""
    good, given = True, list[float | None]()  # the fault may be there already, of another field
    for column, what in ((derived.exponent, "a power of ten"), (derived.factor, "a factor")):
        value = None if column is None else values[column]
        given.append(value)
        if column is not None and value is None:
            good = False
            faults.add_once(paths[column], "missing", f"is missing; it must be {what} for '{name}'")
    exponent = given[0]
    if derived.exponent is not None and exponent is not None and not _is_power(exponent):
        good = False
        message = f"{exponent:g} is no power of ten: an integer from -{MAX_EXPONENT} to {MAX_EXPONENT}"
        faults.add_once(paths[derived.exponent], "out_of_range", message)
    linear: tuple[float, float] | str = (derived.column.scale, derived.column.offset)
    if derived.unit is not None:
        unit = values[derived.unit]
        linear = _linear(derived, unit)
        if isinstance(linear, str):
            faults.add_once(paths[derived.unit], "missing" if unit is None else "unknown_unit", linear)
    if not good or isinstance(linear, str):
        return None
    return (None if exponent is None else int(exponent)), given[1], linear


def _is_power(number: float) -> bool:
    return abs(number) <= MAX_EXPONENT and number == int(number)  # a NaN, which is a fault already, is in no range


def _unpack(body: bytes, derived: Derived, name: str, path: str, faults: FaultCollector) -> float | None:
    kind, at = derived.column.packed, derived.at
    assert kind is not None
    assert at is not None
    if len(body) < at + kind.size:
        faults.add(path, "wrong_size", f"has {len(body)} bytes, and '{name}' ends at byte {at + kind.size}")
        return None
    number = unpack_numbers(body[at : at + kind.size], derived.column)[0]
    if isinstance(number, int) and not judge_exactness(number, path, derived.column.not_exact, faults):
        return None
    return float(number)


def _settle(number: float | None, factor: _Factor, derived: Derived, path: str, faults: FaultCollector) -> float | None:
    """One number with its factors, within the column's bounds; None with a fault."""
    if number is None:
        return None
    power, times, (scale, offset) = factor
    with np.errstate(invalid="ignore", over="ignore"):
        value = np.array([number])
        if power is not None:
            value = _times_power(value, np.array([power]))
        if times is not None:
            value = value * times
        value = value * scale + offset
    result, column = float(value[0]), derived.column
    if not np.isfinite(result):
        faults.add_once(path, "not_finite", "must be a finite number that a double can hold, also with factor and unit")
    elif column.min is not None and result < column.min:
        faults.add_once(path, "out_of_range", f"{result!r} is below {column.min:g}")
    elif column.max is not None and result > column.max:
        faults.add_once(path, "out_of_range", f"{result!r} is above {column.max:g}")
    else:
        return result
    return None
