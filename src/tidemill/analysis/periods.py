"""Detects the periods of an evenly sampled series: seasons of the calendar first, then any other cycle.

Shared by forecast and autocorrelation. A calendar season (day, week, year) is accepted where the autocorrelation peaks
there and a mean profile of the season explains a part of the variance; its profile is subtracted, so that a week counts
only beyond the day. Any other cycle must peak in the periodogram and in the autocorrelation: Vlachos, Yu and Castelli
(2005), "On Periodicity Detection and Structural Periodic Similarity", SIAM SDM (AUTOPERIOD). Nothing is a valid answer.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

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


class Period(msgspec.Struct, frozen=True):
    """A period of `steps` samples; its mean profile explains `share` of the variance about the trend (0 to 1)."""

    name: str
    steps: int
    share: float


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
            periods.append(Period(name, steps, share * float(x @ x) / total))
            x = x - season_profile(x, steps)[np.arange(len(x)) % steps]
    generic = _generic(x)
    if generic and not any(_related(generic[0], p.steps) for p in periods):
        share = generic[1] * float(x @ x) / total
        if share >= _GENERIC_SHARE:
            periods.append(Period("cycle", generic[0], share))
    return tuple(periods)


def autocorrelation(x: Floats, lags: int) -> Floats:
    """Autocorrelation at lags 0 to `lags`, biased (divided by n): r_k = sum (x_t - m)(x_{t+k} - m) / sum (x_t - m)^2.

    By the Fourier transform (Wiener-Khinchin). All zeros after lag 0 for a constant.
    """
    d = x - x.mean()
    size = 1 << (len(d) + lags).bit_length()
    spectrum = np.fft.rfft(d, size)
    sums = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: lags + 1]
    if not sums[0] > 0:
        return np.asarray(np.eye(1, lags + 1)[0])
    return np.asarray(sums / sums[0])


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
    correlation = autocorrelation(_without_slower(x, steps), min(n - 1, steps + steps // 2 + 2))
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
    correlation = autocorrelation(x, n // _GENERIC_CYCLES + 2)
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
    return (steps, share) if share >= 2 * _MIN_SHARE else None


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


def _related(steps: int, other: int) -> bool:
    """Whether one period is a small multiple of the other, within 10 %."""
    ratio = max(steps, other) / min(steps, other)
    return abs(ratio - round(ratio)) <= 0.1 * ratio
