"""The models of a forecast against published values and worked examples."""

import numpy as np
import pytest

from tidemill.analysis.forecast.candidate import Candidate, Selection
from tidemill.analysis.forecast.combine import combine
from tidemill.analysis.forecast.history import History, make_history
from tidemill.analysis.forecast.intervals import bounds, coverage
from tidemill.analysis.forecast.linear import linear_models
from tidemill.analysis.forecast.pooled import pooled
from tidemill.analysis.forecast.repeats import drift, naive, seasonal_mean, seasonal_naives
from tidemill.analysis.forecast.smoothing import Family, SmoothingState, smoothing

# Oil production of Saudi Arabia in million tonnes, 1996 to 2013: Hyndman and Athanasopoulos (2018), "Forecasting:
# principles and practice", second edition, 7.1.
OIL = [445.3641, 453.1950, 454.4096, 422.3789, 456.0371, 440.3866, 425.1944, 486.2052, 500.4291]
OIL += [521.2759, 508.9476, 488.8889, 509.8706, 456.7229, 473.8166, 525.9509, 549.8338, 542.3405]


def history(values: np.ndarray, horizon: int = 12, seasons: tuple[int, ...] = ()) -> History:
    values = np.asarray(values, dtype=np.float64)
    return make_history(values, np.ones(len(values), dtype=bool), seasons, seasons, horizon)


def noise(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def test_simple_smoothing_of_oil_is_that_of_the_book() -> None:
    state = SmoothingState(
        history(np.array(OIL), 2), [Family("ets", ((0.8339, 0.0, 1.0, 0.0, 0.0, 0.0),), trended=False)], 0
    )
    state.level[:] = 446.5868
    state.advance(0, len(OIL))
    assert state.forecast(len(OIL), np.arange(2)).ravel() == pytest.approx([542.6806, 542.6806], abs=2e-3)


def test_origins_are_evenly_spread_after_the_cut_and_never_in_step_with_the_season() -> None:
    made = history(noise(1, 5_000), 24, (24, 168))
    assert (len(made.origins), made.cut, len(made.values) - made.cut) == (60, 4_000, 1_000)
    assert made.origins.min() >= made.cut
    assert made.origins.max() + 24 == 5_000
    assert len(set((made.origins % 24).tolist())) > 12
    assert made.tuning.max() + 24 <= made.cut


def test_repeats_by_hand() -> None:
    values = np.tile([1.0, 2, 3, 4], 12)
    made = history(values, 6, (4,))
    assert naive(made).forecast.tolist() == [4] * 6
    (seasonal,) = seasonal_naives(made)
    assert seasonal.forecast.tolist() == [1, 2, 3, 4, 1, 2]
    rising = history(values + np.arange(48), 6, (4,))
    assert drift(rising).forecast == pytest.approx([1 + 48, 2 + 49, 3 + 50, 4 + 51, 1 + 52, 2 + 53])
    mean = seasonal_mean(made)
    assert mean is not None
    assert mean.forecast == pytest.approx([1, 2, 3, 4, 1, 2])


def test_forecasts_of_the_back_test_know_nothing_after_their_origin() -> None:
    """Values after an origin are changed: the forecasts up to that origin stay what they were."""
    at = np.arange(900)
    values = 5 + 2 * np.sin(2 * np.pi * at / 24) + noise(2, 900)
    made = history(values, 12, (24,))
    middle = len(made.origins) // 2
    origin = int(made.origins[middle])
    other = values.copy()
    other[origin:] = 9 + 3 * noise(3, 900 - origin)
    changed = history(other, 12, (24,))
    for model in (naive, drift, seasonal_mean, lambda h: pooled(h, "pooled")):
        before, after = model(made), model(changed)
        assert before.back_test[: middle + 1] == pytest.approx(after.back_test[: middle + 1], abs=1e-9), before.name
    for before, after in zip(smoothing(made), smoothing(changed), strict=False):
        if before.name == after.name and not before.name.endswith("log"):
            assert before.back_test[: middle + 1] == pytest.approx(after.back_test[: middle + 1], abs=1e-9), before.name


def test_linear_models_learn_what_a_season_cannot_tell() -> None:
    """An autoregression about a day: the error of the regression is near the smallest possible."""
    values = noise(4, 3_000)
    for t in range(1, 3_000):
        values[t] += 0.95 * values[t - 1]
    made = history(values + 3 * np.sin(2 * np.pi * np.arange(3_000) / 24), 3, (24,))
    truth = made.truth(made.origins)
    errors = {c.name: np.abs(c.back_test - truth).mean() for c in linear_models(made)}
    best = 0.798 * np.mean([1, np.sqrt(1 + 0.95**2), np.sqrt(1 + 0.95**2 + 0.95**4)])
    assert errors["linear"] < 1.15 * best
    assert errors["linear_short"] < 1.15 * best


def test_weights_find_the_mixture_and_never_leave_the_simplex() -> None:
    truth = noise(5, 600).reshape(60, 10)
    one, two = truth + 0.5 * noise(6, 600).reshape(60, 10), truth + 0.5 * noise(7, 600).reshape(60, 10)
    worst = truth + 5 * noise(8, 600).reshape(60, 10)
    end = np.zeros(10)
    candidates = [Candidate("one", one, end + 1), Candidate("two", two, end + 3), Candidate("worst", worst, end + 100)]
    mixed = combine(candidates, truth, 10.0, 60.0, guarded=True)
    weights = {c.name: w for c, w in zip(mixed.chosen, mixed.weights, strict=True)}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["one"] == pytest.approx(0.5, abs=0.1)
    assert weights.get("worst", 0.0) < 0.02
    assert 1 < mixed.result.forecast[0] < 5


def test_a_naive_candidate_answers_where_little_is_gained() -> None:
    truth = np.cumsum(noise(9, 600)).reshape(60, 10)
    near, far = truth + noise(10, 600).reshape(60, 10), truth + 1.01 * noise(10, 600).reshape(60, 10)
    end = np.zeros(10)
    pair = [Candidate("ets", near, end), Candidate("naive", far, end + 1)]
    assert [c.name for c in combine(pair, truth, 10.0, 6.0, guarded=True).chosen] == ["naive"]
    assert "ets" in [c.name for c in combine(pair, truth, 10.0, 6.0, guarded=False).chosen]


def test_an_exact_candidate_answers_alone() -> None:
    truth = noise(11, 100).reshape(10, 10)
    exact = Candidate("ets", truth.copy(), np.zeros(10))
    mixed = combine([Candidate("naive", truth + 1, np.ones(10)), exact], truth, 5.0, 10.0, guarded=True)
    assert (mixed.chosen, mixed.weights) == ((exact,), (1.0,))


def test_a_selection_knows_an_origin_only_when_its_targets_are_known() -> None:
    selection = Selection(history(noise(12, 100), 5), 2)
    selection.add(10, np.array([1.0, np.nan]))
    assert selection.sums(14).tolist() == [0, 0]
    assert selection.sums(15).tolist() == [1, np.inf]


def test_bounds_follow_phase_and_level_and_cover_what_they_say() -> None:
    """Errors that are ten times larger at one half of the day: the bounds are, too, and cover 80 % of new values."""
    at = np.arange(4_000)
    loud = np.where(at % 24 < 12, 0.2, 2.0)
    made = history(10 + loud * noise(13, 4_000), 24, (24,))
    flat = Candidate("flat", np.full((len(made.origins), 24), 10.0), np.full(24, 10.0))
    lower, upper = bounds(made, flat, (80,))[80]
    width = upper - lower
    phases = (len(made.values) + np.arange(24)) % 24
    assert width[phases >= 12].mean() > 5 * width[phases < 12].mean()
    fresh = 10 + loud[:24][phases] * np.random.default_rng(14).normal(size=(500, 24))
    assert 0.76 < ((fresh >= lower) & (fresh <= upper)).mean() < 0.92
    assert 0.76 < coverage(made, flat, (80,))[80] < 0.92


def test_a_naive_candidate_keeps_a_share_where_the_back_test_is_short() -> None:
    truth = noise(15, 600).reshape(60, 10)
    near, far = truth + 0.2 * noise(16, 600).reshape(60, 10), truth + noise(17, 600).reshape(60, 10)
    pair = [Candidate("ets", near, np.zeros(10)), Candidate("naive", far, np.ones(10))]
    for windows, share in ((1.0, 0.25), (60.0, 0.0)):
        mixed = combine(pair, truth, 10.0, windows, guarded=True)
        weights = {c.name: w for c, w in zip(mixed.chosen, mixed.weights, strict=True)}
        assert weights.get("naive", 0.0) == pytest.approx(share, abs=0.05)
        assert mixed.chosen[0].name == "ets"
