"""Change points: where the level of a series changes, judged by its long-run variance.

The usual noise estimate takes every wave of an autocorrelated series for a change of level: it reports 46 in 3,000
values of an AR(0.7) process that has none. With the long-run variance there are none.
"""

import math
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.autocorrelation import autocorrelation
from tidemill.analysis.forecast.steps import DAY_NS
from tidemill.analysis.moments import mean_of, scale_of
from tidemill.analysis.periods import Period
from tidemill.analysis.slots import make_slots, present_points, season_lengths, slot_periods, without_seasons
from tidemill.analysis.words import number_text
from tidemill.errors import UnevenSamplingError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_BLOCKS: Final = 2_000
FEWEST_POINTS: Final = 10
_PENALTY: Final = 3.0  # times the logarithm of the number of blocks
_SHORTEST: Final = (5, 0.01)  # blocks of a segment, and their share of all
_LEAST_NOISE: Final = 1e-9  # of the largest value: less is rounding
_MOST_ALIKE: Final = 0.99
_NOISE_BLOCKS: Final = 30  # of which the long-run variance is estimated at least


class ChangePoint(msgspec.Struct, frozen=True):
    """A change of the level from `before` to `after` (means of the segments): the first value after it is at `at_ns`,
    and `index` present values come before it. `score` is |difference| over its standard error."""

    at_ns: int
    index: int
    before: float
    after: float
    difference: float
    score: float


class Segment(msgspec.Struct, frozen=True):
    """A stretch between changes: `count` present values from `from_ns` to `to_ns` (inclusive) and their mean."""

    from_ns: int
    to_ns: int
    count: int
    mean: float


class ChangePoints(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of level of a series, in order of time, and the `segments` between.

    `count` is of present values, `missing` of the others. `periods` were taken out first. `noise` is the long-run
    standard deviation (null: a constant, or too short). `block` values were averaged for each step of the search.
    """

    count: int
    missing: int
    interval: str | None
    periods: list[Period]
    block: int
    noise: float | None
    penalty: float | None
    changes: list[ChangePoint]
    segments: list[Segment]
    notes: list[str]


def change_points(times_ns: Integers, values: Floats, *, tz: str | None = None) -> ChangePoints:
    """The changes of the level of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC).

    The seasons are subtracted first, where there is a common interval. The present values are averaged in blocks, at
    most 2,000; the segments are those that minimise

        sum over segments of sum ((x - mean of the segment) / noise)^2 + 3 ln(blocks) x number of segments,

    exactly: the optimal partitioning of Jackson et al. (2005), pruned as in Killick, Fearnhead and Eckley (2012),
    "Optimal detection of changepoints with a linear computational cost", JASA 107(500). `noise` is the long-run
    standard deviation: the largest, over block lengths b = 1, 2, 4, ..., of 1.4826 MAD(differences of neighbouring
    block means) sqrt(b / 2), with at least 30 blocks; steps do not raise it (Wu and Zhao 2007, "Inference of trends in
    time series", JRSS B 69(3), section 4). A straight line that costs less than the segments is no change, and a note
    says so. Each change is then put where an autoregression of order one about the two means has the smallest squares.
    Raises NotEnoughPointsError below 10 values.
    """
    points_ns, points = present_points(times_ns, values, FEWEST_POINTS, "the search for changes")
    interval, periods, levels = _without_seasons(points_ns, points, tz)
    exponent = scale_of(levels)
    x = np.ldexp(levels - np.median(levels), -exponent)
    block = -(-len(x) // MAX_BLOCKS)
    noise = long_run_noise(x)
    notes: list[str] = []
    bounds, penalty = [0, len(x)], None
    if noise > 0:
        means = _block_means(x, block) * (math.sqrt(block) / noise)
        penalty = _PENALTY * math.log(len(means))
        edges = _segment_edges(means, penalty)
        if len(edges) > 2 and _line_cost(means) + penalty <= _cost(means, edges) + penalty * (len(edges) - 2):
            notes.append(_trend_note(points_ns, points))
        else:
            bounds = _refined(x, [*(edge * block for edge in edges[:-1]), len(x)], block)
    return ChangePoints(
        count=len(points),
        missing=len(values) - len(points),
        interval=interval,
        periods=list(periods),
        block=block,
        noise=math.ldexp(noise, exponent) if noise > 0 else None,
        penalty=penalty,
        changes=_changes(points_ns, points, bounds, math.ldexp(noise, exponent)),
        segments=[
            Segment(int(points_ns[a]), int(points_ns[b - 1]), b - a, mean_of(points[a:b])) for a, b in pairwise(bounds)
        ],
        notes=notes,
    )


def _without_seasons(
    points_ns: Integers, points: Floats, tz: str | None
) -> tuple[str | None, tuple[Period, ...], Floats]:
    """The interval, the periods, and the points without them; as they are where there is no common interval."""
    try:
        slots = make_slots(points_ns, points, tz)
    except UnevenSamplingError:
        return None, (), points
    periods = slot_periods(slots)
    seasonal, _ = without_seasons(slots.values, season_lengths(periods))
    return slots.step.name, periods, points - seasonal[slots.numbers]


def long_run_noise(x: Floats) -> float:
    """The long-run standard deviation of `x` (none missing), as `change_points` defines it; 0 for a constant.

    Where most neighbours are equal, it is the standard deviation of all differences, so large that rare single values
    are no changes of level."""
    noise, block = 0.0, 1
    while block == 1 or len(x) // block >= _NOISE_BLOCKS:
        steps = np.diff(_block_means(x, block))
        spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
        noise = max(noise, spread * math.sqrt(block / 2))
        block *= 2
    if noise == 0:  # most neighbours are equal: a valve, a set point
        noise = float(np.diff(x).std())
    return max(noise, _LEAST_NOISE * float(np.abs(x).max()))


def _block_means(x: Floats, block: int) -> Floats:
    """Means of `block` neighbours each; the last ones that do not fill a block are left out."""
    return np.asarray(x[: len(x) // block * block].reshape(-1, block).mean(axis=1)) if block > 1 else x


def _segment_edges(x: Floats, penalty: float) -> list[int]:
    """0, the edges of the segments that cost least, and the length of `x`."""
    n, shortest = len(x), max(_SHORTEST[0], round(_SHORTEST[1] * len(x)))
    sums, squares = (np.concatenate(([0.0], np.cumsum(y))) for y in (x, x * x))
    least = np.full(n + 1, np.inf)
    least[0] = -penalty
    before = np.zeros(n + 1, np.int64)
    begins = np.zeros(1, np.int64)
    for end in range(shortest, n + 1):
        total = sums[end] - sums[begins]
        costs = least[begins] + squares[end] - squares[begins] - total * total / (end - begins)
        best = int(np.argmin(costs))
        least[end], before[end] = costs[best] + penalty, begins[best]
        begins = begins[costs <= least[end]]  # the others can never be the last edge again
        if np.isfinite(least[end + 1 - shortest]) and end + 1 > shortest:
            begins = np.append(begins, end + 1 - shortest)
    edges = [n]
    while edges[-1] > 0:
        edges.append(int(before[edges[-1]]))
    return edges[::-1]


def _cost(x: Floats, edges: list[int]) -> float:
    return sum(float(((x[a:b] - x[a:b].mean()) ** 2).sum()) for a, b in pairwise(edges))


def _line_cost(x: Floats) -> float:
    at = np.arange(len(x)) - (len(x) - 1) / 2
    return float(((x - x.mean() - at * (at @ x) / (at @ at)) ** 2).sum())


def _refined(x: Floats, bounds: list[int], block: int) -> list[int]:
    """The bounds with each inner one where it splits its two segments best, within two blocks and ten times what the
    autoregression remembers.

    The innovations of a split are x_t - m - phi (x_{t-1} - m) with the mean m of the own segment: an autocorrelated
    series jumps at a change by many times its innovations, and by little beside its waves."""
    segments = np.repeat([float(x[a:b].mean()) for a, b in pairwise(bounds)], np.diff(bounds))
    phi = float(np.clip(np.nan_to_num(autocorrelation(x - segments, 1)[1]), 0, _MOST_ALIKE))
    reach = math.ceil(2 * block + 10 / (1 - phi))
    bounds = list(bounds)
    for n in range(1, len(bounds) - 1):
        begin, end = max(bounds[n - 1], bounds[n] - reach), min(bounds[n + 1], bounds[n] + reach)
        before, after = (x[begin:end] - float(x[a:b].mean()) for a, b in pairwise(bounds[n - 1 : n + 2]))
        left, right, across = ((now[1:] - phi * last[:-1]) ** 2 for now, last in _transitions(before, after))
        later = np.cumsum(right[::-1])[::-1] - right
        bounds[n] = begin + 1 + int(np.argmin(np.cumsum(left) - left + across + later))
    return bounds


def _transitions(before: Floats, after: Floats) -> tuple[tuple[Floats, Floats], ...]:
    """A value about its mean and the one before it: both before a change, both after it, and one on either side."""
    return (before, before), (after, after), (after, before)


def _changes(points_ns: Integers, points: Floats, bounds: list[int], noise: float) -> list[ChangePoint]:
    changes = []
    for begin, at, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before, after = mean_of(points[begin:at]), mean_of(points[at:end])
        error = noise * math.sqrt(1 / (at - begin) + 1 / (end - at))
        changes.append(ChangePoint(int(points_ns[at]), at, before, after, after - before, abs(after - before) / error))
    return changes


def _trend_note(points_ns: Integers, points: Floats) -> str:
    days = (points_ns - points_ns[0]) / DAY_NS
    away = days - days.mean()
    slope = float(away @ (points - mean_of(points))) / float(away @ away)
    return f"the level changes steadily, by {number_text(slope)} a day: a straight line explains it better than steps"
