"""Decompositions of series whose trend and seasons are known, with outliers, gaps and clock changes."""

import math
import warnings

import msgspec
import numpy as np
import pytest

from tests.analysis.made_series import HOUR_NS, QUARTER_NS, ZONE, hourly, instant, meter
from tidemill.analysis.decomposition import Component, Decomposition, decompose, local_line
from tidemill.errors import InputError, LimitError, NotEnoughPointsError
from tidemill.simulate.meters import HOUSEHOLD_MUID, IMPORT

# Monthly totals of airline passengers, 1949 to 1960, in thousands: Box and Jenkins (1976), series G.
PASSENGERS = """112 118 132 129 121 135 148 148 136 119 104 118 115 126 141 135 125 149 170 170 158 133 114 140 145 150
178 163 172 178 199 199 184 162 146 166 171 180 193 181 183 218 230 242 209 191 172 194 196 196 236 235 229 243
264 272 237 211 180 201 204 188 235 227 234 264 302 293 259 229 203 229 242 233 267 269 270 315 364 347 312
274 237 278 284 277 317 313 318 374 413 405 355 306 271 306 315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337 360 342 406 396 420 472 548 559 463 407 362 405 417 391 419
461 472 535 622 606 508 461 390 432"""


def numbers(component: Component) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in component.values])


def day_and_week(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = np.arange(n)
    day = 2 * np.sin(at / 24 * 2 * np.pi) + np.cos(at / 12 * 2 * np.pi)
    week = np.where(at // 24 % 7 < 5, 6 / 7, -15 / 7)
    return 10 + 0.01 * at, day, week


def test_trend_day_and_week_are_told_apart() -> None:
    trend, day, week = day_and_week(1680)
    noise = np.random.default_rng(1).normal(0, 0.3, 1680)
    found = decompose(hourly(), trend + day + week + noise)
    assert [(season.name, season.steps) for season in found.seasons] == [("day", 24), ("week", 168)]
    assert numbers(found.trend) == pytest.approx(trend, abs=0.1)
    assert np.sqrt(np.mean((numbers(found.seasons[0]) - day) ** 2)) < 0.15
    assert np.sqrt(np.mean((numbers(found.seasons[1]) - week) ** 2)) < 0.2
    assert found.rest.stddev == pytest.approx(0.3, abs=0.06)
    assert (found.trend.lowest and found.trend.lowest.at_ns) == hourly()[0]
    assert found.seasons[0].strength is not None
    assert found.seasons[0].strength > 0.95


def test_the_parts_add_up_and_so_do_their_shares() -> None:
    times, values = meter(HOUSEHOLD_MUID, IMPORT, 28)
    found = decompose(times, values, tz=ZONE)
    parts = [found.trend, *found.seasons, found.rest]
    assert sum(numbers(part) for part in parts) == pytest.approx(values, abs=1e-12)
    assert sum(part.share or 0 for part in parts) == pytest.approx(1)
    assert [season.name for season in found.seasons][:1] == ["day"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Decomposition) == found


@pytest.mark.parametrize("steps", [24, 25])
def test_a_line_and_a_season_are_seen_through_outliers(steps: int) -> None:
    at = np.arange(600)
    season = np.random.default_rng(2).normal(size=steps)
    season -= season.mean()
    values = 3 - 0.02 * at + season[at % steps]
    spoiled = values.copy()
    spoiled[[200, 201, 433]] += [90, 80, -70]
    found = decompose(at * HOUR_NS, spoiled, seasons=[steps])
    assert numbers(found.trend) == pytest.approx(3 - 0.02 * at, abs=1e-3)
    assert numbers(found.seasons[0]) == pytest.approx(season[at % steps], abs=1e-2)
    assert (found.rest.highest and found.rest.highest.at_ns) == 200 * HOUR_NS
    assert (found.rest.lowest and found.rest.lowest.value) == pytest.approx(-70, abs=1e-2)


@pytest.mark.parametrize("steps", [24, 25])
def test_a_line_and_a_season_are_exact(steps: int) -> None:
    at = np.arange(600)
    season = np.sin(at / steps * 2 * np.pi)
    found = decompose(at * HOUR_NS, 3 - 0.02 * at + season, seasons=[steps])
    assert numbers(found.trend) == pytest.approx(3 - 0.02 * at, abs=1e-9)
    assert numbers(found.seasons[0]) == pytest.approx(season, abs=1e-9)


def test_a_season_that_grows_is_followed() -> None:
    """The airline passengers: the trend rises without a break, the season grows with it and peaks in summer."""
    values = np.array([float(text) for text in PASSENGERS.split()])
    months = np.arange("1949-01", "1961-01", dtype="datetime64[M]")
    found = decompose(months.astype("datetime64[ns]").astype(np.int64), values)
    assert (found.interval, [(season.name, season.steps) for season in found.seasons]) == ("1 month", [("year", 12)])
    trend, season = numbers(found.trend), numbers(found.seasons[0]).reshape(12, 12)
    assert np.mean(np.diff(trend) > 0) > 0.9
    assert (trend[0], trend[-1]) == (pytest.approx(125, abs=4), pytest.approx(490, abs=15))
    assert set(season.argmax(axis=1).tolist()) <= {6, 7}
    assert np.ptp(season[-1]) > 2 * np.ptp(season[0])
    assert found.trend.strength == pytest.approx(0.99, abs=0.01)


def test_missing_values_have_a_trend_and_a_season() -> None:
    trend, day, _ = day_and_week(720)
    values = trend + day + np.random.default_rng(1).normal(0, 0.1, 720)
    values[300:340] = math.nan
    found = decompose(hourly(30), values)
    assert (found.count, found.missing) == (680, 40)
    assert found.rest.values[300:340] == [None] * 40
    assert numbers(found.trend) + numbers(found.seasons[0]) == pytest.approx(trend + day, abs=0.4)


def test_a_long_gap_has_finite_parts() -> None:
    trend, day, _ = day_and_week(1680)
    values = trend + day
    values[400:1200] = math.nan
    found = decompose(hourly(), values)
    assert np.isfinite(numbers(found.trend)).all()
    assert numbers(found.trend) == pytest.approx(trend, abs=0.05)


def test_a_skipped_hour_is_no_slot() -> None:
    times = instant("2023-03-20T23:00") + np.arange(14 * 96) * QUARTER_NS
    values = np.sin(np.arange(len(times)) / 96 * 2 * np.pi) + np.random.default_rng(1).normal(0, 0.1, len(times))
    found = decompose(times, values, tz=ZONE)
    assert found.times_ns == times.tolist()
    assert found.missing == 0


@pytest.mark.parametrize("factor", [1e300, 1e-300, 0.0])
def test_huge_tiny_and_constant_values(factor: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decompose(hourly(10), np.sin(np.arange(240) / 24 * 2 * np.pi) * factor)
    assert math.isfinite(sum(value or 0 for value in found.trend.values))
    if not factor:
        assert (found.trend.share, found.rest.stddev) == (None, 0)


def test_noise_has_no_season() -> None:
    found = decompose(hourly(), np.random.default_rng(1).normal(size=1680))
    assert found.seasons == []
    assert found.rest.share == pytest.approx(1, abs=0.05)


def test_what_cannot_be_decomposed_is_said() -> None:
    with pytest.raises(NotEnoughPointsError, match="at least 8 values; there are 7"):
        decompose(hourly()[:7], np.arange(7.0))
    with pytest.raises(InputError, match="2 to 50 steps"):
        decompose(hourly()[:100], np.arange(100.0), seasons=[51])
    with pytest.raises(LimitError, match="at most 100,000"):
        decompose(np.arange(100_001) * HOUR_NS, np.zeros(100_001))


def test_the_local_line_is_the_weighted_least_squares_line() -> None:
    generator = np.random.default_rng(5)
    x, weights = generator.normal(size=40), generator.random(40)
    smooth = local_line(x, weights, 6)
    for at in (0, 3, 20, 39):
        j = np.arange(max(at - 6, 0), min(at + 7, 40))
        w = weights[j] * (1 - np.abs((j - at) / 7) ** 3) ** 3
        design = np.stack((np.ones(len(j)), j - at), axis=1)
        line = np.linalg.solve(design.T @ (w[:, None] * design), design.T @ (w * x[j]))
        assert smooth[at] == pytest.approx(line[0], abs=1e-10)
