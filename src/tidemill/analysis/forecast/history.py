"""The history that models learn from, and the origins at which each is asked for what it would have forecast.

Parameters come from before the `cut` only; the states of a model are those known at each origin. One pass over the
history gives the forecasts of all origins: the back-test is nearly free (Tashman 2000, "Out-of-sample tests of
forecasting accuracy", International Journal of Forecasting 16(4): rolling origins).
"""

from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.grid import Flags
from tidemill.analysis.forecast.steps import Floats, Integers

ORIGINS: Final = 60
TUNING_ORIGINS: Final = 24
_MAX_TESTED: Final = 1_200


class History(msgspec.Struct, frozen=True):
    """Values of a series (float64, none missing, scaled), and how they are to be forecast.

    `seasons` are the detected periods in steps, shortest first, `repeats` the periods at which a naive forecast may
    repeat the history. At an origin o the values before o are known, and those from o on are forecast. `tuning` origins
    are before the `cut` with all their targets, `origins` after it; both ascend.
    """

    values: Floats
    measured: Flags
    seasons: tuple[int, ...]
    repeats: tuple[int, ...]
    horizon: int
    cut: int
    tuning: Integers
    origins: Integers

    @property
    def all_origins(self) -> Integers:
        """The origins of the back-test, then the end of the history."""
        return np.append(self.origins, len(self.values))

    @property
    def season(self) -> int:
        """The first season, or 1."""
        return self.seasons[0] if self.seasons else 1

    @property
    def windows(self) -> float:
        """How many windows of the back-test do not overlap."""
        return max((len(self.values) - self.cut) / self.horizon, 1.0)

    @property
    def is_positive(self) -> bool:
        """Whether a logarithm can be taken of every value."""
        return bool(self.values.min() > 0)

    def truth(self, origins: Integers) -> Floats:
        """The values that followed each origin (origins x horizon); NaN where none was measured."""
        at = origins[:, None] + np.arange(self.horizon)
        return np.where(self.measured[at], self.values[at], np.nan)


def make_history(
    values: Floats, measured: Flags, seasons: tuple[int, ...], repeats: tuple[int, ...], horizon: int
) -> History:
    """A history of at least three horizons. The last third of it, at most 1,200 values, is for the back-test."""
    n = len(values)
    longest = max(seasons, default=1)
    tested = min(n // 3, max(8 * horizon, 2 * longest, n // 5, 24), max(_MAX_TESTED, 2 * horizon))
    tested = max(tested, horizon + 1)
    cut = n - tested
    begin = max(min(cut // 2, cut - 2 * horizon), cut - tested - horizon, 1, min(2 * longest, cut // 2))
    tuning = _spaced(begin, cut - horizon, TUNING_ORIGINS, longest) if cut - horizon >= begin else _none()
    origins = _spaced(cut, n - horizon, ORIGINS, longest)
    return History(values, measured, seasons, repeats, horizon, cut, tuning, origins)


def _none() -> Integers:
    return np.zeros(0, np.int64)


def _spaced(first: int, last: int, count: int, season: int) -> Integers:
    """About `count` whole numbers from `first` to `last`, whose stride is no multiple of the season."""
    count = min(count, last - first + 1)
    if count > 1 and season > 1 and (last - first) / (count - 1) % season == 0:
        count = max(count - 1, 2)
    return np.unique(np.linspace(first, last, count).round().astype(np.int64))
