"""The answers of analyses, as the API documents them: lists are columns of one length unless said otherwise.

The worker processes write them (`analysis_tasks.py`); a test reads each answer strictly as its struct. null: missing or
not defined, never NaN. Times are RFC 3339, UTC or with the offset of `tz` where a request names one.
"""

import msgspec

from tidemill.analysis.forecast.answer import ModelScore, ModelWeight
from tidemill.analysis.periods import Period


class AsOf(msgspec.Struct, frozen=True):
    """The state of the points that an answer was computed from: the highest offset applied to them in its range, and
    the time of the last one there."""

    seq: int
    last: str | None


class Analysed(msgspec.Struct, frozen=True, kw_only=True):
    """What was analysed: the samples from `start` to `end` (both included), or with `every` the aggregate `agg` of
    windows. `unit` is that of the values."""

    id: str
    unit: str | None
    every: str | None
    agg: str | None
    start: str | None
    end: str | None
    as_of: AsOf


class ForecastBounds(msgspec.Struct, frozen=True):
    """The lower and the upper bound of each value."""

    lower: list[float]
    upper: list[float]


class BackTestAnswer(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """How the forecast did before: `origins` forecasts of the full horizon, from values it had not seen.

    `models` has the answer first, then each candidate by its mean absolute error `mae`. `coverage` is the share of
    values within the bounds of each level. `ratio_to_seasonal_naive` below 1: better than repeating the last season.
    """

    origins: int
    from_: str
    to: str
    models: list[ModelScore]
    coverage: dict[str, float | None]
    ratio_to_seasonal_naive: float | None


class ForecastBaseline(msgspec.Struct, frozen=True):
    """What the naive forecast says that did best in the back-test: the last value, or the last season, repeated.
    `mase_scale` is what MASE divides an error by; null where that is 0."""

    model: str
    values: list[float]
    mase_scale: float | None


class UsedHistory(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The history that a forecast used: `points` slots, `filled` of which had no value."""

    points: int
    from_: str
    to: str
    filled: int


class ForecastAnswer(Analysed, frozen=True, kw_only=True):
    """A forecast: `values` at `times`, with bounds by level; `baseline` has a value at each of `times`, too. `backtest`
    is null for a constant."""

    interval: str
    horizon: int
    model: str
    chosen: list[ModelWeight]
    times: list[str]
    values: list[float]
    levels: dict[str, ForecastBounds]
    periods: list[Period]
    backtest: BackTestAnswer | None
    baseline: ForecastBaseline
    used: UsedHistory
    notes: list[str]


class AutocorrelationAnswer(Analysed, frozen=True, kw_only=True):
    """Autocorrelation `acf` and `bartlett`, the half width of its bound, at lags 0 to n; `pacf` may end earlier.

    `white` is the half width of the band of white noise. `periods` are those detected; none is a valid answer.
    """

    interval: str
    count: int
    missing: int
    level: float
    white: float | None
    acf: list[float | None]
    pacf: list[float | None]
    bartlett: list[float | None]
    periods: list[Period]


class CorrelationAnswer(Analysed, frozen=True, kw_only=True):
    """The correlation with the series `other` at each of `lags` intervals (positive: it follows), the one of the
    largest magnitude, and what was taken out of both first (`trend`)."""

    other: str
    interval: str
    count: int
    trend: str
    level: float
    white: float | None
    lags: list[int]
    correlation: list[float | None]
    best_lag: int | None
    best: float | None


class SpectrumPeak(msgspec.Struct, frozen=True):
    """A line of a spectrum: its frequency in Hz, and the amplitude of the sine that makes it."""

    frequency: float
    amplitude: float


class SpectrumBand(msgspec.Struct, frozen=True):
    """The part of the variance between two frequencies in Hz: `power`, and its share of the whole."""

    low: float
    high: float
    power: float
    share: float | None


class FrequencyMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The frequency domain by Welch's method: `resolution` is the distance of frequencies; `dominant` is the strongest
    peak (null: no variance), `centroid` the mean frequency weighted by density; missing samples are interpolated."""

    count: int
    missing: int
    sampling_hz: float
    window: str
    segment: int
    segments: int
    resolution: float
    dominant: SpectrumPeak | None
    peaks: list[SpectrumPeak]
    centroid: float | None
    bands: list[SpectrumBand]


class SpectrumAnswer(Analysed, frozen=True, kw_only=True):
    """A spectrum by Welch's method: `density` (unit squared a Hz) at `frequencies` (Hz), and what it tells."""

    count: int
    missing: int
    sampling_hz: float
    window: str
    segment: int
    segments: int
    resolution: float
    dominant: SpectrumPeak | None
    peaks: list[SpectrumPeak]
    centroid: float | None
    bands: list[SpectrumBand]
    frequencies: list[float]
    density: list[float]


class DistributionAnswer(Analysed, frozen=True, kw_only=True):
    """A histogram, whose `edges` are one more than its `counts`, and `quantiles` at `probabilities`."""

    count: int
    missing: int
    zeros: int
    distinct: int
    edges: list[float]
    counts: list[int]
    probabilities: list[float]
    quantiles: list[float]


class DurationAnswer(Analysed, frozen=True, kw_only=True):
    """The load-duration curve: `values[n]` was reached or exceeded for `share[n]` of the `hours` that have values."""

    interval: str
    hours: float
    share: list[float]
    values: list[float]


class ProfileAnswer(Analysed, frozen=True, kw_only=True):
    """Statistics of each group of values, in the order of the calendar of `tz`; weekday 1 is Monday."""

    by: str
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


class CalendarAnswer(Analysed, frozen=True, kw_only=True):
    """Each day of `tz` with a value: its length in hours (23 to 25), and the statistics of its values."""

    tz: str
    date: list[str]
    hours: list[float]
    count: list[int]
    mean: list[float]
    sum: list[float | None]
    min: list[float]
    max: list[float]


class UnusualValue(msgspec.Struct, frozen=True):
    """A value that is not usual at its time: the range `low` to `high` is, and `reason` says so in words."""

    at: str
    value: float
    expected: float
    low: float
    high: float
    score: float
    reason: str


class AnomaliesAnswer(Analysed, frozen=True, kw_only=True):
    """The strongest of `anomaly_count` anomalies, in order of time. `below` and `above` are the usual sizes of
    deviations on either side, after `periods` and the median of `window` slots were taken out."""

    count: int
    missing: int
    interval: str
    tz: str | None
    threshold: float
    periods: list[Period]
    window: int
    below: float | None
    above: float | None
    anomaly_count: int
    anomalies: list[UnusualValue]
    notes: list[str]


class LevelChange(msgspec.Struct, frozen=True):
    """A change of level: `at` is the first value after it, `index` values come before it."""

    at: str
    index: int
    before: float
    after: float
    difference: float
    score: float


class LevelSegment(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A stretch between two changes, both ends included."""

    from_: str
    to: str
    count: int
    mean: float


class ChangePointsAnswer(Analysed, frozen=True, kw_only=True):
    """The changes of level, and the segments between them. `noise` is the long-run standard deviation."""

    count: int
    missing: int
    interval: str | None
    periods: list[Period]
    block: int
    noise: float | None
    penalty: float | None
    changes: list[LevelChange]
    segments: list[LevelSegment]
    notes: list[str]


class ExtremeValue(msgspec.Struct, frozen=True):
    """A smallest or largest value, and when it was."""

    at: str
    value: float


class DecompositionPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a series, with its share of the variance and its strength beside the rest."""

    name: str
    steps: int | None
    values: list[float | None]
    share: float | None
    strength: float | None
    stddev: float | None
    lowest: ExtremeValue | None
    highest: ExtremeValue | None


class DecompositionAnswer(Analysed, frozen=True, kw_only=True):
    """A series as the sum of its trend, its seasons (the shortest first) and the rest, at each of `times`."""

    count: int
    missing: int
    interval: str
    tz: str | None
    times: list[str]
    values: list[float | None]
    trend: DecompositionPart
    seasons: list[DecompositionPart]
    rest: DecompositionPart
