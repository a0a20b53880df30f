"""The truth at the times of a forecast, and its figures: of frames alone."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.query.analysis_answers import AsOf, ForecastAnswer, ForecastBaseline, ForecastBounds, UsedHistory
from tidemill.query.forecast_scores import figures, truth_of_points, truth_of_windows

STEP = 1_000
NONE = pl.DataFrame({"ns": [], "value": []}, schema={"ns": pl.Int64, "value": pl.Float64})


def times(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=np.int64) * STEP


def points(values: dict[int, float | None]) -> pl.DataFrame:
    return pl.DataFrame({"ns": list(values), "value": list(values.values())}, schema=NONE.schema)


def test_a_point_belongs_to_the_nearest_time_within_half_a_step() -> None:
    truth = truth_of_points(
        times(3), STEP // 2, points({499: 9.0, 1_400: 1.0, 2_100: 2.0, 2_200: 4.0, 3_501: 9.0}), NONE
    )
    np.testing.assert_array_equal(truth.now, [1.0, 3.0, np.nan])
    np.testing.assert_array_equal(truth.first, truth.now)
    assert not truth.restated.any()


def test_a_value_that_was_replaced_has_a_first_one_and_an_equal_one_is_not_restated() -> None:
    now = points({1_000: 1.0, 2_000: 2.0, 3_000: None, 4_000: 4.0})
    before = points({1_000: 7.0, 2_000: 2.0, 3_000: 3.0, 4_000: None})
    truth = truth_of_points(times(5), STEP // 2, now, before)
    np.testing.assert_array_equal(truth.now, [1.0, 2.0, np.nan, 4.0, np.nan])
    np.testing.assert_array_equal(truth.first, [7.0, 2.0, 3.0, np.nan, np.nan])
    np.testing.assert_array_equal(truth.restated, [True, False, True, True, False])


def test_one_time_takes_the_points_around_it() -> None:
    truth = truth_of_points(times(1), STEP // 2, points({900: 1.0, 1_100: 3.0, 1_600: 9.0}), NONE)
    np.testing.assert_array_equal(truth.now, [2.0])


@given(st.dictionaries(st.integers(1, 20), st.floats(-1e6, 1e6), max_size=20))
def test_points_at_the_times_are_the_truth(values: dict[int, float]) -> None:
    frame = points({at * STEP: value for at, value in sorted(values.items())})
    truth = truth_of_points(times(20), STEP // 2, frame, NONE)
    np.testing.assert_array_equal(truth.now, [values.get(at, math.nan) for at in range(1, 21)])


def test_a_window_counts_once_it_is_over_and_has_most_of_its_points() -> None:
    begins = times(5)
    frame = pl.DataFrame({"ns": [1_000, 2_000, 3_000, 4_000], "value": [1.0, 2.0, 3.0, 4.0], "count": [10, 10, 8, 10]})
    truth = truth_of_windows(begins, begins + STEP, frame, points({2_500: 1.0, 4_900: 1.0}), 4_990)
    np.testing.assert_array_equal(truth.now, [1.0, 2.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(truth.restated, [False, True, False, False, False])
    np.testing.assert_array_equal(truth.first, [1.0, np.nan, np.nan, np.nan, np.nan])


def forecast(values: list[float], baseline: list[float], scale: float | None) -> ForecastAnswer:
    return ForecastAnswer(
        id="s",
        unit=None,
        every=None,
        agg=None,
        start="",
        end="",
        as_of=AsOf(1, None),
        interval="1 s",
        horizon=len(values),
        model="auto",
        chosen=[],
        times=[""] * len(values),
        values=values,
        levels={"80": ForecastBounds([value - 1 for value in values], [value + 1 for value in values])},
        periods=[],
        backtest=None,
        baseline=ForecastBaseline("naive", baseline, scale),
        used=UsedHistory(9, "", "", 0),
        notes=[],
    )


def test_figures_are_of_the_values_that_came() -> None:
    made = figures(forecast([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], 0.5), np.array([1.5, np.nan, 5.0]))
    assert made is not None
    assert (made.count, made.mae, made.bias) == (2, 1.25, -1.25)
    assert made.rmse == pytest.approx(math.sqrt((0.25 + 4) / 2))
    assert (made.mase, made.ratio_to_baseline, made.coverage) == (2.5, 1.25 / 1.75, {"80": 0.5})


def test_figures_that_are_not_defined_are_null() -> None:
    assert figures(forecast([1.0], [1.0], None), np.array([np.nan])) is None
    exact = figures(forecast([1.0], [1.0], None), np.array([1.0]))
    assert exact is not None and (exact.mae, exact.mase, exact.ratio_to_baseline) == (0, None, None)
