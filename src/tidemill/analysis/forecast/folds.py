"""The folds of a back-test for models that are fitted: later origins are forecast by a fit that knows more."""

from typing import Final

from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Integers

_FOLDED: Final = 40  # origins, from which on there are two folds


def folds(history: History) -> list[tuple[int, Integers]]:
    """The end of what a fit may know, and the origins that it forecasts, in their order."""
    origins = history.origins
    if len(origins) < _FOLDED:
        return [(history.cut, origins)]
    half = len(origins) // 2
    return [(history.cut, origins[:half]), (int(origins[half]), origins[half:])]
