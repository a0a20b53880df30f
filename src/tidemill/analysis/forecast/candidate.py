"""What every model returns: its forecasts from all origins of the back-test, and the one from the end of the history."""

from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats

_LOG_CAP: Final = (
    np.e**2
)  # times the largest value seen: a forecast of logarithms may explode, its exponential must not


class Candidate(msgspec.Struct, frozen=True):
    """Forecasts of one model: `back_test` (origins x horizon) and `forecast` (horizon), in the unit of the history."""

    name: str
    back_test: Floats
    forecast: Floats


def candidate(name: str, forecasts: Floats) -> Candidate:
    """A candidate from forecasts of `History.all_origins` (the last row is that of the end of the history)."""
    return Candidate(name, forecasts[:-1], forecasts[-1])


def exponential(logs: Floats, history: History) -> Floats:
    """Forecasts of logarithms as values (medians), at most e^2 times the largest value seen."""
    return np.exp(np.minimum(logs, np.log(history.values.max() * _LOG_CAP)))


def mean_error(forecasts: Floats, truth: Floats) -> float:
    """Mean absolute error over what was measured; infinite where nothing was, or a forecast is not finite."""
    errors = np.abs(forecasts - truth)[~np.isnan(truth)]
    return float(errors.mean()) if len(errors) and np.isfinite(errors).all() else np.inf
