"""Recognises the interval of a series: a fixed length, or a number of months of a calendar.

Months, quarters and years have 28 to 366 days and are even all the same. A length that most intervals are a multiple of
is a fixed one. Where a time zone is given, points are numbered by the local wall clock, so that noon stays noon when
clocks change: an hour that clocks skip is missing, an hour that they show twice is one slot.
"""

from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.errors import UnevenSamplingError
from tidemill.model.zones import offset_s, zone

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NS_PER_S: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS_PER_S
_WEEK_S: Final = 7 * 86_400
_YEAR_DAYS: Final = 365.2425
_MONTHLY_NS: Final = 27 * DAY_NS
_TOLERANCE: Final = 0.01  # of the interval
_OFTEN_MISSING: Final = 0.1
_REGULAR: Final = 0.8  # of the intervals must be multiples of the median interval
_MAX_CALENDAR_STEPS: Final = 100_000


class SamplingStep(Protocol):
    """The interval of a series: numbers its times, and gives the times of numbers."""

    @property
    def name(self) -> str:
        """The interval in words: `900 s`, `1 month`."""

    def numbers(self, times_ns: Integers) -> Integers:
        """The slot of each time, counted from the first; slots without a time are missing."""

    def following(self, last_ns: int, count: int) -> tuple[Integers, Integers]:
        """The next `count` times after `last_ns`, and the slot of each, counted from the one after the last."""

    def seasons(self) -> tuple[tuple[str, int], ...]:
        """The seasons of the calendar in steps, shortest first."""


class MonthStep(msgspec.Struct, frozen=True):
    """A number of months, on the same day of the month (or on its last) and at the same wall clock time."""

    months: int
    tz: str | None

    @property
    def name(self) -> str:
        """The interval in words."""
        whole = {1: "1 month", 3: "1 quarter", 12: "1 year"}
        return whole.get(self.months, f"{self.months} months")

    def numbers(self, times_ns: Integers) -> Integers:
        """The number of whole intervals since the first time."""
        month, _, _ = _month_and_rest(times_ns + offsets_ns(times_ns, self.tz))
        return np.asarray((month - month[0]) // self.months)

    def following(self, last_ns: int, count: int) -> tuple[Integers, Integers]:
        """The next times, and 0, 1, 2, ...: in a calendar no slot is skipped."""
        last = np.array([last_ns], dtype=np.int64)
        month, rest, at_end = _month_and_rest(last + offsets_ns(last, self.tz))
        months = month[0] + self.months * np.arange(1, count + 1)
        begin = months.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
        length = (months + 1).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64) - begin
        day, of_day = divmod(int(rest[0]), DAY_NS)
        days = length // DAY_NS - 1 if at_end[0] and day < 31 and day >= 27 else np.minimum(day, length // DAY_NS - 1)
        return from_wall(begin + days * DAY_NS + of_day, self.tz), np.arange(count)

    def seasons(self) -> tuple[tuple[str, int], ...]:
        """The year, where more than one interval fits into it evenly."""
        return (("year", 12 // self.months),) if self.months < 12 and 12 % self.months == 0 else ()


class FixedStep(msgspec.Struct, frozen=True):
    """A fixed length. With `tz`, slots are those of the local wall clock."""

    length_ns: int
    tz: str | None

    @property
    def name(self) -> str:
        """The interval in seconds or, below one, in nanoseconds."""
        seconds = self.length_ns / NS_PER_S
        return f"{seconds:g} s" if self.length_ns >= 1000 else f"{self.length_ns} ns"

    def numbers(self, times_ns: Integers) -> Integers:
        """The number of whole intervals since the first time; small drifts of a clock do not add up to a slot."""
        if self.length_ns >= DAY_NS:
            return self._counted(times_ns + offsets_ns(times_ns, self.tz))
        shifts = offsets_ns(times_ns, self.tz)
        return np.asarray(self._counted(times_ns) + (shifts - shifts[0]) // self.length_ns)

    def _counted(self, times_ns: Integers) -> Integers:
        exact = (times_ns - times_ns[0]) / self.length_ns
        direct = np.rint(exact)
        if np.mean(np.abs(exact - direct) <= 0.25) >= 0.95:
            return np.asarray(direct, dtype=np.int64)
        steps = np.rint(np.diff(times_ns) / self.length_ns).astype(np.int64)
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(steps)))

    def following(self, last_ns: int, count: int) -> tuple[Integers, Integers]:
        """The next times; below a day they are evenly spaced in UTC, and a slot of the wall clock may come twice."""
        ahead = self.length_ns * np.arange(count + 1, dtype=np.int64)
        last = np.array([last_ns], dtype=np.int64)
        if self.length_ns >= DAY_NS:
            return from_wall(last + offsets_ns(last, self.tz) + ahead[1:], self.tz), np.arange(count)
        times = last_ns + ahead
        shifts = offsets_ns(times, self.tz)
        slots = np.arange(count + 1) + (shifts - shifts[0]) // self.length_ns - 1
        return times[1:], np.maximum(slots[1:], 0)

    def seasons(self) -> tuple[tuple[str, int], ...]:
        """Day, week and year, where a whole number of steps fits (a year: where a step is a day or more)."""
        seasons = []
        for name, days in (("day", 1), ("week", 7)):
            steps, rest = divmod(days * DAY_NS, self.length_ns)
            if rest == 0 and steps >= 2:
                seasons.append((name, steps))
        if self.length_ns >= DAY_NS and self.length_ns * 4 <= _YEAR_DAYS * DAY_NS:
            seasons.append(("year", round(_YEAR_DAYS * DAY_NS / self.length_ns)))
        return tuple(seasons)


def recognise_step(times_ns: Integers, tz: str | None) -> SamplingStep:
    """The interval of at least two ascending times.

    Raises UnevenSamplingError where fewer than 80 % of the intervals are multiples, within 1 %, of their median, and of
    their tenth percentile.
    """
    gaps = np.diff(times_ns)
    median = int(np.median(gaps))
    if median >= _MONTHLY_NS:
        months = _months(times_ns, tz)
        if months:
            return MonthStep(months, tz)
    walls = np.diff(times_ns + offsets_ns(times_ns, tz)) if median >= DAY_NS else gaps
    walls = walls[walls > 0]
    length = int(np.median(walls))
    if not _is_regular(walls, length):
        length = int(np.quantile(walls, _OFTEN_MISSING))  # where every second value is missing, the median is two steps
    if not _is_regular(walls, length):
        message = (
            f"the series is not evenly sampled: the median interval is {np.median(walls) / NS_PER_S:g} s, "
            f"and fewer than {_REGULAR:.0%} of the intervals are a multiple of it. Ask for windows of it with every=."
        )
        raise UnevenSamplingError(message)
    return FixedStep(length, tz if _moves_by_whole_steps(times_ns, length, tz) else None)


def _is_regular(gaps: Integers, length: int) -> bool:
    ratio = gaps / length
    return bool(np.mean((np.abs(ratio - np.rint(ratio)) <= _TOLERANCE) & (ratio > 0.5)) >= _REGULAR)


def _moves_by_whole_steps(times_ns: Integers, length: int, tz: str | None) -> bool:
    if tz is None or length >= DAY_NS:
        return True
    shifts = offsets_ns(times_ns, tz)
    return bool(np.all((shifts - shifts[0]) % length == 0)) and 3600 * NS_PER_S % length == 0


def _months(times_ns: Integers, tz: str | None) -> int:
    """The interval in whole months, or 0: all times must be at one day of the month, or all at the last."""
    month, rest, at_end = _month_and_rest(times_ns + offsets_ns(times_ns, tz))
    same_day = bool(np.all(rest == rest[0])) or (bool(at_end.all()) and len(np.unique(rest % DAY_NS)) == 1)
    gaps = np.diff(month)
    months = int(np.median(gaps)) if len(gaps) else 0
    return months if same_day and months >= 1 and np.all(gaps % months == 0) else 0


def _month_and_rest(wall_ns: Integers) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Months since 1970, nanoseconds since the begin of the month, and whether the day is the month's last."""
    month = wall_ns.astype("datetime64[ns]").astype("datetime64[M]")
    begin = month.astype("datetime64[ns]").astype(np.int64)
    after = (month + 1).astype("datetime64[ns]").astype(np.int64)
    return month.astype(np.int64), wall_ns - begin, wall_ns >= after - DAY_NS


def offsets_ns(times_ns: Integers, tz: str | None) -> Integers:
    """The offset of the zone from UTC at each time: looked up twice a week, and for each time in weeks of change.

    No zone changes its offset and takes the change back within a week (looked up for all, 1970 to 2037).
    """
    where = zone(tz) if tz else None
    if where is None:
        return np.zeros(len(times_ns), np.int64)
    weeks, inverse = np.unique(times_ns // (7 * DAY_NS), return_inverse=True)
    begins = np.array([offset_s(where, int(week) * _WEEK_S) for week in weeks])
    ends = np.array([offset_s(where, (int(week) + 1) * _WEEK_S - 1) for week in weeks])
    offsets = begins[inverse].astype(np.int64)
    for at in np.flatnonzero((begins != ends)[inverse]):
        offsets[at] = offset_s(where, int(times_ns[at] // NS_PER_S))
    return np.asarray(offsets * NS_PER_S)


def from_wall(wall_ns: Integers, tz: str | None) -> Integers:
    """The instants of wall clock times: the first of two, and the end of the gap for one that clocks skip."""
    if not tz:
        return wall_ns
    before = wall_ns - offsets_ns(wall_ns - DAY_NS, tz)
    after = wall_ns - offsets_ns(before, tz)
    shows = before + offsets_ns(before, tz) == wall_ns
    return np.where(shows | (after + offsets_ns(after, tz) != wall_ns), before, after)
