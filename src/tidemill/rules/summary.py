"""Mean, standard deviations and count of the numbers in each record (shape `summary`).

Two passes (the deviations are taken from the mean), as in Chan, Golub & LeVeque (1983), so that a large mean costs no
digits. Where squares or sums leave the range of a double, the same is computed on numbers scaled by their largest.
"""

import math
from collections.abc import Sequence
from typing import Final

import polars as pl

SUMMARY: Final = ("mean", "stddev", "stddev_pop", "count")


def add_summary(frame: pl.DataFrame, field: str) -> pl.DataFrame:
    """The frame with `f.mean`, `f.stddev` (sample, n - 1; null for one number), `f.stddev_pop` and `f.count` instead of
    the list column `f.<field>`. A figure that no double can hold is infinite."""
    numbers = pl.col(f"f.{field}").list
    found = frame.with_columns(
        numbers.mean().alias("f.mean"),
        numbers.std(1).alias("f.stddev"),
        numbers.std(0).alias("f.stddev_pop"),
        numbers.len().cast(pl.Float64).alias("f.count"),
    )
    figures = [pl.col("f.mean"), pl.col("f.stddev").fill_null(0.0), pl.col("f.stddev_pop")]
    odd = found.select(~pl.all_horizontal([figure.is_finite() for figure in figures])).to_series().arg_true()
    for row in odd.to_list():
        values = summarise(found[f"f.{field}"][row].to_list())
        for name, value in zip(SUMMARY, values, strict=True):
            found[row, f"f.{name}"] = value
    return found.drop(f"f.{field}")


def summarise(numbers: Sequence[float]) -> tuple[float, float | None, float, float]:
    """(mean, sample standard deviation or None, population standard deviation, count) of at least one finite number."""
    scale = max(abs(number) for number in numbers) or 1.0
    count = len(numbers)
    mean = math.fsum(number / scale for number in numbers) / count
    squares = math.fsum((number / scale - mean) ** 2 for number in numbers)
    sample = math.sqrt(squares / (count - 1)) * scale if count > 1 else None
    return mean * scale, sample, math.sqrt(squares / count) * scale, float(count)
