"""Coverage of a series: how many of the expected values are there, and where the gaps are."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_GAPS: Final = 1_000
_UNEVEN_GAP: Final = 5  # median intervals without a value are a gap of a series without a common interval


class Gap(msgspec.Struct, frozen=True):
    """A span [from_ns, to_ns) without a value; `missing` is how many values were expected in it (null: not known)."""

    from_ns: int
    to_ns: int
    missing: int | None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How complete a series is in [from_ns, to_ns).

    `count` is of present values, `nulls` of times whose value is missing. With a common interval (`interval` in words,
    `interval_s` its median length in seconds) there are `expected` slots, `filled` of which have a value; `share` is
    filled / expected, and `doubled` counts values beyond the first of their slot. Without one these are null.
    `gap_count` counts all gaps; `gaps` has at most `most` of them, the longest ones, in order of time; `longest` is
    null where there is no gap.
    """

    count: int
    nulls: int
    interval: str | None
    interval_s: float | None
    from_ns: int | None
    to_ns: int | None
    expected: int | None
    filled: int | None
    doubled: int | None
    share: float | None
    gap_count: int
    gaps: list[Gap]
    longest: Gap | None


def coverage(
    times_ns: Integers,
    values: Floats,
    *,
    interval_ns: int | None = None,
    from_ns: int | None = None,
    to_ns: int | None = None,
    tz: str | None = None,
    most: int = MAX_GAPS,
) -> Coverage:
    """The coverage of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC).

    share = slots with a value / slots expected in [`from_ns`, `to_ns`). The interval is the expected one, `interval_ns`,
    or else recognised: months, or the median where 80 % of the intervals are multiples of it. Without `from_ns` and
    `to_ns` the range begins at the first value and ends an interval after the last. Days and months are those of `tz`.
    A series without a common interval has gaps where more than five median intervals have no value.
    """
    raise NotImplementedError
