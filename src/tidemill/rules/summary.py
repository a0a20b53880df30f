"""Mean, standard deviations and count of the numbers in each record (shape `summary`).

Corrected two-pass algorithm (Chan, Golub & LeVeque, 1983, eq. 1.7): deviations are taken from a first mean, and their
sum corrects the result, so that a large mean costs no digits. Where sums or squares leave the range of a double, the
figures are computed on numbers scaled by the largest.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from tidemill.feeds.definition import SUMMARY


def add_summary(frame: pl.DataFrame, field: str) -> pl.DataFrame:
    """The frame with `f.mean`, `f.stddev` (sample, n - 1; null for one number), `f.stddev_pop` and `f.count` instead of
    the list column `f.<field>`. A figure beyond the range of a double is infinite."""
    lists = frame[f"f.{field}"]
    count = lists.list.len().to_numpy()
    if not len(count):
        return frame.drop(f"f.{field}").with_columns(pl.lit(0.0).alias(f"f.{name}") for name in SUMMARY)
    flat, starts = lists.explode().to_numpy(), np.cumsum(count, dtype=np.int64) - count
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        first = np.add.reduceat(flat, starts) / count
        deviations = flat - np.repeat(first, count)
        rest = np.add.reduceat(deviations, starts) / count
        squares = np.maximum(np.add.reduceat(deviations**2, starts) - count * rest**2, 0.0)
        figures = [first + rest, np.sqrt(squares / (count - 1.0)), np.sqrt(squares / count), count.astype(np.float64)]
    for row in np.flatnonzero(~np.isfinite(figures[0]) | ~np.isfinite(squares)).tolist():
        for figure, value in zip(figures, summarise(lists[row].to_list()), strict=True):
            figure[row] = math.nan if value is None else value
    columns = [pl.Series(f"f.{name}", figure) for name, figure in zip(SUMMARY, figures, strict=True)]
    single = pl.Series(count == 1)
    return (
        frame.drop(f"f.{field}")
        .with_columns(columns)
        .with_columns(pl.when(~single).then(pl.col("f.stddev")).alias("f.stddev"))
    )


def summarise(numbers: Sequence[float]) -> tuple[float, float | None, float, float]:
    """(mean, sample standard deviation or None, population standard deviation, count) of at least one finite number."""
    scale = max(abs(number) for number in numbers) or 1.0
    count = len(numbers)
    mean = math.fsum(number / scale for number in numbers) / count
    squares = math.fsum((number / scale - mean) ** 2 for number in numbers)
    sample = math.sqrt(squares / (count - 1)) * scale if count > 1 else None
    return mean * scale, sample, math.sqrt(squares / count) * scale, float(count)
