"""Parses an ISO 8601 text to its wall clock and its offset: every form of the standard that has one meaning only.

Dates: calendar (`2026-01-10`, `20260110`), week (`2026-W02-6`, `2026W026`) and ordinal (`2026-010`, `2026010`); a month
(`2026-01`) or a week (`2026-W02`) alone begins with its first day. Times: hours, minutes and seconds, with colons or
without, the last of them with decimals behind `.` or `,`; `24:00` is the midnight at the end of the day. Offsets: `Z`,
`+01:00`, `+0100`, `+01`. Left out because they have more than one meaning: years of two digits, `202601` (a month or a
day of 2020), a year alone (a number), and an offset behind a date without a time (`2026-01-10+10:00`).
"""

import re
from datetime import date
from typing import Final

import msgspec

from tidemill.model.time import NS_PER_S

ISO_INSTANT_TEXT: Final = "an ISO 8601 time such as 2026-01-31T12:00:00Z"
ISO_WALL_TEXT: Final = "an ISO 8601 time such as 2017-01-01 13:05:12 (local) or 2017-01-01T13:05:12+01:00"
DAY_S: Final = 86_400

_DATE: Final = (
    r"(?P<year>\d{4})(?:"
    r"-(?P<month>\d\d)(?:-(?P<day>\d\d))?|(?P<basic_month>\d\d)(?P<basic_day>\d\d)"
    r"|-W(?P<week>\d\d)(?:-(?P<weekday>\d))?|W(?P<basic_week>\d\d)(?P<basic_weekday>\d)?"
    r"|-?(?P<ordinal>\d{3}))"
)
_TIME: Final = (
    r"(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?|(?P<basic_minute>\d\d)(?P<basic_second>\d\d)?)?"
    r"(?:[.,](?P<fraction>\d+))?"
)
OFFSET: Final = (
    r"(?P<zulu>[Zz])|(?P<sign>[+\-\u2212])(?P<oh>\d\d)"
    r"(?::(?P<om>\d\d)(?::(?P<os>\d\d))?|(?P<bom>\d\d)(?P<bos>\d\d)?)?"
)
_ISO: Final = re.compile(rf"{_DATE}(?:[Tt ]{_TIME}(?: ?(?:{OFFSET}))?|(?P<day_zulu>[Zz]))?", re.ASCII)
_OFFSET: Final = re.compile(OFFSET, re.ASCII)
_LACKS: Final = tuple(
    (re.compile(pattern, re.ASCII), why)
    for pattern, why in (
        (r"\s*$", "it is empty"),
        (r"\s|.*\s$", "there are spaces around it"),
        (r"\d\d?:\d\d(:\d\d([.,]\d+)?)?\s*([AaPp][Mm]\s*)?(Z|[+-]\d\d.*)?$", "it has no date"),
        (r"\d{4}-\d\d-\d\d[Tt]$", "it has no time of day behind the T"),
        (r"\d{4}$", "it has a year, and no month and day"),
        (r"[+-]?\d+([.,]\d+)?$", "it is a number; for an epoch say so with [time] format, such as unix_s"),
        (rf"{_DATE}[Tt ]{_TIME} ?\[?[A-Za-z]", "what follows the time is no offset from UTC such as +01:00 or Z"),
        (r"\d{4}-\d\d?-\d\d?", "months, days, hours, minutes and seconds have two digits each"),
        (
            r"\d\d?[./-]\d\d?[./-]\d{2,4}|\d{4}[./]|[A-Za-z]",
            "for another way of writing give [time] format its pattern",
        ),
    )
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DIGITS: Final = 40  # of a fraction; further digits are far less than a nanosecond

Groups = dict[str, str | None]


class Written(msgspec.Struct, frozen=True):
    """A time as written. `wall_ns`: the wall clock as if it were UTC; `offset_s`: from UTC, None without an offset;
    `day`: a date without a time of day and without an offset, which means the begin of that day."""

    wall_ns: int
    offset_s: int | None
    day: bool = False


def parse_iso(text: str, expected: str = ISO_INSTANT_TEXT) -> Written:
    """Parse an ISO 8601 text. Digits after those of a nanosecond are cut. Raises ValueError with a sentence that says
    why; for a text that is no time at all the sentence names `expected` instead."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:40]}' is not {expected}{_what_is_wrong(text[:80])}")
    groups = match.groupdict()
    try:
        days = _date_of(groups).toordinal() - _EPOCH
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is not a time that exists: {error}") from None
    if groups["hour"] is None:
        return Written(days * DAY_S * NS_PER_S, 0 if groups["day_zulu"] else None, groups["day_zulu"] is None)
    if groups["day"] is None and groups["month"] is not None:
        raise ValueError(f"'{text[:40]}' has a time of day and no day")
    return Written(days * DAY_S * NS_PER_S + _of_day_ns(groups, text), offset_of(groups))


def parse_offset(text: str) -> int:
    """Parse `+01:00`, `+0100`, `+01` or `Z` to seconds east of UTC. Raises ValueError with a sentence."""
    match = _OFFSET.fullmatch(text)
    offset_s = None if match is None else offset_of(match.groupdict())
    if offset_s is None:
        raise ValueError(f"'{text[:40]}' is not an offset from UTC such as +01:00 or Z")
    return offset_s


def offset_of(groups: Groups) -> int | None:
    """The seconds east of UTC of the groups of OFFSET; None without an offset. Raises ValueError beyond 23:59."""
    if groups["zulu"]:
        return 0
    if groups["sign"] is None:
        return None
    hours, minutes, seconds = groups["oh"], groups["om"] or groups["bom"] or "0", groups["os"] or groups["bos"] or "0"
    assert hours is not None
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise ValueError(f"'{groups['sign']}{hours}:{minutes:0>2}' is not an offset from UTC (at most 23:59)")
    offset = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return offset if groups["sign"] == "+" else -offset


def fraction_ns(digits: str | None, unit_ns: int) -> int:
    """The decimals of a unit in whole nanoseconds, cut, not rounded."""
    if not digits:
        return 0
    kept = digits[:_DIGITS]
    ns: int = int(kept) * unit_ns // 10 ** len(kept)
    return ns


def _what_is_wrong(text: str) -> str:
    """What a text that is no ISO 8601 time lacks or has too much, and what to do; "" where that is not known."""
    return next((f": {why}" for pattern, why in _LACKS if pattern.match(text)), "")


def _date_of(groups: Groups) -> date:
    """The day of a date's groups. Raises ValueError for a day that does not exist."""
    year = int(groups["year"] or 0)
    week = groups["week"] or groups["basic_week"]
    if week is not None:
        return date.fromisocalendar(year, int(week), int(groups["weekday"] or groups["basic_weekday"] or 1))
    if (ordinal := groups["ordinal"]) is not None:
        first = date(year, 1, 1)
        if not 1 <= int(ordinal) <= (366 if _leap(year) else 365):
            raise ValueError(f"{year} has no day {int(ordinal)}")
        return date.fromordinal(first.toordinal() + int(ordinal) - 1)
    month = groups["month"] or groups["basic_month"] or "1"
    return date(year, int(month), int(groups["day"] or groups["basic_day"] or 1))


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _of_day_ns(groups: Groups, text: str) -> int:
    """The time of day in ns. Raises ValueError for a time that does not exist."""
    minute, second = groups["minute"] or groups["basic_minute"], groups["second"] or groups["basic_second"]
    if second == "60":
        raise ValueError("leap seconds (:60) have no place in UTC epoch time; send :59 or :00 of the next minute")
    unit_s = 3600 if minute is None else 60 if second is None else 1
    whole_s = int(groups["hour"] or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    ns = whole_s * NS_PER_S + fraction_ns(groups["fraction"], unit_s * NS_PER_S)
    if int(minute or 0) > 59 or int(second or 0) > 59 or ns > DAY_S * NS_PER_S:
        raise ValueError(f"'{text[:40]}' is not a time that exists: the time of day is beyond 24:00")
    return ns
