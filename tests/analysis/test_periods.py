"""Detection of periods: seasons of the calendar, other cycles, and the courage to find none."""

import numpy as np
import pytest

from tidemill.analysis.periods import detect_periods, season_profile, with_exact_cycle

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


def test_a_profile_is_the_mean_of_each_phase() -> None:
    assert season_profile(np.array([1.0, 10, 3, 20, 5]), 2).tolist() == [3, 15]


@pytest.mark.parametrize(("low", "high"), [(2.2, 4.0), (4.0, 10.0), (10.0, 120.0)])
@pytest.mark.parametrize("shape", ["sine", "saw"])
def test_a_cycle_that_is_no_whole_number_of_steps_has_its_length(low: float, high: float, shape: str) -> None:
    """In as much noise as signal (a saw: half as much), within 0.5 % in at least 33 of 40; as a whole number of steps a
    cycle of 7.82 drifts away from itself within 50 cycles, and was not seen."""
    right = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        length = float(generator.uniform(low, high))
        wave = np.sqrt(2) * np.sin(2 * np.pi * HOURS / length + generator.uniform(0, 6))
        if shape == "saw":
            wave = 4 * (HOURS / length % 1)
        values = wave + generator.normal(size=2_000)
        periods = with_exact_cycle(values, detect_periods(values))
        right += bool(periods) and abs(periods[0].length - length) <= 0.005 * length
    assert right >= 33


def test_whole_cycles_and_seasons_stay_as_they_are() -> None:
    day = 3 * np.sin(2 * np.pi * HOURS / 24) + noise(2)
    for calendar in (HOURLY, ()):
        (found,) = with_exact_cycle(day, detect_periods(day, calendar))
        assert (found.steps, found.length) == (24, 24.0)
    halves = 1.0 * np.isin(HOURS % 15, (2, 9)) + 2.0 * np.isin(HOURS % 15, (3,)) + 0.1 * noise(5)
    (found,) = with_exact_cycle(halves, detect_periods(halves))
    assert found.length == 15.0  # and not the 7.5 steps of its strongest line


@pytest.mark.parametrize("kind", ["white", "walk"])
def test_noise_has_no_cycle_of_any_length(kind: str) -> None:
    series = [np.cumsum(noise(seed)) if kind == "walk" else noise(seed) for seed in range(60)]
    assert sum(bool(with_exact_cycle(values, detect_periods(values, HOURLY))) for values in series) <= 1


def test_a_cycle_of_seven_and_a_half_steps_repeats_after_fifteen() -> None:
    values = np.sin(2 * np.pi * HOURS / 7.5) + 0.3 * noise(3)
    assert names(values, ()) == [("cycle", 15)]
    (found,) = with_exact_cycle(values, detect_periods(values))
    assert (found.steps, found.length) == (8, pytest.approx(7.5, rel=1e-3))
