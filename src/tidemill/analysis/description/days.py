"""Figures of local days: profile by hour, nights of zeros, totals, days of the week, base load."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.description.figures import BaseLoad, DayFigures, NightFigures, WeekFigures
from tidemill.analysis.local_days import DayTable, LocalHours, weekdays_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_HIGH: Final = 0.8  # of the way from the lowest to the highest hour, an hour is high
_NIGHT_DAYS: Final = 0.9  # of the days must be zero in an hour of the night
_NIGHT_HOURS: Final = 5
_ZERO: Final = 5e-3  # of the largest value is zero: inverters have a standby, panels some light at dusk
_DEAD: Final = 0.02  # of the median day
_MAX_T: Final = 1e6


def day_figures(local: LocalHours, values: Floats, days: DayTable, total: tuple[float, str | None]) -> DayFigures:
    """The figures of the local day. `total` is (factor, unit): a day's sum times the factor is its total."""
    counts = np.bincount(local.hours, minlength=24)
    sums = np.bincount(local.hours, values, 24)
    means = np.divide(sums, counts, out=np.full(24, np.nan), where=counts > 0)
    around = values - values.mean()
    within = values - means[local.hours]
    variance = float(around @ around)
    peak_from, peak_to = _high_hours(means)
    totals = days.sums * total[0]
    median = float(np.median(totals)) if len(totals) else None
    return DayFigures(
        hour_means=[None if math.isnan(mean) else mean for mean in means.tolist()],
        peak_hour=int(np.nanargmax(means)),
        peak_from=peak_from,
        peak_to=peak_to,
        low_hour=int(np.nanargmin(means)),
        share=max(1 - float(within @ within) / variance, 0.0) if variance > 0 else 0.0,
        days=len(totals),
        total_unit=total[1],
        total_min=float(totals.min()) if len(totals) else None,
        total_median=median,
        total_max=float(totals.max()) if len(totals) else None,
        dead_share=float(np.mean(totals < _DEAD * median)) if median is not None and median > 0 else 0.0,
        night=_night(local, values, means),
    )


def _high_hours(means: Floats) -> tuple[int, int]:
    """The begin of the hours around the highest one whose means are high, and the end of the last (1 to 24)."""
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    is_high = np.nan_to_num(means, nan=-math.inf) >= low + _HIGH * (high - low)
    top = int(np.nanargmax(means))
    before = next((n for n in range(1, 24) if not is_high[(top - n) % 24]), 24)
    after = next((n for n in range(1, 24) if not is_high[(top + n) % 24]), 24)
    if before + after > 24:
        return 0, 24
    return (top - before + 1) % 24, (top + after - 1) % 24 + 1


def _night(local: LocalHours, values: Floats, means: Floats) -> NightFigures | None:
    """The longest run of hours that are zero on more than nine of ten days; None below five of them or of others."""
    if np.isnan(means).any():
        return None
    is_zero = np.abs(values) <= _ZERO * np.abs(values).max()
    _, slots = np.unique(local.days * 24 + local.hours, return_inverse=True)
    hours = np.zeros(int(slots.max()) + 1, np.int64)
    hours[slots] = local.hours
    whole = np.bincount(slots, ~is_zero) == 0  # hours of a day with nothing but zeros
    zero_days = np.bincount(hours, whole, 24) / np.maximum(np.bincount(hours, minlength=24), 1)
    is_night = zero_days > _NIGHT_DAYS
    if is_night.all() or not is_night.any():
        return None
    runs = [(_run_length(is_night, hour), hour) for hour in range(24) if is_night[hour] and not is_night[hour - 1]]
    length, begin = max(runs)
    if length < _NIGHT_HOURS or length > 24 - _NIGHT_HOURS:
        return None
    daytime = np.roll(means, -(begin + length))[: 24 - length]
    at = np.arange(len(daytime)) + 0.5
    weight = float(np.maximum(daytime, 0).sum())
    middle = float(at @ np.maximum(daytime, 0)) / weight if weight > 0 else len(daytime) / 2
    return NightFigures(
        from_hour=begin,
        to_hour=(begin + length) % 24,
        zero_share=float(is_zero.mean()),
        middle_hour=(begin + length + middle) % 24,
        bell=_bell(daytime),
        roughness=_roughness(daytime),
    )


def _run_length(flags: NDArray[np.bool_], begin: int) -> int:
    return next(n for n in range(1, 25) if not flags[(begin + n) % 24])


def _bell(daytime: Floats) -> float:
    """The correlation of a profile with a half cosine over the hours in which it is not zero."""
    at = (np.arange(len(daytime)) + 0.5) / len(daytime)
    bell = np.sin(np.pi * at)
    return 0.0 if np.ptp(daytime) == 0 else float(np.corrcoef(daytime / np.abs(daytime).max(), bell)[0, 1])


def _roughness(daytime: Floats) -> float:
    """The way up and down of a profile between zeros, over twice its range."""
    whole = np.concatenate(([0.0], daytime, [0.0]))
    spread = float(np.ptp(whole))
    return float(np.abs(np.diff(whole)).sum()) / (2 * spread) if spread > 0 else 0.0


def week_figures(days: DayTable) -> WeekFigures | None:
    """The days of the week; None below two weeks of whole days."""
    if len(days.numbers) < 14:
        return None
    weekday = weekdays_of(days.numbers)
    weekend = weekday >= 5
    if min(weekend.sum(), (~weekend).sum()) < 3:
        return None
    usual = float(days.means[~weekend].mean())
    ratio = float(days.means[weekend].mean()) / usual if usual > 0 else None
    single = [_welch_t(days.means, weekday == day) for day in range(7) if (weekday == day).sum() >= 3]
    return WeekFigures(ratio, _welch_t(days.means, weekend), max(map(abs, single), default=0.0))


def _welch_t(means: Floats, chosen: NDArray[np.bool_]) -> float:
    """Welch's t of the days that are chosen against the others."""
    first, second = means[chosen], means[~chosen]
    difference = float(first.mean() - second.mean())
    error = math.sqrt(float(first.var(ddof=1)) / len(first) + float(second.var(ddof=1)) / len(second))
    if error <= abs(difference) / _MAX_T:
        return math.copysign(_MAX_T, difference) if difference else 0.0
    return difference / error


def base_load(days: DayTable, mean: float, watts: float | None) -> BaseLoad | None:
    """The base load; None without a whole day. `watts`: how many a unit of the series is."""
    if not len(days.low):
        return None
    value = float(np.median(days.low))
    return BaseLoad(value, None if watts is None else value * watts, value / mean if mean > 0 else 0.0)
