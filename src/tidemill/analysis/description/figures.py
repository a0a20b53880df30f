"""The figures of a description: what is measured of a series before a rule says what it is."""

import msgspec

from tidemill.analysis.periods import Period


class Register(msgspec.Struct, frozen=True):
    """What a register code (OBIS, IEC 62056-61) says: `code` as A-B:C.D.E*F where given, `quantity` in words,
    `direction` `import`, `export` or null, `is_counter` for a reading that only rises."""

    code: str
    quantity: str
    direction: str | None
    is_counter: bool


class DayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The local day of a series: means by hour of the day (`hour_means`, 24; null: no value), the hours in which it is
    high (`peak_from` to `peak_to`, the end not included) and the hour in which it is lowest.

    Totals are of whole days (`days` of them): smallest, median and largest. `zero_from` to `zero_to` are the hours
    that are zero on nearly every day, `middle_hour` is the centre of the others (null: there are none).
    """

    days: int
    hour_means: list[float | None]
    peak_from: int
    peak_to: int
    low_hour: int
    total_min: float | None
    total_median: float | None
    total_max: float | None
    zero_from: int | None
    zero_to: int | None
    middle_hour: float | None


class WeekendFigures(msgspec.Struct, frozen=True):
    """Means of days at weekends over those of other days: their `ratio`, with a `t` over days, not over values."""

    ratio: float | None
    t: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a series. null: not defined, or not measured because there is too little.

    Shares are 0 to 1. `trend_per_day` is a robust slope (the series' unit), null where none stands out. `base_load` is
    the median over days of the day's 10 % quantile, `base_load_w` the same in watts, `base_share` its share of the
    total. `acf1` is the autocorrelation of neighbouring values, `acf1_of_steps` that of their differences.
    """

    count: int
    missing: int
    from_ns: int | None
    to_ns: int | None
    interval: str | None
    interval_s: float | None
    coverage: float | None
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
    acf1: float | None
    acf1_of_steps: float | None
    periods: list[Period]
    trend_per_day: float | None
    day: DayFigures | None
    weekend: WeekendFigures | None
    base_load: float | None
    base_load_w: float | None
    base_share: float | None
    register: Register | None
