"""The aggregates of a window of points: their names, what each means, and what the store must read for them."""

import re
from collections.abc import Sequence
from typing import Final

from tidemill.query.readers import Context, nearest, read_each

AGGREGATES: Final = (
    "mean", "min", "max", "sum", "count", "missing", "first", "last", "stddev", "median", "mode", "increase", "rate",
    "integral", "time_weighted_mean",
)  # fmt: skip
COUNTS: Final = frozenset({"count", "missing"})  # whole numbers without a unit; 0 in a window that is filled
FROM_THE_POINT_BEFORE: Final = frozenset({"increase", "rate", "integral", "time_weighted_mean"})
MAX_AGGREGATES: Final = 30  # of one request
MEANING: Final = (
    "`count` is of values, `missing` of samples without one (null); a window of such samples alone is answered only"
    " with `missing`. A quantile interpolates linearly (type 7); `mode` is the most frequent value, of several the"
    " smallest."
    " `increase` is by how much a counter rose from the point before the window to its last one: the sum of the"
    " rises from point to point, where a value that fell counts from 0; `rate` is the same for each second between"
    " those two points. `integral` is the area under the straight lines from point to point over the same time, in"
    " the unit times seconds, and `time_weighted_mean` the integral divided by that time. These four are null where"
    " no point of the window has one before it, and no `fill` makes them up."
)
_QUANTILE: Final = re.compile(r"p(100|\d{1,2}(?:\.\d{1,6})?)", re.ASCII)


def aggregates(text: str, _: Context) -> tuple[str, ...]:
    """A reader of names of aggregates, separated by commas; repeated names are returned once."""
    names = text.split(",")
    if len(names) > MAX_AGGREGATES:
        raise ValueError(f"at most {MAX_AGGREGATES} aggregates at a time")
    return read_each(names, lambda name: check_aggregate(name.strip()))


def check_aggregate(name: str) -> str:
    """The name, if it is that of an aggregate. Raises ValueError."""
    if name in AGGREGATES or _QUANTILE.fullmatch(name):
        return name
    listed = f"{', '.join(AGGREGATES)} or a quantile such as p95"
    raise ValueError(f"must be one of {listed}, not '{name[:40]}'{nearest(name, AGGREGATES)}")


def quantile_names(names: Sequence[str]) -> list[str]:
    """Those of the names that are quantiles."""
    return [name for name in names if _QUANTILE.fullmatch(name)]


def quantile_level(name: str) -> float:
    """The level of a quantile from 0 to 1: 0.95 of `p95`."""
    return float(name[1:]) / 100


def aggregate_units(unit: str, names: Sequence[str]) -> dict[str, str]:
    """The unit of each aggregate, of a series of this unit, that has one."""
    forms = {"rate": f"{unit}/s", "integral": f"{unit}·s"}
    return {name: forms.get(name, unit) for name in names if unit and name not in COUNTS}
