"""The answer of a forecast: what is expected, within which bounds, by which models, and how well they did before."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.periods import Period

Floats = NDArray[np.float64]


class Interval(msgspec.Struct, frozen=True):
    """The lower and upper bound of each step."""

    lower: Floats
    upper: Floats


class ModelWeight(msgspec.Struct, frozen=True):
    """A model of the forecast and its weight; the weights add up to 1."""

    model: str
    weight: float


class ModelScore(msgspec.Struct, frozen=True):
    """How a model did in the back-test.

    `mae` is the mean absolute error in the series' unit. `mase` is `mae` over the mean absolute error of the seasonal
    naive on the history before the back-test: Hyndman and Koehler (2006), "Another look at measures of forecast
    accuracy", International Journal of Forecasting 22(4); None where that is 0. `smape` is the mean of
    2 |e| / (|forecast| + |value|), with 0 for 0 / 0: it lies between 0 and 2.
    """

    model: str
    mae: float
    mase: float | None
    smape: float


class BackTest(msgspec.Struct, frozen=True):
    """The back-test: `origins` forecasts of the full horizon, first value at `from_ns`, last at `to_ns` (inclusive).

    `models` has the answer first (`auto`, if it is a mean of several), then every candidate by its error. `coverage` is
    the share of values inside bounds that were made from the other half of the origins; None where there are too few.
    `ratio_to_seasonal_naive` is the answer's error over that of the better of naive and seasonal naive; None where that
    is 0.
    """

    origins: int
    from_ns: int
    to_ns: int
    models: tuple[ModelScore, ...]
    coverage: dict[str, float | None]
    ratio_to_seasonal_naive: float | None


class Baseline(msgspec.Struct, frozen=True):
    """What the naive forecast says that did best in the back-test: the last value, or the last season.

    `mase_scale`: the mean absolute error of the seasonal naive on the history before the back-test, by which MASE
    divides an error; None where that is 0.
    """

    model: str
    values: Floats
    mase_scale: float | None


class Used(msgspec.Struct, frozen=True):
    """The history that the forecast used: slots from `from_ns` to `to_ns` (inclusive), `filled` of them filled."""

    points: int
    from_ns: int
    to_ns: int
    filled: int


class Forecast(msgspec.Struct, frozen=True):
    """A forecast: `values` (medians, the series' unit) at `times_ns`, with bounds for each level (key: its percent).

    Lower bound <= value <= upper bound, none of them below a declared minimum, all finite. `back_test` is None for a
    constant, which is answered without a model. `baseline` has a value at each of `times_ns`, too.
    """

    times_ns: NDArray[np.int64]
    values: Floats
    levels: dict[str, Interval]
    interval: str
    model: str
    chosen: tuple[ModelWeight, ...]
    periods: tuple[Period, ...]
    back_test: BackTest | None
    baseline: Baseline
    used: Used
    notes: tuple[str, ...]
