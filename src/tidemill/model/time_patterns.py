"""Patterns of times as feeds write them: `%d.%m.%Y %H:%M` reads `31.12.2026 23:59`.

Directives are those of C's strptime that have one meaning on every machine: names of months and days are English,
whatever the machine's language is. Every other character of a pattern matches itself. A field has a fixed number of
digits (`%d` two, `%Y` four); `%e` is a day, and `%k` an hour, with a space or nothing instead of a leading zero.
"""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

import msgspec

from tidemill.model.iso8601 import DAY_S, OFFSET, Groups, Written, fraction_ns, offset_of
from tidemill.model.time import NS_PER_S

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_MONTHS: Final = tuple(name[:3] for name in _MONTHS)
_SHORT_DAYS: Final = tuple(name[:3] for name in _DAYS)
_COMPOUND: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M"}
# A directive -> (the part of a time that it reads, its regular expression).
_DIRECTIVES: Final[dict[str, tuple[str, str]]] = {
    "Y": ("year", r"(?P<year>\d{4})"),
    "y": ("year", r"(?P<short_year>\d\d)"),
    "m": ("month", r"(?P<month>\d\d)"),
    "b": ("month", rf"(?P<month_name>{'|'.join(_SHORT_MONTHS)})"),
    "B": ("month", rf"(?P<month_name>{'|'.join(_MONTHS)})"),
    "d": ("day", r"(?P<day>\d\d)"),
    "e": ("day", r"(?P<day> ?\d|\d\d)"),
    "j": ("ordinal", r"(?P<ordinal>\d{3})"),
    "H": ("hour", r"(?P<hour>\d\d)"),
    "k": ("hour", r"(?P<hour> ?\d|\d\d)"),
    "I": ("hour", r"(?P<hour12>\d\d)"),
    "p": ("half", r"(?P<half>[AaPp][Mm])"),
    "M": ("minute", r"(?P<minute>\d\d)"),
    "S": ("second", r"(?P<second>\d\d)"),
    "f": ("fraction", r"(?P<fraction>\d+)"),
    "z": ("offset", rf"(?:{OFFSET})"),
    "a": ("weekday", rf"(?P<weekday>{'|'.join(_SHORT_DAYS)})"),
    "A": ("weekday", rf"(?P<weekday>{'|'.join(_DAYS)})"),
}
_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_EXAMPLE: Final = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)
_PIVOT: Final = 69  # %y: 69 to 99 are 1969 to 1999, the others 2000 to 2068 (POSIX)
_EPOCH: Final = date(1970, 1, 1).toordinal()


class TimePattern(msgspec.Struct, frozen=True):
    """A compiled pattern. `hour`, `offset`: whether the pattern reads a time of day, and an offset."""

    text: str
    regex: re.Pattern[str]
    hour: bool
    offset: bool

    def parse(self, text: str) -> Written:
        """The time of a text that is written by this pattern. Raises ValueError with a sentence."""
        match = self.regex.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text[:40]}' is not {self.expected}")
        groups: Groups = dict.fromkeys(_EVERY_GROUP) | match.groupdict()
        try:
            day = _date_of(groups).toordinal() - _EPOCH
            of_day_ns = _of_day_ns(groups)
        except ValueError as error:
            raise ValueError(f"'{text[:40]}' is not a time that exists: {error}") from None
        offset = offset_of(groups) if self.offset else None
        return Written(day * DAY_S * NS_PER_S + of_day_ns, offset, not self.hour and offset is None)

    @property
    def expected(self) -> str:
        """What a message says that a text should be."""
        return f"a time of the form {self.text} such as {self.write(_EXAMPLE)}"

    def write(self, when: datetime) -> str:
        """A time as this pattern writes it, at the offset +00:00."""
        return _DIRECTIVE.sub(lambda match: _written(match[1], when), _expanded(self.text))


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> TimePattern:
    """Compile a text with directives. Raises ValueError with a sentence for an unknown directive, for a part of the
    time that is there twice, and for a pattern without year or day."""
    regexes: list[str] = []
    parts: list[str] = []
    for number, piece in enumerate(_DIRECTIVE.split(_expanded(text))):
        if number % 2 == 0 or piece == "%":
            regexes.append(re.escape(piece))
        elif piece not in _DIRECTIVES:
            known = " ".join(f"%{name}" for name in (*_DIRECTIVES, "F", "T", "R", "%"))
            raise ValueError(f"'%{piece}' is no directive of '{text[:60]}'; known are {known}")
        else:
            parts.append(_DIRECTIVES[piece][0])
            regexes.append(_DIRECTIVES[piece][1])
    _check_parts(text, parts)
    return TimePattern(text, re.compile("".join(regexes), re.ASCII | re.DOTALL), "hour" in parts, "offset" in parts)


def _expanded(text: str) -> str:
    for short, long in _COMPOUND.items():
        text = text.replace(short, long)
    return text


def _written(directive: str, when: datetime) -> str:
    names = {
        "b": _SHORT_MONTHS[when.month - 1],
        "B": _MONTHS[when.month - 1],
        "a": _SHORT_DAYS[when.weekday()],
        "A": _DAYS[when.weekday()],
        "p": "AM" if when.hour < 12 else "PM",
        "e": f"{when.day:2}",
        "k": f"{when.hour:2}",
        "z": "+0000",
        "%": "%",
    }
    return names.get(directive) or when.strftime(f"%{directive}")


def _check_parts(text: str, parts: list[str]) -> None:
    """Raise ValueError for parts that are there twice or that are missing."""
    for part in parts:
        if parts.count(part) > 1:
            raise ValueError(f"'{text[:60]}' has the {part} twice")
    if "year" not in parts:
        raise ValueError(f"'{text[:60]}' has no year (%Y)")
    if "ordinal" not in parts and ("month" not in parts or "day" not in parts):
        raise ValueError(f"'{text[:60]}' does not say which day: %m and %d, or %j")
    if "ordinal" in parts and ("month" in parts or "day" in parts):
        raise ValueError(f"'{text[:60]}' says the day twice: %j, and month or day")
    for part, needed in (("minute", "hour"), ("second", "minute"), ("fraction", "second"), ("half", "hour")):
        if part in parts and needed not in parts:
            raise ValueError(f"'{text[:60]}' has a {part} without the {needed}")
    if ("half" in parts) != ("%I" in text):
        raise ValueError(f"'{text[:60]}': %I (hours to 12) and %p (AM or PM) go together")


def _date_of(groups: Groups) -> date:
    short = groups["short_year"]
    year = int(groups["year"] or 0) if short is None else int(short) + (1900 if int(short) >= _PIVOT else 2000)
    if groups["ordinal"] is not None:
        day = date.fromordinal(date(year, 1, 1).toordinal() + int(groups["ordinal"]) - 1)
        if day.year != year:
            raise ValueError(f"{year} has no day {int(groups['ordinal'])}")
    else:
        name = groups["month_name"]
        month = _SHORT_MONTHS.index(name[:3]) + 1 if name else int(groups["month"] or 0)
        day = date(year, month, int(groups["day"] or 0))
    weekday = groups["weekday"]
    if weekday is not None and _SHORT_DAYS.index(weekday[:3]) != day.weekday():
        raise ValueError(f"that day is a {_DAYS[day.weekday()]}, not a {weekday}")
    return day


def _of_day_ns(groups: Groups) -> int:
    """The time of day in ns; 24:00 is the end of the day. Raises ValueError."""
    hour, minute, second = (int(groups[name] or 0) for name in ("hour", "minute", "second"))
    if groups["hour12"] is not None:
        hour12 = int(groups["hour12"])
        if not 1 <= hour12 <= 12:
            raise ValueError("hours with AM and PM are 1 to 12")
        hour = hour12 % 12 + (12 if (groups["half"] or "").lower() == "pm" else 0)
    ns = (hour * 3600 + minute * 60 + second) * NS_PER_S + fraction_ns(groups["fraction"], NS_PER_S)
    if minute > 59 or second > 59 or ns > DAY_S * NS_PER_S:
        raise ValueError("the time of day is beyond 24:00")
    return ns


_EVERY_GROUP: Final = (
    *("year", "short_year", "month", "month_name", "day", "ordinal", "hour", "hour12", "half", "minute", "second"),
    *("fraction", "weekday", "zulu", "sign", "oh", "om", "os", "bom", "bos"),
)
