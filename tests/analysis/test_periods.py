"""Detection of periods: seasons of the calendar, other cycles, and the courage to find none."""

import numpy as np
import pytest

from tidemill.analysis.periods import autocorrelation, detect_periods, season_profile

HOURLY = (("day", 24), ("week", 168))
HOURS = np.arange(2_000)


def names(values: np.ndarray, calendar: tuple[tuple[str, int], ...] = HOURLY) -> list[tuple[str, int]]:
    return [(period.name, period.steps) for period in detect_periods(values, calendar)]


def noise(seed: int, size: int = 2_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def test_a_day_and_a_week_beyond_it() -> None:
    values = 3 * np.sin(2 * np.pi * HOURS / 24) + 2 * (HOURS // 24 % 7 < 5) + noise(1)
    periods = detect_periods(values, HOURLY)
    assert [(p.name, p.steps) for p in periods] == [("day", 24), ("week", 168)]
    assert 0.5 < periods[0].share < 0.8
    assert periods[0].share + periods[1].share < 1


def test_a_day_alone_is_no_week() -> None:
    assert names(3 * np.sin(2 * np.pi * HOURS / 24) + noise(2)) == [("day", 24)]


def test_a_household_with_two_peaks_a_day_has_a_day() -> None:
    hour = HOURS % 24
    values = 0.2 + 1.0 * np.isin(hour, (7, 8)) + 1.4 * np.isin(hour, (18, 19, 20)) + 0.5 * np.abs(noise(3))
    assert names(values) == [("day", 24)]


def test_a_day_under_the_drift_of_the_weather_is_seen() -> None:
    assert names(2 * np.sin(2 * np.pi * HOURS / 24) + 0.3 * np.cumsum(noise(4))) == [("day", 24)]


@pytest.mark.parametrize("kind", ["white", "walk", "ar"])
def test_noise_has_no_period(kind: str) -> None:
    """Of 60 series each, at most one may be called periodic (0 when this was written)."""
    wrong = 0
    for seed in range(60):
        values = noise(seed)
        if kind == "walk":
            values = np.cumsum(values)
        elif kind == "ar":
            for t in range(1, len(values)):
                values[t] += 0.9 * values[t - 1]
        wrong += bool(detect_periods(values, HOURLY))
    assert wrong <= 1


def test_other_cycles_are_seen_in_as_much_noise_as_signal() -> None:
    """Within 2 % of the true period in at least 36 of 40."""
    right = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        steps = int(generator.integers(10, 120))
        wave = np.sqrt(2) * np.sin(2 * np.pi * HOURS / steps + generator.uniform(0, 6))
        periods = detect_periods(wave + generator.normal(size=2_000))
        right += bool(periods) and abs(periods[0].steps - steps) <= max(0.02 * steps, 0.5)
    assert right >= 36


@pytest.mark.parametrize("values", [np.zeros(500), np.full(500, 1e300), np.arange(3.0), np.array([])])
def test_constants_and_very_short_series_have_none(values: np.ndarray) -> None:
    assert detect_periods(values, HOURLY) == ()


def test_autocorrelation_of_two_points_and_of_a_constant() -> None:
    assert autocorrelation(np.array([1.0, 2.0]), 1)[1] == pytest.approx(-0.5, abs=1e-15)
    assert autocorrelation(np.full(9, 3.0), 3).tolist() == [1, 0, 0, 0]


def test_autocorrelation_is_that_of_its_definition() -> None:
    values = noise(5, 300).cumsum()
    d = values - values.mean()
    direct = [float(d[: len(d) - k] @ d[k:] / (d @ d)) for k in range(20)]
    assert autocorrelation(values, 19) == pytest.approx(direct, abs=1e-12)


def test_a_profile_is_the_mean_of_each_phase() -> None:
    assert season_profile(np.array([1.0, 10, 3, 20, 5]), 2).tolist() == [3, 15]
