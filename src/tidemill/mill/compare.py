"""Compares rollup windows with the published ones. Live batches, the preview of replays and their publication use this
same comparison.
"""

from typing import Any, Final

import polars as pl

# Of the largest value in the window. The store adds up in another order than Polars, and in another one after a merge:
# adding n values in any order errs by at most (n - 1) units in the last place of their absolute sum (Higham 2002,
# Accuracy and Stability of Numerical Algorithms, section 4.2), in practice by a few. 18 of them, so that 0.3 and
# 0.1 + 0.2 are the same. A window none of whose values changed is not compared by its mean at all.
ROUNDING: Final = 4e-15

WINDOW_CHANGES: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "window": pl.Int64,
    "old_mean": pl.Float64,
    "new_mean": pl.Float64,
    "old_count": pl.UInt64,
    "new_count": pl.UInt64,
}
_KEY: Final = ["series", "window"]


def window_changes(windows: pl.DataFrame, published: pl.DataFrame, present: pl.DataFrame) -> pl.DataFrame:
    """WINDOW_CHANGES of those `windows` that differ from what is published of them. Pure.

    `windows` has `series`, `window` and `moved`: whether a value in the window may have changed; where none did, the
    window differs by its count only. `published` and `present` have `series`, `window`, `count`, `mean`, `min`,
    `max`; a window without a row, or with count 0, has no points there, and its mean is null here.
    """
    old = published.filter(pl.col("count") > 0).select(
        *_KEY, old_mean="mean", old_count="count", old_largest=_largest()
    )
    new = present.filter(pl.col("count") > 0).select(*_KEY, new_mean="mean", new_count="count", new_largest=_largest())
    both = windows.join(old, on=_KEY, how="left").join(new, on=_KEY, how="left", maintain_order="left")
    both = both.with_columns(pl.col("old_count", "new_count").fill_null(0))
    largest = pl.max_horizontal("old_largest", "new_largest")
    mean_differs = (pl.col("old_mean") - pl.col("new_mean")).abs() > ROUNDING * largest
    differs = (pl.col("old_count") != pl.col("new_count")) | (pl.col("moved") & mean_differs.fill_null(False))
    return both.filter(differs).select(pl.col(name).cast(kind) for name, kind in WINDOW_CHANGES.items())


def _largest() -> pl.Expr:
    """The largest absolute value of a window."""
    return pl.max_horizontal(pl.col("min").abs(), pl.col("max").abs())
