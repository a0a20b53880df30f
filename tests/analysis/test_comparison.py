"""Comparisons: the tests against SciPy, chance that is no difference, days and pairs, profiles, sentences."""

import math
import warnings

import msgspec
import numpy as np
import pytest
from scipy import stats

from tests.analysis.made_series import HOUR_NS, ZONE, autoregressive, hourly, instant, meter
from tidemill.analysis.comparison import Comparison, compare
from tidemill.analysis.significance import Sample, mann_whitney, paired, sample_of, welch, wilcoxon
from tidemill.errors import InputError
from tidemill.simulate.meters import HOUSEHOLD_MUID, IMPORT

DAY_NS = 24 * HOUR_NS


def independent(values: np.ndarray) -> Sample:
    return Sample(values, float(len(values)))


@pytest.mark.parametrize("seed", range(4))
def test_equals_scipy_for_independent_observations(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.normal(0, 1, 40), generator.normal(0.4, 2, 55)
    found = welch(independent(x), independent(y), 0.9)
    expected = stats.ttest_ind(y, x, equal_var=False)
    bounds = expected.confidence_interval(0.9)
    assert found is not None
    assert (found.t, found.p_value, found.degrees) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    assert (found.lower, found.upper) == pytest.approx((bounds.low, bounds.high))


@pytest.mark.parametrize("seed", range(4))
def test_equals_scipy_for_ranks_with_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, 12, 50).astype(float), generator.integers(1, 14, 70).astype(float)
    found = mann_whitney(independent(x), independent(y))
    expected = stats.mannwhitneyu(y, x, use_continuity=False, method="asymptotic")
    assert found is not None
    assert (found.probability, found.p_value) == pytest.approx((expected.statistic / 3500, expected.pvalue))
    pairs = y[:50] - x
    signed = wilcoxon(independent(pairs))
    assert signed is not None
    assert signed.p_value == pytest.approx(stats.wilcoxon(pairs, method="asymptotic").pvalue)
    student = paired(independent(pairs), 0.95)
    assert student is not None
    assert student.p_value == pytest.approx(stats.ttest_1samp(pairs, 0).pvalue)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelated_values_are_worth_fewer(phi: float) -> None:
    worth = [sample_of(autoregressive(phi, 4_000, seed)).effective / 4_000 for seed in range(10)]
    assert np.mean(worth) == pytest.approx((1 - phi) / (1 + phi), rel=0.15)


def test_waves_of_noise_are_no_difference() -> None:
    """With the number of values instead of their worth, most of these comparisons would be significant."""
    times = instant("2024-01-01") + np.arange(3_000) * 60 * 10**9
    wrong = 0
    for seed in range(60):
        values = autoregressive(0.9, 3_000, seed)
        wrong += compare(times[:1500], values[:1500], times[1500:], values[1500:]).is_significant is True
    assert wrong <= 8  # 3 are expected; 9 or more of 60 at 5 % happen once in 400


def test_two_months_of_a_household() -> None:
    times, values = meter(HOUSEHOLD_MUID, IMPORT, 56)
    half = 28 * 96
    more = values[half:] + np.where(np.arange(half) % 96 // 4 == 18, 0.6, 0.0)
    found = compare(times[:half], values[:half], times[half:], more, tz=ZONE, unit="kWh")
    assert (found.observation, found.first.observations, found.is_paired) == ("day", 28, False)
    assert found.is_significant
    assert found.difference == pytest.approx(0.6 / 24, rel=0.3)
    assert found.total_difference == pytest.approx((found.second.total or 0) - (found.first.total or 0))
    hours = found.profiles[0]
    assert (hours.by, hours.group) == ("hour", list(range(24)))
    assert hours.difference[18] == pytest.approx(0.55, abs=0.1)
    assert "It is largest around 18 h: 0.4" in " ".join(found.sentences)
    assert "is more than chance" in found.sentences[1]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_the_same_household_twice_may_be_chance() -> None:
    times, values = meter(HOUSEHOLD_MUID, IMPORT, 42)
    half = 21 * 96
    found = compare(times[:half], values[:half], times[half:], values[half:], tz=ZONE)
    assert found.first.observations == found.second.observations == 21
    assert [profile.by for profile in found.profiles] == ["hour", "weekday"]


def test_pairs_see_a_difference_that_the_weather_hides() -> None:
    weather = 10 * autoregressive(0.8, 24 * 30, 3)
    noise = np.random.default_rng(1).normal(0, 0.1, 24 * 30)
    found = compare(hourly(30), weather, hourly(30), weather + 0.3 + noise)
    assert found.is_paired
    assert found.is_significant
    assert found.mean_test is not None
    assert found.mean_test.lower < 0.3 < found.mean_test.upper
    assert found.correlation == pytest.approx(1, abs=1e-3)
    apart = compare(hourly(30), weather, hourly(30) + 400 * DAY_NS, weather + 0.3 + noise)
    assert not apart.is_significant


def test_missing_few_and_no_values() -> None:
    times = hourly(1)
    values = np.arange(24.0)
    values[3:9] = math.nan
    found = compare(times, values, times[:2], np.ones(2))
    assert (found.first.count, found.first.missing, found.observation) == (18, 6, "value")
    assert (found.mean_test, found.is_significant) == (None, None)
    assert "too few" in found.sentences[-1]
    nothing = compare(times[:0], values[:0], times, values)
    assert (nothing.difference, nothing.first.mean, nothing.profiles) == (None, None, [])
    assert nothing.sentences == ["One of the two has no value."]
    with pytest.raises(InputError, match="level"):
        compare(times, values, times, values, level=1.0)


@pytest.mark.parametrize("factor", [1e300, 1e-300, 0.0])
def test_huge_tiny_and_constant_values(factor: float) -> None:
    values = np.random.default_rng(1).random(24 * 20) * factor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(hourly(20), values, hourly(20) + 300 * DAY_NS, 2 * values)
    msgspec.json.encode(found)
    assert found.is_significant is (factor != 0)
    if factor:
        assert found.relative == pytest.approx(1)
