"""Change points: where the level of a series changes, judged by its long-run variance."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.periods import Period

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_BLOCKS: Final = 2_000


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
    """The changes of the level of a series."""
    raise NotImplementedError
