"""Comparison of two periods of a series, or of two series: means, totals, profiles, and whether the difference is
more than chance."""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Observation = Literal["value", "day"]


class ComparedSide(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of a side; null: not defined. `observations` were tested, worth `effective` independent ones."""

    count: int
    missing: int
    from_ns: int | None
    to_ns: int | None
    mean: float | None
    median: float | None
    stddev: float | None
    min: float | None
    max: float | None
    total: float | None
    observations: int
    effective: float | None


class MeanTest(msgspec.Struct, frozen=True, kw_only=True):
    """A t test of the difference of means: `lower` to `upper` holds it with confidence `level`."""

    observation: Observation
    paired: bool
    level: float
    lower: float
    upper: float
    t: float | None
    degrees: float
    p_value: float


class RankTest(msgspec.Struct, frozen=True, kw_only=True):
    """Mann and Whitney's test: `probability` that an observation of the second side is the larger one (ties: half)."""

    probability: float
    p_value: float


class ProfileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The means of both sides by hour (0 to 23) or weekday (1: Monday) of the local time; null: no value."""

    by: Literal["hour", "weekday"]
    group: list[int]
    first: list[float | None]
    second: list[float | None]
    difference: list[float | None]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides compared; differences are second minus first, `relative` is the difference over |mean of the first|."""

    first: ComparedSide
    second: ComparedSide
    tz: str | None
    difference: float | None
    relative: float | None
    total_difference: float | None
    correlation: float | None
    mean_test: MeanTest | None
    rank_test: RankTest | None
    profiles: list[ProfileDifference]
    sentences: list[str]


def compare(
    first_times_ns: Integers,
    first_values: Floats,
    second_times_ns: Integers,
    second_values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    level: float = 0.95,
) -> Comparison:
    """The comparison of two periods or two series."""
    raise NotImplementedError
