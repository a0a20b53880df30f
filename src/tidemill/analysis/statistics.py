"""Time-domain metrics of one series: NumPy arrays in, one frozen struct out.

Missing samples are NaN in the arrays (as Arrow delivers them) and null in the answer. A metric that is not defined (no
value, one value, a constant) or that a double cannot hold is null too, never NaN or Infinity. Huge and tiny values are
scaled by a power of two before their powers are summed, so that 1e308 has a mean and a deviation.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EPSILON: Final = float(np.finfo(np.float64).eps)
_SAFE_EXPONENT: Final = 240  # fourth powers and a million terms stay within 2 ** ±1022
_NS: Final = 1e9


class TimeMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Time-domain metrics. Values are in the series' unit unless said otherwise; null: not defined or not finite."""

    count: int
    missing: int
    min: float | None
    max: float | None
    mean: float | None
    median: float | None
    stddev: float | None
    stddev_pop: float | None
    variance: float | None
    variance_pop: float | None
    rms: float | None
    peak: float | None
    peak_to_peak: float | None
    crest_factor: float | None
    shape_factor: float | None
    impulse_factor: float | None
    skewness: float | None
    kurtosis: float | None
    kurtosis_excess: float | None
    quantiles: dict[str, float | None]
    first: float | None
    last: float | None
    duration_s: float | None
    interval_s: float | None
    interval_mean_s: float | None
    interval_jitter_s: float | None


def time_metrics(times_ns: NDArray[np.int64], values: Floats, quantiles: Sequence[float] = ()) -> TimeMetrics:
    """Metrics of samples at ascending `times_ns` (int64 ns) with `values` (float64, NaN: missing), same length.

    `count` is of present values, `missing` of the others; duration and intervals include the times of missing samples.
    `quantiles` are in [0, 1]; the answer's keys are their shortest decimal texts. Each helper documents its formulas.
    """
    present = values[~np.isnan(values)]
    exponent = _scale_exponent(present)
    scaled = np.ldexp(present, -exponent) if exponent else present
    location = _location(scaled, exponent, quantiles)
    return msgspec.convert(
        {
            "count": len(present),
            "missing": len(values) - len(present),
            "first": _finite(present[0]) if len(present) else None,
            "last": _finite(present[-1]) if len(present) else None,
            **location,
            **_spread(scaled, exponent),
            **_amplitude(scaled, exponent),
            **_sampling(times_ns),
        },
        TimeMetrics,
    )


def quantile_name(q: float) -> str:
    """The key of a quantile in an answer: its shortest decimal text (`0.05`, `0.5`, `1`)."""
    return str(int(q)) if q == int(q) else repr(q)


def _finite(number: float, exponent: int = 0) -> float | None:
    """`number` times 2 ** `exponent` as a Python float, or None when a double cannot hold it."""
    try:
        result = math.ldexp(float(number), exponent)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def _scale_exponent(present: Floats) -> int:
    """The exponent of two that scales the largest magnitude to [0.5, 1), or 0 where no scaling is needed."""
    peak = max(float(present.max()), -float(present.min())) if len(present) else 0.0
    exponent = math.frexp(peak)[1]
    return exponent if abs(exponent) > _SAFE_EXPONENT and peak > 0 else 0


def _location(x: Floats, exponent: int, quantiles: Sequence[float]) -> dict[str, object]:
    """min, max, mean, median, peak-to-peak and quantiles.

    Quantiles interpolate linearly between order statistics: type 7 of Hyndman and Fan (1996), "Sample Quantiles in
    Statistical Packages", The American Statistician 50(4), NumPy's and R's default. The median is the one of 0.5.
    """
    names = [quantile_name(q) for q in quantiles]
    if not len(x):
        empty: dict[str, object] = dict.fromkeys(("min", "max", "mean", "median", "peak_to_peak"))
        return {**empty, "quantiles": dict.fromkeys(names)}
    low, high = float(x.min()), float(x.max())
    cuts = [_finite(q, exponent) for q in np.quantile(x, [0.5, *quantiles])]
    return {
        "min": _finite(low, exponent),
        "max": _finite(high, exponent),
        "mean": _finite(_mean(x), exponent),
        "median": cuts[0],
        "peak_to_peak": _finite(high - low, exponent),
        "quantiles": dict(zip(names, cuts[1:], strict=True)),
    }


def _mean(x: Floats) -> float:
    """The arithmetic mean, corrected once by the mean of the residuals and held within [min, max]."""
    first = float(x.mean())
    return min(max(first + float((x - first).mean()), float(x.min())), float(x.max()))


def _spread(x: Floats, exponent: int) -> dict[str, float | None]:
    """Variance, standard deviation, skewness and kurtosis from central moments m_k = mean((x - mean) ** k).

    `variance` and `stddev` divide by n - 1 (null for one value), `*_pop` by n: the corrected two-pass algorithm of
    Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance", The American Statistician 37(3).
    `skewness` is g1 = m3 / m2 ** 1.5.
    `kurtosis` is b2 = m4 / m2 ** 2, which is 3 for a normal distribution (what vibration analysis calls kurtosis);
    `kurtosis_excess` is g2 = b2 - 3. Both are the biased moments of Joanes and Gill (1998), "Comparing measures of
    sample skewness and kurtosis", The Statistician 47(1), section 2. Null where the deviation is rounding only.
    """
    n = len(x)
    names = ("variance", "variance_pop", "stddev", "stddev_pop", "skewness", "kurtosis", "kurtosis_excess")
    if n == 0:
        return dict.fromkeys(names)
    mean = _mean(x)
    d = x - mean
    square = d * d
    total = max(float(square.sum()) - float(d.sum()) ** 2 / n, 0.0)
    m2 = total / n
    shaped = m2 > (_EPSILON * abs(mean)) ** 2
    b2 = float((square * square).mean()) / m2**2 if shaped else math.nan
    return {
        "variance": _finite(total / (n - 1), 2 * exponent) if n > 1 else None,
        "variance_pop": _finite(m2, 2 * exponent),
        "stddev": _finite(math.sqrt(total / (n - 1)), exponent) if n > 1 else None,
        "stddev_pop": _finite(math.sqrt(m2), exponent),
        "skewness": _finite(float((square * d).mean()) / m2**1.5) if shaped else None,
        "kurtosis": _finite(b2),
        "kurtosis_excess": _finite(b2 - 3),
    }


def _amplitude(x: Floats, exponent: int) -> dict[str, float | None]:
    """rms = sqrt(mean(x ** 2)), peak = max |x|, and their ratios; null ratios for a series of zeros.

    crest = peak / rms, shape = rms / mean |x|, impulse = peak / mean |x|: the usual time-domain indicators of
    vibration, as in Randall (2011), "Vibration-based Condition Monitoring". The mean is not subtracted first.
    """
    if not len(x):
        return dict.fromkeys(("rms", "peak", "crest_factor", "shape_factor", "impulse_factor"))
    magnitude = np.abs(x)
    rms, peak, average = math.sqrt(float((x * x).mean())), float(magnitude.max()), float(magnitude.mean())
    return {
        "rms": _finite(rms, exponent),
        "peak": _finite(peak, exponent),
        "crest_factor": _finite(peak / rms) if rms else None,
        "shape_factor": _finite(rms / average) if average else None,
        "impulse_factor": _finite(peak / average) if average else None,
    }


def _sampling(times_ns: NDArray[np.int64]) -> dict[str, float | None]:
    """Duration from first to last sample, and the intervals between neighbours, all in seconds.

    `interval_s` is the median interval (robust against gaps), `interval_mean_s` duration / (n - 1), `interval_jitter_s`
    the population standard deviation of the intervals. Times are whole nanoseconds: a jitter below 1e-9 is rounding.
    """
    names = ("duration_s", "interval_s", "interval_mean_s", "interval_jitter_s")
    if not len(times_ns):
        return dict.fromkeys(names)
    duration_s = (int(times_ns[-1]) - int(times_ns[0])) / _NS
    if len(times_ns) == 1:
        return {**dict.fromkeys(names), "duration_s": duration_s}
    clock = times_ns.view(np.uint64)
    steps = (clock[1:] - clock[:-1]).astype(np.float64)  # unsigned: 1900 to 2262 is more than int64 nanoseconds
    return {
        "duration_s": duration_s,
        "interval_s": float(np.median(steps)) / _NS,
        "interval_mean_s": duration_s / (len(times_ns) - 1),
        "interval_jitter_s": float(steps.std()) / _NS,
    }
