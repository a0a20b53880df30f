"""Anomalies of a series: values far from what is usual at their time, each with a reason in words."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.periods import Period

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

THRESHOLD: Final = 5.0
MAX_ANOMALIES: Final = 1_000


class Anomaly(msgspec.Struct, frozen=True):
    """A `value` that is not usual at `at_ns`.

    `expected` is the season's value and the level around; `low` to `high` is the range that is usual then, which
    `reason` says in words; the value is outside. `score` is the residual over its usual size: above 0 the value is too
    high.
    """

    at_ns: int
    value: float
    expected: float
    low: float
    high: float
    score: float
    reason: str


class Anomalies(msgspec.Struct, frozen=True, kw_only=True):
    """The anomalies of a series, in order of time: at most `most` of the `anomaly_count` ones, the strongest.

    `count` is of present values, `missing` of the others. `periods` were taken out first, then the median of
    `window` values around. `below` and `above` are the usual sizes of residuals on either side (null: constant).
    """

    count: int
    missing: int
    interval: str
    tz: str | None
    threshold: float
    periods: list[Period]
    window: int
    below: float | None
    above: float | None
    anomaly_count: int
    anomalies: list[Anomaly]
    notes: list[str]


def anomalies(
    times_ns: Integers,
    values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    threshold: float = THRESHOLD,
    most: int = MAX_ANOMALIES,
) -> Anomalies:
    """The values of a series that are unusual at their time."""
    raise NotImplementedError
