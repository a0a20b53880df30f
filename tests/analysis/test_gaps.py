"""Coverage and gaps: by the expected interval, by a recognised one, on calendars, and without any."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.analysis.gaps import Gap, coverage
from tidemill.errors import InputError

S = 10**9
HOUR_NS = 3600 * S
DAY_NS = 24 * HOUR_NS


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


def test_gaps_of_an_hourly_series() -> None:
    begin = instant("2024-03-01")
    hours = np.array([0, 1, 2, 5, 6, 7, 8, 20, 21])
    times = begin + hours * HOUR_NS
    values = np.arange(9.0)
    values[1] = math.nan
    found = coverage(times, values, from_ns=begin - 2 * HOUR_NS, to_ns=begin + DAY_NS)
    assert (found.count, found.missing, found.interval) == (8, 1, "3600 s")
    assert (found.expected, found.filled, found.doubled) == (26, 8, 0)
    assert found.share == pytest.approx(8 / 26)
    expected = [(-2, 0, 2), (1, 2, 1), (3, 5, 2), (9, 20, 11), (22, 24, 2)]
    assert found.gaps == [Gap(begin + a * HOUR_NS, begin + b * HOUR_NS, n) for a, b, n in expected]
    assert found.longest == found.gaps[3]
    assert found.gap_s == 18 * 3600


def test_the_longest_gaps_are_kept_in_order_of_time() -> None:
    times = np.array([0, 1, 3, 4, 9, 10, 13, 14]) * HOUR_NS
    found = coverage(times, np.ones(8), interval_ns=HOUR_NS, most=2)
    assert (found.gap_count, [gap.missing for gap in found.gaps]) == (3, [4, 2])


def test_a_day_of_23_hours_is_whole() -> None:
    times = instant("2023-03-20T23:00") + np.arange(10 * 96 - 4) * HOUR_NS // 4
    found = coverage(times, np.ones(len(times)), tz="Europe/Zurich")
    assert (found.share, found.gap_count, found.doubled) == (1.0, 0, 0)


def test_local_days_across_a_clock_change() -> None:
    days = [instant(f"2023-03-{day:02d}T23:00") for day in range(20, 25)] + [instant("2023-03-27T22:00")]
    found = coverage(np.array(days), np.ones(6), tz="Europe/Zurich")
    assert (found.expected, found.filled) == (8, 6)
    assert found.gaps == [Gap(instant("2023-03-25T23:00"), instant("2023-03-27T22:00"), 2)]


def test_months_are_even() -> None:
    months = np.array(["2020-01", "2020-02", "2020-03", "2020-06", "2020-07"], dtype="datetime64[M]")
    times = months.astype("datetime64[ns]").astype(np.int64)
    found = coverage(times, np.ones(5), from_ns=instant("2019-11-01"), to_ns=instant("2020-09-01"))
    assert (found.interval, found.expected, found.filled) == ("1 month", 10, 5)
    assert [gap.missing for gap in found.gaps] == [2, 2, 1]
    assert found.gaps[1] == Gap(instant("2020-04-01"), instant("2020-06-01"), 2)


def test_jitter_and_doubles() -> None:
    jitter = np.random.default_rng(1).integers(-5 * S, 5 * S, 100)
    times = np.sort(np.append(np.arange(100) * 60 * S * 10 + jitter, 600 * S * 50 + 20 * S))
    found = coverage(times, np.ones(101), interval_ns=600 * S)
    assert (found.expected, found.filled, found.doubled, found.gap_count) == (100, 100, 1, 0)


def test_without_a_common_interval() -> None:
    times = np.cumsum(np.random.default_rng(2).integers(S, 20 * S, 200))
    times[100:] += 3600 * S
    found = coverage(times, np.ones(200))
    assert (found.interval, found.expected, found.share) == (None, None, None)
    assert (found.gap_count, found.longest and found.longest.missing) == (1, None)


def test_nothing_at_all() -> None:
    empty = coverage(np.zeros(0, np.int64), np.zeros(0))
    assert (empty.count, empty.expected, empty.gaps, empty.longest) == (0, None, [], None)
    nothing = coverage(np.zeros(0, np.int64), np.zeros(0), interval_ns=HOUR_NS, from_ns=0, to_ns=DAY_NS)
    assert (nothing.expected, nothing.share, nothing.gaps) == (24, 0.0, [Gap(0, DAY_NS, 24)])
    single = coverage(np.array([5]), np.ones(1))
    assert (single.count, single.interval, single.gap_count) == (1, None, 0)
    with pytest.raises(InputError, match="at least 1 ns"):
        coverage(np.zeros(0, np.int64), np.zeros(0), interval_ns=0)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 5), st.integers(1, 6))
def test_filled_and_missing_slots_are_all_slots(slots: set[int], before: int, after: int) -> None:
    times = np.array(sorted(slots)) * HOUR_NS + 7
    begin, end = int(times[0]) - before * HOUR_NS, int(times[-1]) + after * HOUR_NS
    found = coverage(times, np.ones(len(times)), interval_ns=HOUR_NS, from_ns=begin, to_ns=end)
    assert found.expected == (end - begin) // HOUR_NS
    assert found.filled == len(slots)
    assert found.filled + sum(gap.missing or 0 for gap in found.gaps) == found.expected
