"""Profiles: how a series looks by hour of the day, weekday and month of a time zone's calendar.

Days of a clock change have 23 or 25 hours. Each value counts in the local hour in which it lies, so a doubled hour has
twice the values of others and the missing one none; a profile of means is right in both.
"""

from typing import Final, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_QUARTER: Final = pl.col("value") / 4  # of the value: differences of the largest doubles overflow
Grouping = Literal["hour", "weekday", "month", "hour_weekday"]

HOURS: Final = tuple(range(24))
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PARTS: Final[dict[Grouping, tuple[str, ...]]] = {
    "hour": ("hour",),
    "weekday": ("weekday",),
    "month": ("month",),
    "hour_weekday": ("weekday", "hour"),
}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the values of each group, in the order of the calendar; groups without a value are left out.

    `hour` is 0 to 23, `weekday` 1 (Monday) to 7, `month` 1 to 12; null where the grouping has no such part. `p10` and
    `p90` are quantiles, `stddev` divides by n - 1 (null for one value, and where a double cannot hold it).
    """

    by: Grouping
    tz: str
    hour: list[int] | None
    weekday: list[int] | None
    month: list[int] | None
    count: list[int]
    mean: list[float]
    median: list[float]
    stddev: list[float | None]
    min: list[float]
    max: list[float]
    p10: list[float]
    p90: list[float]


class CalendarDays(msgspec.Struct, frozen=True, kw_only=True):
    """One entry for each local day with a value: its date, how many hours it has in its zone (23 to 25), and the
    statistics of its values (`sum` null: a double cannot hold it)."""

    tz: str
    date: list[str]
    hours: list[float]
    count: list[int]
    mean: list[float]
    sum: list[float | None]
    min: list[float]
    max: list[float]


def profile(times_ns: NDArray[np.int64], values: Floats, by: Grouping, tz: str = "UTC") -> Profile:
    """The profile of `values` (float64; NaN: missing) at `times_ns` (int64 ns, UTC) on the wall clock of `tz`."""
    parts = _PARTS[by]
    groups = (
        _local(times_ns, values, tz)
        .group_by(*(_part(name).alias(name) for name in parts))
        .agg(
            count=pl.len(),
            mean=_mean(),
            median=4 * _QUARTER.median(),
            stddev=_deviation(),
            min=pl.col("value").min(),
            max=pl.col("value").max(),
            p10=4 * _QUARTER.quantile(0.1, "linear"),
            p90=4 * _QUARTER.quantile(0.9, "linear"),
        )
        .sort(parts)
    )
    columns = groups.to_dict(as_series=False)
    return msgspec.convert({"by": by, "tz": tz, "hour": None, "weekday": None, "month": None, **columns}, Profile)


def calendar_days(times_ns: NDArray[np.int64], values: Floats, tz: str = "UTC") -> CalendarDays:
    """The statistics of each local day of `values` (float64; NaN: missing) at `times_ns` (int64 ns, UTC)."""
    day = pl.col("time").dt.truncate("1d")
    groups = (
        _local(times_ns, values, tz)
        .group_by(day.alias("day"))
        .agg(
            count=pl.len(),
            mean=_mean(),
            sum=_finite(pl.col("value").sum()),
            min=pl.col("value").min(),
            max=pl.col("value").max(),
        )
        .sort("day")
        .with_columns(
            date=pl.col("day").dt.strftime("%Y-%m-%d"),
            hours=(pl.col("day").dt.offset_by("1d") - pl.col("day")).dt.total_minutes() / 60,
        )
    )
    return msgspec.convert({"tz": tz, **groups.drop("day").to_dict(as_series=False)}, CalendarDays)


def _mean() -> pl.Expr:
    """The mean of a group; a sum that overflows is taken of the values over their number."""
    value = pl.col("value")
    mean = value.mean()
    return pl.when(mean.is_finite()).then(mean).otherwise((value / pl.len()).sum())


def _deviation() -> pl.Expr:
    """The standard deviation of a group; where squares overflow or vanish, by shares of the largest magnitude."""
    value = pl.col("value")
    size = value.abs().max()
    has_squares = size.is_between(1e-140, 1e140) | (size == 0)
    return pl.when(has_squares).then(value.std()).otherwise(_finite((value / size).std() * size))


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def _local(times_ns: NDArray[np.int64], values: Floats, tz: str) -> pl.DataFrame:
    """The present values with their local `time`."""
    frame = pl.DataFrame({"time": times_ns, "value": values})
    local = pl.col("time").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(tz)
    return frame.filter(pl.col("value").is_not_nan()).with_columns(local)


def _part(name: str) -> pl.Expr:
    time = pl.col("time").dt
    return {"hour": time.hour, "weekday": time.weekday, "month": time.month}[name]()
