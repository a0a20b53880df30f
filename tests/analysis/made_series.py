"""Series of which it is known what they are: simulated meters, and those that tests make up."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
from scipy import signal

from tidemill.simulate.meters import MeterServer, MetersOptions

HOUR_NS = 3600 * 10**9
QUARTER_NS = HOUR_NS // 4
ZONE = "Europe/Zurich"
Made = tuple[np.ndarray, np.ndarray]


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@cache
def meter(muid: str, register: str, days: int = 60, begin: str = "2023-01-31T23:00") -> Made:
    """kWh each quarter hour of local days in Zurich."""
    server = MeterServer(MetersOptions(), clock_ns=lambda: 2 * 10**18)
    times = instant(begin) + np.arange(days * 96) * QUARTER_NS
    records = server.records(muid, int(times[0]), int(times[-1]) + 1, len(times))
    return times, np.array([record[register] for record in records])


def hourly(days: int = 70, begin: str = "2024-01-01") -> np.ndarray:
    return instant(begin) + np.arange(days * 24) * HOUR_NS


def shop(days: int = 70, closed_on: tuple[int, ...] = (6,)) -> Made:
    """Customers an hour, from 8 to 20 h with a bell between, none at night and on days that are closed (0: Monday)."""
    times = hourly(days)
    hours, weekday = np.arange(len(times)) % 24, np.arange(len(times)) // 24 % 7
    is_open = (hours >= 8) & (hours < 20) & ~np.isin(weekday, closed_on)
    expected = np.where(is_open, 60 * np.sin((hours - 7.5) / 12.5 * np.pi), 0)
    return times, np.random.default_rng(1).poisson(np.maximum(expected, 0)).astype(float)


def autoregressive(phi: float, n: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n + 500)
    return signal.lfilter([1], [1, -phi], noise)[500:]
