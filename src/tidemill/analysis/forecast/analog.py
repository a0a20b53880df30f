"""Analog days: what followed the days of the history that were most like the last one.

Lorenz (1969), "Atmospheric Predictability as Revealed by Naturally Occurring Analogues", Journal of the Atmospheric
Sciences 26(4), on the values of one season.
"""

from typing import Final

import numpy as np

from tidemill.analysis.forecast.candidate import Candidate, candidate
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats, Integers

_NEAREST: Final = 8
_MOST: Final = 150  # cycles that are looked at
_FEWEST: Final = 6
_SAME_WEEKDAY: Final = 0.8  # times the distance, for a day of the same phase in the longer season
_SHORTEST_WINDOW: Final = 24


def analog(history: History) -> Candidate | None:
    """The mean of what followed the 8 nearest stretches of the same phase, each moved to the level of the last season.

    The distance is the mean absolute difference of the level-corrected values of the last season (at least 24 steps);
    the nearest weigh most. None where there is no season, or too few cycles.
    """
    if not history.seasons:
        return None
    y, season, horizon, origins = history.values, history.season, history.horizon, history.all_origins
    window = season * -(-_SHORTEST_WINDOW // season) if season < _SHORTEST_WINDOW else season
    first = -(-horizon // season)
    cycles = min((history.cut - window) // season - first, _MOST)
    if cycles < _FEWEST:
        return None
    back = season * (first + np.arange(cycles))
    begins = origins[:, None] - back  # where each analog ends and its future begins
    own, own_level, past, level = _stretches(y, origins, begins, window, season)
    distance = np.abs((past - level[:, :, None]) - (own - own_level[:, None])[:, None, :]).mean(axis=2)
    if len(history.seasons) > 1:
        distance = np.where(back % history.seasons[1] == 0, _SAME_WEEKDAY * distance, distance)
    distance = np.where(begins >= window, distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :_NEAREST]
    near = np.take_along_axis(distance, nearest, axis=1)
    weights = np.where(np.isfinite(near), 1 / np.maximum(near, 1e-12), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    futures = np.take_along_axis(begins, nearest, axis=1)[:, :, None] + np.arange(horizon)
    moved = y[np.clip(futures, 0, len(y) - 1)] - np.take_along_axis(level, nearest, axis=1)[:, :, None]
    return candidate("analog", own_level[:, None] + (weights[:, :, None] * moved).sum(axis=1))


def _stretches(
    y: Floats, origins: Integers, begins: Integers, window: int, season: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """The values before each origin and their level, and those before each analog's future and theirs."""
    stretches = np.lib.stride_tricks.sliding_window_view(y, window)
    own, past = stretches[origins - window], stretches[np.maximum(begins - window, 0)]
    return own, own[:, -season:].mean(axis=1), past, past[:, :, -season:].mean(axis=2)
