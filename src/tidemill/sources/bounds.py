"""Writes the bounds of a window for a request: as dates, instants, epoch numbers, or clock times of a zone.

A bound that a format cannot express exactly is widened, never narrowed: a start is rounded down and a stop up to the
unit of the format. Where the clocks of the zone show a time twice, a bound is moved out of that hour, so that either
reading of the server covers the window. To read an instant twice is harmless; to leave an instant out is not.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Final

import msgspec

from tidemill.model.time import NS_PER_S, format_instant
from tidemill.model.zones import zone

NAMED: Final = ("date", "rfc3339", "local", "unix_s", "unix_ms")
_EPOCH: Final = {"unix_s": NS_PER_S, "unix_ms": 1_000_000}
_PATTERNS: Final = {"date": "%Y-%m-%d", "local": "%Y-%m-%dT%H:%M:%S"}
_DAY: Final = timedelta(days=1)
# Directives of `strftime` -> the finest unit that they express.
_UNITS: Final = (
    (("%S", "%T", "%X", "%c", "%f", "%s"), timedelta(seconds=1)),
    (("%M", "%R"), timedelta(minutes=1)),
    (("%H", "%I"), timedelta(hours=1)),
)


class Bounds(msgspec.Struct, frozen=True, dict=True):
    """How bounds are written. `format` is one of NAMED or a pattern of `strftime`; `tz` is the zone of dates, clock
    times and patterns. `inclusive`: the server includes the end, so the stop is written as the last unit before it."""

    format: str = "rfc3339"
    tz: str = "UTC"
    inclusive: bool = False

    @property
    def days(self) -> bool:
        """Whether bounds are whole days."""
        return self._unit == _DAY

    def text(self, ns: int, *, stop: bool = False) -> str:
        """A bound (ns since the epoch) as text for the request; `stop`: it is the end of the window."""
        if self.format == "rfc3339":
            return format_instant(ns - 1 if stop and self.inclusive else ns)
        if (epoch := _EPOCH.get(self.format)) is not None:
            return str(-(-ns // epoch) - self.inclusive if stop else ns // epoch)
        wall = self._stop(ns) if stop else self._start(ns)
        return wall.strftime(self._pattern)

    def aligned(self, ns: int) -> int:
        """The last instant at or before `ns` that a text can express exactly; for clock times the whole second."""
        if not self.days:
            return ns // NS_PER_S * NS_PER_S
        return int(self._floor(self._local(ns)).timestamp()) * NS_PER_S

    def _start(self, ns: int) -> datetime:
        wall = self._floor(self._local(ns))
        return wall if self.days else wall - _repeated_hour(wall)

    def _stop(self, ns: int) -> datetime:
        local = self._local(ns)
        wall = self._floor(local)
        if wall.replace(fold=0) != local.replace(fold=0) or ns % 1000:
            wall = wall.replace(tzinfo=None) + self._unit
        wall = wall.replace(tzinfo=self._zone, fold=local.fold)
        wall = wall if self.days else wall + _repeated_hour(wall)
        return wall - self._unit if self.inclusive else wall

    def _local(self, ns: int) -> datetime:
        return datetime.fromtimestamp(ns // NS_PER_S, self._zone).replace(microsecond=ns % NS_PER_S // 1000)

    def _floor(self, local: datetime) -> datetime:
        if self._unit >= _DAY:
            return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        minute = 0 if self._unit >= timedelta(hours=1) else local.minute
        second = 0 if self._unit >= timedelta(minutes=1) else local.second
        return local.replace(minute=minute, second=second, microsecond=0)

    @cached_property
    def _pattern(self) -> str:
        return _PATTERNS.get(self.format, self.format)

    @cached_property
    def _unit(self) -> timedelta:
        if self.format not in _PATTERNS and "%" not in self.format:
            return timedelta(seconds=1)
        return next((unit for signs, unit in _UNITS if any(sign in self._pattern for sign in signs)), _DAY)

    @cached_property
    def _zone(self) -> tzinfo:
        value = UTC if self.tz == "UTC" else zone(self.tz)
        if value is None:
            raise ValueError(f"source.window.zone: there is no zone '{self.tz[:60]}'")
        return value


def _repeated_hour(wall: datetime) -> timedelta:
    """By how much the clocks were set back, if they show this time twice; else zero."""
    first, second = wall.replace(fold=0).utcoffset(), wall.replace(fold=1).utcoffset()
    if first is None or second is None or first <= second:
        return timedelta(0)
    return first - second
