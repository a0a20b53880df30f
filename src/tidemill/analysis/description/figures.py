"""The figures of a description: what is measured of a series before a rule says what it is."""

from typing import Literal

import msgspec

from tidemill.analysis.description.registers import Register
from tidemill.analysis.periods import Period

Measure = Literal["energy", "power", "temperature", "irradiance", "other"]


class NightFigures(msgspec.Struct, frozen=True):
    """The night: hours [`from_hour`, `to_hour`) of the local day that are zero on more than nine of ten days.

    Zero is what is within 0.5 % of the largest value: inverters have a standby. `zero_share` of all values are.

    `middle_hour` is where the values of the day between have their centre. `bell` is the correlation of their profile
    with a half cosine; `roughness` its way up and down over twice its range (1: one rise and one fall).
    """

    from_hour: int
    to_hour: int
    zero_share: float
    middle_hour: float
    bell: float
    roughness: float


class DayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The local day of a series: means by hour of the day (24; null: no value), the hours [`peak_from`, `peak_to`) in
    which they are high, and the hours of the largest and the smallest mean.

    `share` is the part of the variance that the profile explains. Totals are of `days` whole days, in `total_unit`;
    `dead_share` is the part of the days whose total is less than 2 % of the median. `night` is null without one.
    """

    hour_means: list[float | None]
    peak_hour: int
    peak_from: int
    peak_to: int
    low_hour: int
    share: float
    days: int
    total_unit: str | None
    total_min: float | None
    total_median: float | None
    total_max: float | None
    dead_share: float
    night: NightFigures | None


class WeekFigures(msgspec.Struct, frozen=True):
    """Days of the week, tested over the means of days and not over values.

    `weekend_ratio` is the mean of Saturdays and Sundays over that of the other days (null: that is 0 or less), with
    Welch's `weekend_t`; `strongest_t` is the largest |t| of one day of the week against the others. At most 1e6.
    """

    weekend_ratio: float | None
    weekend_t: float
    strongest_t: float


class Memory(msgspec.Struct, frozen=True):
    """How values depend on those before: the autocorrelation `acf1` of neighbours and `acf1_of_steps` of neighbouring
    differences; whether values and differences are white noise, by their first 24 autocorrelations; and after how many
    seconds the autocorrelation is below 1/e (null: it never is in a quarter of the series)."""

    acf1: float
    acf1_of_steps: float | None
    is_white: bool
    steps_are_white: bool
    lasts_s: float | None


class BaseLoad(msgspec.Struct, frozen=True):
    """The load that is always there: the median over days of the day's 10 % quantile, in the series' unit and in watts
    (null: the unit is no energy or power), and its share of all."""

    value: float
    watts: float | None
    share: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a series. null: not defined, or not measured because there is too little.

    Shares are 0 to 1. `measure` is what the unit measures. `sampling` says on which windows an uneven series was
    analysed (a length such as `1m`, `hour`, `day`; null: on its own interval). `period_s` are the lengths of the
    `periods` in seconds.
    `falling_share` is that of differences below 0. `per_day` is the sum of the rises, a day. `trend_per_day` is a
    robust slope, null where no trend stands out.
    """

    count: int
    missing: int
    from_ns: int | None
    to_ns: int | None
    interval: str | None
    interval_s: float | None
    sampling: str | None
    coverage: float | None
    longest_gap_s: float | None
    measure: Measure
    min: float | None
    max: float | None
    mean: float | None
    median: float | None
    stddev: float | None
    distinct: int
    whole_numbers: bool
    zero_share: float | None
    negative_share: float | None
    falling_share: float | None
    per_day: float | None
    changes_per_day: float | None
    periods: list[Period]
    period_s: list[float]
    memory: Memory | None
    trend_per_day: float | None
    day: DayFigures | None
    week: WeekFigures | None
    base_load: BaseLoad | None
    register: Register | None
