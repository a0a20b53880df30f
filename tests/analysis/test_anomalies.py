"""Anomalies: reasons in words, few flags on clean series, spikes that are seen, and awkward input."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import signal

from tidemill.analysis.anomalies import Anomalies, anomalies
from tidemill.errors import NotEnoughPointsError, UnevenSamplingError
from tidemill.simulate.meters import EXPORT, HOUSEHOLD_MUID, IMPORT, SOLAR_MUID, MeterServer, MetersOptions

QUARTER_NS = 900 * 10**9
ZONE = "Europe/Zurich"


def quarters(n: int, begin: datetime = datetime(2023, 1, 1, 23, tzinfo=UTC)) -> np.ndarray:
    return int(begin.timestamp()) * 10**9 + np.arange(n) * QUARTER_NS


def load(n: int, seed: int = 1) -> np.ndarray:
    """kW each quarter hour of a local day: 0.35, more in the evening."""
    hours = np.arange(n) / 4 % 24
    return 0.35 + np.exp(-(((hours - 19) / 2) ** 2)) + np.random.default_rng(seed).normal(0, 0.05, n)


def meter(muid: str, register: str, days: int) -> tuple[np.ndarray, np.ndarray]:
    server = MeterServer(MetersOptions(), clock_ns=lambda: 2 * 10**18)
    times = quarters(days * 96)
    records = server.records(muid, int(times[0]), int(times[-1]) + 1, len(times))
    return times, np.array([record[register] for record in records])


def scattered(values: np.ndarray, share: float, size: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The values with spikes of `size` standard deviations at a share of them, and where the spikes are."""
    generator = np.random.default_rng(seed)
    at = generator.choice(len(values), int(share * len(values)), replace=False)
    spiked = values.copy()
    spiked[at] += size * values.std() * generator.choice([-1, 1], len(at))
    return spiked, np.sort(at)


def recall(found: Anomalies, times: np.ndarray, at: np.ndarray) -> float:
    return len({anomaly.at_ns for anomaly in found.anomalies} & set(times[at].tolist())) / len(at)


def test_the_reason_names_time_and_usual_range() -> None:
    times, values = quarters(96 * 30), load(96 * 30)
    values[96 * 10 + 13] = 6.1
    found = anomalies(times, values, tz=ZONE, unit="kW")
    assert [anomaly.reason for anomaly in found.anomalies] == ["6.1 kW at 03:15, usual at this hour 0.3–0.42"]
    anomaly = found.anomalies[0]
    assert anomaly.at_ns == times[96 * 10 + 13]
    assert anomaly.score > 20
    assert anomaly.expected == pytest.approx(0.35, abs=0.1)
    assert [period.name for period in found.periods] == ["day"]


def test_a_usual_value_at_an_unusual_hour() -> None:
    times, values = quarters(96 * 30), load(96 * 30)
    values[96 * 12 + 75] = 0.35
    found = anomalies(times, values, tz=ZONE, unit="kW")
    assert [anomaly.reason for anomaly in found.anomalies] == ["0.35 kW at 18:45, usual at this hour 1.3–1.4"]
    assert found.anomalies[0].score < -5


def test_each_value_is_outside_the_range_of_its_reason() -> None:
    times = quarters(96 * 60)
    values, _ = scattered(load(96 * 60), 0.005, 3)
    found = anomalies(times, values)
    assert found.anomaly_count > 20
    assert not any(anomaly.low <= anomaly.value <= anomaly.high for anomaly in found.anomalies)


@pytest.mark.parametrize(("muid", "register"), [(HOUSEHOLD_MUID, IMPORT), (SOLAR_MUID, EXPORT)])
def test_clean_meters_are_hardly_flagged(muid: str, register: str) -> None:
    times, values = meter(muid, register, 60)
    assert anomalies(times, values, tz=ZONE).anomaly_count <= 0.004 * len(values)


@pytest.mark.parametrize(("phi", "size"), [(0.0, 6), (0.7, 5), (0.95, 3), (1.0, 3)])
def test_clean_noise_is_hardly_flagged_and_its_spikes_are_seen(phi: float, size: float) -> None:
    clean = signal.lfilter([1], [1, -phi], np.random.default_rng(4).normal(size=4_000))
    times = quarters(4_000)
    assert anomalies(times, clean).anomaly_count <= 4
    spiked, at = scattered(clean, 0.005, size)
    assert recall(anomalies(times, spiked), times, at) >= 0.8


def test_spikes_on_a_regular_load_are_seen() -> None:
    times = quarters(96 * 40)
    values, at = scattered(load(96 * 40), 0.005, 3)
    found = anomalies(times, values, tz=ZONE)
    assert recall(found, times, at) >= 0.95
    assert found.anomaly_count <= len(at) + 4


def test_the_strongest_are_kept_in_order_of_time() -> None:
    times, values = quarters(96 * 20), load(96 * 20)
    values[[300, 700, 1_100]] += [9, 3, 6]
    found = anomalies(times, values, most=2)
    assert (found.anomaly_count, [anomaly.at_ns for anomaly in found.anomalies]) == (3, [times[300], times[1_100]])


def test_a_weekday_is_named_where_the_week_counts() -> None:
    begin = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    times = begin + np.arange(24 * 70) * 4 * QUARTER_NS
    open_days = np.arange(24 * 70) // 24 % 7 < 5
    hours = np.arange(24 * 70) % 24
    values = np.where(open_days & (hours >= 8) & (hours < 18), 50.0, 5.0)
    values += np.random.default_rng(1).normal(0, 1, len(values))
    values[24 * 40 + 12] = 48.0  # noon of a Saturday
    found = anomalies(times, values, unit="kWh")
    assert [anomaly.reason[:42] for anomaly in found.anomalies] == ["48 kWh at 12:00, usual on a Saturday at th"]


def test_across_a_clock_change_the_hours_stay_local() -> None:
    times = quarters(96 * 28, datetime(2023, 3, 11, 23, tzinfo=UTC))
    hours = np.array([datetime.fromtimestamp(t / 1e9, UTC).hour + (t >= 1_679_792_400 * 10**9) for t in times.tolist()])
    values = np.where((hours + 1) % 24 == 7, 10.0, 1.0) + np.random.default_rng(1).normal(0, 0.1, len(times))
    assert anomalies(times, values, tz=ZONE).anomaly_count == 0


def test_missing_values_two_values_and_constants() -> None:
    times, values = quarters(96 * 20), load(96 * 20)
    values[500:560] = math.nan
    values[900] = 9
    found = anomalies(times, values)
    assert (found.count, found.missing, found.anomaly_count) == (96 * 20 - 60, 60, 1)
    switch = (np.arange(400) % 97 == 0).astype(float)
    assert (anomalies(times[:400], switch).anomaly_count, len(anomalies(times[:400], switch).notes)) == (0, 1)
    constant = anomalies(times[:400], np.full(400, 3.0))
    assert (constant.anomaly_count, constant.below, constant.above) == (0, None, None)


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_huge_and_tiny_values(factor: float) -> None:
    values = load(96 * 20)
    values[700] = 6.1
    found = anomalies(quarters(96 * 20), values * factor)
    assert found.anomaly_count == 1
    assert math.isfinite(found.anomalies[0].score)


def test_too_few_and_uneven_values_are_refused() -> None:
    with pytest.raises(NotEnoughPointsError, match="at least 24 values; there are 23"):
        anomalies(quarters(23), np.arange(23.0))
    times = np.cumsum(np.random.default_rng(1).integers(1, 10**12, 100))
    with pytest.raises(UnevenSamplingError):
        anomalies(times, np.arange(100.0))
