"""Mean, sum and standard deviation of values however large or small; null where a double cannot hold them."""

import math
import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.errors import SeriesError

Floats = NDArray[np.float64]

LARGEST: Final = sys.float_info.max


def check_magnitudes(values: Floats) -> None:
    """Raises SeriesError for values (NaN: missing) so large that twice their sum may not hold in a double: differences
    and sums of them overflow, and none is a measurement."""
    low, high = (float(np.fmin.reduce(values)), float(np.fmax.reduce(values))) if len(values) else (0.0, 0.0)
    most = LARGEST / (2 * max(len(values), 1))
    if low < -most or high > most:
        extreme = high if high > -low else low
        raise SeriesError(
            f"the series has a value of {extreme:g}; of {len(values):,} values those up to {most:.2g} are analysed: "
            "if it stands for a missing one, a rule of the feed (range) rejects it; else ask for a range without it"
        )


def mean_of(values: Floats) -> float:
    """The mean of at least one value (none NaN); sums of large values do not overflow."""
    return float((values / len(values)).sum())


def total_of(values: Floats) -> float | None:
    """The sum; null where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(values.sum())
    return finite(total)


def deviation_of(values: Floats) -> float | None:
    """The standard deviation (n - 1); null for fewer than two values, and where it overflows."""
    if len(values) < 2:
        return None
    scale = scale_of(values)
    try:
        return math.ldexp(float(np.ldexp(values, -scale).std(ddof=1)), scale)
    except OverflowError:
        return None


def finite(number: float) -> float | None:
    """The number; null where it is infinite or NaN."""
    return number if math.isfinite(number) else None


def scale_of(values: Floats) -> int:
    """The exponent of two of the largest magnitude: values times 2 ** -scale are at most 1, and their squares hold."""
    return math.frexp(float(np.abs(values).max()))[1] if len(values) else 0
