"""Autocorrelation, partial autocorrelation and cross-correlation of evenly spaced values, with their bounds."""

import math
from statistics import NormalDist
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.moments import check_magnitudes

Floats = NDArray[np.float64]

MAX_PARTIAL_LAGS: Final = 1440  # Levinson's recursion costs the square of the lags

Trend = Literal["none", "mean", "linear", "difference"]


class Correlogram(msgspec.Struct, frozen=True, kw_only=True):
    """Autocorrelation `acf` and partial autocorrelation `pacf` at lags 0 to n, in steps; each list has n + 1 elements.

    `white` is the half width of the band within which `level` of the correlations of white noise fall. `bartlett` is
    the half width at each lag for a series whose correlations end before that lag (0 at lag 0). `count` is of present
    values, `missing` of the others. null: not defined (a constant, or a lag at which no two values are present).
    """

    count: int
    missing: int
    level: float
    white: float | None
    acf: list[float | None]
    pacf: list[float | None]
    bartlett: list[float | None]


class CrossCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """Correlation of two series at each of `lags` (steps; positive: the second series follows the first).

    `best_lag` is the lag of the largest |correlation|, `best` the correlation there; `white` is the half width of the
    band of two independent white noises. `trend` says what was taken out of both first. null: not defined.
    """

    count: int
    trend: Trend
    level: float
    white: float | None
    lags: list[int]
    correlation: list[float | None]
    best_lag: int | None
    best: float | None


def correlogram(values: Floats, lags: int, *, level: float = 0.95) -> Correlogram:
    """The correlogram of evenly spaced `values` (float64; NaN: missing) at lags 0 to `lags` (below their number).

    r_k = c_k / c_0 with c_k = sum (x_t - m)(x_{t+k} - m) over pairs that are both present: the biased estimate of Box
    and Jenkins, "Time Series Analysis" (2.1.5), whose matrix is non-negative definite where nothing is missing.
    Bartlett's half width is z sqrt((1 + 2 sum_{i<k} r_i^2) / n): Bartlett (1946), "On the theoretical specification
    and sampling properties of autocorrelated time-series"; that of white noise z / sqrt(n), where z is the
    quantile (1 + level) / 2 of the normal distribution.
    """
    present = int((~np.isnan(values)).sum())
    acf = autocorrelation(values, lags)
    z = NormalDist().inv_cdf((1 + level) / 2)
    white = z / math.sqrt(present) if present else None
    sums = np.concatenate(([0.0, 0.0], np.cumsum(acf[1:-1] ** 2)))[: len(acf)]
    bartlett = z * np.sqrt((1 + 2 * sums) / max(present, 1))
    bartlett[:1] = 0
    return Correlogram(
        count=present,
        missing=len(values) - present,
        level=level,
        white=white,
        acf=_nullable(acf),
        pacf=_nullable(partial_autocorrelation(acf, min(lags, MAX_PARTIAL_LAGS))),
        bartlett=_nullable(np.where(np.isnan(acf), np.nan, bartlett)),
    )


def autocorrelation(values: Floats, lags: int) -> Floats:
    """r_0 to r_`lags` of evenly spaced `values` (NaN: missing) by the Fourier transform (Wiener-Khinchin); NaN for a
    constant and for no value. The values are scaled first, so that huge and tiny ones neither overflow nor vanish."""
    undefined = np.full(lags + 1, np.nan)
    deviations = _deviations(values)
    if deviations is None:
        return undefined
    size = 1 << (len(deviations) + lags).bit_length()
    transform = np.fft.rfft(deviations, size)
    power = transform.real**2 + transform.imag**2
    sums = np.fft.irfft(power, size)[: lags + 1]
    return np.asarray(sums / sums[0])


def partial_autocorrelation(acf: Floats, lags: int) -> Floats:
    """The partial autocorrelation at lags 0 to `lags` (1 at lag 0), from autocorrelations `acf` of at least as many.

    Levinson-Durbin recursion: Durbin (1960), "The fitting of time-series models", as in Brockwell and Davis,
    "Introduction to Time Series and Forecasting", section 2.5. NaN from the lag on at which no variance is left.
    """
    partial = np.full(lags + 1, np.nan)
    if np.isnan(acf[: lags + 1]).any():
        return partial
    partial[0] = 1.0
    weights = np.zeros(lags + 1)
    variance = 1.0
    for k in range(1, lags + 1):
        if variance <= 0:
            break
        before = weights[1:k]
        reflection = (acf[k] - before @ acf[k - 1 : 0 : -1]) / variance
        weights[1:k] = before - reflection * before[::-1]
        weights[k] = reflection
        variance *= 1 - reflection * reflection
        partial[k] = reflection
    return partial


def cross_correlation(
    first: Floats, second: Floats, lags: int, *, trend: Trend = "linear", level: float = 0.95
) -> CrossCorrelation:
    """The cross-correlation of two series on one grid (same length, float64; NaN: missing) at lags -`lags` to `lags`.

    r_k = sum (x_t - mx)(y_{t+k} - my) / (n sx sy), over the slots where both are present (Box and Jenkins, section
    12.1.1). Two series that both rise correlate at every lag, so a linear `trend` is taken out of each first; with
    `difference` the steps of both are correlated. Raises SeriesError for values whose sums overflow.
    """
    for values in (first, second):
        check_magnitudes(values)
    x, y = (_without_trend(values, trend) for values in (first, second))
    both = ~(np.isnan(x) | np.isnan(y))
    count = int(both.sum())
    every_lag = np.arange(-lags, lags + 1)
    dx, dy = (_deviations(np.where(both, values, np.nan)) for values in (x, y))
    correlation = np.full(len(every_lag), np.nan)
    if dx is not None and dy is not None:
        size = 1 << (len(dx) + lags).bit_length()
        sums = np.fft.irfft(np.conj(np.fft.rfft(dx, size)) * np.fft.rfft(dy, size), size)
        correlation = sums[every_lag] / math.sqrt(float(dx @ dx) * float(dy @ dy))
    best = None if np.isnan(correlation).all() else int(np.nanargmax(np.abs(correlation)))
    return CrossCorrelation(
        count=count,
        trend=trend,
        level=level,
        white=NormalDist().inv_cdf((1 + level) / 2) / math.sqrt(count) if count else None,
        lags=every_lag.tolist(),
        correlation=_nullable(correlation),
        best_lag=None if best is None else int(every_lag[best]),
        best=None if best is None else float(correlation[best]),
    )


def _deviations(values: Floats) -> Floats | None:
    """Deviations from the mean, scaled to at most 1, with 0 for missing ones; None for a constant and for no value.

    What is no more than rounding of the mean is a constant."""
    missing = np.isnan(values)
    present = values[~missing] if missing.any() else values
    if not len(present):
        return None
    low, high = float(present.min()), float(present.max())
    if low == high:
        return None
    scale = math.frexp(max(abs(low), abs(high)))[1]
    scaled = np.ldexp(values, -scale)
    mean = float(np.mean(np.ldexp(present, -scale)))
    deviations = np.where(missing, 0.0, scaled - mean) if missing.any() else scaled - mean
    largest = max(np.ldexp(high, -scale) - mean, mean - np.ldexp(low, -scale))
    return np.asarray(deviations / largest)


def _without_trend(values: Floats, trend: Trend) -> Floats:
    """The values without their least-squares line (`linear`), or their steps (`difference`); else as they are."""
    if trend == "difference":
        return np.diff(values)
    present = ~np.isnan(values)
    if trend != "linear" or present.sum() < 3:
        return values
    at = np.arange(len(values), dtype=np.float64)
    x, y = at[present] - at[present].mean(), values[present]
    slope = float(x @ (y - y.mean())) / float(x @ x)
    return np.asarray(values - slope * (at - at[present].mean()))


def _nullable(numbers: Floats) -> list[float | None]:
    """The numbers as a list, with null for NaN."""
    return [None if math.isnan(number) else number for number in numbers.tolist()]
