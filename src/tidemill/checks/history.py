"""Checks that need the past of a record: the earlier points of its series. This is their contract.

The past of a record is the points of its series (the one of `field`) that were accepted, submitted before the record
(their (seq, index) in the log is lower), earlier in time, and not more than `within` earlier. `monotonic` and `late`
look at the latest time of any accepted point submitted before, whatever the record's own time is.

- A record is accepted if it breaks no rule with action `reject` or `refuse`. A rejected record belongs to no past; a
  flagged one does. This holds for all rules that need the past: a record that breaks one of them is no past for any.
- Only `counter_reset` also compares with a record that it has rejected itself: a counter that began again falls once,
  and what follows counts anew. So with action `reject` it rejects the one record at the fall, and not all that come
  after it until `within` has passed. The record before is then the nearest earlier one that was accepted, or that
  nothing but rules of `counter_reset` rejected; after one of these a record passes, whatever its value (the ledger
  keeps that it was rejected, not its number).
- A record that breaks a rule of another kind is evaluated all the same, so that it carries every reason.
- Where several points were accepted at one instant, the past has the one that is current among those submitted before:
  the first where the feed keeps the first, else the last.
- A record without a value of `field` breaks none of these checks and is no past for them.
- Deleted points, and points that retention has removed, are no past.

The past is read for every batch: the last points of each series; for `stuck` with `max_duration` all points of that
time. In a series of a thousand values a second that is too much: use `max_count` there.

The same records in other batches give the same result, also after a restart and when a batch is applied again.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

import numpy as np

from tidemill.checks.check import FeedColumns, meant
from tidemill.checks.faults import duration_faults
from tidemill.checks.look_back import Bools, Floats, Ints, LookBack, PastCheck, Rows, capped_duration_ns, range_extent
from tidemill.checks.spikes import robust_z, robust_z_of

Newest = Iterator[tuple[int, float]]


_LATEST: Final = "the latest time of the points of the series that were accepted and sent before, however long ago"


class Monotonic(PastCheck, frozen=True, kw_only=True):
    """The record's time is not later than the latest accepted time of its series among the records submitted
    before."""

    name = "monotonic"
    reason = "not_monotonic"
    example = 'field = "energy"'
    compares_with = _LATEST

    def reach(self) -> LookBack:
        """The latest point."""
        return LookBack(latest=True)

    def judge_rows(self, rows: Rows) -> Bools:
        """None: these come later than all before them."""
        return np.zeros(len(rows.time), np.bool_)

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Whether something as late was there."""
        return latest is not None and time <= latest

    def explain(self) -> str:
        """The order."""
        return f"its time is not later than that of a value of {self.field} submitted before"


class Late(PastCheck, frozen=True, kw_only=True):
    """The record's time is more than `behind` before the latest accepted time of its series among the records
    submitted before."""

    name = "late"
    reason = "late"
    example = 'field = "power", behind = "10m"'
    compares_with = _LATEST
    behind: Annotated[str, meant("how far behind the latest point a record may be")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`behind` must be a duration."""
        return super().faults(columns) + duration_faults("behind", self.behind)

    def reach(self) -> LookBack:
        """The latest point."""
        return LookBack(latest=True)

    def judge_rows(self, rows: Rows) -> Bools:
        """None: these come later than all before them."""
        return np.zeros(len(rows.time), np.bool_)

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Whether something so much later was there."""
        return latest is not None and time < latest - capped_duration_ns(self.behind)

    def explain(self) -> str:
        """The lag."""
        return f"its time is more than {self.behind} before the latest of {self.field}"


class Spacing(PastCheck, frozen=True, kw_only=True):
    """The record comes less than `min_spacing` after the nearest earlier point of its series. (Records of one instant
    are decided by the feed's `duplicates`.)"""

    name = "spacing"
    reason = "too_close"
    example = 'field = "power", min_spacing = "1s"'
    min_spacing: Annotated[str, meant("the least time from one point to the next")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`min_spacing` must be a duration and not above `within`."""
        return super().faults(columns) + _duration_below(self, "min_spacing", self.min_spacing)

    def reach(self) -> LookBack:
        """The point before."""
        return LookBack(count=1, within_ns=self.within_ns)

    def judge_rows(self, rows: Rows) -> Bools:
        """Too soon after the point before."""
        held, time, _ = rows.previous(self.within_ns)
        return held & (rows.time - time < capped_duration_ns(self.min_spacing))

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Too soon after the point before."""
        before = next(newest, None)
        return before is not None and time - before[0] < min(capped_duration_ns(self.min_spacing), self.within_ns + 1)

    def explain(self) -> str:
        """The spacing."""
        return f"it comes less than {self.min_spacing} after the value of {self.field} before it"


class Step(PastCheck, frozen=True, kw_only=True):
    """The value of `field` differs from the one before it by more than `max_change`; with `per`, by more than
    `max_change` for each such time that passed between the two (a rate of change)."""

    name = "step"
    reason = "step_change"
    example = 'field = "level", max_change = 2.5, per = "1m"'
    max_change: Annotated[float, meant("the largest change, up or down")]
    per: Annotated[str | None, meant("the time that `max_change` is for; without it, from one point to the next")] = (
        None
    )

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`max_change` must not be negative, `per` must be a duration."""
        faults = super().faults(columns)
        if not self.max_change >= 0:
            faults.append(("max_change", f"max_change is 0 or more, not {self.max_change:g}"))
        return faults + ([] if self.per is None else _positive_duration("per", self.per))

    def reach(self) -> LookBack:
        """The point before."""
        return LookBack(count=1, within_ns=self.within_ns)

    def judge_rows(self, rows: Rows) -> Bools:
        """Too large a change since the point before."""
        held, time, value = rows.previous(self.within_ns)
        allowed = self.max_change
        with np.errstate(invalid="ignore", over="ignore"):
            change = np.abs(rows.value - value)
            if self.per is None:
                return held & (change > allowed)
            return held & (change > allowed * ((rows.time - time) / capped_duration_ns(self.per)))

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Too large a change since the point before."""
        before = next(newest, None)
        if before is None or time - before[0] > self.within_ns:
            return False
        passed = 1.0 if self.per is None else (time - before[0]) / capped_duration_ns(self.per)
        return abs(value - before[1]) > self.max_change * passed

    def explain(self) -> str:
        """The change."""
        pace = "" if self.per is None else f" in {self.per}"
        return f"{self.field} changed by more than {self.max_change:g}{pace} since the value before"


class Stuck(PastCheck, frozen=True, kw_only=True):
    """The value of `field` has not changed for more than `max_count` records, or for longer than `max_duration`: each
    of the last `max_count` points before it, or all those back to one that is more than `max_duration` before it,
    are within `tolerance` of it."""

    name = "stuck"
    reason = "stuck"
    example = 'field = "wind", max_duration = "6h"'
    max_count: Annotated[int | None, meant("how many records in a row may have the same value")] = None
    max_duration: Annotated[str | None, meant("for how long the value may stay the same")] = None
    tolerance: Annotated[float, meant("values that differ by no more are the same")] = 0.0

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """One limit must be given; `max_count` is 1 to 10,000; `max_duration` is below `within`."""
        faults = super().faults(columns)
        if self.max_count is None and self.max_duration is None:
            faults.append(("max_count", "give max_count, max_duration or both"))
        if self.max_count is not None and not 1 <= self.max_count <= 10_000:
            faults.append(("max_count", f"max_count is 1 to 10000, not {self.max_count}"))
        if self.max_duration is not None:
            faults += _duration_below(self, "max_duration", self.max_duration)
        if not self.tolerance >= 0:
            faults.append(("tolerance", f"tolerance is 0 or more, not {self.tolerance:g}"))
        return faults

    def reach(self) -> LookBack:
        """The last `max_count` points, and the points of the last `max_duration` and one before them."""
        count = 1 if self.max_count is None else self.max_count
        span = 0 if self.max_duration is None else capped_duration_ns(self.max_duration)
        return LookBack(count, span, self.within_ns)

    def judge_rows(self, rows: Rows) -> Bools:
        """The value has stood still too long."""
        held, _, value = rows.previous(self.within_ns)
        broken = np.zeros(len(rows.time), np.bool_)
        chosen = np.flatnonzero(held & self._same(rows.value, value))
        if len(chosen):
            alike = rows.take(chosen)
            broken[chosen] = self._by_count(alike) | self._by_duration(alike)
        return broken

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """The value has stood still too long."""
        span = None if self.max_duration is None else capped_duration_ns(self.max_duration)
        for number, (before, other) in enumerate(newest, 1):
            if time - before > self.within_ns or not abs(value - other) <= self.tolerance:
                return False
            if number == self.max_count or (span is not None and time - before > span):
                return True
        return False

    def explain(self) -> str:
        """The limits."""
        limits = [] if self.max_count is None else [f"for more than {self.max_count} records"]
        limits += [] if self.max_duration is None else [f"for longer than {self.max_duration}"]
        return f"{self.field} has not changed {' or '.join(limits)}"

    def _by_count(self, rows: Rows) -> Bools:
        if self.max_count is None:
            return np.zeros(len(rows.time), np.bool_)
        first = rows.last(self.max_count, self.within_ns)
        return self._still(rows, first, rows.stop - first == self.max_count)

    def _by_duration(self, rows: Rows) -> Bools:
        if self.max_duration is None:
            return np.zeros(len(rows.time), np.bool_)
        before = rows.since(rows.time - capped_duration_ns(self.max_duration), rows.first) - 1
        far = np.maximum(before, 0)
        return self._still(rows, far, (before >= rows.first) & (rows.past_time[far] >= rows.time - self.within_ns))

    def _still(self, rows: Rows, first: Ints, long: Bools) -> Bools:
        """Boolean per row: whether the past is `long` enough and all its points from `first` on equal the value."""
        broken = np.zeros(len(rows.time), np.bool_)
        chosen = np.flatnonzero(long)
        least, greatest = range_extent(rows.past_value, first[chosen], rows.stop[chosen])
        value = rows.value[chosen]
        broken[chosen] = self._same(value, least) & self._same(value, greatest)
        return broken

    def _same(self, value: Floats, other: Floats) -> Bools:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.abs(value - other) <= self.tolerance)


class Spike(PastCheck, frozen=True, kw_only=True):
    """The value of `field` stands out from the last `window` points: its modified z-score, 0.6745 (x - median) / MAD
    (Iglewicz & Hoaglin, 1993, eq. 3.1), is beyond `max_z`. MAD is the median of the absolute deviations from the
    median; where it is less than `min_deviation`, `min_deviation` is used instead, and where both are 0 no value breaks
    the check. With fewer than `min_points` points a value passes."""

    name = "spike"
    reason = "spike"
    example = 'field = "temperature", window = 31, max_z = 6, min_deviation = 0.1'
    window: Annotated[int, meant("how many points before it count")] = 31
    # 3.5 is the authors' advice for labelling outliers of one normal sample. A stream is judged again and again (3.5
    # rejects one good normal value in 2,000, from 31 points even more), and a rejected good value is a loss.
    max_z: Annotated[float, meant("the largest modified z-score, up or down")] = 6.0
    min_points: Annotated[int, meant("with fewer points before it, a value is not judged")] = 8
    min_deviation: Annotated[float, meant("the least MAD: values that hardly ever change have none")] = 0.0

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`window` is 3 to 1,001, `min_points` 3 to `window`, `max_z` above 0, `min_deviation` not below."""
        faults = super().faults(columns)
        if not 3 <= self.window <= 1001:
            faults.append(("window", f"window is 3 to 1001, not {self.window}"))
        elif not 3 <= self.min_points <= self.window:
            faults.append(("min_points", f"min_points is 3 to {self.window} (the window), not {self.min_points}"))
        if not self.max_z > 0:
            faults.append(("max_z", f"max_z is above 0, not {self.max_z:g}"))
        if not self.min_deviation >= 0:
            faults.append(("min_deviation", f"min_deviation is 0 or more, not {self.min_deviation:g}"))
        return faults

    def reach(self) -> LookBack:
        """The window."""
        return LookBack(count=self.window, within_ns=self.within_ns)

    def judge_rows(self, rows: Rows) -> Bools:
        """Too far from the median."""
        first = rows.last(self.window, self.within_ns)
        broken = np.zeros(len(rows.time), np.bool_)
        chosen = np.flatnonzero(rows.stop - first >= self.min_points)
        if len(chosen):
            z = robust_z(rows.value[chosen], rows.past_value, first[chosen], rows.stop[chosen], self.min_deviation)
            broken[chosen] = np.abs(z) > self.max_z
        return broken

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Too far from the median."""
        oldest = time - self.within_ns
        values = [other for before, other in islice(newest, self.window) if before >= oldest]
        return len(values) >= self.min_points and abs(robust_z_of(value, values, self.min_deviation)) > self.max_z

    def explain(self) -> str:
        """The score."""
        return f"{self.field} is a spike: its modified z-score against the values before it is beyond {self.max_z:g}"


class CounterReset(PastCheck, frozen=True, kw_only=True):
    """The value of `field`, a counter, is below the value before it: a dip, or the first reading of another counter.
    With `wrap`, a counter that passed that number and began again at 0 is no reset, if its rise, counted across `wrap`,
    is less than half of `wrap` (as RFC 1982 compares). Flag such records where they are good readings: the aggregates
    `increase` and `rate` count on from them. With `reject` that one record is lost, and the record after it passes.
    """

    name = "counter_reset"
    reason = "counter_reset"
    example = 'field = "energy", wrap = 4294967296'
    example_action = "flag"  # a reset is no fault of the reading
    resumes = True
    compares_with = (
        "the nearest record of the series that was sent before the record and is earlier in time, by at most `within`,"
        " and that was accepted (flagged ones are), or that nothing but `counter_reset` rejected: after one of these a"
        " record passes, whatever its value"
    )
    wrap: Annotated[float | None, meant("the number at which the counter begins again at 0")] = None

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`wrap` is above 0."""
        faults = super().faults(columns)
        if self.wrap is not None and not self.wrap > 0:
            faults.append(("wrap", f"wrap is above 0, not {self.wrap:g}"))
        return faults

    def reach(self) -> LookBack:
        """The point before."""
        return LookBack(count=1, within_ns=self.within_ns)

    def judge_rows(self, rows: Rows) -> Bools:
        """Below the point before."""
        held, _, value = rows.previous(self.within_ns)
        below = held & (rows.value < value)
        if self.wrap is None:
            return below
        rise = rows.value - value + self.wrap
        return below & ~((rise >= 0) & (rise < self.wrap / 2))

    def judge_record(self, time: int, value: float, newest: Newest, latest: int | None) -> bool:
        """Below the point before."""
        before = next(newest, None)
        if before is None or time - before[0] > self.within_ns or not value < before[1]:
            return False
        return self.wrap is None or not 0 <= value - before[1] + self.wrap < self.wrap / 2

    def explain(self) -> str:
        """The fall."""
        return f"{self.field}, a counter, is below the value before"


def _positive_duration(option: str, text: str) -> list[tuple[str, str]]:
    faults = duration_faults(option, text)
    if not faults and capped_duration_ns(text) <= 0:
        faults = [(option, f"{option} is longer than nothing, not {text}")]
    return faults


def _duration_below(check: PastCheck, option: str, text: str) -> list[tuple[str, str]]:
    """The fault of a duration that is not shorter than `within`."""
    faults = _positive_duration(option, text)
    if not faults and not duration_faults("within", check.within) and capped_duration_ns(text) >= check.within_ns:
        faults = [(option, f"{option} {text} needs a longer past: make `within` longer than it (it is {check.within})")]
    return faults


PAST_CHECKS = (Monotonic, Late, Spacing, Step, Stuck, Spike, CounterReset)
