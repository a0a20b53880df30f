"""Judges the records of one set of series one after the other, in the order they were submitted: for times that are
out of order, and after records that were rejected. Some microseconds a record and rule, and no
more than rules look back.
"""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.checks.look_back import PastCheck

_BITS: Final = 10  # 1,024 bits a word: two levels hold a million instants, and such a number costs as little as an int


class IndexSet:
    """A set of numbers below `size`, which says what is the greatest of it below a number. Two levels of bits."""

    def __init__(self, size: int) -> None:
        self._words = [0] * ((size >> _BITS) + 1)
        self._used = 0

    def add(self, number: int) -> None:
        """Put a number in."""
        self._words[number >> _BITS] |= 1 << (number & ((1 << _BITS) - 1))
        self._used |= 1 << (number >> _BITS)

    def discard(self, number: int) -> None:
        """Take a number out, if it is in."""
        word = number >> _BITS
        self._words[word] &= ~(1 << (number & ((1 << _BITS) - 1)))
        if not self._words[word]:
            self._used &= ~(1 << word)

    def below(self, number: int) -> int:
        """The greatest number of the set that is less than this; -1 if there is none."""
        word = number >> _BITS
        bits = self._words[word] & ((1 << (number & ((1 << _BITS) - 1))) - 1)
        if not bits:
            used = self._used & ((1 << word) - 1)
            if not used:
                return -1
            word = used.bit_length() - 1
            bits = self._words[word]
        return (word << _BITS) + bits.bit_length() - 1


class Timeline:
    """The points of one series that were accepted so far, one an instant. `times`: every instant that may come."""

    def __init__(self, times: Sequence[int], *, first_wins: bool) -> None:
        self.latest: int | None = None
        self._times = times
        self._values = [0.0] * len(times)
        self._taken = bytearray(len(times)) if first_wins else None
        self._held = IndexSet(len(times))

    def add(self, instant: int, value: float) -> None:
        """Take an accepted point (NaN: one that is there without a value) at the instant of this number."""
        if self._taken is not None:
            if self._taken[instant]:
                return
            self._taken[instant] = True
        if isnan(value):
            self._held.discard(instant)
            return
        self._values[instant] = value
        self._held.add(instant)
        time = self._times[instant]
        if self.latest is None or time > self.latest:
            self.latest = time

    def newest(self, instant: int) -> Iterator[tuple[int, float]]:
        """(time, value) of the points before an instant, the nearest first."""
        at = self._held.below(instant)
        while at >= 0:
            yield self._times[at], self._values[at]
            at = self._held.below(at)


class SequentialEvaluator:
    """The records of one set of series (rows in the order of submission) on their way through the checks.

    `values`: of each field, NaN where a record has none; `past`: of each field, time and value (NaN: none) of what was
    there before, and the latest time of all that. `contends`: a record without a value has a point all the same.
    """

    def __init__(
        self,
        time: NDArray[np.int64],
        values: Sequence[NDArray[np.float64]],
        past: Sequence[tuple[NDArray[np.int64], NDArray[np.float64], int | None]],
        *,
        first_wins: bool,
        contends: bool,
    ) -> None:
        every = np.unique(np.concatenate([time, *(one[0] for one in past)]))
        times = every.tolist()
        self._time = time.tolist()
        self._instants = np.searchsorted(every, time).tolist()
        self._values = [one.tolist() for one in values]
        self._contends = contends
        self._lines = [Timeline(times, first_wins=first_wins) for _ in past]
        for line, (when, what, latest) in zip(self._lines, past, strict=True):
            for instant, value in zip(np.searchsorted(every, when).tolist(), what.tolist(), strict=True):
                line.add(instant, value)
            if latest is not None and (line.latest is None or latest > line.latest):
                line.latest = latest
        self.at = 0

    def accept(self, accepted: Sequence[bool]) -> None:
        """Go on over rows of which it is known whether they were accepted."""
        for row, taken in enumerate(accepted, self.at):
            if taken:
                self._take(row)
        self.at += len(accepted)

    def judge(self, checks: Sequence[tuple[PastCheck, int, bool]], *, refused: bool) -> list[bool]:
        """Go on over one row: which of the checks (check, number of its field, whether it rejects) it breaks.
        `refused`: it is rejected for another reason."""
        row = self.at
        time, instant = self._time[row], self._instants[row]
        broken = []
        for check, field, rejects in checks:
            value, line = self._values[field][row], self._lines[field]
            breaks = not isnan(value) and check.one(time, value, line.newest(instant), line.latest)
            broken.append(breaks)
            refused |= breaks and rejects
        if not refused:
            self._take(row)
        self.at += 1
        return broken

    def _take(self, row: int) -> None:
        for line, values in zip(self._lines, self._values, strict=True):
            value = values[row]
            if self._contends or not isnan(value):
                line.add(self._instants[row], value)
