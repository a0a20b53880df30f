"""How values are distributed: histogram, quantiles, and the duration curve that engineers read loads from."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEFAULT_QUANTILES: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MAX_BINS: Final = 200
_DURATION_POINTS: Final = 201  # each half percent of the time


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of the present values of a series.

    `edges` has one element more than `counts`; bin n holds values in [edges[n], edges[n + 1]), the last one both ends.
    `quantiles` are those at `probabilities`. `zeros` and `distinct` count values. `count` is of present values,
    `missing` of the others.
    """

    count: int
    missing: int
    zeros: int
    distinct: int
    edges: list[float]
    counts: list[int]
    probabilities: list[float]
    quantiles: list[float]


class DurationCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The load-duration curve: `values[n]` was reached or exceeded for `share[n]` of the time that has values (0 to 1),
    largest first. `hours` is that time."""

    hours: float
    share: list[float]
    values: list[float]


def distribution(
    values: Floats, *, bins: int | None = None, probabilities: Sequence[float] = DEFAULT_QUANTILES
) -> Distribution:
    """The distribution of `values` (float64; NaN: missing). Lists are empty without a value; a constant has one bin.

    Without `bins` their width is 2 IQR / n^(1/3): Freedman and Diaconis (1981), "On the histogram as a density
    estimator", with at least ten and at most MAX_BINS bins; whole numbers of a small range have a bin each. Quantiles
    are of type 7 of Hyndman and Fan (1996), as those of the metrics.
    """
    present = values[~np.isnan(values)]
    if not len(present):
        edges, counts, quantiles = np.zeros(0), np.zeros(0, np.int64), np.zeros(0)
    else:
        edges = _edges(present, bins)
        counts = np.histogram(present, edges)[0] if len(edges) > 1 else np.array([len(present)])
        quantiles = 4 * np.quantile(present / 4, list(probabilities))  # differences of the largest doubles overflow
    return Distribution(
        count=len(present),
        missing=len(values) - len(present),
        zeros=int((present == 0).sum()),
        distinct=len(np.unique(present)),
        edges=(edges if len(edges) != 1 else np.repeat(edges, 2)).tolist(),
        counts=counts.tolist(),
        probabilities=list(probabilities) if len(present) else [],
        quantiles=quantiles.tolist(),
    )


def _edges(present: Floats, bins: int | None) -> Floats:
    """Edges of bins from the smallest to the largest value; one edge for a constant."""
    low, high = float(present.min()), float(present.max())
    if low == high:
        return np.array([low])
    if bins is None:
        if np.all(present == np.rint(present)) and high - low < 2 * MAX_BINS // 4:
            return np.arange(low - 0.5, high + 1)
        bins = _automatic_bins(present, low, high)
    scale = math.frexp(max(abs(low), abs(high)))[1]  # the range of the largest doubles would overflow
    edges = np.ldexp(np.linspace(math.ldexp(low, -scale), math.ldexp(high, -scale), bins + 1), scale)
    edges[0], edges[-1] = low, high  # scaling may round them
    return edges


def _automatic_bins(present: Floats, low: float, high: float) -> int:
    """The number of bins by Freedman and Diaconis."""
    first, third = np.quantile(present / 4, [0.25, 0.75])  # a quarter, as differences of the largest doubles overflow
    width = 2 * float(third - first) / len(present) ** (1 / 3)
    if not width > 0:
        return 10
    return int(min(max(np.ceil(high / 4 / width - low / 4 / width), 10), MAX_BINS))


def duration_curve(values: Floats, hours: Floats) -> DurationCurve:
    """The duration curve of `values` (float64; NaN: missing), each of which holds for its `hours` (same length, > 0).

    Windows of unequal length, such as months or the days of a clock change, count by their hours. The curve is sampled
    at every half percent of the time; the largest and the smallest value are its ends.
    """
    kept = ~np.isnan(values)
    order = np.argsort(-values[kept], kind="stable")
    ordered, lengths = values[kept][order], hours[kept][order]
    total = float(lengths.sum())
    if not len(ordered):
        return DurationCurve(hours=0.0, share=[], values=[])
    share = np.linspace(0, 1, _DURATION_POINTS)
    reached = np.searchsorted(np.cumsum(lengths), share * total * (1 - 1e-12), side="left")
    return DurationCurve(
        hours=total, share=share.tolist(), values=ordered[np.minimum(reached, len(ordered) - 1)].tolist()
    )
