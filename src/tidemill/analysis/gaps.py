"""Coverage of a series: how many of the expected values are there, and where the gaps are."""

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.local_days import check_zone
from tidemill.analysis.steps import (
    DAY_NS,
    NS_PER_S,
    FixedStep,
    MonthStep,
    SamplingStep,
    offsets_ns,
    recognise_step,
)
from tidemill.errors import Fault, InputError, UnevenSamplingError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_GAPS: Final = 1_000
_UNEVEN_GAP: Final = 5  # median intervals without a value are a gap of a series without a common interval
_EARLY: Final = 0.25  # of an interval may a value come early or late


class Gap(msgspec.Struct, frozen=True):
    """A span [from_ns, to_ns) without a value; `missing` is how many values were expected in it (null: not known)."""

    from_ns: int
    to_ns: int
    missing: int | None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How complete a series is in [from_ns, to_ns).

    `count` is of present values, `missing` of times without one. With a common interval (`interval` in words,
    `interval_s` its length in seconds, of months the median) there are `expected` slots, `filled` of which have a
    value; `share` is filled / expected, and `doubled` counts values beyond the first of their slot. Without one these
    are null. `gap_count` and `gap_s` (their length in seconds) are of all gaps; `gaps` are at most `most` of them, the
    longest ones, in order of time; `longest` is null where there is no gap.
    """

    count: int
    missing: int
    interval: str | None
    interval_s: float | None
    from_ns: int | None
    to_ns: int | None
    expected: int | None
    filled: int | None
    doubled: int | None
    share: float | None
    gap_count: int
    gap_s: float
    gaps: list[Gap]
    longest: Gap | None


def coverage(
    times_ns: Integers,
    values: Floats,
    *,
    interval_ns: int | None = None,
    from_ns: int | None = None,
    to_ns: int | None = None,
    tz: str | None = None,
    most: int = MAX_GAPS,
) -> Coverage:
    """The coverage of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC).

    share = slots with a value / slots expected in [`from_ns`, `to_ns`), in which all times must lie. The interval is
    the expected one, `interval_ns`, or else recognised: months, or the median where 80 % of the intervals are multiples
    of it. Without `from_ns` and `to_ns` the range begins at the first value and ends an interval after the last. Days
    and months are those of `tz`. A series without a common interval has gaps where more than five median intervals have
    no value. Raises InputError for an interval below 1 ns and for an unknown zone.
    """
    if interval_ns is not None and interval_ns < 1:
        raise InputError("the interval must be at least 1 ns", (Fault("interval", "out_of_range", "at least 1 ns"),))
    check_zone(tz)
    present = ~np.isnan(values)
    points = times_ns[present]
    step = _expected_step(points, interval_ns, tz)
    interval = step.length_ns if isinstance(step, FixedStep) else _median_interval(points)
    begin = from_ns if from_ns is not None else (int(points[0]) if len(points) else None)
    end = to_ns if to_ns is not None else (int(points[-1]) + interval if len(points) else None)
    counts, spans = _counted(points, step, interval, begin, end)
    order = np.argsort([gap.from_ns - gap.to_ns for gap in spans], kind="stable")
    return Coverage(
        count=len(points),
        missing=len(values) - len(points),
        interval=step.name if step else None,
        interval_s=interval / NS_PER_S if step else None,
        from_ns=begin,
        to_ns=end,
        expected=counts[0] if counts else None,
        filled=counts[1] if counts else None,
        doubled=counts[2] if counts else None,
        share=counts[1] / counts[0] if counts and counts[0] else None,
        gap_count=len(spans),
        gap_s=sum(gap.to_ns - gap.from_ns for gap in spans) / NS_PER_S,
        gaps=[spans[n] for n in sorted(order[:most].tolist())],
        longest=spans[order[0]] if spans else None,
    )


def _expected_step(points: Integers, interval_ns: int | None, tz: str | None) -> SamplingStep | None:
    """The interval that is given, or that of the points, or None. Below a day it knows no zone: no hour is skipped."""
    if interval_ns is not None:
        return FixedStep(interval_ns, tz if interval_ns >= DAY_NS else None)
    if len(points) < 2:
        return None
    try:
        step = recognise_step(points, tz)
    except UnevenSamplingError:
        return None
    return FixedStep(step.length_ns, None) if isinstance(step, FixedStep) and step.length_ns < DAY_NS else step


def _median_interval(points: Integers) -> int:
    return max(int(np.median(np.diff(points))), 1) if len(points) > 1 else 1


def _counted(
    points: Integers, step: SamplingStep | None, interval: int, begin: int | None, end: int | None
) -> tuple[tuple[int, int, int] | None, list[Gap]]:
    """(expected, filled, doubled) where there is a common interval, and every gap in order of time."""
    if begin is None or end is None or (not len(points) and not step):
        return None, []
    if not len(points):
        expected = max(-(-(end - begin) // interval), 0)
        return (expected, 0, 0), [Gap(begin, end, expected)] if expected else []
    if step is None:
        edges = np.concatenate(([begin - interval], points, [end]))
        open_spans = np.flatnonzero(np.diff(edges) > _UNEVEN_GAP * interval)
        return None, [Gap(int(edges[n]) + interval, int(edges[n + 1]), None) for n in open_spans]
    numbers = step.numbers(points)
    filled = np.unique(numbers)
    before, after = _slots_before(step, int(points[0]), begin), _slots_after(step, int(points[-1]), end)
    expected = before + int(filled[-1]) + 1 + after
    gaps = [Gap(begin, int(points[0]), before)] if before else []
    at = np.flatnonzero(np.diff(numbers) > 1)
    ends = _next_slots(step, points[at]).tolist()
    gaps += map(Gap, ends, points[at + 1].tolist(), (np.diff(numbers)[at] - 1).tolist())
    if after:
        gaps.append(Gap(int(_next_slots(step, points[-1:])[0]), end, after))
    return (expected, len(filled), len(points) - len(filled)), gaps


def _next_slots(step: SamplingStep, times_ns: Integers) -> Integers:
    """The time an interval after each time."""
    if isinstance(step, FixedStep) and step.tz is None:
        return times_ns + step.length_ns
    return np.array([step.following(time_ns, 1)[0][0] for time_ns in times_ns.tolist()], dtype=np.int64)


def _slots_before(step: SamplingStep, first_ns: int, begin_ns: int) -> int:
    """How many slots in [begin, first) come before that of the first point."""
    first, begin = _wall(step, first_ns), _wall(step, begin_ns)
    if isinstance(step, FixedStep):
        return max(int((first - begin) / step.length_ns + _EARLY), 0)
    assert isinstance(step, MonthStep)
    into_month = first - _month_begin(first)
    return max((_month(first) - _month(begin - into_month - 1) - 1) // step.months, 0)


def _slots_after(step: SamplingStep, last_ns: int, end_ns: int) -> int:
    """How many slots in (last, end) come after that of the last point."""
    last, end = _wall(step, last_ns), _wall(step, end_ns)
    if isinstance(step, FixedStep):
        return max(math.ceil((end - last) / step.length_ns - _EARLY) - 1, 0)
    assert isinstance(step, MonthStep)
    into_month = last - _month_begin(last)
    return max((_month(end - into_month - 1) - _month(last)) // step.months, 0)


def _wall(step: SamplingStep, time_ns: int) -> int:
    tz = step.tz if isinstance(step, FixedStep | MonthStep) else None
    return time_ns + int(offsets_ns(np.array([time_ns], dtype=np.int64), tz)[0])


def _month(wall_ns: int) -> int:
    """Months since 1970."""
    return int(np.datetime64(wall_ns, "ns").astype("datetime64[M]").astype(np.int64))


def _month_begin(wall_ns: int) -> int:
    return int(np.datetime64(_month(wall_ns), "M").astype("datetime64[ns]").astype(np.int64))
