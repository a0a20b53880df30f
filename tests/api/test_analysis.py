"""Analyses over HTTP: typed answers that agree with the library, fresh after any change; faults that say what to do."""

import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.analysis.autocorrelation import Trend, correlogram
from tidemill.analysis.profile import Grouping
from tidemill.analysis.spectrum import WINDOWS
from tidemill.model.time import parse_instant
from tidemill.processes.process import WorkerProcess
from tidemill.query import analysis_answers as answers
from tidemill.query import analysis_parameters, uneven_answers
from tidemill.query.description_answer import DescriptionAnswer
from tidemill.query.series import SeriesMetrics

WAIT = {"Prefer": "wait=10"}
START = "2026-03-01T00:00:00Z"
START_NS = parse_instant(START)
HOUR_NS = 3_600_000_000_000
DAYS = 60
DEADLINE_S = 60.0
_names = itertools.count()


def load(hours: int = 24 * DAYS) -> list[float]:
    """A load with a day, a week and noise, in kWh."""
    at = np.arange(hours)
    day = 1 + np.clip(np.sin((at % 24 - 8) * np.pi / 12), 0, None)
    values = day * np.where(at // 24 % 7 < 5, 1.0, 0.7) + np.random.default_rng(7).normal(0, 0.05, hours)
    return [float(value) for value in values.round(4)]


def create(api: Api, values: list[float | None], **facts: Any) -> str:
    body = {"name": f"analysis-{next(_names)}", "unit": "kWh", "start": START, "interval": "1h", "values": values}
    answer = api.client.post("/v1/series", json=body | facts, headers=WAIT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def series(whole: Api) -> str:
    return create(whole, list(load()))


def get(api: Api, series: str, analysis: str, **query: Any) -> httpx.Response:
    return api.client.get(f"/v1/series/{series}/{analysis}", params=query, timeout=DEADLINE_S)


def answered(api: Api, series: str, analysis: str, **query: Any) -> dict[str, Any]:
    answer = get(api, series, analysis, **query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    ("analysis", "kind"),
    [
        ("forecast", answers.ForecastAnswer),
        ("autocorrelation", answers.AutocorrelationAnswer),
        ("correlation", answers.CorrelationAnswer),
        ("spectrum", answers.SpectrumAnswer),
        ("distribution", answers.DistributionAnswer),
        ("duration", answers.DurationAnswer),
        ("profile", answers.ProfileAnswer),
        ("calendar", answers.CalendarAnswer),
        ("decomposition", answers.DecompositionAnswer),
        ("changepoints", answers.ChangePointsAnswer),
        ("anomalies", answers.AnomaliesAnswer),
        ("description", DescriptionAnswer),
        ("coverage", uneven_answers.CoverageAnswer),
        ("periodogram", uneven_answers.PeriodogramAnswer),
        ("comparison", uneven_answers.ComparisonAnswer),
        ("metrics", SeriesMetrics),
    ],
)
def test_every_answer_has_exactly_the_documented_members(whole: Api, series: str, analysis: str, kind: Any) -> None:
    queries: list[dict[str, Any]] = [{}, {"start": "2026-03-05", "end": "2026-04-09"}]
    if analysis != "metrics":
        queries[1]["tz"] = "Europe/Zurich"
        queries += [{"every": "2h", "agg": "max", "tz": "Europe/Zurich"}]
    for query in queries:
        with_other = {"with": series} if analysis in ("correlation", "comparison") else {}
        body = get(whole, series, analysis, **query, **with_other)
        assert body.status_code == 200, body.text
        decoded = msgspec.json.decode(body.content, type=kind)
        assert msgspec.to_builtins(decoded) == json.loads(body.content), query
        assert decoded.id == series


def test_a_forecast_is_that_of_the_library(whole: Api, series: str) -> None:
    body = answered(whole, series, "forecast", horizon=48, level="50,90", tz="Europe/Zurich")
    times = START_NS + HOUR_NS * np.arange(24 * DAYS)
    process = WorkerProcess(1 << 29)  # with one thread for BLAS, as the server's
    arguments = {"times_ns": times, "values": np.array(load()), "horizon": 48, "levels": (50, 90)}
    made = process.call("tidemill.analysis.forecast:forecast", arguments | {"tz": "Europe/Zurich"})
    process.close()
    np.testing.assert_allclose(body["values"], made.values, rtol=1e-9)
    assert [parse_instant(text) for text in body["times"]] == made.times_ns.tolist()
    assert body["times"][0] == "2026-04-30T02:00:00+02:00"
    assert set(body["levels"]) == {"50", "90"}
    for level, bounds in body["levels"].items():
        np.testing.assert_allclose(bounds["lower"], made.levels[level].lower, rtol=1e-9)
        np.testing.assert_allclose(bounds["upper"], made.levels[level].upper, rtol=1e-9)
    assert math.isclose(sum(chosen["weight"] for chosen in body["chosen"]), 1, rel_tol=1e-9)
    assert body["backtest"]["ratio_to_seasonal_naive"] < 1
    assert (body["used"]["points"], body["used"]["filled"]) == (24 * DAYS + 1, 1)  # the hour that clocks skipped
    assert (body["used"]["from"], body["used"]["to"]) == ("2026-03-01T01:00:00+01:00", "2026-04-30T01:00:00+02:00")
    assert body["as_of"]["last"] == "2026-04-29T23:00:00Z"
    assert (body["unit"], body["horizon"], body["every"]) == ("kWh", 48, None)


def test_a_forecast_of_the_day_finds_it_and_keeps_to_a_minimum(whole: Api) -> None:
    zero_nights = [max(0.0, math.sin((n % 24 - 6) * math.pi / 12)) * (1 + 0.1 * (n % 5)) for n in range(24 * 30)]
    body = answered(whole, create(whole, list(zero_nights)), "forecast", horizon=24, minimum=0)
    assert [period["name"] for period in body["periods"]][:1] == ["day"]
    assert min(body["values"]) >= 0
    assert all(min(bounds["lower"]) >= 0 for bounds in body["levels"].values())


def test_a_forecast_of_windows_follows_the_calendar(whole: Api, series: str) -> None:
    body = answered(whole, series, "forecast", every="1d", agg="sum", tz="Europe/Zurich", horizon=3)
    assert (body["every"], body["agg"], body["interval"]) == ("1d", "sum", "86400 s")
    # Of the first day in Zurich there are 23 hours, of the last one two: that is no whole day.
    assert (body["start"], body["end"]) == ("2026-03-01T00:00:00+01:00", "2026-04-29T00:00:00+02:00")
    assert body["times"] == [f"{day}T00:00:00+02:00" for day in ("2026-04-30", "2026-05-01", "2026-05-02")]


def test_a_forecast_reads_the_end_of_a_long_series(whole: Api) -> None:
    values = [float(n % 24) for n in range(15_000)]
    body = answered(whole, create(whole, values, start="2019-01-01T00:00:00Z"), "forecast", horizon=24)
    assert body["used"]["points"] == 5_000
    np.testing.assert_allclose(body["values"], [float(n % 24) for n in range(15_000, 15_024)], atol=1e-6)
    missing_end = [*values[:12_000], *([None] * 3_000)]
    body = answered(whole, create(whole, missing_end, start="2019-01-01T00:00:00Z"), "forecast", horizon=24)
    assert body["used"]["points"] == 5_000
    np.testing.assert_allclose(body["values"], [float(n % 24) for n in range(12_000, 12_024)], atol=1e-6)


def test_an_autocorrelation_is_that_of_the_library_and_names_periods(whole: Api, series: str) -> None:
    body = answered(whole, series, "autocorrelation", lags=60, level=90)
    expected = correlogram(np.array(load()), 60, level=0.9)
    for name in ("acf", "pacf", "bartlett"):
        np.testing.assert_allclose(body[name], getattr(expected, name), rtol=1e-9, err_msg=name)
    assert (body["white"], body["level"]) == (pytest.approx(expected.white, rel=1e-12), 90)
    assert ("day", 24) in [(period["name"], period["steps"]) for period in body["periods"]]
    assert len(answered(whole, series, "autocorrelation")["acf"]) >= 2 * 168


def test_a_correlation_finds_how_far_one_series_follows_another(whole: Api, series: str) -> None:
    later = create(whole, [0.0] * 5 + list(load())[:-5])
    body = answered(whole, series, "correlation", **{"with": later}, lags=20)
    assert (body["best_lag"], body["other"], body["trend"]) == (5, later, "linear")
    assert body["lags"] == list(range(-20, 21))
    apart = create(whole, [1.0, 2.0, 3.0], start="2020-01-01T00:00:00Z")
    document = problem(get(whole, series, "correlation", **{"with": apart}), 422, "not_enough_points")
    assert "every=" in document["detail"]
    problem(get(whole, series, "correlation", **{"with": "0123456789abcdef"}), 404, "not_found")


def sine(whole: Api, **facts: Any) -> str:
    """2 sin at 50 Hz, and a line of 0.5 at 120 Hz, sampled at 1 kHz."""
    at = np.arange(8192) / 1000
    values = 2 * np.sin(2 * np.pi * 50 * at) + 0.5 * np.sin(2 * np.pi * 120 * at)
    return create(whole, values.tolist(), unit="g", interval="1ms", **facts)


def test_spectrum_and_metrics_tell_frequencies_in_hz_and_amplitudes(whole: Api) -> None:
    key = sine(whole)
    body = answered(whole, key, "spectrum", bands="0-100,100-500", peaks=2)
    metrics = answered(whole, key, "metrics", bands="0-100,100-500", peaks=2)
    for result in (body, metrics["frequency"]):
        assert result["sampling_hz"] == pytest.approx(1000)
        assert result["dominant"]["frequency"] == pytest.approx(50, abs=0.1)
        assert result["dominant"]["amplitude"] == pytest.approx(2, rel=0.01)
        assert [peak["frequency"] for peak in result["peaks"]] == pytest.approx([50, 120], abs=0.1)
        assert [band["power"] for band in result["bands"]] == pytest.approx([2, 0.125], rel=0.02)
    assert len(body["frequencies"]) == len(body["density"]) == body["segment"] // 2 + 1
    assert (metrics["count"], metrics["frequency_missing"]) == (8192, None)
    assert metrics["rms"] == pytest.approx(math.sqrt(2 + 0.125), rel=0.01)


def test_an_uneven_series_has_no_frequencies_and_windows_of_it_have(whole: Api) -> None:
    steps = np.random.default_rng(3).uniform(1, 100, 500).cumsum()
    times = [f"2026-03-01T{int(s) // 3600:02d}:{int(s) // 60 % 60:02d}:{s % 60:09.6f}Z" for s in steps]
    body = {"name": f"analysis-{next(_names)}", "times": times, "values": list(range(500))}
    key = whole.client.post("/v1/series", json=body, headers=WAIT).json()["id"]
    metrics = answered(whole, key, "metrics")
    assert metrics["count"] == 500 and metrics["frequency"] is None and "every=" in metrics["frequency_missing"]
    for analysis in ("spectrum", "forecast", "autocorrelation", "anomalies", "duration"):
        assert "every=" in problem(get(whole, key, analysis), 422, "uneven_sampling")["detail"]
        assert get(whole, key, analysis, every="5m").status_code == 200, analysis
    assert get(whole, key, "changepoints").status_code == 200
    assert get(whole, key, "description").status_code == 200


@pytest.mark.parametrize(
    ("analysis", "needed"),
    [("forecast", 72), ("autocorrelation", 3), ("spectrum", 2), ("anomalies", 24), ("changepoints", 10),
     ("decomposition", 8), ("duration", 2)],
)  # fmt: skip
def test_too_few_values_are_a_problem_that_says_how_many_are_needed(whole: Api, analysis: str, needed: int) -> None:
    for values in ([], [1.0]):
        key = create(whole, [*values, None, None])
        document = problem(get(whole, key, analysis), 422, "not_enough_points")
        assert str(needed) in document["detail"] and str(len(values)) in document["detail"]


def test_a_series_without_a_value_is_described_and_has_empty_columns(whole: Api) -> None:
    key = create(whole, [None, None])
    assert answered(whole, key, "description")["kind"] == "empty"
    assert answered(whole, key, "distribution")["counts"] == []
    assert answered(whole, key, "profile")["mean"] == []
    assert answered(whole, key, "calendar")["date"] == []
    assert answered(whole, key, "metrics")["frequency"] is None


@pytest.mark.parametrize(
    ("analysis", "query", "paths"),
    [
        ("forecast", {"horizon": 0, "level": "80,100", "model": "oracle", "minimum": "nan", "tz": "Mars"},
         {"$query.horizon", "$query.level[1]", "$query.model", "$query.minimum", "$query.tz"}),
        ("forecast", {"horizon": 1001}, {"$query.horizon"}),
        ("autocorrelation", {"lags": 0, "level": 0}, {"$query.lags", "$query.level"}),
        ("correlation", {}, {"$query.with"}),
        ("correlation", {"with": "meter-1"}, {"$query.with"}),
        ("correlation", {"with": "0123456789abcdef", "trend": "cubic"}, {"$query.trend"}),
        ("spectrum", {"window": "none", "segment": 1, "bands": "9-1,x", "peaks": 101},
         {"$query.window", "$query.segment", "$query.bands[0]", "$query.bands[1]", "$query.peaks"}),
        ("distribution", {"bins": 0, "q": "2"}, {"$query.bins", "$query.q[0]"}),
        ("profile", {"by": "moon"}, {"$query.by"}),
        ("anomalies", {"threshold": 0, "limit": 0}, {"$query.threshold", "$query.limit"}),
        ("calendar", {"every": "x", "agg": "y"}, {"$query.every", "$query.agg"}),
        ("decomposition", {"lags": 3}, {"$query.lags"}),
        ("metrics", {"bands": "1", "peaks": -1}, {"$query.bands[0]", "$query.peaks"}),
        ("description", {"start": "2026-02-01", "end": "2026-01-01"}, {"$query.start"}),
    ],
)  # fmt: skip
def test_every_bad_parameter_is_named(whole: Api, series: str, analysis: str, query: Any, paths: set[str]) -> None:
    document = problem(get(whole, series, analysis, **query), 400, "invalid")
    assert {fault["path"] for fault in document["errors"]} == paths


def test_words_of_parameters_are_those_of_the_library() -> None:
    assert set(analysis_parameters.TRENDS) == set(Trend.__args__)  # type: ignore[attr-defined]
    assert set(analysis_parameters.GROUPINGS) == set(Grouping.__args__)  # type: ignore[attr-defined]
    assert analysis_parameters.WINDOWS == WINDOWS


def test_a_series_of_nobody_is_not_found(whole: Api) -> None:
    for analysis in ("forecast", "metrics", "description", "spectrum"):
        problem(get(whole, "0123456789abcdef", analysis), 404, "not_found")
        problem(get(whole, "nonsense", analysis), 404, "not_found")


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_late_data_and_replaced_values_are_in_the_next_answer(whole: Api) -> None:
    name = f"analysis-{next(_names)}"
    key = create(whole, list(load(240)), name=name)
    first = answered(whole, key, "distribution")
    assert answered(whole, key, "distribution") == first
    late = {"name": name, "unit": "kWh", "start": "2026-02-01T00:00:00Z", "interval": "1h", "values": [50.0]}
    assert whole.client.post("/v1/feeds/signals", json=late, headers=WAIT).json()["accepted"] == 1
    second = answered(whole, key, "distribution")
    assert (second["count"], second["edges"][-1]) == (first["count"] + 1, 50.0)
    assert second["as_of"]["last"] == first["as_of"]["last"]
    assert second["as_of"]["seq"] > first["as_of"]["seq"]
    assert whole.client.post("/v1/feeds/signals", json=late | {"values": [70.0]}, headers=WAIT).json()["accepted"] == 1
    third = answered(whole, key, "distribution")
    assert (third["count"], third["edges"][-1]) == (first["count"] + 1, 70.0)
    assert answered(whole, key, "metrics")["max"] == 70.0


def test_deleted_points_and_a_deleted_series_are_in_no_answer(whole: Api) -> None:
    key = create(whole, [*load(240), 99.0])
    before = {name: answered(whole, key, name) for name in ("distribution", "metrics")}
    assert (before["distribution"]["edges"][-1], before["metrics"]["max"]) == (99.0, 99.0)
    deleted = whole.client.delete(f"/v1/series/{key}/points", params={"start": "2026-03-11"}, headers=WAIT)
    assert deleted.is_success, deleted.text
    until(lambda: answered(whole, key, "distribution")["count"] == 240)
    assert answered(whole, key, "distribution")["edges"][-1] < 99
    assert answered(whole, key, "metrics")["max"] < 99
    assert whole.client.delete(f"/v1/series/{key}").is_success
    for analysis in ("distribution", "metrics", "forecast"):
        problem(get(whole, key, analysis), 404, "not_found")


FEED = """name = "NAME"
[time]
path = "$.t"
format = "unix_s"
[tags.who]
path = "$.who"
[fields.a]
path = "$.a"
unit = "bar"
[[rules]]
check = "range"
options = { field = "a", min = 0, max = MAX }
"""


def test_what_a_replay_changes_is_in_the_next_answer(whole: Api) -> None:
    feed = f"analysis-{next(_names)}"
    assert whole.client.put(f"/v1/feeds/{feed}", content=FEED.replace("NAME", feed).replace("MAX", "100")).is_success
    records = [{"t": 1_772_323_200 + 3600 * n, "who": "x", "a": float(n)} for n in range(101)]
    assert whole.client.post(f"/v1/feeds/{feed}", json=records, headers=WAIT).json()["accepted"] == 101
    key = whole.client.get("/v1/series", params={"feed": feed}).json()["items"][0]["id"]
    assert answered(whole, key, "distribution")["count"] == 101
    forecast_before = answered(whole, key, "forecast", horizon=3)
    for limit, kept in (("50", 51), ("80", 81)):  # points go, then some come back
        text = FEED.replace("NAME", feed).replace("MAX", limit)
        assert whole.client.put(f"/v1/feeds/{feed}", content=text).is_success
        replay = whole.client.post("/v1/replays", json={"feed": feed, "start": "2026-01-01T00:00:00Z"}).json()["id"]
        until(lambda r=replay: whole.client.get(f"/v1/replays/{r}").json()["state"] == "done")  # type: ignore[misc]
        assert answered(whole, key, "distribution")["count"] == kept
        forecast_after = answered(whole, key, "forecast", horizon=3)
        assert forecast_after["used"]["points"] == kept
        assert forecast_after["values"] != forecast_before["values"]


def test_more_values_than_are_answered_name_the_limit_and_windows_of_them_are_answered(whole: Api) -> None:
    key = create(whole, [float(n % 1000) for n in range(100_001)], interval="1s")
    document = problem(get(whole, key, "decomposition"), 422, "query_limit")
    assert document["errors"][0]["code"] == "max_analysis_points"
    assert "100,000" in document["detail"] and "in windows of 5s" in document["detail"]
    assert answered(whole, key, "decomposition", every="1m")["count"] > 1_600
