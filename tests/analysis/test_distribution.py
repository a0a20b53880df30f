"""Histograms, quantiles and duration curves against NumPy and against what they state."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.analysis.distribution import MAX_BINS, distribution, duration_curve

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.one_of(FINITE, st.just(float("nan"))), max_size=50))
def test_every_value_is_in_one_bin(numbers: list[float]) -> None:
    values = np.array(numbers, float)
    found = distribution(values)
    present = values[~np.isnan(values)]
    assert (found.count, found.missing) == (len(present), len(values) - len(present))
    assert sum(found.counts) == found.count
    assert len(found.counts) <= MAX_BINS
    if len(present):
        assert len(found.edges) == len(found.counts) + 1
        assert found.edges == sorted(found.edges)
        assert found.edges[0] <= present.min() <= present.max() <= found.edges[-1]


def test_quantiles_equal_numpy() -> None:
    values = np.random.default_rng(1).normal(size=10_001)
    found = distribution(values, probabilities=(0.05, 0.5, 0.95))
    assert found.quantiles == pytest.approx(np.quantile(values, [0.05, 0.5, 0.95]).tolist(), abs=1e-12)


def test_whole_numbers_have_a_bin_each() -> None:
    found = distribution(np.array([1.0, 1, 2, 4]))
    assert (found.counts, found.edges) == ([2, 1, 0, 1], [0.5, 1.5, 2.5, 3.5, 4.5])
    assert distribution(np.array([3.0, 3.0])).counts == [2]


def test_bins_can_be_chosen() -> None:
    assert distribution(np.array([0.0, 0.5, 1.0]), bins=2).counts == [1, 2]


def test_duration_curve_counts_hours_and_not_values() -> None:
    found = duration_curve(np.array([5.0, 1.0, np.nan, 3.0]), np.array([1.0, 6.0, 9.0, 3.0]))
    at = dict(zip(found.share, found.values, strict=True))
    assert (found.hours, at[0.0], at[0.1], at[0.2], at[0.4], at[0.5], at[1.0]) == (10, 5, 5, 3, 3, 1, 1)
    assert duration_curve(np.zeros(0), np.zeros(0)).values == []
