"""What holds for every analysis: whatever the series, a plain answer or an error that says what is needed."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.made_series import HOUR_NS, hourly, meter
from tidemill.analysis.anomalies import anomalies
from tidemill.analysis.change_points import change_points
from tidemill.analysis.comparison import compare
from tidemill.analysis.decomposition import decompose
from tidemill.analysis.description import describe
from tidemill.analysis.gaps import coverage
from tidemill.analysis.lomb_scargle import periodogram
from tidemill.errors import InputError
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
