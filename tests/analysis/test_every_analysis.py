"""What holds for every analysis: whatever the series, a plain answer or an error that says what is needed."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.made_series import HOUR_NS, hourly, meter
from tidemill.analysis.anomalies import anomalies
from tidemill.analysis.autocorrelation import Trend, correlogram, cross_correlation
from tidemill.analysis.change_points import change_points
from tidemill.analysis.comparison import compare
from tidemill.analysis.decomposition import decompose
from tidemill.analysis.description import describe
from tidemill.analysis.distribution import distribution, duration_curve
from tidemill.analysis.forecast import forecast
from tidemill.analysis.gaps import coverage
from tidemill.analysis.lomb_scargle import periodogram
from tidemill.analysis.profile import Grouping, calendar_days, profile
from tidemill.analysis.spectrum import spectrum
from tidemill.analysis.statistics import time_metrics
from tidemill.errors import InputError, SeriesError
from tidemill.simulate.meters import HOUSEHOLD_MUID, IMPORT

ZONED = [anomalies, change_points, decompose, describe, coverage]


def compare_halves(times: np.ndarray, values: np.ndarray) -> Any:
    half = len(times) // 3
    return compare(times[:half], values[:half], times[half:], values[half:])


EVERY: list[Callable[..., Any]] = [*ZONED, periodogram, compare_halves]


@pytest.mark.parametrize("analysis", ZONED)
def test_an_unknown_time_zone_is_named(analysis: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="not 'Europe/Atlantis'") as raised:
        analysis(hourly(3), np.arange(72.0), tz="Europe/Atlantis")
    assert raised.value.faults[0].path == "tz"


def test_a_comparison_names_it_too() -> None:
    with pytest.raises(InputError, match="not 'Mars'"):
        compare(hourly(3), np.arange(72.0), hourly(3), np.arange(72.0), tz="Mars")


@pytest.mark.parametrize("analysis", EVERY)
def test_an_answer_is_plain_and_has_no_nan(analysis: Callable[..., Any]) -> None:
    times, values = meter(HOUSEHOLD_MUID, IMPORT, 28)
    values = values.copy()
    values[100:130] = math.nan
    values[900] = 5
    answer = analysis(times, values)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer


steps = st.one_of(
    st.integers(1, 70).map(lambda n: np.full(n, HOUR_NS)),
    st.integers(1, 50).map(lambda n: np.full(n, 24 * HOUR_NS)),
    st.integers(1, 50).map(lambda n: np.where(np.arange(n) % 12 == 7, 13, 1) * HOUR_NS),
    st.lists(st.integers(1, 10**13), min_size=1, max_size=40).map(np.array),
    st.integers(1, 40).map(lambda n: np.ones(n, np.int64)),
)
numbers = st.one_of(
    st.sampled_from([0.0, 1.0]),
    st.integers(-3, 9).map(float),
    st.floats(-1e3, 1e3, allow_subnormal=False),
    st.sampled_from([math.nan, 1e300, -1e300, 1e-300, 5e-324]),
    st.sampled_from([0.5, 1.7e308, -1.7e308]),
)


@st.composite
def series(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    times = 1_680_000_000 * 10**9 + np.cumsum(np.append(0, draw(steps))).astype(np.int64)
    kinds = draw(st.sampled_from([numbers, st.integers(0, 4).map(float), st.floats(-10, 10, allow_subnormal=False)]))
    values = np.array(draw(st.lists(kinds, min_size=len(times), max_size=len(times))), dtype=float)
    return times, values


@pytest.mark.parametrize("analysis", EVERY)
@given(made=series())
@settings(max_examples=40)
def test_any_series_has_an_answer_or_an_error_that_says_why(
    analysis: Callable[..., Any], made: tuple[np.ndarray, np.ndarray]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            answer = analysis(*made)
        except InputError as error:
            assert error.message
            return
    assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer


def spectrum_of(_: np.ndarray, values: np.ndarray) -> Any:
    return spectrum(values, 1 / 3600, bands=[(0, 1e-4)]) if (~np.isnan(values)).sum() > 1 else None


def correlation_with_reverse(_: np.ndarray, values: np.ndarray) -> Any:
    trends: tuple[Trend, ...] = ("none", "mean", "linear", "difference")
    return [cross_correlation(values, values[::-1].copy(), len(values) // 2, trend=trend) for trend in trends]


def duration_of(_: np.ndarray, values: np.ndarray) -> Any:
    return duration_curve(values, np.ones(len(values)))


def profiles(times: np.ndarray, values: np.ndarray) -> Any:
    groupings: tuple[Grouping, ...] = ("hour", "weekday", "month", "hour_weekday")
    return [profile(times, values, by, "Europe/Zurich") for by in groupings]


def forecast_of(times: np.ndarray, values: np.ndarray) -> Any:
    return forecast(times, values, 3, (80, 95))


@pytest.mark.parametrize(
    "analysis",
    [
        spectrum_of, correlation_with_reverse, duration_of, profiles, forecast_of, calendar_days,
        lambda _, values: correlogram(values, len(values) - 1),
        lambda _, values: distribution(values),
        lambda _, values: distribution(values, bins=7),
        lambda times, values: time_metrics(times, values, (0.05, 0.5, 0.95)),
    ],
)  # fmt: skip
@given(made=series())
@settings(max_examples=30)
def test_any_series_has_finite_numbers_without_a_warning_or_an_error_that_says_why(
    analysis: Callable[..., Any], made: tuple[np.ndarray, np.ndarray]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            answer = analysis(*made)
        except InputError as error:
            assert error.message
            return
    assert all(map(math.isfinite, numbers_in(answer)))


def numbers_in(value: Any) -> Iterator[float]:
    """Every number of an answer."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    elif isinstance(value, list | tuple):
        for member in value:
            yield from numbers_in(member)
    elif isinstance(value, float | int):
        yield value


@pytest.mark.parametrize("analysis", [*EVERY, correlation_with_reverse])
def test_values_that_are_no_measurement_are_refused_with_what_to_do(analysis: Callable[..., Any]) -> None:
    if analysis is coverage:
        return  # looks at no value
    values = np.where(np.arange(240) % 2, 1.7e308, -1.7e308)
    with pytest.raises(SeriesError, match=r"1\.7e\+308.*\(range\)"):
        analysis(hourly(10), values)
