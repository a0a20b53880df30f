"""`PastCheck`, the contract of a check that needs the past: it judges one record at a time, or many as columns.

Both methods must give the same result. Columns are for series whose records come in the order of their times; one
record at a time is for all others and for records near a rejected one.
"""

from collections.abc import Iterator
from functools import cache
from typing import ClassVar, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.checks.check import FeedColumns, HistoryCheck
from tidemill.checks.faults import duration_faults, field_faults
from tidemill.model import time

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RESTART: Final = float("-inf")  # in the past of a check that `resumes`: what comes after a rejected record counts anew
_LONGEST: Final = 4 * 10**18  # 126 years: no instant less this leaves the range of int64


@cache
def capped_duration_ns(text: str) -> int:
    """A duration in ns, at most 126 years. Raises ValueError for a text that is none."""
    return min(time.duration_ns(text), _LONGEST)


class LookBack(msgspec.Struct, frozen=True):
    """How far back a record looks: every point of the last `span_ns` and the `count` latest before those, none older
    than `within_ns`. `latest`: also the latest point of its series, whatever the record's own time is."""

    count: int = 0
    span_ns: int = 0
    within_ns: int = 0
    latest: bool = False

    def combine(self, other: "LookBack") -> "LookBack":
        """The smallest reach that covers both."""
        return LookBack(
            max(self.count, other.count),
            max(self.span_ns, other.span_ns),
            max(self.within_ns, other.within_ns),
            self.latest or other.latest,
        )


class Rows(msgspec.Struct, frozen=True):
    """Records as columns: `time` (ns) and `value` of each, and its past: `past_time[first:stop]` and
    `past_value[first:stop]`, in the order of time, all earlier than the record, no value NaN."""

    time: Ints
    value: Floats
    first: Ints
    stop: Ints
    past_time: Ints
    past_value: Floats

    def previous(self, within_ns: int) -> tuple[Bools, Ints, Floats]:
        """(whether there is a point before, its time, its value) of each row; undefined time and value where there is
        none."""
        if not len(self.past_time):
            return np.zeros(len(self.time), np.bool_), self.time, self.value
        last = np.maximum(self.stop - 1, 0)
        time = self.past_time[last]
        return (self.stop > self.first) & (time >= self.time - within_ns), time, self.past_value[last]

    def take(self, chosen: Bools | Ints) -> "Rows":
        """The chosen rows, with the same past."""
        return Rows(
            self.time[chosen],
            self.value[chosen],
            self.first[chosen],
            self.stop[chosen],
            self.past_time,
            self.past_value,
        )

    def since(self, time: Ints, first: Ints) -> Ints:
        """The index of each row's first point from `first` on that is not earlier than `time`; its `stop` if none is.

        A binary search of all rows at once: as many steps as the longest past has bits.
        """
        low, high = first.copy(), self.stop.copy()
        searching = np.flatnonzero(low < high)
        while len(searching):
            middle = (low[searching] + high[searching]) >> 1
            earlier = self.past_time[middle] < time[searching]
            low[searching[earlier]] = middle[earlier] + 1
            high[searching[~earlier]] = middle[~earlier]
            searching = searching[low[searching] < high[searching]]
        return low

    def last(self, count: int, within_ns: int) -> Ints:
        """The index at which each row's last `count` points within `within_ns` begin; its `stop` if it has none."""
        first = np.maximum(self.first, self.stop - count)
        oldest = self.time - within_ns
        held = np.flatnonzero(first < self.stop)
        old = held[self.past_time[first[held]] < oldest[held]]
        if len(old):
            first[old] = self.take(old).since(oldest[old], first[old])
        return first


class PastCheck(HistoryCheck, frozen=True, kw_only=True):
    """A check that compares a value with the earlier points of its series. Records without a value of `field` are never
    passed to it. `resumes`: a record that nothing but such a check rejected belongs to the past all the same, with
    RESTART in place of its value."""

    resumes: ClassVar[bool] = False

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`field` must exist and `within` must be a duration."""
        return field_faults(columns, self.field) + duration_faults("within", self.within)

    @property
    def within_ns(self) -> int:
        """How far back the past counts."""
        return capped_duration_ns(self.within)

    def reach(self) -> LookBack:
        """How far back the check looks."""
        raise NotImplementedError(type(self).__name__)

    def judge_rows(self, rows: Rows) -> Bools:
        """Boolean per record: whether it breaks the check. Each record is later than all earlier points of its
        series."""
        raise NotImplementedError(type(self).__name__)

    def judge_record(self, time: int, value: float, newest: Iterator[tuple[int, float]], latest: int | None) -> bool:
        """Whether a record breaks the check. `newest`: (time, value) of the points before it in time, the nearest
        first; `latest`: the latest time of any point of its series that was submitted before."""
        raise NotImplementedError(type(self).__name__)


def range_extent(values: Floats, first: Ints, stop: Ints) -> tuple[Floats, Floats]:
    """(minimum, maximum) of `values[first:stop]` of each pair; no range may be empty.

    A range is the union of two whose length is a power of two (the sparse table of range minimum queries), of which
    only one length is kept at a time: n log n steps, n numbers in memory.
    """
    low, high = np.empty(len(first)), np.empty(len(first))
    level = np.frexp((stop - first).astype(np.float64))[1] - 1
    least = greatest = values
    for power in range(int(level.max(initial=-1)) + 1):
        width = 1 << power
        rows = np.flatnonzero(level == power)
        left, right = first[rows], stop[rows] - width
        low[rows] = np.minimum(least[left], least[right])
        high[rows] = np.maximum(greatest[left], greatest[right])
        least, greatest = np.minimum(least[:-width], least[width:]), np.maximum(greatest[:-width], greatest[width:])
    return low, high
