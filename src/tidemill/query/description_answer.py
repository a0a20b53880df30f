"""The answer that says what a series is, as the API documents it; `analysis/description` says how it is decided."""

from typing import Literal

import msgspec

from tidemill.analysis.periods import Period
from tidemill.query.analysis_answers import Analysed


class DescribedNight(msgspec.Struct, frozen=True):
    """The hours of the local day that are zero on more than nine of ten days, and the shape of the day between."""

    from_hour: int
    to_hour: int
    middle_hour: float
    bell: float
    roughness: float


class DescribedDay(msgspec.Struct, frozen=True, kw_only=True):
    """The local day: means by hour, the hours in which they are high, and totals of whole days."""

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
    night: DescribedNight | None


class DescribedWeek(msgspec.Struct, frozen=True):
    """Weekends beside other days, and tests over the means of days."""

    weekend_ratio: float | None
    weekend_t: float
    strongest_t: float


class DescribedMemory(msgspec.Struct, frozen=True):
    """How values depend on those before, and for how many seconds."""

    acf1: float
    acf1_of_steps: float | None
    is_white: bool
    steps_are_white: bool
    lasts_s: float | None


class DescribedBaseLoad(msgspec.Struct, frozen=True):
    """The load that is always there, in the unit of the series and in watts, and its share of all."""

    value: float
    watts: float | None
    share: float


class DescribedRegister(msgspec.Struct, frozen=True):
    """What the register code of the field says."""

    code: str
    quantity: str
    direction: str | None
    is_counter: bool


class DescribedFigures(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """What was measured. Shares are 0 to 1; null: not defined, or not measured because there is too little."""

    count: int
    missing: int
    from_: str | None
    to: str | None
    interval: str | None
    interval_s: float | None
    sampling: str | None
    coverage: float | None
    longest_gap_s: float | None
    measure: str
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
    memory: DescribedMemory | None
    trend_per_day: float | None
    day: DescribedDay | None
    week: DescribedWeek | None
    base_load: DescribedBaseLoad | None
    register: DescribedRegister | None


Kind = Literal[
    "empty", "too_short", "constant", "on_off", "counter", "generation", "consumption", "temperature", "activity",
    "periodic", "intermittent", "random_walk", "noise", "persistent",
]  # fmt: skip


class DescriptionAnswer(Analysed, frozen=True, kw_only=True):
    """What a series is: its kind, sentences that say so, and the figures behind them. Hours are those of `tz`."""

    kind: Kind
    sentences: list[str]
    tz: str | None
    figures: DescribedFigures
