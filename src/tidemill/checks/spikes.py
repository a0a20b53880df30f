"""The modified z-score of Iglewicz & Hoaglin (1993, How to Detect and Handle Outliers, eq. 3.1), 0.6745 (x - median) /
MAD, of one value against others and of many values at once. Both give the same bits."""

from typing import Final

import numpy as np

from tidemill.checks.look_back import Floats, Ints

_NORMAL: Final = 0.6745  # the third quartile of the standard normal: makes MAD comparable with a standard deviation
_CELLS: Final = 1 << 18  # numbers in one table: 2 MiB, what a core's own cache holds


def robust_z_of(value: float, others: list[float], min_deviation: float) -> float:
    """The modified z-score of a value against `others` (at least one); 0 where MAD and `min_deviation` are 0."""
    median = _median(sorted(others))
    spread = max(_median(sorted(abs(other - median) for other in others)), min_deviation)
    return _NORMAL * (value - median) / spread if spread > 0 else 0.0


def robust_z(values: Floats, past: Floats, first: Ints, stop: Ints, min_deviation: float) -> Floats:
    """The modified z-score of each value against its `past[first:stop]`; none of these may be empty."""
    scores = np.empty(len(values))
    rows = max(1, _CELLS // int((stop - first).max(initial=1)))
    for begin in range(0, len(values), rows):
        part = slice(begin, begin + rows)
        scores[part] = _scores(values[part], past, first[part], stop[part], min_deviation)
    return scores


def _scores(values: Floats, past: Floats, first: Ints, stop: Ints, min_deviation: float) -> Floats:
    count = stop - first
    width = int(count.max())
    indexes = first[:, None] + np.arange(width)
    if count.min() == width:
        table = past[indexes]
    else:  # shorter rows are filled with NaN, which sorts last
        table = np.where(indexes < stop[:, None], past[np.minimum(indexes, len(past) - 1)], np.nan)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        median = _medians(table, count)
        table -= median[:, None]
        np.abs(table, out=table)
        spread = np.maximum(_medians(table, count), min_deviation)
        return np.where(spread > 0, _NORMAL * (values - median) / spread, 0.0)


def _medians(table: Floats, count: Ints) -> Floats:
    """The median of the first `count` numbers of each row; sorts the rows."""
    table.sort(axis=1)
    rows = np.arange(len(table))
    return (table[rows, (count - 1) // 2] + table[rows, count // 2]) / 2


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return (ordered[(len(ordered) - 1) // 2] + ordered[middle]) / 2
