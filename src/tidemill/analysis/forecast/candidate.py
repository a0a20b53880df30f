"""What every model returns: its forecasts from all origins of the back-test, and that from the end of the history."""

from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats

_LOG_CAP: Final = (
    np.e**2
)  # times the largest value seen: a forecast of logarithms may explode, its exponential must not
MIXED: Final = "auto"  # the name of a weighted mean of candidates
_FADING: Final = 0.97  # of the weight of an origin, with each newer one


class Candidate(msgspec.Struct, frozen=True):
    """Forecasts of one model: `back_test` (origins x horizon) and `forecast` (horizon), in the unit of the history."""

    name: str
    back_test: Floats
    forecast: Floats


def candidate(name: str, forecasts: Floats) -> Candidate:
    """A candidate from forecasts of `History.all_origins` (the last row is that of the end of the history)."""
    return Candidate(name, forecasts[:-1], forecasts[-1])


def mean_error(forecasts: Floats, truth: Floats) -> float:
    """Mean absolute error over what was measured; infinite where nothing was, or a forecast is not finite."""
    errors = np.abs(forecasts - truth)[~np.isnan(truth)]
    return float(errors.mean()) if len(errors) and np.isfinite(errors).all() else np.inf


class Selection:
    """Which of many parameter sets did best so far: an origin counts as soon as all its targets are known.

    So the choice at each origin of the back-test knows nothing of what it forecasts. Newer origins weigh more.
    """

    def __init__(self, history: History, sets: int) -> None:
        self._horizon = history.horizon
        self._sums = np.zeros(sets)
        self._waiting: list[tuple[int, Floats]] = []

    def add(self, origin: int, errors: Floats) -> None:
        """Note the error of each set at an origin; origins ascend."""
        self._waiting.append((origin, np.where(np.isfinite(errors), errors, np.inf)))

    def sums(self, origin: int) -> Floats:
        """The weighted sum of errors of each set, from origins whose targets are all before `origin`."""
        while self._waiting and self._waiting[0][0] + self._horizon <= origin:
            self._sums = self._sums * _FADING + self._waiting.pop(0)[1]
        return self._sums
