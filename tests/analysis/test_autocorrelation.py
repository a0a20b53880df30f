"""Autocorrelations against their definitions, certified values of NIST, R's worked examples, and awkward input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from tidemill.analysis.autocorrelation import (
    autocorrelation,
    correlogram,
    cross_correlation,
    partial_autocorrelation,
)

# Luteinizing hormone in blood samples at ten-minute intervals (Diggle 1990, as in R's `lh`).
LH = [2.4, 2.4, 2.4, 2.2, 2.1, 1.5, 2.3, 2.3, 2.5, 2.0, 1.9, 1.7, 2.2, 1.8, 3.2, 3.2, 2.7, 2.2, 2.2, 1.9, 1.9, 1.8, 2.7,
      3.0, 2.3, 2.0, 2.0, 2.9, 2.9, 2.7, 2.7, 2.3, 2.6, 2.4, 1.8, 1.7, 1.5, 1.4, 2.1, 3.3, 3.5, 3.5, 3.1, 2.6, 2.1, 3.4,
      3.0, 2.9]  # fmt: skip


def by_definition(values: np.ndarray, lags: int) -> list[float]:
    d = values - values.mean()
    return [float(d[: len(d) - k] @ d[k:]) / float(d @ d) for k in range(lags + 1)]


def series(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n).cumsum()


@pytest.mark.parametrize("n", [3, 10, 257, 5000])
def test_equals_its_definition(n: int) -> None:
    values = series(n)
    lags = min(n - 1, 40)
    assert autocorrelation(values, lags) == pytest.approx(by_definition(values, lags), abs=1e-9)


def test_partial_solves_the_yule_walker_equations() -> None:
    acf = autocorrelation(series(3000), 60)
    partial = partial_autocorrelation(acf, 60)
    for k in (1, 2, 17, 60):
        assert partial[k] == pytest.approx(linalg.solve_toeplitz(acf[:k], acf[1 : k + 1])[-1], abs=1e-9)


def test_the_examples_of_r() -> None:
    found = correlogram(np.array(LH), 6)
    assert found.acf == pytest.approx([1, 0.576, 0.182, -0.145, -0.175, -0.150, -0.021], abs=5e-4)
    assert found.pacf[:4] == pytest.approx([1, 0.576, -0.223, -0.227], abs=5e-4)
    assert found.bartlett[:4] == pytest.approx([0, 0.2829, 0.3648, 0.3719], abs=5e-5)
    assert found.white == pytest.approx(0.2829, abs=5e-5)


@pytest.mark.parametrize(
    ("values", "lag_1"),
    [
        ([10000001, 10000003, 10000002], -0.5),
        ([1.2, *([1.1, 1.3] * 500)], -0.999),
        ([1000000.2, *([1000000.1, 1000000.3] * 500)], -0.999),
        ([10000000.2, *([10000000.1, 10000000.3] * 500)], -0.999),
    ],
)
def test_certified_values_of_nist(values: list[float], lag_1: float) -> None:
    assert autocorrelation(np.array(values), 1)[1] == pytest.approx(lag_1, abs=1e-9)


def test_two_points() -> None:
    assert correlogram(np.array([1.0, 2.0]), 1).acf == pytest.approx([1, -0.5])


@pytest.mark.parametrize("values", [[], [5.0], [5.0] * 9, [math.nan] * 4, [0.1] * 1000])
def test_a_constant_has_none(values: list[float]) -> None:
    assert set(correlogram(np.array(values, float), 3).acf) == {None}


@pytest.mark.parametrize("factor", [1e300, 1e-300, -3.0])
def test_scale_changes_nothing(factor: float) -> None:
    values = series(500)
    assert autocorrelation(values * factor, 20) == pytest.approx(autocorrelation(values, 20), abs=1e-9)


def test_a_large_offset_changes_nothing_that_was_not_lost() -> None:
    values = np.random.default_rng(2).integers(-1000, 1000, 4000).astype(float)
    assert autocorrelation(values + 2.0**30, 50) == pytest.approx(autocorrelation(values, 50), abs=1e-9)


@given(st.lists(st.one_of(st.floats(-1e3, 1e3, width=32), st.just(math.nan)), min_size=2, max_size=60))
def test_missing_values_count_in_no_pair(numbers: list[float]) -> None:
    values = np.array(numbers)
    lags = len(values) - 1
    found = correlogram(values, lags)
    present = values[~np.isnan(values)]
    assert (found.count, found.missing) == (len(present), len(values) - len(present))
    if not len(present) or present.min() == present.max():
        assert set(found.acf) == {None}
        return
    d = np.where(np.isnan(values), 0.0, values - present.mean())
    total = float(d @ d)
    if total > 1e-12 * len(present) * float(np.abs(present).max()) ** 2:
        direct = [float(d[: len(d) - k] @ d[k:]) / total for k in range(lags + 1)]
        assert found.acf == pytest.approx(direct, abs=1e-6)


def test_cross_correlation_finds_the_delay() -> None:
    x = np.random.default_rng(3).normal(size=2000)
    y = np.roll(x, 7) + 0.01 * np.arange(2000)
    found = cross_correlation(x, y, 20)
    assert (found.best_lag, found.lags[0], found.lags[-1]) == (7, -20, 20)
    assert found.best is not None
    assert found.best > 0.95


def test_two_rising_series_do_not_correlate_once_the_trend_is_out() -> None:
    rng = np.random.default_rng(4)
    rise = np.arange(1000.0)
    x, y = rise + 20 * rng.normal(size=1000), rise + 20 * rng.normal(size=1000)
    raw, clean = cross_correlation(x, y, 5, trend="none"), cross_correlation(x, y, 5)
    assert raw.best is not None
    assert clean.best is not None
    assert raw.best > 0.9
    assert abs(clean.best) < 0.15


def test_cross_correlation_equals_its_definition() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=300), rng.normal(size=300)
    found = cross_correlation(x, y, 10, trend="mean")
    dx, dy = x - x.mean(), y - y.mean()
    scale = 300 * dx.std() * dy.std()
    direct = [float(dx[max(0, -k) : 300 - max(0, k)] @ dy[max(0, k) : 300 - max(0, -k)]) / scale for k in found.lags]
    assert found.correlation == pytest.approx(direct, abs=1e-9)
