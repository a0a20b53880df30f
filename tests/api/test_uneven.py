"""Analyses of samples at uneven times over HTTP: coverage, periodogram and comparison agree with the library."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tests.api.samples import problem
from tests.api.test_analysis import START, START_NS, WAIT, answered, create, get, load
from tests.support.api import Api
from tidemill.analysis.comparison import compare
from tidemill.analysis.gaps import coverage
from tidemill.analysis.lomb_scargle import periodogram
from tidemill.model.time import format_instant

HOUR_NS = 3_600_000_000_000
_names = itertools.count()


@pytest.fixture(scope="module")
def series(whole: Api) -> str:
    """Sixty days by the hour."""
    return create(whole, list(load()))


def uneven(api: Api, count: int = 400) -> tuple[str, np.ndarray, np.ndarray]:
    """A sine of 2 with a period of 90 s at times that have no interval, with its times (ns) and values."""
    times = START_NS + (np.random.default_rng(5).uniform(2, 20, count).cumsum() * 1e3).astype(np.int64) * 1_000_000
    values = 2 * np.sin(2 * np.pi * (times - START_NS) / 90e9)
    body = {
        "name": f"uneven-{next(_names)}",
        "unit": "g",
        "times": [format_instant(int(at)) for at in times],
        "values": values.tolist(),
    }
    answer = api.client.post("/v1/series", json=body, headers=WAIT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"]), times, values


def test_coverage_is_that_of_the_library(whole: Api) -> None:
    values: list[float | None] = [*load(48)]
    values[10:14] = [None] * 4
    key = create(whole, values)
    body = answered(whole, key, "coverage", start=START, end="2026-03-04")
    times = START_NS + HOUR_NS * np.arange(48)
    expected = coverage(times, np.array(values, float), from_ns=START_NS, to_ns=START_NS + 72 * HOUR_NS)
    assert (body["count"], body["missing"], body["expected"], body["filled"]) == (44, 4, 72, 44)
    assert (body["share"], body["interval"], body["interval_by"]) == (expected.share, "3600 s", "times")
    assert [(gap["from"], gap["to"], gap["missing"]) for gap in body["gaps"]] == [
        ("2026-03-01T10:00:00Z", "2026-03-01T14:00:00Z", 4),
        ("2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z", 24),
    ]
    assert body["longest"] == body["gaps"][1] and body["notes"] == []
    first = answered(whole, key, "coverage", start=START, end="2026-03-04", limit=1, tz="Europe/Zurich")
    assert [gap["from"] for gap in first["gaps"]] == ["2026-03-03T01:00:00+01:00"] and first["gap_count"] == 2


def test_coverage_expects_what_the_request_or_the_feed_says(whole: Api) -> None:
    feed = f"covered{next(_names)}"
    text = f'name = "{feed}"\n[time]\npath = "$.t"\n[fields.bar]\npath = "$.bar"\n[rollups]\nevery = "1h"\n'
    whole.client.put(f"/v1/feeds/{feed}", content=text)
    rows = [{"t": f"2026-03-01T{hour:02d}:00:00Z", "bar": 1} for hour in range(4)]
    assert whole.client.post(f"/v1/feeds/{feed}", json=rows, headers=WAIT).json()["accepted"] == 4
    (item,) = whole.client.get("/v1/series", params={"feed": feed}).json()["items"]
    assert answered(whole, item["id"], "coverage")["share"] == 1
    half = answered(whole, item["id"], "coverage", interval="30m")
    assert (half["interval_by"], half["expected"], half["filled"]) == ("request", 7, 4)
    whole.client.put(f"/v1/feeds/{feed}", content=f'{text}interval = "15m"\n')
    declared = answered(whole, item["id"], "coverage")  # of the same points, so that the answer before must not count
    assert (declared["interval_by"], declared["expected"], declared["filled"]) == ("feed", 13, 4)
    assert answered(whole, item["id"], "coverage", every="2h")["interval_by"] == "times"


def test_coverage_without_a_common_interval_says_what_to_ask(whole: Api) -> None:
    key, _, _ = uneven(whole)
    body = answered(whole, key, "coverage")
    assert (body["interval"], body["interval_by"], body["share"]) == (None, None, None)
    assert "interval=15m" in body["notes"][0]
    empty = answered(whole, create(whole, [None]), "coverage")
    assert (empty["count"], empty["missing"], empty["gaps"], empty["share"]) == (0, 1, [], None)


def test_a_periodogram_is_that_of_the_library_and_finds_the_sine(whole: Api) -> None:
    key, times, values = uneven(whole)
    body = answered(whole, key, "periodogram", peaks=1)
    expected = periodogram(times, values, peaks=1)
    np.testing.assert_allclose(body["power"], expected.power, atol=1e-9)
    assert body["dominant"]["period_s"] == pytest.approx(90, rel=1e-3)
    assert body["dominant"]["amplitude"] == pytest.approx(2, rel=1e-3)
    assert body["dominant"]["false_alarm"] < 1e-9 and len(body["peaks"]) == 1
    part = answered(whole, key, "periodogram", lowest_hz=0.01, highest_hz=0.02, oversampling=10)
    assert part["frequencies"][0] >= 0.01 and part["frequencies"][-1] <= 0.02
    assert answered(whole, key, "periodogram", every="1m")["count"] < 100


def test_a_periodogram_that_cannot_be_says_what_to_ask(whole: Api) -> None:
    document = problem(get(whole, create(whole, [1.0, 2.0]), "periodogram"), 422, "not_enough_points")
    assert "at least 10" in document["detail"] and "longer range" in document["detail"]
    key, _, _ = uneven(whole)
    document = problem(get(whole, key, "periodogram", highest_hz=1e6), 422, "query_limit")
    assert "highest_hz=" in document["detail"] and document["errors"][0]["code"] == "max_frequencies"
    document = problem(get(whole, key, "periodogram", lowest_hz=0.0100001, highest_hz=0.0100002), 422, "series_unfit")
    assert "lowest_hz=" in document["detail"]


def test_a_comparison_of_two_periods_is_that_of_the_library(whole: Api, series: str) -> None:
    periods = {"start": START, "end": "2026-03-15", "with_start": "2026-03-15", "with_end": "2026-04-05"}
    body = answered(whole, series, "comparison", level=90, **periods)
    values, times = np.array(load()), START_NS + HOUR_NS * np.arange(24 * 60)
    cut, end = 14 * 24, 35 * 24
    expected = compare(times[:cut], values[:cut], times[cut:end], values[cut:end], unit="kWh", level=0.9)
    assert (body["other"], body["level"], body["observation"]) == (series, 90, "day")
    assert body["difference"] == pytest.approx(expected.difference, rel=1e-9)
    assert body["mean_test"]["p_value"] == pytest.approx(expected.mean_test.p_value if expected.mean_test else 0)
    assert body["sentences"] == expected.sentences and len(body["profiles"]) == 2
    assert (body["second"]["from"], body["second"]["count"]) == ("2026-03-15T00:00:00Z", 21 * 24)
    days = answered(whole, series, "comparison", every="1d", agg="sum", tz="Europe/Zurich", **periods)
    assert days["first"]["from"] == "2026-03-01T00:00:00+01:00"


def test_a_comparison_of_two_series_takes_the_same_period_of_both(whole: Api, series: str) -> None:
    double = create(whole, [2 * value for value in load()])
    body = answered(whole, series, "comparison", **{"with": double})
    assert body["is_paired"] and body["is_significant"] and body["correlation"] == pytest.approx(1)
    assert (body["other"], body["relative"]) == (double, pytest.approx(1))


def test_a_comparison_that_cannot_be_says_what_to_ask(whole: Api, series: str) -> None:
    later = {"with_start": "2030-01-01", "with_end": "2030-02-01"}
    document = problem(get(whole, series, "comparison", **later), 422, "not_enough_points")
    assert "with_start=" in document["detail"]
    pressure = create(whole, [1.0, 2.0], unit="bar")
    document = problem(get(whole, series, "comparison", **{"with": pressure}), 422, "series_unfit")
    assert [fault["path"] for fault in document["errors"]] == ["$query.with"]
    assert "kWh" in document["detail"] and "bar" in document["detail"] and "correlation" in document["detail"]
    problem(get(whole, series, "comparison", **{"with": "0123456789abcdef"}), 404, "not_found")


@pytest.mark.parametrize(
    ("analysis", "query", "paths"),
    [
        ("coverage", {"interval": "1mo", "limit": 0}, {"$query.interval", "$query.limit"}),
        ("coverage", {"interval": "soon"}, {"$query.interval"}),
        ("periodogram", {"lowest_hz": -1, "highest_hz": "x", "oversampling": 0, "peaks": 101},
         {"$query.lowest_hz", "$query.highest_hz", "$query.oversampling", "$query.peaks"}),
        ("periodogram", {"lowest_hz": 2, "highest_hz": 1}, {"$query.lowest_hz"}),
        ("comparison", {}, {"$query.with"}),
        ("comparison", {"with": "meter-1"}, {"$query.with"}),
        ("comparison", {"with_start": "2026-03-09", "with_end": "2026-03-01"}, {"$query.with_start"}),
        ("comparison", {"with_start": "noon", "level": 100}, {"$query.with_start", "$query.level"}),
    ],
)  # fmt: skip
def test_every_bad_parameter_is_named(whole: Api, series: str, analysis: str, query: Any, paths: set[str]) -> None:
    document = problem(get(whole, series, analysis, **query), 400, "invalid")
    assert {fault["path"] for fault in document["errors"]} == paths


def test_values_that_are_no_measurement_are_refused_with_what_to_do(whole: Api) -> None:
    key = create(whole, [1.7e308, -1.7e308] * 30)
    for analysis, query in (("periodogram", {}), ("comparison", {"with": key}), ("anomalies", {}), ("description", {})):
        document = problem(get(whole, key, analysis, **query), 422, "series_unfit")
        assert "(range)" in document["detail"], analysis
        assert [fault["code"] for fault in document["errors"]] == ["series_unfit"], analysis
    assert answered(whole, key, "distribution")["quantiles"][0] == -1.7e308
    assert answered(whole, key, "profile")["stddev"] and answered(whole, key, "calendar")["sum"]
    assert answered(whole, key, "coverage")["share"] == 1


def test_no_answer_has_a_nan(whole: Api) -> None:
    key = create(whole, [1e300, -1e300, 0.0, 5.0] * 10)
    for analysis, query in (("coverage", {}), ("periodogram", {}), ("comparison", {"with": key})):
        assert "NaN" not in get(whole, key, analysis, **query).text
    assert math.isfinite(answered(whole, key, "periodogram")["power"][0])
