"""The periodogram of uneven times against SciPy, sines of known amplitude, noise, and awkward input."""

import math
import warnings

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from tidemill.analysis.lomb_scargle import Periodogram, periodogram
from tidemill.analysis.nonuniform import fourier_sums
from tidemill.errors import InputError, LimitError, NotEnoughPointsError

S = 10**9


# Lynx trapped a year, 1821 to 1934: Elton and Nicholson (1942), Journal of Animal Ecology 11(2).
LYNX = """269 321 585 871 1475 2821 3928 5943 4950 2577 523 98 184 279 409 2285 2685 3409 1824 409 151 45 68 213 546
1033 2129 2536 957 361 377 225 360 731 1638 2725 2871 2119 684 299 236 245 552 1623 3311 6721 4254 687 255
473 358 784 1594 1676 2251 1426 756 299 201 229 469 736 2042 2811 4431 2511 389 73 39 49 59 188 377 1292
4031 3495 587 105 153 387 758 1307 3465 6991 6313 3794 1836 345 382 808 1388 2713 3800 3091 2985 3790 374 81
80 108 229 399 1132 2432 3574 2935 1537 529 485 662 1000 1590 2657 3396"""
YEAR_S = 365.2425 * 86_400


def uneven(n: int, span_s: float, seed: int = 1) -> np.ndarray:
    times = np.sort(np.random.default_rng(seed).random(n)) * span_s * S
    return (1_700_000_000 * S + times).astype(np.int64)


def seconds(times: np.ndarray) -> np.ndarray:
    return (times - times[0]) / S


@pytest.mark.parametrize(("n", "offset"), [(12, 0.0), (200, 0.0), (2_000, 0.0), (500, 1e6)])
def test_equals_scipy(n: int, offset: float) -> None:
    times = uneven(n, 100.0, n)
    generator = np.random.default_rng(n)
    values = generator.normal(size=n) + 2 * np.sin(seconds(times) * 2) + offset
    found = periodogram(times, values)
    at = np.unique(np.linspace(0, len(found.frequencies) - 1, 200).astype(int))
    angular = 2 * np.pi * np.array(found.frequencies)[at]
    expected = signal.lombscargle(seconds(times), values - values.mean(), angular, normalize=True, floating_mean=True)
    assert np.array(found.power)[at] == pytest.approx(expected, abs=1e-9)


def test_equals_scipy_on_an_even_grid_up_to_its_highest_frequency() -> None:
    times = np.arange(100) * S
    values = np.random.default_rng(1).normal(size=100)
    found = periodogram(times, values, oversampling=1, highest_hz=0.5)
    angular = 2 * np.pi * np.array(found.frequencies)
    expected = signal.lombscargle(seconds(times), values, angular, normalize=True, floating_mean=True)
    assert found.power == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("frequency", [0.1, 0.7431, 2.2])
def test_a_sine_has_its_frequency_and_amplitude(frequency: float) -> None:
    times = uneven(3_000, 200.0)
    values = 40 + 1.5 * np.sin(2 * np.pi * frequency * seconds(times) + 1)
    peak = periodogram(times, values).dominant
    assert peak is not None
    assert peak.frequency == pytest.approx(frequency, rel=1e-3)
    assert peak.period_s == pytest.approx(1 / frequency, rel=1e-3)
    assert (peak.amplitude, peak.power) == (pytest.approx(1.5, rel=1e-2), pytest.approx(1, abs=1e-2))
    assert peak.false_alarm < 1e-6


def test_lynx_return_every_nine_and_a_half_years() -> None:
    values = np.log10([float(text) for text in LYNX.split()])
    years = np.arange("1821", "1935", dtype="datetime64[Y]").astype("datetime64[ns]").astype(np.int64)
    kept = np.random.default_rng(1).random(114) < 0.8
    for chosen in (slice(None), kept):
        peak = periodogram(years[chosen], values[chosen]).dominant
        assert peak is not None
        assert peak.period_s / YEAR_S == pytest.approx(9.6, abs=0.15)  # 114 / 12 = 9.5 is the nearest line of an FFT
        assert peak.false_alarm < 1e-12


def test_noise_alone_has_no_peak_to_speak_of() -> None:
    alarms = 0
    for seed in range(60):
        peak = periodogram(uneven(150, 100.0, seed), np.random.default_rng(seed).normal(size=150)).dominant
        assert peak is not None
        alarms += peak.false_alarm < 0.05
    assert alarms <= 8  # a bound: 3 are expected at most; 9 or more of 60 at 5 % happen once in 400


def test_peaks_are_ordered_by_power() -> None:
    times = uneven(2_000, 300.0)
    at = seconds(times)
    values = np.sin(2 * np.pi * 0.3 * at) + 3 * np.sin(2 * np.pi * 1.1 * at) + 2 * np.sin(2 * np.pi * 0.05 * at)
    found = periodogram(times, values, peaks=3)
    assert [peak.frequency for peak in found.peaks][:2] == pytest.approx([1.1, 0.05], rel=1e-2)
    assert found.peaks[0] == found.dominant


def test_missing_values_are_left_out_and_the_answer_is_plain() -> None:
    times = uneven(400, 50.0)
    values = np.sin(seconds(times))
    values[::9] = math.nan
    found = periodogram(times, values)
    assert (found.count, found.missing) == (355, 45)
    assert found.dominant is not None
    assert found.dominant.period_s == pytest.approx(2 * math.pi, rel=1e-2)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Periodogram) == found


@pytest.mark.parametrize("factor", [1e300, 1e-300, 0.0])
def test_huge_tiny_and_constant_values(factor: float) -> None:
    times = uneven(300, 50.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = periodogram(times, np.sin(seconds(times)) * factor + (7 if not factor else 0))
    if factor:
        assert found.dominant is not None
        assert found.dominant.amplitude == pytest.approx(factor, rel=0.05)
    else:
        assert (found.dominant, max(found.power)) == (None, 0)


def test_what_cannot_be_computed_is_said() -> None:
    times = uneven(100, 100.0)
    with pytest.raises(NotEnoughPointsError, match="at least 10 values; there are 9"):
        periodogram(times[:9], np.arange(9.0))
    with pytest.raises(LimitError, match="200,000 are computed"):
        periodogram(times, np.arange(100.0), highest_hz=1e6)
    with pytest.raises(InputError, match="no frequency in the range"):
        periodogram(times, np.arange(100.0), lowest_hz=0.5, highest_hz=0.4)


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 1000))
@settings(max_examples=60)
def test_the_fast_sums_are_the_sums(n: int, count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    phases, weights = generator.random(n), generator.normal(size=n)
    expected = np.exp(2j * np.pi * np.outer(np.arange(count), phases)) @ weights
    assert np.abs(fourier_sums(phases, weights, count) - expected).max() <= 1e-12 * np.abs(weights).sum()
