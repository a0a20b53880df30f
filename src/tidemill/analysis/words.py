"""Numbers, ranges and times of a series in words, for the sentences of an answer."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from tidemill.model.zones import zone

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS: Final = (
    ("year", 365.2425 * 86_400),
    ("day", 86_400.0),
    ("h", 3_600.0),
    ("min", 60.0),
    ("s", 1.0),
    ("ms", 1e-3),
    ("µs", 1e-6),
)
_WORDS: Final = {"year", "day"}
_PLAIN: Final = (1e-4, 1e9)  # magnitudes that are written without an exponent


def number_text(number: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, thousands apart: `0.0225`, `6.1`, `97.2`, `12,300`, `1.2e-07`."""
    if number == 0:
        return "0"
    if not _PLAIN[0] <= abs(number) < _PLAIN[1]:
        return f"{number:.{digits}g}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(number))), 0)
    whole = round(number, digits - 1 - math.floor(math.log10(abs(number))))
    text = f"{whole:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_unit(text: str, unit: str | None) -> str:
    """The text with its unit, if there is one; `%` too is apart from its number (SI brochure, 5.4.7)."""
    return f"{text} {unit}" if unit else text


def range_text(low: float, high: float, digits: int = 3) -> str:
    """`0.2–0.5`; `-3 to 5` with a number below zero; a single number where both read the same."""
    begin, end = number_text(low, digits), number_text(high, digits)
    if begin == end:
        return begin
    return f"{begin}–{end}" if low >= 0 else f"{begin} to {end}"


def outside_texts(value: float, low: float, high: float, digits: int = 2) -> tuple[str, str]:
    """The texts of a value and of a range that it is outside of, with as few digits as show that it is."""
    while digits < 8:
        shown = [float(number_text(number, digits).replace(",", "")) for number in (low, value, high)]
        if not shown[0] <= shown[1] <= shown[2]:
            break
        digits += 1
    return number_text(value, digits), range_text(low, high, digits)


def percent_text(share: float) -> str:
    """A share (0 to 1) in percent: whole ones from 2 % on, else two significant digits."""
    return f"{share * 100:.0f} %" if share >= 0.0195 else f"{share * 100:.2g} %"


def local_time(time_ns: int, tz: str | None) -> datetime:
    """The wall clock of `tz` (UTC without) at an instant, to the microsecond."""
    where = zone(tz) if tz else None
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(where or UTC)


def hours_text(begin: int, end: int, dash: str = "–") -> str:
    """`18–20 h`: from the begin of the first hour to the end of the last."""
    return f"{begin:02d}{dash}{end % 24:02d} h"


def hour_text(hour: float) -> str:
    """`12 h`: the hour of the day, the nearest one to a fraction."""
    return f"{round(hour) % 24:02d} h"


def duration_text(seconds: float) -> str:
    """A length of time in the largest unit that it has twice, or once exactly: `15 min`, `12.5 ms`, `2.5 days`."""
    for name, length in _LENGTHS:
        if seconds >= 2 * length or seconds == length:
            number = number_text(seconds / length)
            return f"{number} {name}{'s' if number != '1' and name in _WORDS else ''}"
    return f"{number_text(seconds / 1e-9)} ns"
