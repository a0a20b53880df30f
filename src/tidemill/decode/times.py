"""Whole columns of times -> nanoseconds: the grammar of `model.time.parse_wall`, in NumPy (a property test holds them
together). What does not fit is only marked; the one who asked reads those again, one by one, to say why."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, parse_wall

UNIT_NS: Final = {"unix_s": NS_PER_S, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}

# Local times reach beyond the range of instants by as much as an offset can be (16 hours: more than any zone has).
# Above, int64 ends where the range does, so local times there end that much earlier.
_SLACK_NS: Final = 16 * 3600 * NS_PER_S
LOCAL_MIN_NS: Final = MIN_NS - _SLACK_NS
LOCAL_MAX_NS: Final = MAX_NS - _SLACK_NS
_FIRST_S: Final = MIN_NS // NS_PER_S - 86_400  # before this, a text is not even read

_BLOCK: Final = 1 << 15  # rows parsed at a time: what they need stays in the processor's cache
_LONG: Final = 65  # characters; from here on (more than 39 digits of a second) texts are read one by one
_DIGITS: Final = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class LocalTimes(msgspec.Struct, frozen=True):
    """Times as read. `ns` is the instant, or where `local` the wall clock as if it were UTC; only good where `ok`."""

    ns: NDArray[np.int64]
    local: NDArray[np.bool_]
    ok: NDArray[np.bool_]


def parse_texts(texts: Sequence[str]) -> LocalTimes:
    """RFC 3339 texts, with or without an offset, in any mix of lengths."""
    count = len(texts)
    walls = LocalTimes(np.zeros(count, np.int64), np.zeros(count, np.bool_), np.zeros(count, np.bool_))
    joined = "".join(texts)
    if not joined.isascii():
        for row, text in enumerate(texts):
            if text.isascii():
                one = parse_texts([text])
                walls.ns[row], walls.local[row], walls.ok[row] = one.ns[0], one.local[0], one.ok[0]
        return walls
    buffer = np.frombuffer(joined.encode("ascii"), np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, count)
    starts = np.cumsum(lengths) - lengths
    for row in np.flatnonzero(lengths >= _LONG).tolist():
        _parse_long(texts[row], row, walls)
    for length in np.unique(lengths[(lengths >= 19) & (lengths < _LONG)]):
        rows = np.flatnonzero(lengths == length)
        for first in range(0, len(rows), _BLOCK):
            some = rows[first : first + _BLOCK]
            _parse_block(_matrix(buffer, starts[some], int(length)), some, walls)
    return walls


def parse_numbers(values: Sequence[Any], unit_ns: int) -> LocalTimes:
    """Epoch numbers (int or float) of a unit. A float counts as the shortest decimal that reads back as it: 0.1 s is
    100 ms exactly. Halves of a nanosecond go to the even one."""
    count = len(values)
    local = np.zeros(count, np.bool_)
    low, high = -(-MIN_NS // unit_ns), MAX_NS // unit_ns
    if set(map(type, values)) <= {int} and (not count or (min(values) >= low and max(values) <= high)):
        return LocalTimes(np.array(values, np.int64) * unit_ns, local, np.ones(count, np.bool_))
    exact = [number_ns(value, unit_ns) for value in values]
    ok = [MIN_NS <= ns <= MAX_NS for ns in exact]
    fitting = [ns if good else 0 for ns, good in zip(exact, ok, strict=True)]
    return LocalTimes(np.array(fitting, np.int64), local, np.array(ok, np.bool_))


def number_ns(value: float, unit_ns: int) -> int:
    """One finite epoch number of a unit -> ns, exactly as `parse_numbers`; not checked for range."""
    if isinstance(value, int):
        return value * unit_ns
    if abs(value) > 1e20:  # far outside any unit's range: spare the decimal of 300 digits
        return MAX_NS + 1 if value > 0 else MIN_NS - 1
    return int((Decimal(repr(value)) * unit_ns).to_integral_value())


def in_range(walls: LocalTimes) -> NDArray[np.bool_]:
    """Where the store can hold the time (a local one: whatever its zone)."""
    low = np.where(walls.local, LOCAL_MIN_NS, MIN_NS)
    high = np.where(walls.local, LOCAL_MAX_NS, MAX_NS)
    return (low <= walls.ns) & (walls.ns <= high)


def _parse_long(text: str, row: int, walls: LocalTimes) -> None:
    """One text as `parse_wall` reads it."""
    try:
        wall, offset = parse_wall(text)
    except ValueError:
        return
    ns = wall - (offset or 0) * NS_PER_S
    if _FIRST_S * NS_PER_S <= ns <= MAX_NS:
        walls.ns[row], walls.local[row], walls.ok[row] = ns, offset is None, True


def _matrix(buffer: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
    """The texts of one length as a matrix with a row per character position, so that each step reads contiguously."""
    if starts[-1] - starts[0] == (len(starts) - 1) * length:
        return np.ascontiguousarray(buffer[starts[0] : starts[-1] + length].reshape(-1, length).T)
    return np.stack([buffer[starts + position] for position in range(length)])


def _parse_block(matrix: NDArray[np.uint8], rows: NDArray[np.int64], walls: LocalTimes) -> None:
    """Texts of one length, told apart by how they end: `Z`, an offset, or nothing."""
    length = len(matrix)
    seconds, ok = _whole_seconds(matrix)
    zulu = (matrix[-1] | 0x20) == ord("z")
    offset = np.zeros(len(rows), np.bool_)
    if length >= 25:
        offset = ((matrix[-6] == ord("+")) | (matrix[-6] == ord("-"))) & (matrix[-3] == ord(":"))
    for ending, size in ((zulu, 1), (offset, 6), (~zulu & ~offset, 0)):
        if not ending.any():
            continue
        every = bool(ending.all())
        part = matrix if every else matrix[:, ending]
        shift, good = _offset_seconds(part) if size == 6 else (0, True)
        nanos, fraction_good = _fraction_ns(part[19 : length - size])
        total = (seconds if every else seconds[ending]) - shift
        # Cut before the multiplication what int64 could not hold after it; `in_range` decides to the nanosecond.
        fits = (total >= _FIRST_S) & (total <= MAX_NS // NS_PER_S)
        at = rows if every else rows[ending]
        walls.ns[at] = np.where(fits, total, 0) * NS_PER_S + nanos
        walls.local[at] = size == 0
        walls.ok[at] = (ok if every else ok[ending]) & good & fraction_good & fits


def _whole_seconds(matrix: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    digits = matrix[:19] - np.uint8(48)
    ok = (digits[list(_DIGITS)] <= 9).all(axis=0)
    ok &= (matrix[4] == ord("-")) & (matrix[7] == ord("-")) & (matrix[13] == ord(":")) & (matrix[16] == ord(":"))
    ok &= ((matrix[10] | 0x20) == ord("t")) | (matrix[10] == ord(" "))
    wide = digits.astype(np.int32)
    year = wide[0] * 1000 + wide[1] * 100 + wide[2] * 10 + wide[3]
    month, day = wide[5] * 10 + wide[6], wide[8] * 10 + wide[9]
    hour, minute, second = wide[11] * 10 + wide[12], wide[14] * 10 + wide[15], wide[17] * 10 + wide[18]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _MONTH_DAYS[np.where(month <= 12, month, 0)] + (leap & (month == 2))
    ok &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= last)
    ok &= (hour <= 23) & (minute <= 59) & (second <= 59)
    return _days(year, month, day) * 86_400 + (hour * 3600 + minute * 60 + second), ok


def _days(year: NDArray[np.int32], month: NDArray[np.int32], day: NDArray[np.int32]) -> NDArray[np.int64]:
    """Days since 1970-01-01, proleptic Gregorian (Hinnant, 2013, "chrono-compatible low-level date algorithms")."""
    shifted = year.astype(np.int64) - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days: NDArray[np.int64] = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days


def _fraction_ns(part: NDArray[np.uint8]) -> tuple[Any, Any]:
    """`.` and digits, the tenth and later of them cut; or nothing."""
    if len(part) == 0:
        return 0, True
    if len(part) == 1:
        return 0, False
    digits = part[1:] - np.uint8(48)
    nanos = np.zeros(part.shape[1], np.int64)
    for digit in digits[:9]:
        nanos = nanos * 10 + digit
    return nanos * 10 ** max(0, 9 - len(digits)), (part[0] == ord(".")) & (digits <= 9).all(axis=0)


def _offset_seconds(matrix: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    digits = (matrix[-5:] - np.uint8(48)).astype(np.int64)
    hours, minutes = digits[0] * 10 + digits[1], digits[3] * 10 + digits[4]
    good = (digits[[0, 1, 3, 4]] <= 9).all(axis=0) & (hours <= 23) & (minutes <= 59)
    return np.where(matrix[-6] == ord("-"), -1, 1) * (hours * 3600 + minutes * 60), good
