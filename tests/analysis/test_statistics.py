"""Time-domain metrics against SciPy, NumPy and values worked out by hand."""

import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tidemill.analysis.statistics import TimeMetrics, time_metrics

SECOND = 1_000_000_000
finite = st.floats(allow_nan=False, allow_infinity=False)


def metrics(values: list[float | None], quantiles: tuple[float, ...] = (), step_ns: int = SECOND) -> TimeMetrics:
    array = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    return time_metrics(np.arange(len(array), dtype=np.int64) * step_ns, array, quantiles)


def numbers(found: TimeMetrics) -> list[float]:
    plain = msgspec.to_builtins(found)
    return [n for n in [*plain.values(), *plain["quantiles"].values()] if isinstance(n, int | float)]


def test_worked_example_by_hand() -> None:
    found = metrics([1.0, 2.0, 3.0, -4.0], (0.25,))
    assert (found.count, found.missing, found.first, found.last) == (4, 0, 1.0, -4.0)
    assert (found.min, found.max, found.mean, found.median) == (-4.0, 3.0, 0.5, 1.5)
    assert found.variance_pop == 29 / 4
    assert found.variance == pytest.approx(29 / 3, rel=1e-15)
    assert found.rms == pytest.approx(math.sqrt(7.5), rel=1e-15)
    assert (found.peak, found.peak_to_peak) == (4.0, 7.0)
    assert found.crest_factor == pytest.approx(4 / math.sqrt(7.5), rel=1e-15)
    assert found.shape_factor == pytest.approx(math.sqrt(7.5) / 2.5, rel=1e-15)
    assert found.impulse_factor == pytest.approx(1.6, rel=1e-15)
    assert found.quantiles == {"0.25": -0.25}  # position 0.75 between -4 and 1


def test_a_sine_has_the_textbook_factors() -> None:
    found = time_metrics(np.arange(4000) * 1000, np.sin(2 * np.pi * (np.arange(4000) + 0.5) / 4000))
    assert found.crest_factor == pytest.approx(math.sqrt(2), rel=1e-6)
    assert found.shape_factor == pytest.approx(math.pi / (2 * math.sqrt(2)), rel=1e-6)
    assert found.impulse_factor == pytest.approx(math.pi / 2, rel=1e-6)
    assert found.kurtosis == pytest.approx(1.5, rel=1e-9)


@pytest.mark.parametrize("draw", ["normal", "exponential", "uniform"])
def test_agrees_with_scipy(draw: str) -> None:
    values = getattr(np.random.default_rng(7), draw)(size=10_000) * 3 + 100
    found = time_metrics(np.arange(10_000) * SECOND, values, (0.05, 0.95))
    assert found.skewness == pytest.approx(stats.skew(values), rel=1e-9)
    assert found.kurtosis_excess == pytest.approx(stats.kurtosis(values), rel=1e-9, abs=1e-9)
    assert found.kurtosis == pytest.approx(stats.kurtosis(values, fisher=False), rel=1e-9)
    assert found.stddev == pytest.approx(stats.tstd(values), rel=1e-12)
    assert found.variance_pop == pytest.approx(np.var(values), rel=1e-12)
    assert list(found.quantiles.values()) == pytest.approx(np.quantile(values, [0.05, 0.95]), rel=1e-15)


def test_empty_and_all_missing_are_null() -> None:
    for found in (metrics([], (0.5,)), metrics([None, None], (0.5,))):
        plain = msgspec.to_builtins(found)
        undefined = set(plain) - {"count", "missing", "quantiles", "duration_s"}
        assert found.count == 0
        assert found.quantiles == {"0.5": None}
        assert all(plain[name] is None for name in undefined if not name.startswith("interval"))
    assert metrics([]).duration_s is None
    assert metrics([None, None]).missing == 2


def test_one_value_has_no_sample_deviation() -> None:
    found = metrics([2.5], (0.0, 1.0))
    assert (found.mean, found.stddev_pop, found.variance_pop, found.crest_factor) == (2.5, 0.0, 0.0, 1.0)
    assert (found.stddev, found.variance, found.skewness, found.kurtosis, found.interval_s) == (None,) * 5
    assert found.quantiles == {"0": 2.5, "1": 2.5}
    assert found.duration_s == 0


@pytest.mark.parametrize("value", [0.1, -7.3e300, 5e-324, 0.0])
def test_a_constant_has_no_spread_and_no_shape(value: float) -> None:
    found = metrics([value] * 1001)
    assert (found.mean, found.median, found.min, found.max) == (value,) * 4
    assert (found.stddev, found.variance, found.skewness, found.kurtosis) == (0.0, 0.0, None, None)
    assert (found.crest_factor is None) == (value == 0.0)


def test_huge_values_keep_what_a_double_can_hold() -> None:
    found = metrics([1e308, -1e308, 1.5e308], (0.5,))
    assert found.mean == pytest.approx(0.5e308, rel=1e-12)
    assert found.stddev_pop == pytest.approx(math.sqrt(14 / 3) * 0.5e308, rel=1e-12)
    assert found.variance is None
    assert found.peak_to_peak is None
    assert found.rms == pytest.approx(math.sqrt(4.25 / 3) * 1e308, rel=1e-12)


def test_missing_samples_count_for_time_and_not_for_values() -> None:
    found = metrics([None, 1.0, None, 3.0, None])
    assert (found.count, found.missing, found.first, found.last, found.mean) == (2, 3, 1.0, 3.0, 2.0)
    assert (found.duration_s, found.interval_s) == (4.0, 1.0)


def test_intervals_and_jitter_of_an_uneven_series() -> None:
    times = np.array([0, 10, 30, 40], dtype=np.int64) * SECOND
    found = time_metrics(times, np.ones(4))
    assert (found.duration_s, found.interval_s) == (40.0, 10.0)
    assert found.interval_mean_s == pytest.approx(40 / 3)
    assert found.interval_jitter_s == pytest.approx(math.sqrt(200 / 9))


def test_times_at_both_ends_of_the_range_do_not_overflow() -> None:
    times = np.array([-2_208_988_800 * SECOND, 2**63 - 1], dtype=np.int64)
    found = time_metrics(times, np.ones(2))
    assert found.duration_s == pytest.approx(11_432_360_836.85, rel=1e-9)
    assert found.interval_s == found.duration_s


@settings(max_examples=150, deadline=None)
@given(st.lists(finite, max_size=30))
def test_never_nan_or_infinity_and_always_ordered(values: list[float]) -> None:
    found = metrics(list(values), (0.05, 0.5, 0.95))
    assert all(math.isfinite(n) for n in numbers(found))
    if values:
        low, mean, high = found.min, found.mean, found.max
        assert low is not None and mean is not None and high is not None
        assert low <= mean <= high
        assert found.quantiles["0.5"] == found.median
        for mean_abs_bound in (found.crest_factor, found.shape_factor, found.impulse_factor):
            assert mean_abs_bound is None or mean_abs_bound >= 1 - 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_mean_and_variance_are_the_exact_ones_within_rounding(values: list[float]) -> None:
    exact = [Fraction(v) for v in values]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / (len(exact) - 1)
    found = metrics(list(values))
    assert found.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-9)
    assert found.variance == pytest.approx(float(variance), rel=1e-9, abs=1e-18)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=30), st.integers(-300, 300))
def test_scaling_by_a_power_of_two_scales_the_metrics(values: list[int], power: int) -> None:
    plain, scaled = metrics([float(v) for v in values]), metrics([math.ldexp(v, power) for v in values])
    for name in ("mean", "stddev", "rms", "peak"):
        before = getattr(plain, name)
        assert getattr(scaled, name) == pytest.approx(math.ldexp(before, power), rel=1e-12)
    for name in ("skewness", "kurtosis", "crest_factor", "shape_factor"):
        shape = getattr(plain, name)
        assert getattr(scaled, name) == (None if shape is None else pytest.approx(shape, rel=1e-9, abs=1e-12))
