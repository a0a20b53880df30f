"""Detects the periods of an evenly sampled series: seasons of the calendar first, then any other cycle.

Shared by forecast and autocorrelation. A calendar season (day, week, year) is accepted where the autocorrelation peaks
there and a mean profile of the season explains a part of the variance; its profile is subtracted, so that a week counts
only beyond the day. Any other cycle must peak in the periodogram and in the autocorrelation: Vlachos, Yu and Castelli
(2005), "On Periodicity Detection and Structural Periodic Similarity", SIAM SDM (AUTOPERIOD). Nothing is a valid answer.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.autocorrelation import autocorrelation
from tidemill.analysis.moments import scale_of

Floats = NDArray[np.float64]

MAX_POINTS: Final = 20_000
_WINSOR: Final = 6.0  # median absolute deviations
_MIN_SHARE: Final = 0.03
_MIN_PEAK: Final = 0.1
_ENOUGH: Final = 0.5  # a season's own autocorrelation makes the standard error of a short series large
_FLAT_TOP: Final = 0.02  # lower than its neighbours within 2 % may the autocorrelation at a season be
_FLAT_YEAR: Final = 0.1  # the same for a year, whose top is flat and of which there are few
_CLEAR_PEAK: Final = 0.3  # so high, a season counts even where its profile changes too much to explain a share
_GENERIC_SHARE: Final = 0.08  # of all variance that a cycle of no calendar must explain
_MIN_CONTRAST: Final = 0.05  # of a peak over the lowest autocorrelation between a quarter and three quarters of it
_CYCLES: Final = {"year": 2}  # else three
_GENERIC_CYCLES: Final = 4
_GENERIC_MIN: Final = 0.12
_NEAR_BEST: Final = 0.08
_MULTIPLES: Final = 7
_AS_MUCH: Final = 0.8
_LINE_CYCLES: Final = 8
_LINE_SHARE: Final = 0.25
_LINE_CONTRAST: Final = 4.0
_PHASES: Final = 16
_WHOLE: Final = 0.25  # of a cycle may its whole number of steps drift over all values


class Period(msgspec.Struct, frozen=True):
    """A period of `steps` samples; its mean profile explains `share` of the variance about the trend (0 to 1). `length`
    is how long it is in samples, where that is no whole number: 12.5."""

    name: str
    steps: int
    share: float
    length: float


def detect_periods(values: Floats, calendar: Sequence[tuple[str, int]] = ()) -> tuple[Period, ...]:
    """The periods of `values` (float64, evenly spaced, none missing), shortest calendar season first; () for none.

    `calendar` names seasons in steps, shortest first, such as `("day", 24), ("week", 168)`. A cycle that is none of
    these is named `cycle`. At most the last 20,000 values are read. A constant has no period.
    """
    x = _flattened(values[-MAX_POINTS:])
    total = float(x @ x)
    if len(x) < 8 or not total > 0:
        return ()
    periods = []
    for name, steps in calendar:
        share = _calendar_share(x, steps, _CYCLES.get(name, 3))
        if share is not None:
            periods.append(Period(name, steps, share * float(x @ x) / total, float(steps)))
            x = x - season_profile(x, steps)[np.arange(len(x)) % steps]
    generic = _generic(x)
    if generic and not any(_related(generic[0], p.steps) for p in periods):
        share = generic[1] * float(x @ x) / total
        if share >= _GENERIC_SHARE:
            periods.append(Period("cycle", generic[0], share, float(generic[0])))
    return tuple(periods)


def _correlation(x: Floats, lags: int) -> Floats:
    """The autocorrelation at lags 0 to `lags`; all zeros after lag 0 for a constant."""
    found = autocorrelation(x, lags)
    return np.asarray(np.eye(1, lags + 1)[0]) if np.isnan(found[0]) else found


def season_profile(x: Floats, steps: int) -> Floats:
    """The mean at each of `steps` phases; phase 0 is that of the first value."""
    phases = np.arange(len(x)) % steps
    return np.asarray(np.bincount(phases, x, steps) / np.maximum(np.bincount(phases, minlength=steps), 1))


def _flattened(values: Floats) -> Floats:
    """Values without what is slower than half their length, winsorised at six median absolute deviations."""
    x = _without_slower(values, len(values) // 2)
    middle = float(np.median(x)) if len(x) else 0.0
    deviation = float(np.median(np.abs(x - middle))) * 1.4826 if len(x) else 0.0
    if deviation > 0:
        x = np.clip(x, middle - _WINSOR * deviation, middle + _WINSOR * deviation)
    return np.asarray(x - x.mean()) if len(x) else x


def _without_slower(values: Floats, steps: int) -> Floats:
    """Values minus their centred moving average over `steps` (one more if even), shorter at both ends."""
    if not len(values):
        return values
    x = values - values.mean()
    half = max(steps // 2, 1)
    sums = np.concatenate(([0.0], np.cumsum(x)))
    at = np.arange(len(x))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(x))
    return np.asarray(x - (sums[high] - sums[low]) / (high - low))


def _calendar_share(x: Floats, steps: int, cycles: int) -> float | None:
    """The share of a season's profile, or None where the season is not there.

    What is slower than the season is subtracted first. A random walk is then autocorrelated over less than the season
    only, so that the autocorrelation at the season is judged by Bartlett's standard error: sqrt((1 + 2 sum r_k^2) / n).
    """
    n = len(x)
    if n < cycles * steps or steps < 2:
        return None
    correlation = _correlation(_without_slower(x, steps), min(n - 1, steps + steps // 2 + 2))
    peak = correlation[steps]
    error = math.sqrt((1 + 2 * float(correlation[1:steps] @ correlation[1:steps])) / n)
    between = correlation[max(steps // 4, 1) : max(3 * steps // 4, 1) + 1]
    width = max(steps // 50, 1)
    around = correlation[max(steps - width, 1) : steps + width + 1]
    flat = _FLAT_TOP if cycles > 2 else _FLAT_YEAR
    if (
        peak < max(_MIN_PEAK, min(2.6 * error, _ENOUGH))
        or peak < between.min() + _MIN_CONTRAST
        or peak < around.max() - flat
    ):
        return None
    share = explained(x, steps)
    if explained(_without_slower(x, steps), steps) >= _MIN_SHARE and share >= _MIN_SHARE / 2:
        return share
    return max(share, 0.0) if peak >= max(_CLEAR_PEAK, 6 * error) and cycles > 2 else None


def explained(x: Floats, steps: int) -> float:
    """The share of variance that the profile of a season explains, adjusted for its phases (adjusted R^2)."""
    n, total = len(x), float(x @ x)
    if n <= steps or not total > 0:
        return 0.0
    rest = x - season_profile(x, steps)[np.arange(n) % steps]
    return 1 - float(rest @ rest) / total * (n - 1) / (n - steps)


def _generic(x: Floats) -> tuple[int, float] | None:
    """The strongest cycle of no calendar: its steps and share, or None."""
    n = len(x)
    if n < 16:
        return None
    correlation = _correlation(x, n // _GENERIC_CYCLES + 2)
    threshold = max(_GENERIC_MIN, 4 / math.sqrt(n))
    peaks = {p: correlation[p] for c in _spectral_peaks(x) for p in _climbed(correlation, c)}
    good = {p: r for p, r in peaks.items() if r >= threshold and _stands_out(correlation, p)}
    if not good:
        return None
    best = max(good.values())
    steps = min(p for p, r in good.items() if r >= best - _NEAR_BEST)
    width = max(1, steps // 50)
    candidates = [p for p in range(steps - width, steps + width + 1) if p >= 2]
    steps = max(candidates, key=lambda p: explained(x, p))
    share = explained(x, steps)
    return (steps, share) if share >= 2 * _MIN_SHARE else _whole_multiple(x, good)


def _whole_multiple(x: Floats, peaks: Iterable[int]) -> tuple[int, float] | None:
    """Of a cycle that is no whole number of steps, the shortest whole multiple that explains about as much as any: 15
    steps for 7.5, from which the cycle does not drift away. `peaks` are those of the autocorrelation; None for none."""
    shares = {p: explained(x, p) for p in peaks}
    most = max(shares.values())
    if most < 2 * _MIN_SHARE:
        return None
    steps = min(p for p, share in shares.items() if share >= max(_AS_MUCH * most, 2 * _MIN_SHARE))
    return steps, shares[steps]


def _spectral_peaks(x: Floats) -> list[float]:
    """Periods in steps of lines of the periodogram (Hann) that are 2 ln n times their neighbourhood, times 1 to 7."""
    n = len(x)
    power = np.abs(np.fft.rfft(x * np.hanning(n))) ** 2
    floor = _running_median(power)
    inner = power[1:-1]
    lines = 1 + np.flatnonzero((inner >= power[:-2]) & (inner >= power[2:]) & (inner > 2 * math.log(n) * floor[1:-1]))
    strongest = lines[np.argsort(power[lines])[::-1][:12]]
    return [n / k * factor for k in strongest for factor in range(1, _MULTIPLES + 1)]


def _running_median(power: Floats) -> Floats:
    """The median of blocks of neighbouring lines, spread back over them; a block grows with the frequency."""
    floor = np.empty_like(power)
    begin, width = 0, 8
    while begin < len(power):
        end = min(begin + width, len(power)) if len(power) - begin >= 2 * width else len(power)
        floor[begin:end] = np.median(power[begin:end]) / math.log(2)
        begin, width = end, min(width * 2, 64)
    return floor


def _climbed(correlation: Floats, period: float) -> list[int]:
    """The peak of the autocorrelation at `period` within 8 %, as a list of none or one."""
    width = max(1, round(0.08 * period))
    at = round(period)
    low, high = max(at - width, 2), min(at + width, len(correlation) - 2)
    if low > high:
        return []
    top = low + int(np.argmax(correlation[low : high + 1]))
    is_peak = correlation[top] >= correlation[top - 1] and correlation[top] >= correlation[top + 1]
    return [top] if is_peak and top <= len(correlation) - 3 else []


def _stands_out(correlation: Floats, steps: int) -> bool:
    """Whether the autocorrelation falls clearly between 0 and `steps`, as it does for a cycle and not for a drift."""
    between = correlation[max(steps // 4, 1) : max(3 * steps // 4, 1) + 1]
    return bool(correlation[steps] >= between.min() + 2 * _MIN_CONTRAST)


def _related(steps: float, other: float) -> bool:
    """Whether one period is a small multiple of the other, within 10 %."""
    ratio = max(steps, other) / min(steps, other)
    return abs(ratio - round(ratio)) <= 0.1 * ratio


def with_exact_cycle(values: Floats, periods: Sequence[Period]) -> tuple[Period, ...]:
    """The periods of `values` (none missing) for a reader: a cycle that is no whole number of steps has its length
    in place of the nearest whole number, or of a whole multiple, that `detect_periods` returned; or of none."""
    line = None if len(values) < 2 * _LINE_CYCLES else _strongest_line(values)
    if line is None:
        return tuple(periods)
    others = [period for period in periods if period.name != "cycle"]
    cycle = next((period for period in periods if period.name == "cycle"), None)
    if cycle is None:
        return tuple(periods) or (line,)
    is_whole = abs(line.length - cycle.steps) * len(values) <= _WHOLE * line.length**2
    is_multiple = cycle.steps > 0.9 * line.length and _related(cycle.steps, line.length)
    share = max(line.share, _phase_share(values, line.length))
    if is_whole or not is_multiple or share < cycle.share - _MIN_PEAK:
        return tuple(periods)
    return (*others, Period("cycle", line.steps, share, line.length))


def _phase_share(values: Floats, length: float) -> float:
    """The share of the variance that the means of a few phases of a cycle of any length explain, as `explained`; not
    more of them than it is long, because finer ones are those of a whole multiple."""
    x = np.ldexp(values, -scale_of(values))
    x = x - x.mean()
    count = min(max(int(length), 3), _PHASES)
    phases = (np.arange(len(x)) % length / length * count).astype(np.int64) % count
    sums, sizes = np.bincount(phases, x, count), np.bincount(phases, minlength=count)
    within = float(x @ x) - float((sums * sums / np.maximum(sizes, 1)).sum())
    return 1 - within / float(x @ x) * (len(x) - 1) / max(len(x) - count, 1)


def _strongest_line(values: Floats) -> Period | None:
    """The strongest line of the periodogram (Hann) as a cycle, where eight cycles of it are there, it explains a
    quarter of the variance about the straight line, and it has four times the power of the ten lines around it: those
    of a wandering series are as strong as it."""
    x = np.ldexp(values, -scale_of(values))
    at = np.arange(len(x)) - (len(x) - 1) / 2
    x = x - x.mean() - at * (at @ x) / (at @ at)
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    if len(power) < 2 * _LINE_CYCLES:
        return None
    top = _LINE_CYCLES + int(np.argmax(power[_LINE_CYCLES:-2]))
    share = float(power[top - 2 : top + 3].sum() / max(float(power.sum()), np.finfo(float).tiny))
    around = float(power[max(top - 7, 1) : top + 8].sum() - power[top - 2 : top + 3].sum())
    if share < _LINE_SHARE or float(power[top - 2 : top + 3].sum()) < _LINE_CONTRAST * around:
        return None
    before, centre, after = np.log(power[top - 1 : top + 2] + np.finfo(float).tiny)
    bend = before - 2 * centre + after
    length = float(len(x) / (top + (0.5 * (before - after) / bend if bend < 0 else 0.0)))
    return Period("cycle", max(round(length), 2), share, length)
