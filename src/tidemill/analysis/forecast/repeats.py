"""Models that repeat the history: naive, drift, seasonal naive and the exponentially weighted seasonal mean."""

from typing import Final

import numpy as np

from tidemill.analysis.forecast.candidate import Candidate, Selection, candidate, mean_error
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats, Integers

_RATES: Final = np.array([0.04, 0.1, 0.2, 0.35, 0.6])  # of the newest season in the weighted mean
_MEDIANS: Final = (3, 5, 9)  # cycles whose median is taken
_DAMPING: Final = 0.5  # of a correction of the level by the last season


def naive(history: History) -> Candidate:
    """The last value, for every step."""
    last = history.values[history.all_origins - 1]
    return candidate("naive", np.repeat(last[:, None], history.horizon, axis=1))


def drift(history: History) -> Candidate:
    """The seasonal naive (without a season: naive) plus the mean change a season, over all that is known."""
    y, season, origins = history.values, history.season, history.all_origins
    sums = np.concatenate(([0.0], np.cumsum(y[season:] - y[:-season])))
    counts = np.maximum(origins - season, 1)
    change = sums[np.maximum(origins - season, 0)] / counts
    cycles = np.arange(history.horizon) // season + 1
    return candidate("drift", y[_same_phase(history, season)] + change[:, None] * cycles)


def seasonal_naives(history: History) -> list[Candidate]:
    """The value of the same phase in the last season, for each period that may be repeated.

    The one with the smaller error in the back-test is `seasonal_naive`, any other has its steps in its name.
    """
    made = [
        (season, history.values[_same_phase(history, season)]) for season in history.repeats if season <= history.cut
    ]
    truth = history.truth(history.origins)
    made.sort(key=lambda pair: mean_error(pair[1][:-1], truth))
    return [candidate(f"seasonal_naive_{made[k][0]}" if k else "seasonal_naive", made[k][1]) for k in range(len(made))]


def seasonal_mean(history: History) -> Candidate | None:
    """The weighted mean, or the median of a few cycles, of the same phase: at each origin what did best before it.

    Over each period that may be repeated, for each rate, with or without half of the last season's difference from its
    mean added.
    """
    origins = np.concatenate((history.tuning, history.all_origins))
    kinds = [
        _corrected(history, _running_means(history.values, season), season, origins)
        for season in history.repeats
        if 2 * season <= history.cut
    ]
    if not kinds:
        return None
    made = np.concatenate(kinds)
    selection = Selection(history, len(made))
    result = np.empty((len(history.all_origins), history.horizon))
    for k, origin in enumerate(origins.tolist(), start=-len(history.tuning)):
        forecasts = made[:, k + len(history.tuning)]
        if k >= 0:
            result[k] = forecasts[np.argmin(selection.sums(origin))]
        if origin < len(history.values):
            truth = history.values[origin : origin + history.horizon]
            selection.add(origin, np.abs(forecasts - truth).mean(axis=1))
    return candidate("seasonal_mean", result)


def _same_phase(history: History, season: int, origins: Integers | None = None) -> Integers:
    """The newest index before each origin that has the phase of each step (origins x horizon)."""
    steps = np.arange(history.horizon)
    origins = history.all_origins if origins is None else origins
    return np.asarray(np.maximum(origins[:, None] + steps - season * (steps // season + 1), 0))


def _running_means(y: Floats, season: int) -> Floats:
    """The weighted mean and the median of each index's phase up to that index (rates and medians x n)."""
    lead = -len(y) % season
    cycles = np.concatenate((y[season - lead : season] if lead else y[:0], y)).reshape(-1, season)
    means = np.empty((len(cycles), len(_RATES) + len(_MEDIANS), season))
    means[0] = cycles[0]
    for k in range(1, len(cycles)):
        rates = np.maximum(_RATES, 1 / (k + 1))[:, None]
        means[k, : len(_RATES)] = means[k - 1, : len(_RATES)] + rates * (cycles[k] - means[k - 1, : len(_RATES)])
    for j, count in enumerate(_MEDIANS, start=len(_RATES)):
        padded = np.concatenate((np.repeat(cycles[:1], count - 1, axis=0), cycles))
        windows = np.lib.stride_tricks.sliding_window_view(padded, count, axis=0)
        means[:, j] = np.partition(windows, count // 2, axis=2)[:, :, count // 2]
    return means.transpose(1, 0, 2).reshape(len(_RATES) + len(_MEDIANS), -1)[:, lead:]


def _corrected(history: History, means: Floats, season: int, origins: Integers) -> Floats:
    """Forecasts for each rate, plain and with a correction of the level (2 rates x origins x horizon)."""
    plain = means[:, _same_phase(history, season, origins)]
    off = history.values - means
    sums = np.concatenate((np.zeros((len(means), 1)), np.cumsum(off, axis=1)), axis=1)
    level = (sums[:, origins] - sums[:, np.maximum(origins - season, 0)]) / season
    return np.concatenate((plain, plain + _DAMPING * level[:, :, None]))
