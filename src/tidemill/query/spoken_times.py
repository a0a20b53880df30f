"""Instants as people write them in a search: "yesterday 14:42", "29 nov 2026 08:15", "2 hours ago", "monday 7:00".

Where a text has several meanings the newest one that is not in the future counts. Pure.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tidemill.model.time import NS_PER_S, check_range, parse_wall
from tidemill.query.readers import wall_to_utc

_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FLAGS: Final = re.IGNORECASE | re.ASCII
_STAMP: Final = re.compile(r"(?<!\S)\d{4}-\d\d-\d\d[t ]\d\d:\d\d:\d\d(?:\.\d+)?(?:z|[+-]\d\d:\d\d)?(?!\S)", _FLAGS)
_AGO: Final = re.compile(
    r"(?<!\S)(?:-(\d{1,6})\s?([smhdw])|(\d{1,6})\s?(s|sec|second|m|min|minute|h|hour|d|day|w|week)s?\s+ago)(?!\S)",
    _FLAGS,
)
_NOW: Final = re.compile(r"(?<!\S)now(?!\S)", _FLAGS)
_CLOCK: Final = re.compile(
    r"(?<!\S)(?:at\s+)?(?:([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,9}))?)?|(noon)|(midnight))(?!\S)", _FLAGS
)
_ISO_DAY: Final = re.compile(r"(?<!\S)(?:on\s+)?(\d{4})-(\d\d)-(\d\d)(?!\S)", _FLAGS)
_DOTTED_DAY: Final = re.compile(r"(?<!\S)(?:on\s+)?(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\S)", _FLAGS)
_NAMED_DAY: Final = re.compile(r"(?<!\S)(?:on\s+)?(\d{1,2})\.?\s+([a-z]{3,9})\.?(?:\s+(\d{4}))?(?!\S)", _FLAGS)
_SPOKEN_DAY: Final = re.compile(
    rf"(?<!\S)(?:on\s+)?(?:(today)|(yesterday)|(?:last\s+)?({'|'.join(_DAYS)}|{'|'.join(d[:3] for d in _DAYS)}))(?!\S)",
    _FLAGS,
)


class SpokenTime(msgspec.Struct, frozen=True):
    """An instant in ns, and the rest of the text. `has_clock` is false where only a day was named: then it is the
    day's midnight."""

    ns: int
    has_clock: bool
    rest: str


def find_time(text: str, now_ns: int, zone: str) -> SpokenTime | None:
    """The instant that a text names, in a zone (an IANA name) where it says no other; null: it names none, or one that
    cannot be kept."""
    try:
        return _stamp(text, zone) or _ago(text, now_ns) or _day_and_clock(text, now_ns, zone)
    except (ValueError, OverflowError):
        return None


def _without(text: str, *matches: re.Match[str] | None) -> str:
    """The text without what matched."""
    for match in sorted((match for match in matches if match), key=lambda match: -match.start()):
        text = f"{text[: match.start()]} {text[match.end() :]}"
    return " ".join(text.split())


def _stamp(text: str, zone: str) -> SpokenTime | None:
    match = _STAMP.search(text)
    if match is None:
        return None
    wall, offset = parse_wall(match[0])
    ns = wall_to_utc(wall, zone) if offset is None else wall - offset * NS_PER_S
    return SpokenTime(check_range(ns), True, _without(text, match))


def _ago(text: str, now_ns: int) -> SpokenTime | None:
    match = _NOW.search(text)
    if match is not None:
        return SpokenTime(now_ns, True, _without(text, match))
    match = _AGO.search(text)
    if match is None:
        return None
    length_s = int(match[1] or match[3]) * _UNITS_S[(match[2] or match[4])[0].lower()]
    return SpokenTime(check_range(now_ns - length_s * NS_PER_S), True, _without(text, match))


def _day_and_clock(text: str, now_ns: int, zone: str) -> SpokenTime | None:
    today = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(ZoneInfo(zone)).date()
    day, day_match = _day(text, today)
    clock_match = _CLOCK.search(_without(text, day_match))
    if day is None and clock_match is None:
        return None
    since_midnight = _clock_ns(clock_match) if clock_match else 0
    ns = _instant(day or today, since_midnight, zone)
    if day is None and ns > now_ns:
        ns = _instant(today - timedelta(days=1), since_midnight, zone)
    rest = _without(_without(text, day_match), clock_match)
    return SpokenTime(check_range(ns), clock_match is not None, rest)


def _day(text: str, today: date) -> tuple[date | None, re.Match[str] | None]:
    """The day that a text names, and where."""
    if match := _ISO_DAY.search(text):
        return date(int(match[1]), int(match[2]), int(match[3])), match
    if match := _DOTTED_DAY.search(text):
        return date(int(match[3]), int(match[2]), int(match[1])), match
    if match := _SPOKEN_DAY.search(text):
        if match[3] is None:
            return today - timedelta(days=bool(match[2])), match
        number = [name[:3] for name in _DAYS].index(match[3][:3].lower())
        return today - timedelta(days=(today.weekday() - number) % 7), match
    for match in _NAMED_DAY.finditer(text):
        months = [number for number, name in enumerate(_MONTHS, 1) if name.startswith(match[2].lower())]
        if len(months) == 1:
            return _latest(int(match[1]), months[0], match[3], today), match
    return None, None


def _latest(day: int, month: int, year: str | None, today: date) -> date:
    """The day of a month in a year; without a year the newest that is not after today (29 February: within 8 years)."""
    if year is not None:
        return date(int(year), month, day)
    for back in range(9):
        try:
            found = date(today.year - back, month, day)
        except ValueError:
            continue
        if found <= today:
            return found
    raise ValueError("no such day")


def _clock_ns(match: re.Match[str]) -> int:
    """Ns since midnight of a time of day."""
    if match[5] or match[6]:
        return 12 * 3600 * NS_PER_S if match[5] else 0
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
    return seconds * NS_PER_S + int((match[4] or "").ljust(9, "0"))


def _instant(day: date, since_midnight: int, zone: str) -> int:
    wall = (day - date(1970, 1, 1)).days * 86_400 * NS_PER_S + since_midnight
    return check_range(wall_to_utc(check_range(wall), zone))
