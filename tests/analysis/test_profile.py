"""Profiles and calendar days on wall clocks, across clock changes."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tidemill.analysis.profile import Grouping, calendar_days, profile

ZONE = "Europe/Zurich"


def quarters(begin: datetime, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Values 0, 1, 2 … each quarter of an hour from a UTC begin."""
    count = days * 96
    start = int(begin.timestamp()) * 10**9
    return start + np.arange(count) * 900 * 10**9, np.arange(count, dtype=float)


@pytest.mark.parametrize(("date", "values", "hours"), [("2023-03-26", 92, 23), ("2023-10-29", 100, 25)])
def test_days_of_a_clock_change(date: str, values: int, hours: int) -> None:
    times, numbers = quarters(datetime.fromisoformat(date).replace(tzinfo=UTC) - timedelta(days=2), 5)
    days = calendar_days(times, numbers, ZONE)
    number = days.date.index(date)
    assert (days.count[number], days.hours[number]) == (values, hours)
    assert sum(days.count) == len(times)
    assert sum(days.sum) == numbers.sum()


@pytest.mark.parametrize("by", ["hour", "weekday", "month", "hour_weekday"])
def test_equals_a_loop_over_local_times(by: Grouping) -> None:
    times, _ = quarters(datetime(2023, 10, 20, tzinfo=UTC), 20)
    numbers = np.random.default_rng(1).normal(size=len(times))
    numbers[5] = np.nan
    groups: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for ns, number in zip(times.tolist(), numbers.tolist(), strict=True):
        local = datetime.fromtimestamp(ns // 10**9, ZoneInfo(ZONE))
        key = {
            "hour": (local.hour,),
            "weekday": (local.isoweekday(),),
            "month": (local.month,),
            "hour_weekday": (local.isoweekday(), local.hour),
        }[by]
        if not np.isnan(number):
            groups[key].append(number)
    found = profile(times, numbers, by, ZONE)
    assert found.count == [len(groups[key]) for key in sorted(groups)]
    assert found.mean == pytest.approx([np.mean(groups[key]) for key in sorted(groups)])
    assert found.p90 == pytest.approx([np.quantile(groups[key], 0.9) for key in sorted(groups)])
    assert found.stddev == pytest.approx([np.std(groups[key], ddof=1) for key in sorted(groups)])


def test_no_value() -> None:
    found = profile(np.zeros(3, np.int64), np.full(3, np.nan), "hour")
    assert (found.count, found.hour, found.weekday) == ([], [], None)
    assert calendar_days(np.zeros(0, np.int64), np.zeros(0)).date == []
