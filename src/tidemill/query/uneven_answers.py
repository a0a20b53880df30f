"""The answers of analyses that take samples at uneven times, as the API documents them: see `analysis_answers.py`."""

from typing import Literal

import msgspec

from tidemill.query.analysis_answers import Analysed


class CoverageGap(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A span [from, to) without a value; `missing` is how many were expected in it (null: not known)."""

    from_: str
    to: str
    missing: int | None


class CoverageAnswer(Analysed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """How complete a series is in [from, to): `share` is `filled` of the `expected` slots of `interval`.

    `count` is of values, `missing` of samples without one, `doubled` of values beyond the first of their slot.
    `interval_by` says who expects the interval: the `request`, the `feed`, or the `times` themselves; without a common
    one it is null, as are the members that need it, and a gap is more than five median intervals. `gap_count` and
    `gap_s` (seconds) are of all gaps, `gaps` are the longest of them in order of time, `longest` is null where there is
    none. `notes` say what to ask instead.
    """

    count: int
    missing: int
    interval: str | None
    interval_s: float | None
    interval_by: Literal["request", "feed", "times"] | None
    from_: str | None
    to: str | None
    expected: int | None
    filled: int | None
    doubled: int | None
    share: float | None
    gap_count: int
    gap_s: float
    gaps: list[CoverageGap]
    longest: CoverageGap | None
    notes: list[str]


class PeriodogramLine(msgspec.Struct, frozen=True):
    """A peak: `frequency` (Hz) and `period_s`; `power` (0 to 1), the share of the variance that a sine explains; the
    `amplitude` of that sine; the probability that noise alone has so high a peak anywhere (`false_alarm`)."""

    frequency: float
    period_s: float
    power: float
    amplitude: float
    false_alarm: float


class PeriodogramAnswer(Analysed, frozen=True, kw_only=True):
    """A periodogram by Lomb and Scargle's method: the `power` (0 to 1) at each of `frequencies` (Hz), `resolution`
    apart. `dominant` is the strongest peak (null: no variance), `span_s` the time from the first value to the last."""

    count: int
    missing: int
    span_s: float
    resolution: float
    dominant: PeriodogramLine | None
    peaks: list[PeriodogramLine]
    frequencies: list[float]
    power: list[float]


class ComparedPeriod(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The statistics of a side, `from` its first value `to` its last; null: not defined. `observations` were tested,
    worth `effective` independent ones."""

    count: int
    missing: int
    from_: str | None
    to: str | None
    mean: float | None
    median: float | None
    stddev: float | None
    min: float | None
    max: float | None
    total: float | None
    observations: int
    effective: float | None


class MeanTest(msgspec.Struct, frozen=True):
    """The difference of the means of the observations with its bounds; t (null: no variance), its degrees of freedom,
    and the p value of there being no difference."""

    difference: float
    lower: float
    upper: float
    t: float | None
    degrees: float
    p_value: float


class RankTest(msgspec.Struct, frozen=True):
    """The probability that the second is the larger one (ties: half), and the p value of it being one half."""

    probability: float
    p_value: float


class ComparedProfile(msgspec.Struct, frozen=True):
    """The means of both sides by hour (0 to 23) or weekday (1: Monday) of `tz`; null: no value."""

    by: Literal["hour", "weekday"]
    group: list[int]
    first: list[float | None]
    second: list[float | None]
    difference: list[float | None]


class ComparisonAnswer(Analysed, frozen=True, kw_only=True):
    """Two sides compared; differences are second minus first, `relative` is the difference over |mean of the first|.

    `other` is the series of the second side. `observation` is what was tested: means of whole days, or values; in pairs
    where `is_paired`, and `correlation` is that of the pairs. `level` is in percent; `is_significant`: the p value of
    the `mean_test` is below what it leaves. null: not defined, or too few observations.
    """

    other: str
    tz: str | None
    first: ComparedPeriod
    second: ComparedPeriod
    difference: float | None
    relative: float | None
    total_difference: float | None
    observation: Literal["value", "day"]
    is_paired: bool
    correlation: float | None
    level: float
    mean_test: MeanTest | None
    rank_test: RankTest | None
    is_significant: bool | None
    profiles: list[ComparedProfile]
    sentences: list[str]
