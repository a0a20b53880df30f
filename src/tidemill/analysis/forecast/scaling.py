"""Scales values by a power of two, so that squares of huge and tiny values neither overflow nor vanish."""

import math
from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.steps import Floats

_OFFSET: Final = 1_000.0  # times the range: beyond it, the median is subtracted, too


class Scaling(msgspec.Struct, frozen=True):
    """Values are scaled by 2 ** -`exponent` after `offset` was subtracted: squares neither overflow nor vanish."""

    offset: float
    exponent: int

    def scaled(self, values: Floats) -> Floats:
        """Values as models see them."""
        return np.asarray(np.ldexp(values, -self.exponent) - math.ldexp(self.offset, -self.exponent))

    def restored(self, values: Floats) -> Floats:
        """Values of models in the unit of the series, held within what a double can be."""
        largest = np.finfo(np.float64).max
        with np.errstate(over="ignore"):
            return np.clip(np.ldexp(values, self.exponent) + self.offset, -largest, largest)


def make_scaling(values: Floats) -> Scaling:
    """The scaling for values that are not all equal: the largest magnitude becomes 0.5 to 1."""
    peak = math.frexp(float(np.abs(values).max()))[1]
    near = np.ldexp(values, -peak)
    middle, spread = float(np.median(near)), float(np.ptp(near))
    if abs(middle) <= _OFFSET * spread:
        return Scaling(0.0, peak)
    return Scaling(math.ldexp(middle, peak), peak + math.frexp(spread)[1])
