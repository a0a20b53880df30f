"""The grid of a forecast: intervals, months, clock changes, closed hours, gaps."""

import numpy as np
import pytest

from tidemill.analysis.forecast import forecast
from tidemill.analysis.forecast.grid import make_grid
from tidemill.analysis.forecast.steps import FixedStep, MonthStep, from_wall, offsets_ns, recognise_step
from tidemill.errors import NotEnoughPointsError

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def instants(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[ns]").astype(np.int64)


def texts(times_ns: np.ndarray) -> list[str]:
    return [str(t)[:16] for t in times_ns.astype("datetime64[ns]")]


def noise(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def months(count: int, begin: str, every: int = 1) -> np.ndarray:
    return (np.datetime64(begin, "M") + every * np.arange(count)).astype("datetime64[ns]").astype(np.int64)


@pytest.mark.parametrize(
    ("every", "name", "seasons"),
    [(1, "1 month", (("year", 12),)), (3, "1 quarter", (("year", 4),)), (12, "1 year", ())],
)
def test_months_quarters_and_years_are_even(every: int, name: str, seasons: tuple[tuple[str, int], ...]) -> None:
    step = recognise_step(months(40, "1990-01", every), None)
    assert step == MonthStep(every, None)
    assert (step.name, step.seasons()) == (name, seasons)


def test_a_monthly_series_goes_on_with_months() -> None:
    times = months(72, "2018-03")
    values = 10 + np.sin(2 * np.pi * np.arange(72) / 12) + 0.05 * noise(1, 72)
    answer = forecast(times, values, 12)
    assert texts(answer.times_ns)[:3] == ["2024-03-01T00:00", "2024-04-01T00:00", "2024-05-01T00:00"]
    assert answer.interval == "1 month"
    assert [(p.name, p.steps) for p in answer.periods] == [("year", 12)]
    truth = 10 + np.sin(2 * np.pi * np.arange(72, 84) / 12)
    assert np.abs(answer.values - truth).mean() < 0.1


def test_ends_of_months_stay_ends_of_months() -> None:
    times = months(41, "2020-01")[1:] - DAY  # the last day of each month
    assert recognise_step(times, None) == MonthStep(1, None)
    following, _ = recognise_step(times, None).following(int(times[-1]), 3)
    assert texts(following) == ["2023-05-31T00:00", "2023-06-30T00:00", "2023-07-31T00:00"]


def test_months_of_local_time_are_even_where_utc_is_not() -> None:
    wall = months(30, "2020-01")
    times = from_wall(wall, "Europe/Zurich")
    step = recognise_step(times, "Europe/Zurich")
    assert step == MonthStep(1, "Europe/Zurich")
    following, _ = step.following(int(times[-1]), 5)
    assert texts(following)[0] == "2022-06-30T22:00"
    assert texts(following)[4] == "2022-10-31T23:00"


def test_seasons_of_a_fixed_interval() -> None:
    assert FixedStep(15 * MINUTE, None).seasons() == (("day", 96), ("week", 672))
    assert FixedStep(DAY, None).seasons() == (("week", 7), ("year", 365))
    assert FixedStep(7 * DAY, None).seasons() == (("year", 52),)
    assert FixedStep(7 * MINUTE, None).seasons() == (("week", 1440),)
    assert FixedStep(1, None).seasons()[0] == ("day", 86_400 * 10**9)


def test_a_clock_that_drifts_or_trembles_is_even() -> None:
    times = (np.arange(400) * MINUTE * 1.0005).astype(np.int64) + np.random.default_rng(1).integers(
        -(10**8), 10**8, 400
    )
    grid = make_grid(times, noise(1, 400), None)
    assert len(grid.values) in (400, 401)
    assert grid.filled.sum() <= 1


def test_the_offset_of_a_zone_at_each_time() -> None:
    times = instants("2023-03-26T00:59", "2023-03-26T01:00", "2023-10-29T00:59", "2023-10-29T01:00")
    assert (offsets_ns(times, "Europe/Zurich") // HOUR).tolist() == [1, 2, 2, 1]


def test_wall_time_is_taken_back_to_the_instant() -> None:
    wall = instants("2023-03-26T01:30", "2023-03-26T02:30", "2023-03-26T03:30", "2023-10-29T02:30", "2023-10-29T03:30")
    assert texts(from_wall(wall, "Europe/Zurich")) == [
        "2023-03-26T00:30",
        "2023-03-26T01:30",  # skipped by the clocks: as far behind the gap as it is behind its begin
        "2023-03-26T01:30",
        "2023-10-29T00:30",  # shown twice: the first
        "2023-10-29T02:30",
    ]


@pytest.mark.parametrize(("begin", "slots", "filled"), [("2023-03-20", 14 * 96, 4), ("2023-10-23", 14 * 96, 0)])
def test_an_hour_skipped_is_missing_and_one_shown_twice_is_a_mean(begin: str, slots: int, filled: int) -> None:
    first = int(from_wall(instants(begin), "Europe/Zurich")[0])
    end = int(from_wall(instants(begin) + 14 * DAY, "Europe/Zurich")[0])
    times = np.arange(first, end, 15 * MINUTE)
    assert len(times) == slots + (-4 if filled else 4)
    grid = make_grid(times, np.arange(len(times), dtype=np.float64), "Europe/Zurich")
    assert (len(grid.values), int(grid.filled.sum())) == (slots, filled)


def test_noon_stays_noon_when_clocks_change() -> None:
    """A peak at 12 h of Zurich, forecast over the change to summer: without the zone it is an hour off."""
    begin, end = instants("2023-02-20", "2023-03-25T23:00")
    times = np.arange(begin, end, HOUR)
    hour = (times + offsets_ns(times, "Europe/Zurich")) // HOUR % 24
    values = np.where(hour == 12, 10.0, 1.0) + 0.01 * noise(1, len(times))
    local = forecast(times, values, 24, tz="Europe/Zurich")
    assert texts(local.times_ns[[int(np.argmax(local.values))]]) == ["2023-03-26T10:00"]
    assert local.times_ns.tolist() == (times[-1] + HOUR * np.arange(1, 25)).tolist()
    utc = forecast(times, values, 24)
    assert texts(utc.times_ns[[int(np.argmax(utc.values))]]) == ["2023-03-26T11:00"]


def test_over_the_autumn_change_the_hour_shown_twice_is_forecast_twice() -> None:
    times = np.arange(*instants("2023-09-20", "2023-10-28T22:00"), HOUR)
    hour = (times + offsets_ns(times, "Europe/Zurich")) // HOUR % 24
    answer = forecast(times, np.where(hour == 2, 10.0, 1.0) + 0.001 * noise(1, len(times)), 24, tz="Europe/Zurich")
    high = answer.times_ns[answer.values > 5]
    assert texts(high) == ["2023-10-29T00:00", "2023-10-29T01:00"]


def test_days_of_local_time_are_23_and_25_hours_long() -> None:
    times = from_wall(instants("2023-01-01") + DAY * np.arange(84), "Europe/Zurich")
    answer = forecast(times, 5 + (np.arange(84) % 7) + 0.01 * noise(2, 84), 7, tz="Europe/Zurich")
    assert texts(answer.times_ns)[:3] == ["2023-03-25T23:00", "2023-03-26T22:00", "2023-03-27T22:00"]


def test_closed_hours_are_left_out_and_said() -> None:
    """Five-minute values from 7 to 21 h on working days: a day has 169 steps, a week five of them."""
    grid = np.arange(0, 42 * DAY, 5 * MINUTE)
    of_day, weekday = grid % DAY, (grid // DAY) % 7
    times = grid[(of_day >= 7 * HOUR) & (of_day <= 21 * HOUR) & (weekday < 5)]
    shape = np.sin(np.pi * ((times % DAY) - 7 * HOUR) / (14 * HOUR))
    answer = forecast(times, 100 * shape + noise(3, len(times)), 169)
    assert [(p.name, p.steps) for p in answer.periods] == [("day", 169)]
    assert "closed hours" in answer.notes[0]
    assert texts(answer.times_ns[[0, -1]]) == ["1970-02-12T07:00", "1970-02-12T21:00"]
    assert answer.used.filled == 0
    assert answer.values[[0, -1]].max() < 10
    assert answer.values[84] > 90


def test_a_long_gap_cuts_the_history() -> None:
    at = np.concatenate((np.arange(300), np.arange(1_000, 1_400)))
    answer = forecast(at * HOUR, 5 + np.sin(2 * np.pi * at / 24) + 0.1 * noise(4, 700), 24)
    assert answer.used.points == 400
    assert answer.used.from_ns == 1_000 * HOUR
    assert "gap of 700 values" in answer.notes[0]
    late = np.concatenate((np.arange(300), np.arange(1_000, 1_040)))
    with pytest.raises(NotEnoughPointsError):
        forecast(late * HOUR, noise(5, 340), 24)


def test_a_short_gap_is_filled_from_the_same_phase() -> None:
    at = np.arange(400)
    values = 5 + 3 * np.sin(2 * np.pi * at / 24)
    kept = (at < 200) | (at >= 210)
    grid = make_grid(at[kept] * HOUR, values[kept], None)
    assert grid.filled.sum() == 10
    assert grid.values == pytest.approx(values, abs=1e-9)


def test_at_most_5000_slots_are_read() -> None:
    answer = forecast(np.arange(9_000) * HOUR, noise(6, 9_000), 24)
    assert (answer.used.points, answer.used.from_ns) == (5_000, 4_000 * HOUR)


def test_a_series_of_which_most_is_missing_is_even_all_the_same() -> None:
    kept = np.flatnonzero(np.random.default_rng(8).random(900) < 0.45)
    grid = make_grid(kept * HOUR, noise(8, len(kept)), None)
    assert grid.step == FixedStep(HOUR, None)
    assert len(grid.values) - int(grid.filled.sum()) == len(kept)
    assert "were missing and were filled" in grid.notes[0]
