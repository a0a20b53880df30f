"""A line of small bars for the values of a series."""

import math
from collections.abc import Sequence
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """At most `width` bars, from the lowest value to the highest; a blank where a value is missing. Of more values than
    bars each bar is that of its share which is farthest from the middle of all, so that no extreme is hidden. Equal
    values are bars of half height; no values are an empty text."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return ""
    low, high = min(present), max(present)
    middle = low / 2 + high / 2
    count = min(width, len(values))
    shares = [values[at * len(values) // count : (at + 1) * len(values) // count] for at in range(count)]
    return "".join(_bar(share, low, high, middle) for share in shares)


def _bar(share: Sequence[float | None], low: float, high: float, middle: float) -> str:
    present = [value for value in share if value is not None and math.isfinite(value)]
    if not present:
        return " "
    if high == low:
        return _BARS[3]
    extreme = max(present, key=lambda value: abs(value - middle))
    part = (extreme / 2 - low / 2) / (high / 2 - low / 2)  # halves, because the range may be beyond a float
    return _BARS[min(int(part * len(_BARS)), len(_BARS) - 1)]
