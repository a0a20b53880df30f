"""Maps of values under which large values err as little as small ones: the logarithm and, with zeros, the root."""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.steps import Floats

_LOG_CAP: Final = (
    np.e**2
)  # times the largest value seen: a forecast of logarithms may explode, its exponential must not


class Warp(msgspec.Struct, frozen=True):
    """A monotone map of values, the values that it suits, and the way back (medians stay medians)."""

    suits: Callable[[Floats], bool]
    forward: Callable[[Floats], Floats]
    back: Callable[[Floats, Floats], Floats]


def exponential(logs: Floats, values: Floats) -> Floats:
    """Forecasts of logarithms as values, at most e^2 times the largest of the history."""
    return np.asarray(np.exp(np.minimum(logs, np.log(values.max() * _LOG_CAP))))


def _squared(roots: Floats, values: Floats) -> Floats:
    return np.square(np.clip(roots, 0, np.sqrt(values.max() * _LOG_CAP)))


LOGARITHM: Final = Warp(lambda values: bool(values.min() > 0), np.log, exponential)
ROOT: Final = Warp(lambda values: bool(values.min() == 0), np.sqrt, _squared)
