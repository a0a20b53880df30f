"""Hours and days of a series on the wall clock of a zone, and the whole days with their means, sums and low values."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.forecast.steps import DAY_NS, NS_PER_S, offsets_ns
from tidemill.errors import Fault, InputError
from tidemill.model.zones import zone

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HOUR_NS: Final = 3_600 * NS_PER_S
_WHOLE_DAY: Final = 0.9  # of the values that a day usually has
_FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


def check_zone(tz: str | None) -> None:
    """Raises InputError for a name that is no time zone's."""
    if tz is not None and zone(tz) is None:
        message = f"tz must be an IANA name such as Europe/Zurich, not '{tz[:40]}'"
        raise InputError(message, (Fault("tz", "unknown", message),))


class LocalHours(msgspec.Struct, frozen=True):
    """Times on the wall clock of a zone: `hours` (0 to 23) and `days` since 1970-01-01."""

    hours: Integers
    days: Integers

    @property
    def weekdays(self) -> Integers:
        """The day of the week of each time, 0: Monday."""
        return weekdays_of(self.days)


def local_times(times_ns: Integers, tz: str | None) -> LocalHours:
    """Hours and days of instants (int64 ns, UTC) on the wall clock of `tz`; of UTC without.

    Raises InputError for an unknown zone.
    """
    check_zone(tz)
    wall_ns = times_ns + offsets_ns(times_ns, tz)
    return LocalHours(wall_ns // HOUR_NS % 24, wall_ns // DAY_NS)


def weekdays_of(days: Integers) -> Integers:
    """The day of the week of days since 1970-01-01, 0: Monday."""
    return (days + _FIRST_WEEKDAY) % 7


class DayTable(msgspec.Struct, frozen=True):
    """The whole days of a series: their `numbers` since 1970, the usual `count` of values; and the mean, the sum and
    the 10 % quantile of each."""

    numbers: Integers
    count: float
    means: Floats
    sums: Floats
    low: Floats


def day_table(local: LocalHours, values: Floats) -> DayTable:
    """The whole days of values (none NaN): those with at least 90 % of the median number of values."""
    if not len(values):
        return DayTable(np.zeros(0, np.int64), 0.0, *(np.zeros(0) for _ in range(3)))
    order = np.lexsort((values, local.days))  # by day, and by value within each
    ordered = values[order]
    numbers, first, counts = np.unique(local.days[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(ordered, first)
    rank = 0.1 * (counts - 1)
    below = first + np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, first + counts - 1)
    low = ordered[below] + (rank % 1) * (ordered[above] - ordered[below])
    usual = float(np.median(counts))
    whole = counts >= _WHOLE_DAY * usual
    return DayTable(numbers[whole], usual, (sums / counts)[whole], sums[whole], low[whole])
