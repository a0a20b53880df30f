"""Says what a series is: the first rule that fits, in sentences with the figures filled in. No language model."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.description.figures import Figures

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KINDS: Final = (
    "empty",
    "too_short",
    "constant",
    "on_off",
    "counter",
    "generation",
    "consumption",
    "temperature",
    "activity",
    "periodic",
    "intermittent",
    "random_walk",
    "noise",
    "persistent",
)


class SeriesDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a series is: its `kind` (one of KINDS), the `sentences` that say so, and the figures behind them."""

    kind: str
    sentences: list[str]
    tz: str | None
    unit: str | None
    figures: Figures


def describe(
    times_ns: Integers,
    values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    name: str | None = None,
) -> SeriesDescription:
    """What a series is. `name` is that of its field: a register code (OBIS) says more than the values do."""
    raise NotImplementedError
