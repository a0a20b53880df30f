"""Routes that analyse a series: metrics, forecast, statistics, and what the series is. They compute nothing here.

A request reads the state of the series from the store, and then its answer from the cache or from a worker process,
which gets the samples (`query/analysis.py`) and encodes the answer (`query/analysis_tasks.py`).
"""

import asyncio
from typing import Any, Final

import msgspec
from litestar import Response

from tidemill.analysis.statistics import time_metrics
from tidemill.api.analysis_computation import (
    ANALYSIS_LIMIT,
    OTHERS,
    Computation,
    analyses_of,
    answer_analysis,
    answer_computed,
    computation,
    task_name,
)
from tidemill.api.reads_common import ReadCall, answer_specs, ask_store, reading
from tidemill.query.analysis import MAX_DECOMPOSED, MAX_POINTS, samples_of
from tidemill.query.analysis_answers import (
    AnomaliesAnswer,
    AutocorrelationAnswer,
    CalendarAnswer,
    ChangePointsAnswer,
    CorrelationAnswer,
    DecompositionAnswer,
    DistributionAnswer,
    DurationAnswer,
    ForecastAnswer,
    ProfileAnswer,
    SpectrumAnswer,
)
from tidemill.query.analysis_parameters import (
    AnalysisQuery,
    AnomaliesQuery,
    AutocorrelationQuery,
    CorrelationQuery,
    DistributionQuery,
    ForecastQuery,
    ProfileQuery,
    SpectrumQuery,
)
from tidemill.query.description_answer import DescriptionAnswer
from tidemill.query.forecasts import forecast_options
from tidemill.query.series import MetricsQuery, SeriesMetrics, series_metrics

_encoder: Final = msgspec.json.Encoder()


@reading(
    "/v1/series/{series:str}/metrics",
    MetricsQuery,
    tags=["series"],
    summary="Metrics of a series in the time and the frequency domain",
    responses=answer_specs(SeriesMetrics, "The metrics; null where one is not defined, never NaN.", tagged=True),
)
async def get_metrics(call: ReadCall[MetricsQuery], series: str) -> Response[bytes]:
    """Location, spread, shape, amplitude and sampling of the samples in [start, end), and of an evenly sampled series
    the frequency domain: dominant frequency (Hz) and its amplitude, the strongest peaks, the centroid and the power of
    `bands`. `kurtosis` is 3 for a normal distribution, `kurtosis_excess` 0; quantiles interpolate linearly (type 7)."""
    query, queries = call.query, call.queries
    subject = await ask_store(lambda: queries.analysis.subject(call.tenant, series, query.start, query.end))

    async def work() -> tuple[bytes, bool]:
        times, values = await ask_store(lambda: queries.series.arrays(call.tenant, subject.described, query))
        options = {"bands": query.bands, "peaks": query.peaks}
        missing = f"the series has more than {MAX_POINTS:,} samples; ask for a shorter range"

        async def frequency() -> tuple[Any, str]:
            if len(times) > MAX_POINTS:
                return None, missing
            even = samples_of(times, values)
            arguments = {"times_ns": even.times_ns, "values": even.values, "options": options}
            name, pool = task_name("frequency_metrics"), analyses_of(call.request).pool
            found: tuple[Any, str] = await pool.call(name, arguments, prefer=OTHERS, brief=True)
            return found

        of_time, of_frequency, lasting = await asyncio.gather(
            ask_store(lambda: time_metrics(times, values, query.q)),
            frequency(),
            ask_store(lambda: queries.analysis.is_unchanged(subject)),
        )
        metrics = series_metrics(subject.described, times, of_time, *of_frequency)
        return _encoder.encode(metrics), lasting

    return await answer_computed(call, ("metrics", subject.key, query), work)


@reading(
    "/v1/series/{series:str}/forecast",
    ForecastQuery,
    tags=["analysis"],
    summary="Forecast a series",
    responses=answer_specs(
        ForecastAnswer, "The forecast with its bounds, its back-test and the models chosen.", tagged=True
    ),
)
async def get_forecast(call: ReadCall[ForecastQuery], series: str) -> Response[bytes]:
    """The next `horizon` values after the samples in [start, end), with bounds for each `level`. The last 5,000
    intervals are used. `backtest` says how the forecast did on values that it had not seen, and `chosen` which models
    make it. `minimum=0` keeps a load from falling below zero; `tz` makes days those of a wall clock."""
    _, key, work = await forecast_computation(call, series)
    return await answer_computed(call, key, work)


async def forecast_computation(call: ReadCall[ForecastQuery], series: str) -> Computation:
    """The computation of the forecast that a query describes."""
    return await computation(call, series, "forecast", forecast_options(call.query), prefer=0, latest=True)


@reading(
    "/v1/series/{series:str}/autocorrelation",
    AutocorrelationQuery,
    tags=["analysis"],
    summary="Autocorrelation of a series",
    responses=answer_specs(
        AutocorrelationAnswer, f"Correlations at each lag, with bounds. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_autocorrelation(call: ReadCall[AutocorrelationQuery], series: str) -> Response[bytes]:
    """Autocorrelation and partial autocorrelation at lags 0 to `lags` intervals, with the bounds of white noise and of
    Bartlett, and the periods that stand out (there may be none)."""
    return await answer_analysis(call, series, "autocorrelation", {"lags": call.query.lags, "level": call.query.level})


@reading(
    "/v1/series/{series:str}/correlation",
    CorrelationQuery,
    tags=["analysis"],
    summary="Correlation of two series",
    responses=answer_specs(
        CorrelationAnswer, f"Correlations at each lag, and the best lag. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_correlation(call: ReadCall[CorrelationQuery], series: str) -> Response[bytes]:
    """The correlation of this series with another at lags -`lags` to `lags`, at the times where both have a value. A
    straight line is taken out of both first, unless `trend` says otherwise."""
    query = call.query
    other = await ask_store(lambda: call.queries.analysis.subject(call.tenant, query.other, query.start, query.end))
    options = {"lags": query.lags, "level": query.level, "trend": query.trend, "other": other.id}
    return await answer_analysis(call, series, "correlation", options, second=(other, query))


@reading(
    "/v1/series/{series:str}/spectrum",
    SpectrumQuery,
    tags=["analysis"],
    summary="Spectrum of a series",
    responses=answer_specs(
        SpectrumAnswer, f"The density of the variance over frequencies. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_spectrum(call: ReadCall[SpectrumQuery], series: str) -> Response[bytes]:
    """The power spectral density (Welch) of an evenly sampled series, its strongest peaks with amplitudes, the centroid
    and the power of `bands`. Frequencies are in Hz."""
    query = call.query
    options = {"window": query.window, "segment": query.segment, "bands": query.bands, "peaks": query.peaks}
    return await answer_analysis(call, series, "spectrum", options)


@reading(
    "/v1/series/{series:str}/distribution",
    DistributionQuery,
    tags=["analysis"],
    summary="Distribution of the values of a series",
    responses=answer_specs(DistributionAnswer, f"Histogram and quantiles. {ANALYSIS_LIMIT}", tagged=True),
)
async def get_distribution(call: ReadCall[DistributionQuery], series: str) -> Response[bytes]:
    """How often which values occur: a histogram of `bins`, and quantiles that interpolate linearly (type 7)."""
    options = {"bins": call.query.bins, "probabilities": call.query.q}
    return await answer_analysis(call, series, "distribution", options)


@reading(
    "/v1/series/{series:str}/duration",
    AnalysisQuery,
    tags=["analysis"],
    summary="Load-duration curve of a series",
    responses=answer_specs(
        DurationAnswer, f"Which value was reached for which share of the time. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_duration(call: ReadCall[AnalysisQuery], series: str) -> Response[bytes]:
    """The values from the largest to the smallest, at every half percent of the time in which they were reached."""
    return await answer_analysis(call, series, "duration", {})


@reading(
    "/v1/series/{series:str}/profile",
    ProfileQuery,
    tags=["analysis"],
    summary="Profile of a series by hour, weekday or month",
    responses=answer_specs(ProfileAnswer, f"Statistics of each group. {ANALYSIS_LIMIT}", tagged=True),
)
async def get_profile(call: ReadCall[ProfileQuery], series: str) -> Response[bytes]:
    """Mean, median, spread and quantiles of the values of each hour, weekday, month, or hour of a weekday of `tz`."""
    return await answer_analysis(call, series, "profile", {"by": call.query.by})


@reading(
    "/v1/series/{series:str}/calendar",
    AnalysisQuery,
    tags=["analysis"],
    summary="Days of a series",
    responses=answer_specs(CalendarAnswer, f"The statistics of each day. {ANALYSIS_LIMIT}", tagged=True),
)
async def get_calendar(call: ReadCall[AnalysisQuery], series: str) -> Response[bytes]:
    """Each day of `tz` that has a value, with its length in hours and the statistics of its values."""
    return await answer_analysis(call, series, "calendar", {})


@reading(
    "/v1/series/{series:str}/decomposition",
    AnalysisQuery,
    tags=["analysis"],
    summary="Trend, seasons and rest of a series",
    responses=answer_specs(
        DecompositionAnswer,
        f"The parts of the series. Of at most {MAX_DECOMPOSED:,} values; `every` makes windows.",
        tagged=True,
    ),
)
async def get_decomposition(call: ReadCall[AnalysisQuery], series: str) -> Response[bytes]:
    """The series as the sum of a trend, the seasons that were found, and the rest, robust against outliers."""
    return await answer_analysis(call, series, "decomposition", {}, most=MAX_DECOMPOSED)


@reading(
    "/v1/series/{series:str}/changepoints",
    AnalysisQuery,
    tags=["analysis"],
    summary="Changes of level of a series",
    responses=answer_specs(
        ChangePointsAnswer, f"The changes and the segments between them. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_change_points(call: ReadCall[AnalysisQuery], series: str) -> Response[bytes]:
    """Where the level of the series changes by more than its own waves explain, after the seasons were taken out."""
    return await answer_analysis(call, series, "change_points", {})


@reading(
    "/v1/series/{series:str}/anomalies",
    AnomaliesQuery,
    tags=["analysis"],
    summary="Unusual values of a series",
    responses=answer_specs(
        AnomaliesAnswer, f"The unusual values, each with a reason in words. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_anomalies(call: ReadCall[AnomaliesQuery], series: str) -> Response[bytes]:
    """Values that are more than `threshold` usual deviations from what is usual at their time."""
    options = {"threshold": call.query.threshold, "most": call.query.limit}
    return await answer_analysis(call, series, "anomalies", options)


@reading(
    "/v1/series/{series:str}/description",
    AnalysisQuery,
    tags=["analysis"],
    summary="What a series is",
    responses=answer_specs(
        DescriptionAnswer, f"Sentences, and the figures that support them. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_description(call: ReadCall[AnalysisQuery], series: str) -> Response[bytes]:
    """What the series looks like, by rules and without a language model: consumption, generation, a temperature, a
    counter, noise; its rhythm, base load, nights and weekends, with the figures."""
    return await answer_analysis(call, series, "description", {})


ANALYSIS_ROUTES: Final = [
    get_metrics, get_forecast, get_autocorrelation, get_correlation, get_spectrum, get_distribution, get_duration,
    get_profile, get_calendar, get_decomposition, get_change_points, get_anomalies, get_description,
]  # fmt: skip
