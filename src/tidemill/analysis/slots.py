"""A series on the even grid of its interval, with the seasons of the calendar; and what analyses do with seasons there.

Where a time zone is given, slots are those of the local wall clock: an hour that clocks skip has no slot in the answer,
the values of an hour that clocks show twice are averaged.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tidemill.analysis.local_days import check_zone
from tidemill.analysis.moments import check_magnitudes
from tidemill.analysis.periods import Period, detect_periods
from tidemill.analysis.steps import FixedStep, SamplingStep, recognise_step
from tidemill.errors import LimitError, NotEnoughPointsError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

MAX_SLOTS: Final = 4_000_000


class Slots(msgspec.Struct, frozen=True):
    """The slots of a series: `values` (float64; NaN: missing) at `times_ns`; `on_clock` is False for those that clocks
    skip. `numbers` is the slot of each present point, `seasons` names the calendar's seasons in slots."""

    step: SamplingStep
    times_ns: Integers
    values: Floats
    on_clock: Flags
    numbers: Integers
    seasons: tuple[tuple[str, int], ...]


def present_points(times_ns: Integers, values: Floats, needed: int, question: str) -> tuple[Integers, Floats]:
    """The points whose value is not NaN. Raises NotEnoughPointsError below `needed` of them, SeriesError for values
    whose sums overflow."""
    check_magnitudes(values)
    present = ~np.isnan(values)
    count = int(present.sum())
    if count < needed:
        message = f"{question} needs at least {needed} values; there are {count}"
        raise NotEnoughPointsError(count, needed, message)
    return (times_ns, values) if count == len(values) else (times_ns[present], values[present])


def make_slots(times_ns: Integers, values: Floats, tz: str | None) -> Slots:
    """The slots of at least two points (none NaN) at ascending times.

    Raises InputError for an unknown zone, UnevenSamplingError without a common interval, and LimitError where the
    interval is so short beside the span that there are more than MAX_SLOTS slots.
    """
    check_zone(tz)
    step = recognise_step(times_ns, tz)
    numbers = step.numbers(times_ns)
    numbers = numbers - numbers.min()
    size = int(numbers.max()) + 1
    if size > MAX_SLOTS:
        message = f"from the first to the last value there are {size:,} intervals of {step.name}; at most {MAX_SLOTS:,}"
        raise LimitError("max_slots", MAX_SLOTS, f"{message} are analysed: ask for longer windows, or for a part of it")
    filled = np.full(size, -1)
    filled[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the first point of each slot
    times, on_clock = _slot_times(step, times_ns, filled)
    return Slots(step, times, _means(numbers, values, size), on_clock, numbers, step.seasons())


def _means(numbers: Integers, values: Floats, size: int) -> Floats:
    """The mean of each slot's points; NaN without one. Means of large values do not overflow."""
    counts = np.bincount(numbers, minlength=size)
    means = np.full(size, np.nan)
    means[numbers] = 0
    np.add.at(means, numbers, values / counts[numbers])
    return means


def _slot_times(step: SamplingStep, times_ns: Integers, filled: Integers) -> tuple[Integers, Flags]:
    """The time of each slot, and whether clocks show it. A slot without a point follows the one before at the interval;
    one that would come after the next point is none that clocks show."""
    at = np.arange(len(filled))
    has_point = filled >= 0
    before = np.maximum.accumulate(np.where(has_point, at, 0))
    length = step.length_ns if isinstance(step, FixedStep) else int(np.median(np.diff(times_ns)))
    times = times_ns[filled[before]] + (at - before) * length
    after = np.minimum.accumulate(np.where(has_point, times, np.iinfo(np.int64).max)[::-1])[::-1]
    return times, has_point | (times < after - length // 2)


def interpolated(values: Floats) -> Floats:
    """The values with a straight line through each gap (NaN); the ends are continued level."""
    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values
    at = np.arange(len(values))
    return np.where(missing, np.interp(at, at[~missing], values[~missing]), values)


def slot_periods(slots: Slots) -> tuple[Period, ...]:
    """The periods of the longest stretch of the slots without a gap longer than the longest season below a year.

    Shorter gaps are filled with the median of their phase of that season, the others by a straight line. The values are
    scaled by a power of two, so that squares neither overflow nor vanish.
    """
    seasons = [steps for name, steps in slots.seasons if name != "year"]
    longest = max([12, *(steps for steps in seasons if 3 * steps <= len(slots.values))])
    at = np.flatnonzero(~np.isnan(slots.values))
    ends = np.flatnonzero(np.diff(at) > longest)
    begins, ends = at[np.append(0, ends + 1)], at[np.append(ends, len(at) - 1)] + 1
    stretch = int(np.argmax(ends - begins))
    values = slots.values[begins[stretch] : ends[stretch]]
    missing = np.isnan(values)
    if missing.any() and len(values) >= 3 * longest:
        values = np.where(missing, phase_medians(values, longest)[np.arange(len(values)) % longest], values)
    exponent = math.frexp(float(np.nanmax(np.abs(values))))[1]
    return detect_periods(np.ldexp(interpolated(values), -exponent), slots.seasons)


def phase_medians(values: Floats, steps: int) -> Floats:
    """The median at each of `steps` phases (NaN: missing); NaN for a phase without a value. Phase 0 is the first's."""
    cycles = -(-len(values) // steps)
    padded = np.append(values, np.full(cycles * steps - len(values), np.nan)).reshape(cycles, steps)
    ordered = np.sort(padded, axis=0)  # NaN last
    counts = (~np.isnan(padded)).sum(axis=0)
    phases = np.arange(steps)
    low, high = ordered[np.maximum(counts - 1, 0) // 2, phases], ordered[counts // 2 % cycles, phases]
    return np.asarray(np.where(counts % 2 == 1, low, low / 2 + high / 2))


def running_median(values: Floats, window: int) -> Floats:
    """The median of `window` slots around each (an odd number), gaps interpolated, the ends continued level."""
    return np.asarray(ndimage.median_filter(interpolated(values), size=window, mode="nearest"))


def without_seasons(values: Floats, seasons: Sequence[int]) -> tuple[Floats, Floats]:
    """The seasons' values at each slot, and `values` (NaN: missing) without them: medians of each phase.

    `seasons` are lengths in slots, shortest first.

    What is slower than a season is subtracted before its medians are taken, and each season has median 0.
    """
    rest, seasonal = values, np.zeros(len(values))
    for steps in seasons:
        level = running_median(rest, min(steps, (len(rest) - 1) // 2) // 2 * 2 + 1)
        profile = phase_medians(rest - level, steps)
        profile = np.where(np.isnan(profile), 0.0, profile - np.nanmedian(profile))
        season = profile[np.arange(len(rest)) % steps]
        rest, seasonal = rest - season, seasonal + season
    return seasonal, rest


def season_lengths(periods: Sequence[Period]) -> list[int]:
    """The lengths of periods in slots, shortest first."""
    return sorted(period.steps for period in periods)
