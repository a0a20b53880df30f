"""The periodogram of unevenly sampled values: Lomb and Scargle's, with a floating mean."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class PeriodogramPeak(msgspec.Struct, frozen=True):
    """A peak: `frequency` (Hz), `period_s`, `power` (0 to 1: share of the variance that the sine explains), `amplitude`
    of the sine, and the probability that noise alone has so high a peak anywhere (`false_alarm`)."""

    frequency: float
    period_s: float
    power: float
    amplitude: float
    false_alarm: float


class Periodogram(msgspec.Struct, frozen=True, kw_only=True):
    """A periodogram: `power` (0 to 1) at each of `frequencies` (Hz); `peaks` are the strongest, highest power first;
    `dominant` is the first of them, null where there is none."""

    count: int
    missing: int
    span_s: float
    resolution: float
    dominant: PeriodogramPeak | None
    peaks: list[PeriodogramPeak]
    frequencies: list[float]
    power: list[float]


def periodogram(
    times_ns: Integers,
    values: Floats,
    *,
    lowest_hz: float | None = None,
    highest_hz: float | None = None,
    oversampling: int = 5,
    peaks: int = 5,
) -> Periodogram:
    """The Lomb-Scargle periodogram of a series."""
    raise NotImplementedError
