"""Prediction intervals from the errors of the back-test: conformal, scaled by step, phase and local level.

Each error of the back-test is divided by the scale that was expected at its origin, step and phase; quantiles of both
sides, times the scale expected now, are the bounds. Method family: Wang and Hyndman (2024), "Online conformal inference
for multi-step time series forecasting", arXiv 2410.13115. The bounds are back-tested, not guaranteed.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tidemill.analysis.forecast.candidate import Candidate
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats

_WIDEN: Final = 1.06  # weights and bounds come from the same errors, which are therefore too small
_WIDEN_WINDOWS: Final = 1.2  # over the number of independent windows of the back-test
_PHASE_COUNT: Final = 8.0  # errors that count for "as any other phase"
_LEVEL_PENALTY: Final = 12.0  # origins that count for the prior exponents
_LEVEL_LIMIT: Final = 3.0  # the factor of the local level stays between its inverse and this


def bounds(history: History, result: Candidate, levels: Sequence[float]) -> dict[float, tuple[Floats, Floats]]:
    """Lower and upper bounds (horizon each) for levels in percent; never on the wrong side of the forecast."""
    errors, scale, ahead = _scaled(history, result)
    wide = widening(history)
    return {level: _bounds(errors / scale, ahead * wide, result.forecast, level) for level in levels}


def coverage(history: History, result: Candidate, levels: Sequence[float]) -> dict[float, float | None]:
    """The share of back-tested values inside bounds that were made from the other half of the origins."""
    errors, scale, _ = _scaled(history, result)
    half = len(errors) // 2
    if half < 2:
        return dict.fromkeys(levels)
    parts = ((errors[:half] / scale[:half], errors[half:] / scale[half:]),)
    parts += ((parts[0][1], parts[0][0]),)
    inside: dict[float, float | None] = {}
    for level in levels:
        shares = []
        for learned, judged in parts:
            low, high = _quantiles(learned, level)
            wide = widening(history)
            known = judged[~np.isnan(judged)]
            shares.append(
                ((known >= min(low, 0) * wide) & (known <= max(high, 0) * wide)).mean() if len(known) else np.nan
            )
        mean = float(np.mean(shares))
        inside[level] = mean if np.isfinite(mean) else None
    return inside


def widening(history: History) -> float:
    """How much wider bounds are than the quantiles of the errors."""
    windows = max((len(history.values) - history.cut) / history.horizon, 1.0)
    return _WIDEN * (1 + _WIDEN_WINDOWS / windows)


def _scaled(history: History, result: Candidate) -> tuple[Floats, Floats, Floats]:
    """Errors (truth minus forecast; origins x horizon, NaN: not measured), their scale, and the scale of the forecast."""
    errors = history.truth(history.origins) - result.back_test
    size = np.abs(errors)
    steps = _by_step(size)
    phases = _by_phase(history, size / steps)
    horizon = np.arange(history.horizon)
    at = history.all_origins[:, None] + horizon
    base = steps * phases[at % len(phases)]
    level = _by_level(history, size, base[:-1])
    scale = base * level[:, None]
    return errors, scale[:-1], scale[-1]


def _by_step(size: Floats) -> Floats:
    """The mean absolute error at each step, smoothed over neighbours; never 0."""
    known = ~np.isnan(size)
    counts = known.sum(axis=0)
    sums = np.where(known, size, 0).sum(axis=0)
    width = max(1, len(sums) // 8)
    kernel = np.ones(2 * width + 1)
    total = np.convolve(sums, kernel)[width : width + len(sums)]
    number = np.convolve(counts, kernel)[width : width + len(sums)]
    overall = sums.sum() / max(counts.sum(), 1)
    smooth = (total + 4 * overall) / (number + 4)
    smooth = 0.5 * smooth + 0.5 * (sums + 8 * smooth) / (counts + 8)
    return np.asarray(np.maximum(smooth, max(overall * 1e-6, 1e-300)))


def _by_phase(history: History, size: Floats) -> Floats:
    """The factor of each phase of the first season: its mean error over the mean error, shrunk towards 1."""
    season = history.season
    if season == 1:
        return np.ones(1)
    at = ((history.origins[:, None] + np.arange(history.horizon)) % season).ravel()
    flat = size.ravel()
    known = ~np.isnan(flat)
    sums = np.bincount(at[known], flat[known], season)
    counts = np.bincount(at[known], minlength=season)
    return np.asarray((sums + _PHASE_COUNT) / (counts + _PHASE_COUNT))


def _by_level(history: History, size: Floats, base: Floats) -> Floats:
    """The factor of the local level and roughness at each origin and at the end, by ridge on the logarithm of errors.

    The prior of the level's exponent is the slope of log deviation on log mean over seasons: Guerrero (1993),
    "Time-series analysis supported by power transformations", Journal of Forecasting 12(1).
    """
    y, origins = history.values, history.all_origins
    span = min(max(history.season, 8), history.cut)
    windows = np.lib.stride_tricks.sliding_window_view(y, span)[origins - span]
    means = np.abs(windows.mean(axis=1))
    rough = np.abs(np.diff(windows, axis=1)).mean(axis=1)
    floor = max(float(np.abs(y).mean()) * 1e-3, 1e-300)
    features = np.log(np.stack((means + floor, rough + float(rough.mean()) * 0.05 + 1e-300), axis=1))
    centre = features[:-1].mean(axis=0)
    features = features - centre
    ratio = np.nanmean(np.where(np.isnan(size), np.nan, size / base), axis=1) if size.size else np.ones(len(size))
    usable = np.isfinite(ratio) & (ratio > 0)
    if usable.sum() < 6:
        return np.ones(len(origins))
    prior = np.array([_guerrero(y, span), 0.0])
    x, target = features[:-1][usable], np.log(ratio[usable])
    target = target - target.mean()
    spread = x.T @ x
    extra = np.diag(_LEVEL_PENALTY * np.maximum(np.diag(spread) / len(x), 0.02))
    exponents = prior + np.linalg.solve(spread + extra, x.T @ (target - x @ prior))
    exponents = np.clip(exponents, -0.5, 1.5)
    factor = np.exp(np.clip(features @ exponents, -np.log(_LEVEL_LIMIT), np.log(_LEVEL_LIMIT)))
    return np.asarray(factor)


def _guerrero(y: Floats, span: int) -> float:
    """The slope of log standard deviation on log mean over stretches of a season, between 0 and 1; 0 where undefined."""
    count = len(y) // span
    if count < 5 or y.min() <= 0:
        return 0.0
    blocks = y[len(y) - count * span :].reshape(count, span)
    deviation, mean = blocks.std(axis=1), blocks.mean(axis=1)
    usable = deviation > 0
    if usable.sum() < 5:
        return 0.0
    x = np.log(mean[usable]) - np.log(mean[usable]).mean()
    if float(x @ x) < 1e-3 * len(x):
        return 0.0
    return float(np.clip(x @ np.log(deviation[usable]) / float(x @ x), 0, 1))


def _quantiles(ratios: Floats, level: float) -> tuple[float, float]:
    """The quantiles of scaled errors that leave (100 - level) / 2 percent on either side."""
    known = ratios[~np.isnan(ratios)]
    if not len(known):
        return 0.0, 0.0
    tail = (1 - level / 100) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


def _bounds(ratios: Floats, ahead: Floats, forecast: Floats, level: float) -> tuple[Floats, Floats]:
    low, high = _quantiles(ratios, level)
    return forecast + min(low, 0.0) * ahead, forecast + max(high, 0.0) * ahead
