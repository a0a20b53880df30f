"""Parses columns of times into nanoseconds: the grammar of `model.time.parse_wall`, in NumPy (a property test compares
them). Invalid values are only marked; the caller parses those one by one for their faults.

Other spellings and patterns are left to `time_formats.py`, which calls this module first."""

from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
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
_FIRST_S: Final = MIN_NS // NS_PER_S - 86_400  # texts before this are invalid

# The kinds of times: an instant; a wall clock without an offset; a day without a time, which means its begin.
INSTANT: Final = 0
WALL: Final = 1
DAY: Final = 2

_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])  # never rounds
_BLOCK: Final = 1 << 15  # rows parsed at a time, so that they stay in the processor's cache
_LONG: Final = 65  # characters; from here on (more than 39 digits of a second) texts are parsed one by one
_DIGITS: Final = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class LocalTimes(msgspec.Struct, frozen=True):
    """Parsed times. `ns` is the instant (where `local` is INSTANT), or the wall clock as if it were UTC (WALL, DAY);
    only valid where `ok`."""

    ns: NDArray[np.int64]
    local: NDArray[np.uint8]
    ok: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> "LocalTimes":
        """The times of these rows, in their order."""
        return LocalTimes(self.ns[rows], self.local[rows], self.ok[rows])


def parse_texts(texts: Sequence[str]) -> LocalTimes:
    """The times of RFC 3339 texts, with or without an offset, in any mix of lengths."""
    count = len(texts)
    times = LocalTimes(np.zeros(count, np.int64), np.zeros(count, np.uint8), np.zeros(count, np.bool_))
    joined = "".join(texts)
    if not joined.isascii():
        for row, text in enumerate(texts):
            if text.isascii():
                single = parse_texts([text])
                times.ns[row], times.local[row], times.ok[row] = single.ns[0], single.local[0], single.ok[0]
        return times
    buffer = np.frombuffer(joined.encode("ascii"), np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, count)
    starts = np.cumsum(lengths) - lengths
    for row in np.flatnonzero(lengths >= _LONG).tolist():
        _parse_long(texts[row], row, times)
    for length in np.unique(lengths[(lengths >= 19) & (lengths < _LONG)]):
        rows = np.flatnonzero(lengths == length)
        for first in range(0, len(rows), _BLOCK):
            some = rows[first : first + _BLOCK]
            _parse_block(_matrix(buffer, starts[some], int(length)), some, times)
    return times


def parse_numbers(values: Sequence[Any], unit_ns: int) -> LocalTimes:
    """The times of epoch numbers (int, Decimal or float) in a unit. A float counts as its shortest decimal that parses
    to the same float: 0.1 s is 100 ms exactly. Halves of a nanosecond are rounded to even."""
    count = len(values)
    local = np.zeros(count, np.uint8)
    low, high = -(-MIN_NS // unit_ns), MAX_NS // unit_ns
    if set(map(type, values)) <= {int} and (not count or (min(values) >= low and max(values) <= high)):
        return LocalTimes(np.array(values, np.int64) * unit_ns, local, np.ones(count, np.bool_))
    exact = [number_ns(value, unit_ns) for value in values]
    ok = [MIN_NS <= ns <= MAX_NS for ns in exact]
    fitting = [ns if good else 0 for ns, good in zip(exact, ok, strict=True)]
    return LocalTimes(np.array(fitting, np.int64), local, np.array(ok, np.bool_))


def number_ns(value: float | Decimal, unit_ns: int) -> int:
    """One epoch number in a unit as ns, as `parse_numbers` computes it; not checked for range. NaN and infinities
    become a value out of range."""
    if isinstance(value, int):
        return value * unit_ns
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite() or number.adjusted() > 20:  # far outside: spare the decimal of 300 digits
        return MIN_NS - 1 if number.is_signed() else MAX_NS + 1
    if number.adjusted() < -20:
        return 0
    return int(_EXACT.to_integral_value(_EXACT.multiply(number, Decimal(unit_ns))))


def in_range(times: LocalTimes) -> NDArray[np.bool_]:
    """Boolean per time: whether the store can hold it (a local time: in any zone)."""
    low = np.where(times.local, LOCAL_MIN_NS, MIN_NS)
    high = np.where(times.local, LOCAL_MAX_NS, MAX_NS)
    return (low <= times.ns) & (times.ns <= high)


def _parse_long(text: str, row: int, times: LocalTimes) -> None:
    """Parse one text by `parse_wall` into a row."""
    try:
        wall, offset = parse_wall(text)
    except ValueError:
        return
    ns = wall - (offset or 0) * NS_PER_S
    if _FIRST_S * NS_PER_S <= ns <= MAX_NS:
        times.ns[row], times.local[row], times.ok[row] = ns, WALL if offset is None else INSTANT, True


def _matrix(buffer: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
    """The texts of one length as a matrix with a row for each character position, so that each step reads
    contiguously."""
    if starts[-1] - starts[0] == (len(starts) - 1) * length:
        return np.ascontiguousarray(buffer[starts[0] : starts[-1] + length].reshape(-1, length).T)
    return np.stack([buffer[starts + index] for index in range(length)])


def _parse_block(matrix: NDArray[np.uint8], rows: NDArray[np.int64], times: LocalTimes) -> None:
    """Parse texts of one length, separately by their ending: `Z`, an offset, or none."""
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
        times.ns[at] = np.where(fits, total, 0) * NS_PER_S + nanos
        times.local[at] = WALL if size == 0 else INSTANT
        times.ok[at] = (ok if every else ok[ending]) & good & fraction_good & fits


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
    """(ns, whether valid) of `.` and digits, of which the tenth and later are cut off; 0 for an empty part."""
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
