"""Evaluates checks that need the past for the records of one identity, one after the other, in the order of submission.

Used where times are out of order, and after records that were rejected. Costs some microseconds for each record and
rule; reads no more points than the rules look back.
"""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.checks.look_back import RESTART, PastCheck

_BITS: Final = 10  # 1,024 bits a word: two levels hold a million instants, and such a number costs as little as an int


class IndexSet:
    """A set of integers in [0, `size`) that finds its greatest member below a number. Two levels of bits."""

    def __init__(self, size: int) -> None:
        self._words = [0] * ((size >> _BITS) + 1)
        self._used = 0

    def add(self, number: int) -> None:
        """Add a number."""
        self._words[number >> _BITS] |= 1 << (number & ((1 << _BITS) - 1))
        self._used |= 1 << (number >> _BITS)

    def discard(self, number: int) -> None:
        """Remove a number, if the set has it."""
        word = number >> _BITS
        self._words[word] &= ~(1 << (number & ((1 << _BITS) - 1)))
        if not self._words[word]:
            self._used &= ~(1 << word)

    def greatest_below(self, number: int) -> int:
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
    """The points of one series that were accepted so far, one for each instant. `times`: every instant (ns) that may
    be added, ascending; `latest`: the latest time of a point with a value."""

    def __init__(self, times: Sequence[int], *, first_wins: bool) -> None:
        self.latest: int | None = None
        self._times = times
        self._values = [0.0] * len(times)
        self._taken = bytearray(len(times)) if first_wins else None
        self._held = IndexSet(len(times))
        self._rejected: IndexSet | None = None

    def add_rejected(self, instant: int) -> None:
        """Add a rejected record at `times[instant]`, after which values count anew."""
        if self._rejected is None:
            self._rejected = IndexSet(len(self._times))
        self._rejected.add(instant)

    def add(self, instant: int, value: float) -> None:
        """Add an accepted point at `times[instant]`; NaN: a point without a value."""
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

    def newest_before(self, instant: int) -> Iterator[tuple[int, float]]:
        """(time, value) of the points before an instant, the nearest first. RESTART is the value of a rejected record
        that is later than all of them."""
        at = self._held.greatest_below(instant)
        if self._rejected is not None:
            rejected = self._rejected.greatest_below(instant)
            if rejected > at:
                yield self._times[rejected], RESTART
        while at >= 0:
            yield self._times[at], self._values[at]
            at = self._held.greatest_below(at)


class SequentialEvaluator:
    """Evaluates the records of one identity, rows in the order of submission; `at` is the next row.

    `values`: for each field its values, NaN where a record has none; `past`: for each field the times and values (NaN:
    no value) of the earlier points, and the latest time. `contends`: a record without a value has a point too.
    `rejected`: for each field the times of rejected records after which values count anew, None where none count;
    `everywhere`: such a record counts for a field without a value of it, too.
    """

    def __init__(
        self,
        time: NDArray[np.int64],
        values: Sequence[NDArray[np.float64]],
        past: Sequence[tuple[NDArray[np.int64], NDArray[np.float64], int | None]],
        *,
        first_wins: bool,
        contends: bool,
        rejected: Sequence[NDArray[np.int64] | None],
        everywhere: bool,
    ) -> None:
        counted = [column for column in rejected if column is not None]
        instants = np.unique(np.concatenate([time, *(column[0] for column in past), *counted]))
        times = instants.tolist()
        self._time = time.tolist()
        self._instants = np.searchsorted(instants, time).tolist()
        self._values = [column.tolist() for column in values]
        self._contends = contends
        self._everywhere = everywhere
        self._resumes = [column is not None for column in rejected]
        self._lines = [Timeline(times, first_wins=first_wins) for _ in past]
        for line, (when, what, latest) in zip(self._lines, past, strict=True):
            for instant, value in zip(np.searchsorted(instants, when).tolist(), what.tolist(), strict=True):
                line.add(instant, value)
            if latest is not None and (line.latest is None or latest > line.latest):
                line.latest = latest
        for line, column in zip(self._lines, rejected, strict=True):
            for instant in [] if column is None else np.searchsorted(instants, column).tolist():
                line.add_rejected(instant)
        self.at = 0

    def skip_rows(self, accepted: Sequence[bool], resumed: Sequence[bool]) -> None:
        """Advance over rows that are already evaluated; `accepted` says of each whether it was accepted, `resumed`
        whether only checks that resume rejected it."""
        for row, (taken, resumes) in enumerate(zip(accepted, resumed, strict=True), self.at):
            if taken:
                self._add_points(row)
            elif resumes:
                self._add_rejected(row)
        self.at += len(accepted)

    def judge_row(self, checks: Sequence[tuple[PastCheck, int, bool, bool]], *, refused: bool) -> list[bool]:
        """Evaluate the next row: for each check (check, number of its field, whether it rejects, whether it resumes)
        whether the row breaks it. `refused`: the row is rejected for another reason."""
        row = self.at
        time, instant = self._time[row], self._instants[row]
        broken, fell = [], False
        for check, field, rejects, resumes in checks:
            value, line = self._values[field][row], self._lines[field]
            breaks = not isnan(value) and check.judge_record(time, value, line.newest_before(instant), line.latest)
            broken.append(breaks)
            refused |= breaks and rejects and not resumes
            fell |= breaks and resumes
        if not refused and not fell:
            self._add_points(row)
        elif not refused:
            self._add_rejected(row)
        self.at += 1
        return broken

    def _add_points(self, row: int) -> None:
        for line, values in zip(self._lines, self._values, strict=True):
            value = values[row]
            if self._contends or not isnan(value):
                line.add(self._instants[row], value)

    def _add_rejected(self, row: int) -> None:
        for line, values, resumes in zip(self._lines, self._values, self._resumes, strict=True):
            if resumes and (self._everywhere or not isnan(values[row])):
                line.add_rejected(self._instants[row])
