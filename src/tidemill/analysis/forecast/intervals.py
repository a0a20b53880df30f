"""Prediction intervals from the errors of the back-test: conformal, scaled by step, phase and local level.

Each error of the back-test is divided by the scale that was expected at its origin, step and phase; quantiles of both
sides, times the scale expected now, are the bounds. Method family: Wang and Hyndman (2024), "Online conformal inference
for multi-step time series forecasting", arXiv 2410.13115. The bounds are back-tested, not guaranteed.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tidemill.analysis.forecast.candidate import MIXED, Candidate
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats

_WIDEN: Final = 1.1  # where weights and bounds come from the same errors, which are therefore too small
_WIDEN_FEW: Final = 0.5  # over the number of windows that do not overlap: few cannot judge seven models
_SHIFT: Final = 0.9  # of one error that is larger than all of the back-test
_PHASE_COUNT: Final = 8.0  # errors that count for "as any other phase"
_LEVEL_PENALTY: Final = 12.0  # origins that count for the prior exponents
_LEVEL_LIMIT: Final = 3.0  # the factor of the local level stays between its inverse and this


def bounds(history: History, result: Candidate, levels: Sequence[float]) -> dict[float, tuple[Floats, Floats]]:
    """Lower and upper bounds (horizon each) for levels in percent; never on the wrong side of the forecast."""
    errors, scale, ahead = _scaled(history, result)
    ratios = errors / scale
    independent = _independent(ratios, history.windows)
    ahead = ahead * _widening(result, history.windows)
    return {level: _bounds(ratios, ahead, result.forecast, level, independent) for level in levels}


def coverage(history: History, result: Candidate, levels: Sequence[float]) -> dict[float, float | None]:
    """The share of back-tested values inside bounds that were made from the other half of the origins."""
    errors, scale, _ = _scaled(history, result)
    half = len(errors) // 2
    if half < 2:
        return dict.fromkeys(levels)
    ratios = errors / scale
    independent, wide = _independent(ratios, history.windows), _widening(result, history.windows)
    inside: dict[float, float | None] = {}
    for level in levels:
        counts, total = 0, 0
        for learned, judged in ((ratios[:half], ratios[half:]), (ratios[half:], ratios[:half])):
            low, high = _quantiles(learned, level, independent)
            known = judged[~np.isnan(judged)]
            counts += int(((known >= min(low, 0) * wide) & (known <= max(high, 0) * wide)).sum())
            total += len(known)
        inside[level] = counts / total if total else None
    return inside


def _independent(ratios: Floats, windows: float) -> float:
    """How many errors count as independent: `windows` times the horizon, over the design effect within an origin.

    The design effect is 1 for errors that know nothing of each other, and the horizon where all of an origin are alike:
    Kish (1965), "Survey Sampling", section 5.4.
    """
    horizon = ratios.shape[1]
    size, known = np.abs(ratios), ~np.isnan(ratios)
    counts = known.sum(axis=1)
    means = np.where(known, size, 0).sum(axis=1)[counts > 0] / counts[counts > 0]
    spread = float(size[known].var()) if known.any() else 0.0
    effect = horizon * float(means.var()) / spread if spread > 0 else float(horizon)
    return float(windows * horizon / min(max(effect, 1.0), float(horizon)))


def _widening(result: Candidate, windows: float) -> float:
    """How much wider bounds are than the quantiles of the errors."""
    return _WIDEN * (1 + _WIDEN_FEW / windows) if result.name == MIXED else 1.0


def _scaled(history: History, result: Candidate) -> tuple[Floats, Floats, Floats]:
    """Errors (truth minus forecast; origins x horizon, NaN: not measured), their scale, and that of the forecast."""
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
    known = ~np.isnan(size)
    ratio = np.where(known, size / base, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
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
    """The slope of log standard deviation on log mean over stretches of a season, 0 to 1; 0 where undefined."""
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


def _quantiles(ratios: Floats, level: float, independent: float) -> tuple[float, float]:
    """The quantiles of scaled errors that leave (100 - level) / 2 percent on either side.

    Nearly as in split conformal prediction, (1 - tail) (1 + 1 / n), where n is the number of independent errors.
    """
    known = ratios[~np.isnan(ratios)]
    if not len(known):
        return 0.0, 0.0
    upper = min((1 - (1 - level / 100) / 2) * (1 + _SHIFT / independent), 1.0)
    low, high = np.quantile(known, (1 - upper, upper))
    return float(low), float(high)


def _bounds(ratios: Floats, ahead: Floats, forecast: Floats, level: float, independent: float) -> tuple[Floats, Floats]:
    low, high = _quantiles(ratios, level, independent)
    return forecast + min(low, 0.0) * ahead, forecast + max(high, 0.0) * ahead
