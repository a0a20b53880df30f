"""Spectra against sines of known amplitude, Parseval's theorem, SciPy, and awkward input."""

import math
import warnings

import numpy as np
import pytest
from scipy import signal

from tidemill.analysis.spectrum import spectrum

RATE = 25_600.0


def sine(frequency: float, amplitude: float = 2.0, n: int = 65_536) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(n) / RATE)


@pytest.mark.parametrize("frequency", [800.0, 801.7, 3_333.3])
def test_the_amplitude_of_a_sine(frequency: float) -> None:
    found = spectrum(sine(frequency) + 5, RATE)
    assert found.dominant is not None
    assert found.dominant.frequency == pytest.approx(frequency, abs=0.2)
    assert found.dominant.amplitude == pytest.approx(2.0, rel=1e-2)
    assert np.trapezoid(found.density, found.frequencies) == pytest.approx(2.0, rel=1e-3)  # the variance, A^2 / 2


def test_peaks_are_ordered_by_amplitude() -> None:
    found = spectrum(sine(1000, 3) + sine(4000, 1) + sine(9000, 2), RATE, peaks=3)
    assert [round(peak.frequency) for peak in found.peaks] == [1000, 9000, 4000]
    assert [peak.amplitude for peak in found.peaks] == pytest.approx([3, 2, 1], rel=1e-2)


def test_bands_share_the_variance() -> None:
    found = spectrum(sine(1000, 3) + sine(4000, 1), RATE, bands=[(0, 2000), (2000, RATE / 2)])
    low, high = found.bands
    assert (low.power, high.power) == pytest.approx((4.5, 0.5), rel=1e-2)
    assert low.share == pytest.approx(0.9, rel=1e-2)
    assert found.centroid == pytest.approx(1300, rel=1e-2)


def test_white_noise_is_flat() -> None:
    found = spectrum(np.random.default_rng(1).normal(0, 3, 1_000_000), RATE)
    assert np.mean(found.density[10:-10]) == pytest.approx(2 * 9 / RATE, rel=0.02)


@pytest.mark.parametrize("window", ["hann", "flattop", "boxcar"])
def test_equals_scipy(window: str) -> None:
    values = np.random.default_rng(2).normal(size=10_000)
    _, density = signal.welch(values, RATE, window=window, nperseg=1024)
    assert spectrum(values, RATE, window=window, segment=1024).density == pytest.approx(density.tolist(), abs=1e-9)


@pytest.mark.parametrize("values", [[0.1] * 50, [math.nan] * 5, [7.0, 7.0], [1e300] * 9])
def test_what_does_not_vary_has_no_frequency(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = spectrum(np.array(values), 10, bands=[(0, 5)])
    assert (found.dominant, found.centroid, found.peaks) == (None, None, [])
    assert found.bands[0].power == 0


@pytest.mark.parametrize("factor", [1e150, 1e-150])
def test_huge_and_tiny_values(factor: float) -> None:
    found = spectrum(sine(800) * factor, RATE)
    assert found.dominant is not None
    assert found.dominant.amplitude == pytest.approx(2 * factor, rel=1e-2)


def test_missing_values_are_said() -> None:
    values = sine(800)
    values[1000:1003] = math.nan
    found = spectrum(values, RATE)
    assert (found.count, found.missing) == (65_533, 3)
    assert found.dominant is not None
    assert found.dominant.frequency == pytest.approx(800, abs=0.2)
