"""Spans of time as feeds write them: a fixed length (`30m`), or a number of days, weeks, months or years of a
calendar."""

import calendar
import re
from datetime import UTC, date, datetime
from typing import Final

import msgspec

from tidemill.model.time import NS_PER_S, duration_ns

_CALENDAR: Final = re.compile(r"([1-9]\d{0,3})(d|w|mo|y)", re.ASCII)
_DAY_NS: Final = 86_400 * NS_PER_S
_LONGEST_NS: Final = 36_525 * _DAY_NS
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Span(msgspec.Struct, frozen=True):
    """A length of time: `fixed_ns`, or a number of `days` or `months` of a calendar; the other two are 0."""

    fixed_ns: int = 0
    days: int = 0
    months: int = 0

    @property
    def of_calendar(self) -> bool:
        """Whether the length in seconds depends on the time zone and the date."""
        return self.fixed_ns == 0

    def before(self, wall_ns: int) -> int:
        """The wall clock one span before a wall clock (ns as if UTC)."""
        return self.moved(wall_ns, -1)

    def moved(self, wall_ns: int, count: int) -> int:
        """The wall clock (ns as if UTC) `count` spans later, or earlier if that is negative. For months: the same day
        of the month, or the month's last day if it is shorter; the last day of a month becomes the last day of the
        other month. Raises ValueError for years beyond 1 to 9999."""
        if not self.months:
            return wall_ns + count * (self.fixed_ns + self.days * _DAY_NS)
        day, of_day_ns = divmod(wall_ns, _DAY_NS)
        known = date.fromordinal(day + _EPOCH)
        year, month = divmod(known.year * 12 + known.month - 1 + count * self.months, 12)
        if not 1 <= year <= 9999:
            raise ValueError("the years of a calendar are 1 to 9999")
        last = known.day == calendar.monthrange(known.year, known.month)[1] and known.day > 1
        longest = calendar.monthrange(year, month + 1)[1]
        moved = datetime(year, month + 1, longest if last else min(known.day, longest), tzinfo=UTC)
        return (moved.date().toordinal() - _EPOCH) * _DAY_NS + of_day_ns


def parse_span(text: str) -> Span:
    """Parse `30m`, `1h` to a fixed length, and `1d`, `1w`, `1mo`, `1y` to a span of a calendar. Raises ValueError with
    a sentence."""
    match = _CALENDAR.fullmatch(text)
    if match is None:
        span = Span(fixed_ns=duration_ns(text))
    elif match[2] in ("d", "w"):
        span = Span(days=int(match[1]) * (7 if match[2] == "w" else 1))
    else:
        span = Span(months=int(match[1]) * (12 if match[2] == "y" else 1))
    if span.fixed_ns + span.days * _DAY_NS > _LONGEST_NS or span.months > 1200:
        raise ValueError(f"'{text[:40]}' is longer than a hundred years")
    return span
