"""One small regression for all steps: the same phase in past seasons, weighted seasonal means and the newest residuals.

Where the direct regression of `linear` has a coefficient for every lag and step, this one shares some twenty among all
steps: it learns from few seasons. Least absolute errors by iteratively reweighted least squares: Schlossmacher (1973),
"An iterative technique for absolute deviations curve fitting", JASA 68(344).
"""

from typing import Final

import numpy as np

from tidemill.analysis.forecast.candidate import Candidate, candidate
from tidemill.analysis.forecast.folds import folds
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats, Integers
from tidemill.analysis.forecast.warp import Warp

_RATES: Final = (0.08, 0.3)  # of the newest season in a seasonal mean
_PAST: Final = 3  # values of the same phase, a season
_DECAYS: Final = (2.0, 10.0, 50.0)  # steps after which a residual at the origin is down to 1 / e
_ORIGINS: Final = 250  # rows, times the horizon
_STEPS: Final = 24  # of the horizon that it learns from
_FEWEST: Final = 24
_ROUNDS: Final = 3
_PENALTY: Final = 1e-3
_FORGETTING: Final = 0.7
_MIN_CYCLES: Final = 4


def pooled(history: History, name: str, warp: Warp | None = None) -> Candidate | None:
    """The forecasts of the regression, of warped values if `warp` is given; None without a season or enough of it."""
    if warp and not warp.suits(history.values):
        return None
    raw = warp.forward(history.values) if warp else history.values
    middle, scale = float(np.median(raw[: history.cut])), float(raw[: history.cut].std()) or 1.0
    y = (raw - middle) / scale
    seasons = [s for s in history.repeats if _MIN_CYCLES * s <= history.cut]
    first = _PAST * max(seasons, default=0) + 1
    if not seasons or history.cut - history.horizon - first < _FEWEST:
        return None
    means = {season: _weighted_means(y, season) for season in seasons}
    learned = np.unique(np.linspace(0, history.horizon - 1, min(history.horizon, _STEPS)).astype(np.int64))

    def fitted(end: int) -> Floats:
        stride = max(1, -(-(end - history.horizon - first) // _ORIGINS))
        rows = np.arange(end - history.horizon, first - 1, -stride)
        return _fit(*_features(y, means, rows, history, learned), y, rows, learned)

    def predicted(end: int, origins: Integers) -> Floats:
        features, level = _features(y, means, origins, history, np.arange(history.horizon))
        made = (features @ fitted(end) + level) * scale + middle
        return warp.back(made, history.values) if warp else made

    parts = [predicted(end, origins) for end, origins in folds(history)]
    return candidate(name, np.concatenate((*parts, predicted(len(y), np.array([len(y)])))))


def _weighted_means(y: Floats, season: int) -> Floats:
    """The exponentially weighted mean of each index's phase up to that index, for each rate (rates x n)."""
    lead = -len(y) % season
    cycles = np.concatenate((y[season - lead : season] if lead else y[:0], y)).reshape(-1, season)
    rates = np.array(_RATES)[:, None]
    means = np.empty((len(cycles), len(_RATES), season))
    means[0] = cycles[0]
    for k in range(1, len(cycles)):
        means[k] = means[k - 1] + np.maximum(rates, 1 / (k + 1)) * (cycles[k] - means[k - 1])
    return means.transpose(1, 0, 2).reshape(len(_RATES), -1)[:, lead:]


def _features(
    y: Floats, means: dict[int, Floats], origins: Integers, history: History, steps: Integers
) -> tuple[Floats, Floats]:
    """Features (origins x steps x columns), all relative to the local level, and that level (origins x 1)."""
    span = history.season if history.season > 1 else min(means)
    span = min(span, max(4 * history.horizon, 24))
    sums = np.concatenate(([0.0], np.cumsum(y)))
    level = ((sums[origins] - sums[origins - span]) / span)[:, None]
    columns = [np.ones((len(origins), len(steps)))]
    for season, weighted in means.items():
        newest = origins[:, None] + steps - season * (steps // season + 1)
        columns += [y[newest - season * j] - level for j in range(_PAST)]
        columns += [row[newest] - level for row in weighted]
    season, weighted = next(reversed(means.items()))
    newest = (y[origins - 1] - weighted[0][origins - 1 - season])[:, None]
    columns += [newest * np.exp(-steps / decay) for decay in _DECAYS]
    columns.append(np.repeat(y[origins - 1][:, None] - level, len(steps), axis=1))
    return np.stack(columns, axis=2), level


def _fit(features: Floats, level: Floats, y: Floats, rows: Integers, steps: Integers) -> Floats:
    """The coefficients that minimise the weighted sum of absolute errors, nearly."""
    targets = (y[rows[:, None] + steps] - level).ravel()
    x = features.reshape(-1, features.shape[2])
    age = (rows.max() - rows) / max(rows.max() - rows.min(), 1)
    recency = np.repeat(np.exp(-_FORGETTING * age), len(steps))
    weights, coefficients = recency, np.zeros(x.shape[1])
    for _ in range(_ROUNDS + 1):
        weighted = x * weights[:, None]
        gram = weighted.T @ x
        gram[np.diag_indices_from(gram)] += _PENALTY * weights.sum()
        coefficients = np.linalg.solve(gram, weighted.T @ targets)
        errors = np.abs(targets - x @ coefficients)
        weights = recency / np.maximum(errors, max(float(np.median(errors)) / 2, 1e-12))
    return coefficients
