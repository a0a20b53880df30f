"""Instants: int64 nanoseconds since 1970-01-01T00:00:00Z, UTC, end to end.

Parses and formats RFC 3339 instants; `decode/times.py` parses whole columns by the same grammar (a property test
compares both). Range: that of DateTime64(9), 1900-01-01 to 2262-04-11.
"""

import re
from datetime import UTC, datetime
from typing import Final

NS_PER_S: Final = 1_000_000_000
MIN_NS: Final = -2_208_988_800 * NS_PER_S  # 1900-01-01T00:00:00Z
MAX_NS: Final = 9_223_372_036_854_775_807  # 2262-04-11T23:47:16.854775807Z

# What a message says that a text should be.
INSTANT_TEXT: Final = "an RFC 3339 time such as 2026-01-31T12:00:00Z"
WALL_TEXT: Final = "a time such as 2017-01-01 13:05:12 (local) or 2017-01-01T13:05:12+01:00"

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d{2}):(\d{2}))?",
    re.ASCII,
)
_UNITS_NS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": NS_PER_S,
    "m": 60 * NS_PER_S, "min": 60 * NS_PER_S, "h": 3600 * NS_PER_S,
    "d": 86400 * NS_PER_S, "w": 7 * 86400 * NS_PER_S,
}  # fmt: skip
_DURATION: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?\s*(ns|us|µs|ms|s|min|m|h|d|w)", re.ASCII)


def parse_wall(text: str, expected: str = INSTANT_TEXT) -> tuple[int, int | None]:
    """Split an RFC 3339 text into (wall-clock ns as if UTC, offset in seconds or None when it has none).

    `24:00`, leap seconds (`:60`), year 0 and anything not of the grammar raise ValueError with a sentence that says
    why. `-00:00` means UTC (RFC 3339, 4.3); offsets go to 23:59. Digits past the ninth are cut, not rounded.
    For a text that is no time at all the sentence names `expected` instead.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:40]}' is not {expected}")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_h, off_m = match.groups()
    if second == "60":
        raise ValueError("leap seconds (:60) have no place in UTC epoch time; send :59 or :00 of the next minute")
    try:
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is not a time that exists: {error}") from None
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    wall = (since.days * 86400 + since.seconds) * NS_PER_S + int((fraction or "0").ljust(9, "0"))
    if zulu:
        return wall, 0
    if sign is None:
        return wall, None
    if int(off_h) > 23 or int(off_m) > 59:
        raise ValueError(f"'{sign}{off_h}:{off_m}' is not an offset from UTC (at most 23:59)")
    offset = int(off_h) * 3600 + int(off_m) * 60
    return wall, -offset if sign == "-" else offset


def parse_instant(text: str) -> int:
    """Parse an RFC 3339 text with an offset to ns since the epoch, UTC. Raises ValueError with a sentence."""
    wall, offset = parse_wall(text)
    if offset is None:
        raise ValueError(f"'{text[:40]}' has no offset from UTC; add Z or, for example, +01:00")
    return check_range(wall - offset * NS_PER_S)


def check_range(ns: int) -> int:
    """Return `ns` if the store can hold it (1900-01-01 to 2262-04-11), else raise ValueError."""
    if not MIN_NS <= ns <= MAX_NS:
        raise ValueError("the time is outside 1900-01-01 to 2262-04-11")
    return ns


def format_instant(ns: int) -> str:
    """Format ns since the epoch as RFC 3339 in UTC, with `Z` and only as many fraction digits as needed."""
    seconds, fraction = divmod(ns, NS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}".rstrip("0") + "Z" if fraction else whole + "Z"


def parse_duration_ns(text: str) -> tuple[int, int]:
    """Parse `39.0625us`, `15m`, `1h`, `7d` to a length in ns as an exact fraction (numerator, denominator).

    One number and one unit of ns, us, ms, s, m, min, h, d, w; positive. Raises ValueError with a sentence.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text[:40]}' is not a duration such as 39.0625us, 15m, 1h or 7d")
    sign, whole, decimals, unit = match.groups()
    denominator = 10 ** len(decimals or "")
    numerator = int(whole + (decimals or "")) * _UNITS_NS[unit]
    if sign or numerator == 0:
        raise ValueError(f"'{text[:40]}' must be longer than zero")
    return numerator, denominator


def duration_ns(text: str) -> int:
    """Like `parse_duration_ns`, rounded down to whole nanoseconds; at least 1."""
    numerator, denominator = parse_duration_ns(text)
    return max(1, numerator // denominator)
