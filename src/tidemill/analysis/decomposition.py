"""Decomposition of a series into trend, seasons and rest, robust against outliers, for several seasons at once."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Extreme(msgspec.Struct, frozen=True):
    """A smallest or largest value, and when it was."""

    at_ns: int
    value: float


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a series: `trend`, a season (`day`, `week`, `year`, `cycle`; its length in `steps`) or `rest`.

    `values` has one element for each slot; null in the rest where the series has no value. `share` is the part's share
    of the variance (null: a constant): shares of all parts add up to 1. `strength` (0 to 1) is that of a trend or
    season beside the rest.
    """

    name: str
    steps: int | None
    values: list[float | None]
    share: float | None
    strength: float | None
    stddev: float | None
    lowest: Extreme | None
    highest: Extreme | None


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """A series as the sum of `trend`, `seasons` (shortest first) and `rest`, at each of `times_ns`."""

    count: int
    missing: int
    interval: str
    tz: str | None
    times_ns: list[int]
    values: list[float | None]
    trend: Component
    seasons: list[Component]
    rest: Component
    notes: list[str]


def decompose(
    times_ns: Integers, values: Floats, *, tz: str | None = None, seasons: Sequence[int] | None = None
) -> Decomposition:
    """The trend, the seasons and the rest of a series; `seasons` in steps, else those that are detected."""
    raise NotImplementedError
