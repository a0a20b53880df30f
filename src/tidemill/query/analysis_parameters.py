"""The queries of analyses: which samples, and what is wanted of them."""

from typing import Annotated, Any, Final, Literal

from tidemill.analysis.distribution import MAX_BINS
from tidemill.analysis.forecast.forecast import MAX_HORIZON, MODELS
from tidemill.query import number_readers, readers
from tidemill.query.aggregates import AGGREGATES
from tidemill.query.parameters import TEXT, Every, Parameter, RangeParameters, limit_to, one_of

# As `analysis` has them, whose modules of these import SciPy: only worker processes do that.
TRENDS: Final = ("none", "mean", "linear", "difference")
WINDOWS: Final = ("hann", "hamming", "blackman", "flattop", "boxcar")
GROUPINGS: Final = ("hour", "weekday", "month", "hour_weekday")
MAX_LAGS: Final = 10_000
MAX_SEGMENT: Final = 1 << 20
_NUMBER: Final = {"type": "number"}


def whole_number(description: str, low: int, high: int) -> Parameter:
    """A parameter that is a whole number within bounds."""
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(f"{description} {low} to {high}.", number_readers.whole(low, high), schema)


Level = Annotated[float, Parameter("Confidence in percent, above 0 and below 100.", number_readers.percent, _NUMBER)]
Lags = Annotated[int | None, whole_number("Number of lags, in intervals of the series.", 1, MAX_LAGS)]
Zone = Annotated[
    str | None,
    Parameter("IANA zone: of hours, days and calendar windows, and of the times in the answer.", readers.zone, TEXT),
]
Peaks = Annotated[int, whole_number("Peaks of the spectrum, the strongest first.", 0, 100)]
Bands = Annotated[
    tuple[tuple[float, float], ...],
    Parameter("Bands in Hz whose power is summed, separated by commas: 0-100,100-1000.", number_readers.bands, TEXT),
]


class AnalysisQuery(RangeParameters, frozen=True):
    """The samples in [start, end): raw, or with `every` the aggregate `agg` of windows."""

    every: Every = None
    agg: Annotated[
        str,
        one_of(
            "What a window of `every` is worth. A first or last window with less than nine tenths of the usual number "
            "of values is left out, because it is not whole.",
            *AGGREGATES,
        ),
    ] = "mean"
    tz: Zone = None

    @property
    def zone(self) -> str:
        """The zone of calendar windows."""
        return self.tz or "UTC"


class ForecastQuery(AnalysisQuery, frozen=True):
    """The values that follow the samples in [start, end)."""

    horizon: Annotated[int, whole_number("How many values to forecast.", 1, MAX_HORIZON)] = 24
    level: Annotated[
        tuple[float, ...],
        Parameter(
            "Bounds: the percents of values that are to lie within, separated by commas.", number_readers.percents, TEXT
        ),
    ] = (80.0, 95.0)
    model: Annotated[str, one_of("The model; `auto` weighs all of them by their back-test.", *MODELS)] = "auto"
    minimum: Annotated[
        float | None, Parameter("No value and no bound is below this.", number_readers.number, _NUMBER)
    ] = None


class AutocorrelationQuery(AnalysisQuery, frozen=True):
    """The autocorrelation of the samples in [start, end)."""

    lags: Lags = None
    level: Level = 95.0


class CorrelationQuery(AnalysisQuery, frozen=True, kw_only=True):
    """The cross-correlation of the samples in [start, end) with those of another series."""

    other: Annotated[str, Parameter("The id of the other series.", readers.series_word, TEXT, name="with")]
    lags: Lags = None
    level: Level = 95.0
    trend: Annotated[
        str, one_of("What is taken out of both series first, because two that rise always correlate.", *TRENDS)
    ] = "linear"


class SpectrumQuery(AnalysisQuery, frozen=True):
    """The spectrum of the samples in [start, end)."""

    window: Annotated[str, one_of("The window of a segment.", *WINDOWS)] = "hann"
    segment: Annotated[int, whole_number("Samples of a segment.", 8, MAX_SEGMENT)] = 8192
    bands: Bands = ()
    peaks: Peaks = 5


class DistributionQuery(AnalysisQuery, frozen=True):
    """The distribution of the samples in [start, end)."""

    bins: Annotated[int | None, whole_number("Bins; without it by the rule of Freedman and Diaconis.", 1, MAX_BINS)] = (
        None
    )
    q: Annotated[
        tuple[float, ...], Parameter("Quantiles from 0 to 1, separated by commas.", readers.quantiles, TEXT)
    ] = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


class ProfileQuery(AnalysisQuery, frozen=True):
    """The profile of the samples in [start, end) on the calendar of `tz`."""

    by: Annotated[Literal["hour", "weekday", "month", "hour_weekday"], one_of("Groups of values.", *GROUPINGS)] = "hour"


class AnomaliesQuery(AnalysisQuery, frozen=True):
    """The anomalies of the samples in [start, end)."""

    threshold: Annotated[
        float,
        Parameter("How many usual deviations a value must be away.", number_readers.number_from(1, 1000), _NUMBER),
    ] = 5.0
    limit: Annotated[int, limit_to(1000)] = 1000
