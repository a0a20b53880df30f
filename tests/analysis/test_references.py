"""Figures against certified values of NIST (Statistical Reference Datasets, univariate summary statistics), and against
definitions that are computed in another way, to 1e-9, on random and on awkward input."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, signal

from tests.analysis.test_autocorrelation import LH
from tidemill.analysis.autocorrelation import autocorrelation, correlogram, partial_autocorrelation
from tidemill.analysis.distribution import distribution
from tidemill.analysis.spectrum import WINDOWS, spectrum
from tidemill.analysis.statistics import time_metrics

# The speed of light in air less 299,000 km/s (Michelson 1879; NIST's Michelso, R's `morley`).
MICHELSO = """
850 740 900 1070 930 850 950 980 980 880 1000 980 930 650 760 810 1000 1000 960 960 960 940 960 940 880 800 850 880 900
840 830 790 810 880 880 830 800 790 760 800 880 880 880 860 720 720 620 860 970 950 880 910 850 870 840 840 850 840 840
840 890 810 810 820 800 770 760 740 750 760 910 920 890 860 880 720 840 850 850 780 890 840 780 810 760 810 790 810 820
850 870 870 810 740 810 940 950 800 810 870"""
# Transmittance of a filter, in 1e-5 above 2 (NIST's Mavro).
MAVRO = """
180 170 180 190 180 170 150 140 150 150 170 180 180 190 190 210 200 160 140 130 130 150 150 160 150 140 130 140 150 140
150 160 150 160 190 200 200 210 220 230 240 250 270 260 260 260 270 260 250 240"""


def accuracy(base: float) -> list[float]:
    """NIST's NumAcc2 to NumAcc4: a base, then base - 0.1 and base + 0.1 five hundred times."""
    return [base, *([round(base - 0.1, 1), round(base + 0.1, 1)] * 500)]


@pytest.mark.parametrize(
    ("values", "mean", "stddev", "lag_1", "digits"),
    [
        ([(299_000 + float(n)) / 1000 for n in MICHELSO.split()], 299.852400000000, 0.0790105478190518,
         0.535199668621283, 1e-12),
        ([2 + float(n) / 100_000 for n in MAVRO.split()], 2.00185600000000, 0.000429123454003053, 0.937989183438248,
         1e-11),
        ([10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0, -0.5, 1e-15),
        (accuracy(1.2), 1.2, 0.1, -0.999, 1e-14),
        (accuracy(1_000_000.2), 1_000_000.2, 0.1, -0.999, 1e-9),
        (accuracy(10_000_000.2), 10_000_000.2, 0.1, -0.999, 1e-8),
    ],
    ids=["Michelso", "Mavro", "NumAcc1", "NumAcc2", "NumAcc3", "NumAcc4"],
)  # fmt: skip
def test_certified_values_of_nist(values: list[float], mean: float, stddev: float, lag_1: float, digits: float) -> None:
    array = np.array(values)
    found = time_metrics(np.arange(len(array)) * 10**9, array, (0.5,))
    assert found.mean == pytest.approx(mean, rel=1e-14)
    assert found.stddev == pytest.approx(stddev, rel=digits)
    assert autocorrelation(array, 1)[1] == pytest.approx(lag_1, rel=max(digits, 1e-11))


def test_an_autoregression_of_order_three_is_that_of_r() -> None:
    """`ar(lh)`: the Yule-Walker equations of the first three autocorrelations."""
    acf = autocorrelation(np.array(LH), 3)
    assert linalg.solve_toeplitz(acf[:3], acf[1:]) == pytest.approx([0.6534, -0.0636, -0.2269], abs=5e-5)


# Whole numbers, so that a definition in fractions is exact: with ties, one step, a spike, and a large offset.
whole_numbers = st.lists(
    st.one_of(st.integers(-5, 5), st.integers(-(10**6), 10**6), st.integers(2**40, 2**40 + 9)), min_size=4, max_size=60
).filter(lambda numbers: len(set(numbers)) > 1)


@given(whole_numbers)
@settings(max_examples=60)
def test_autocorrelation_is_its_definition_in_exact_numbers(numbers: list[int]) -> None:
    """r_k = sum (x_t - m)(x_t+k - m) / sum (x_t - m)^2."""
    n = len(numbers)
    mean = Fraction(sum(numbers), n)
    d = [number - mean for number in numbers]
    total = sum(each * each for each in d)
    expected = [float(sum(d[t] * d[t + k] for t in range(n - k)) / total) for k in range(n)]
    assert autocorrelation(np.array(numbers, dtype=float), n - 1) == pytest.approx(expected, abs=1e-9)


@given(whole_numbers)
@settings(max_examples=60)
def test_partial_autocorrelation_is_the_last_weight_of_least_squares(numbers: list[int]) -> None:
    """The Yule-Walker equations solved as a whole for each lag, where they are well posed."""
    acf = autocorrelation(np.array(numbers, dtype=float), min(len(numbers) - 1, 12))
    partial = partial_autocorrelation(acf, len(acf) - 1)
    for k in range(1, len(acf)):
        matrix = linalg.toeplitz(acf[:k])
        if np.linalg.cond(matrix) > 1e6:
            return
        assert partial[k] == pytest.approx(np.linalg.solve(matrix, acf[1 : k + 1])[-1], abs=1e-9)


def test_bartletts_bound_is_its_formula() -> None:
    values = np.random.default_rng(3).normal(size=400).cumsum()
    found = correlogram(values, 50)
    acf = [float(r) for r in found.acf if r is not None]
    for k in (1, 2, 10, 50):
        variance = (1 + 2 * math.fsum(r * r for r in acf[1:k])) / 400
        assert found.bartlett[k] == pytest.approx(1.959963984540054 * math.sqrt(variance), rel=1e-9)


@given(whole_numbers, st.lists(st.fractions(0, 1, max_denominator=1000), min_size=1, max_size=5, unique=True))
@settings(max_examples=60)
def test_quantiles_are_of_type_7_in_exact_numbers(numbers: list[int], shares: list[Fraction]) -> None:
    """Hyndman and Fan (1996), definition 7: x_j + (h - j)(x_j+1 - x_j) with h = (n - 1) p, counted from 0."""
    ordered = sorted(numbers)
    expected = []
    for share in shares:
        height = (len(ordered) - 1) * share
        low = math.floor(height)
        high = min(low + 1, len(ordered) - 1)
        expected.append(float(ordered[low] + (height - low) * (ordered[high] - ordered[low])))
    values, probabilities = np.array(numbers, dtype=float), [float(share) for share in shares]
    assert distribution(values, probabilities=probabilities).quantiles == pytest.approx(expected, rel=1e-9, abs=1e-9)
    found = time_metrics(np.arange(len(values)) * 10**9, values, probabilities)
    assert list(found.quantiles.values()) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def welch_by_definition(values: np.ndarray, rate: float, window: str, size: int) -> np.ndarray:
    """The mean of modified periodograms of segments that overlap by half, each a sum over samples, without a transform:
    Welch (1967), equations 6 to 11, one-sided."""
    weights = signal.get_window(window, size)
    step = size - size // 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size)
    periodograms = []
    for begin in range(0, len(values) - size + 1, step):
        segment = values[begin : begin + size]
        sums = waves @ ((segment - segment.mean()) * weights)
        periodograms.append(np.abs(sums) ** 2 / (rate * float(weights @ weights)))
    density = np.mean(periodograms, axis=0)
    density[1 : len(density) - (size % 2 == 0)] *= 2
    return np.asarray(density)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("count", "segment"), [(1000, 128), (1001, 77), (64, 64), (63, 63), (200, 199)])
def test_a_spectrum_is_welchs_definition(window: str, count: int, segment: int) -> None:
    generator = np.random.default_rng(count)
    kinds = (
        generator.normal(size=count), generator.normal(size=count).cumsum() + 1e4, generator.integers(0, 2, count) * 5.0
    )  # fmt: skip
    for values in kinds:
        expected = welch_by_definition(values, 12.5, window, segment)
        found = spectrum(values, 12.5, window=window, segment=segment)
        np.testing.assert_allclose(found.density, expected, rtol=1e-9, atol=1e-9 * float(expected.max()))
        assert found.resolution == pytest.approx(12.5 / segment, rel=1e-12)


@pytest.mark.parametrize(("window", "amplitude"), [("boxcar", 2.0), ("hann", 2.0)])
def test_a_line_between_two_frequencies_reads_its_amplitude(window: str, amplitude: float) -> None:
    """2 sin at 801.7 Hz, 25,600 a second: a Hann window alone would read 1.746, the flat top reads 1.9989."""
    values = 2 * np.sin(2 * np.pi * 801.7 * np.arange(65_536) / 25_600)
    found = spectrum(values, 25_600, window=window)
    assert found.dominant is not None
    assert found.dominant.amplitude == pytest.approx(amplitude, rel=1e-3)
