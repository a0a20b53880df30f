"""The periodogram of unevenly sampled values: Lomb and Scargle's, with a floating mean, by a fast Fourier transform."""

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.moments import scale_of
from tidemill.analysis.nonuniform import fourier_sums
from tidemill.analysis.slots import present_points
from tidemill.errors import Fault, InputError, LimitError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Complexes = NDArray[np.complex128]

MAX_FREQUENCIES: Final = 200_000
FEWEST_POINTS: Final = 10
_NS: Final = 1e9
_SINGULAR: Final = 1e-10  # a part of the weights so small is none: at a frequency whose sine the times never see


class PeriodogramPeak(msgspec.Struct, frozen=True):
    """A peak: `frequency` (Hz) and `period_s`; its `power` (0 to 1), the share of the variance that a sine explains;
    the `amplitude` of that sine; and the probability that noise alone has so high a peak anywhere (`false_alarm`)."""

    frequency: float
    period_s: float
    power: float
    amplitude: float
    false_alarm: float


class Periodogram(msgspec.Struct, frozen=True, kw_only=True):
    """A periodogram: the `power` (0 to 1) at each of `frequencies` (Hz), `resolution` apart.

    `dominant` is the strongest peak (null: no variance); `peaks` are the strongest, highest power first. `count` is of
    present values, `missing` of the others; `span_s` is the time between the first and the last.
    """

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
    """The periodogram of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC), which may be uneven.

    The power at a frequency is 1 - (residual sum of squares of c + a cos + b sin) / (that of c alone): Zechmeister and
    Kürster (2009), "The generalised Lomb-Scargle periodogram", A&A 496, equation 5, with the sums by `fourier_sums`
    instead of the extirpolation of Press and Rybicki (1989). It equals `scipy.signal.lombscargle` with `normalize` and
    `floating_mean` within 1e-9. Frequencies are multiples of 1 / (`oversampling` x span) from `lowest_hz` (1 / span) to
    `highest_hz` (half of one over the median interval). The probability of a false alarm is the bound of Baluev
    (2008), "Assessing the statistical significance of periodogram peaks", MNRAS 385, equation 5, for the standard
    normalisation. Raises NotEnoughPointsError below 10 values, LimitError above 200,000 frequencies, and InputError
    where there are none.
    """
    points_ns, points = present_points(times_ns, values, FEWEST_POINTS, "a periodogram")
    times_s = (points_ns - points_ns[0]).astype(np.float64) / _NS
    span_s = float(times_s[-1])
    resolution = 1 / (oversampling * span_s)
    lowest = 1 / span_s if lowest_hz is None else lowest_hz
    highest = 0.5 / float(np.median(np.diff(times_s))) if highest_hz is None else highest_hz
    first, last = max(math.ceil(lowest / resolution - 1e-9), 1), math.floor(highest / resolution + 1e-9)
    _check(first, last, resolution)
    exponent = scale_of(points)
    centred = np.ldexp(points, -exponent)
    centred = centred - centred.mean()
    frequencies: Floats = np.arange(first, last + 1, dtype=np.float64) * resolution
    power = _fast_fit(times_s * resolution, centred, first, last).power
    tops = _peak_frequencies(frequencies, power, peaks)
    strongest = [_peak(frequency, times_s, centred, exponent, highest) for frequency in tops]
    strongest.sort(key=lambda peak: -peak.power)
    return Periodogram(
        count=len(points),
        missing=len(values) - len(points),
        span_s=span_s,
        resolution=resolution,
        dominant=strongest[0] if strongest else None,
        peaks=strongest,
        frequencies=frequencies.tolist(),
        power=power.tolist(),
    )


def _check(first: int, last: int, resolution: float) -> None:
    if last < first:
        message = f"there is no frequency in the range: they are multiples of {resolution:g} Hz"
        raise InputError(message, (Fault("highest_hz", "out_of_range", message),))
    if last > MAX_FREQUENCIES:
        message = (
            f"the range has {last:,} frequencies up to its end, and at most {MAX_FREQUENCIES:,} are computed: "
            f"ask for frequencies up to {MAX_FREQUENCIES * resolution:g} Hz"
        )
        raise LimitError("max_frequencies", MAX_FREQUENCIES, message)


class _Fit(msgspec.Struct, frozen=True):
    """The power of the best sine at each frequency, and its amplitude."""

    power: Floats
    amplitude: Floats


def _fast_fit(cycles: Floats, centred: Floats, first: int, last: int) -> _Fit:
    """The fit at frequencies `first` to `last`, multiples of the one whose `cycles` are given at each time."""
    n = len(cycles)
    once = fourier_sums(cycles, np.full(n, 1 / n), 2 * last + 1)
    values = fourier_sums(cycles, centred / n, last + 1)[first:]
    return _fit(values, once[first : last + 1], once[2 * first :: 2], float(centred @ centred) / n)


def _fit(values: Complexes, once: Complexes, twice: Complexes, variance: float) -> _Fit:
    """The fit by the means of y e^iwt, e^iwt and e^2iwt: equations 5 to 15 of Zechmeister and Kürster.

    The axes are turned until cosine and sine are orthogonal, as Scargle does; where one of them has no weight, as at
    the highest frequency of an even sampling, the other one is fitted alone.
    """
    cosines, sines = (1 + twice.real) / 2 - once.real**2, (1 - twice.real) / 2 - once.imag**2
    both = twice.imag / 2 - once.real * once.imag
    turn = np.exp(-0.5j * np.arctan2(2 * both, cosines - sines))
    half, spread = (cosines + sines) / 2, np.hypot(cosines - sines, 2 * both) / 2
    turned = values * turn
    power, amplitude = np.zeros(len(values)), np.zeros(len(values))
    for part, weight in ((turned.real, half + spread), (turned.imag, half - spread)):
        seen = weight > _SINGULAR
        power += np.divide(part**2, weight, out=np.zeros(len(values)), where=seen)
        amplitude += np.divide(part, weight, out=np.zeros(len(values)), where=seen) ** 2
    if not variance > 0:
        return _Fit(np.zeros(len(values)), np.zeros(len(values)))
    return _Fit(np.clip(power / variance, 0.0, 1.0), np.sqrt(amplitude))


def _peak_frequencies(frequencies: Floats, power: Floats, count: int) -> list[float]:
    """The frequencies of the highest local maxima, each at the top of the parabola through it and its neighbours."""
    inner = power[1:-1]
    tops = 1 + np.flatnonzero((inner > power[:-2]) & (inner >= power[2:]))
    tops = tops[np.argsort(-power[tops], kind="stable")[:count]]
    before, centre, after = power[tops - 1], power[tops], power[tops + 1]
    offsets = 0.5 * (before - after) / (before - 2 * centre + after)
    return [float(frequency) for frequency in frequencies[tops] + offsets * (frequencies[1] - frequencies[0])]


def _peak(frequency: float, times_s: Floats, centred: Floats, exponent: int, highest: float) -> PeriodogramPeak:
    """The peak at a frequency, by the sums over all points."""
    waves = np.exp(2j * np.pi * frequency * times_s)
    means = [np.atleast_1d(np.mean(sums)) for sums in (centred * waves, waves, waves * waves)]
    fit = _fit(means[0], means[1], means[2], float(centred @ centred) / len(centred))
    power = float(fit.power[0])
    return PeriodogramPeak(
        frequency=frequency,
        period_s=1 / frequency,
        power=power,
        amplitude=math.ldexp(float(fit.amplitude[0]), exponent),
        false_alarm=_false_alarm(power, len(centred), highest * math.sqrt(4 * math.pi) * float(times_s.std())),
    )


def _false_alarm(power: float, n: int, width: float) -> float:
    """Baluev's bound on the probability of a peak of `power` in noise of `n` values; `width`: of the range, times 4 pi
    and the standard deviation of the times."""
    if power >= 1:
        return 0.0
    gamma = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma((n - 1) / 2) - math.lgamma((n - 2) / 2))
    single = (1 - power) ** ((n - 3) / 2)
    rate = gamma * width * (1 - power) ** ((n - 4) / 2) * math.sqrt(0.5 * (n - 1) * power)
    return min(max(float(single + (1 - single) * -math.expm1(-rate)), 0.0), 1.0)
