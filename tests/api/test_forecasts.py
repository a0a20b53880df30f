"""Stored forecasts over HTTP: what they were made of, scores as values arrive and are restated, jobs, deletions."""

import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.model.time import format_instant, parse_instant
from tidemill.query.forecast_answers import ForecastItem, StoredForecastAnswer
from tidemill.query.forecast_scores import ForecastScore

WAIT = {"Prefer": "wait=30"}
START_NS = parse_instant("2026-03-01T00:00:00Z")
HOUR_NS = 3_600_000_000_000
HOURS = 24 * 20
DEADLINE_S = 60.0
FEED = """name = "{name}"
duplicates = "last"
[time]
path = "$.t"
[tags.meter]
path = "$.meter"
[fields.kwh]
path = "$.kwh"
unit = "kWh"
required = false
"""
_names = itertools.count()


def load(hours: int) -> list[float]:
    at = np.arange(hours)
    noise = np.random.default_rng(3).normal(0, 0.05, hours)
    return [float(value) for value in (1 + np.clip(np.sin((at % 24 - 8) * np.pi / 12), 0, None) + noise).round(4)]


def send(api: Api, feed: str, values: dict[int, float | None], meter: str = "m") -> str:
    """Send values by hour; returns the receipt."""
    rows = [
        {"t": format_instant(START_NS + at * HOUR_NS), "meter": meter, "kwh": value} for at, value in values.items()
    ]
    answer = api.client.post(f"/v1/feeds/{feed}", json=rows, headers=WAIT)
    assert answer.status_code in (200, 202) and answer.json()["state"] == "applied", answer.text
    return str(answer.json()["id"])


def make_feed(api: Api) -> str:
    name = f"forecast{next(_names)}"
    answer = api.client.put(f"/v1/feeds/{name}", content=FEED.format(name=name))
    assert answer.is_success, answer.text
    return name


def series_of(api: Api, feed: str, meter: str = "m") -> str:
    (item,) = api.client.get("/v1/series", params={"feed": feed, "tag.meter": meter}).json()["items"]
    return str(item["id"])


def loaded(api: Api) -> tuple[str, str]:
    """A feed with HOURS values of a load, and its series."""
    feed = make_feed(api)
    send(api, feed, dict(enumerate(load(HOURS))))
    return feed, series_of(api, feed)


def store(api: Api, series: str, **members: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/forecasts", json={"series": series, **members}, headers=WAIT)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/forecasts/{answer.json()['id']}"
    body: dict[str, Any] = answer.json()
    return body


def score(api: Api, forecast: dict[str, Any]) -> ForecastScore:
    answer = api.client.get(forecast["links"]["score"])
    assert answer.status_code == 200, answer.text
    decoded = msgspec.json.decode(answer.content, type=ForecastScore)
    assert msgspec.to_builtins(decoded) == json.loads(answer.content)
    return decoded


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stored_forecast_is_the_forecast_with_what_it_was_made_of(whole: Api) -> None:
    feed, series = loaded(whole)
    stored = store(whole, series, horizon=12, level=[50, 90.5], minimum=0, tz="Europe/Zurich")
    read = whole.client.get(stored["links"]["self"])
    assert read.json() == stored
    assert msgspec.to_builtins(msgspec.json.decode(read.content, type=StoredForecastAnswer)) == stored
    parameters = {"horizon": 12, "level": "50,90.5", "minimum": 0, "tz": "Europe/Zurich"}
    assert stored["forecast"] == whole.client.get(f"/v1/series/{series}/forecast", params=parameters).json()
    assert stored["request"] == {
        "horizon": 12, "level": [50, 90.5], "model": "auto", "minimum": 0, "start": None, "end": None, "every": None,
        "agg": None, "tz": "Europe/Zurich",
    }  # fmt: skip
    origin = stored["made_from"]
    assert (origin["payloads"], origin["feed_version"]) == (1, 1)
    assert origin["applied"] >= origin["as_of"]["seq"] > 0
    assert (origin["start"], origin["end"]) == ("2026-03-01T01:00:00+01:00", "2026-03-21T00:00:00+01:00")
    assert (stored["feed"], stored["field"], stored["tags"], stored["unit"]) == (feed, "kwh", {"meter": "m"}, "kWh")
    item = whole.client.get("/v1/forecasts", params={"series": series}).json()["items"]
    assert item == [{name: value for name, value in stored.items() if name != "forecast"}]
    msgspec.convert(item[0], ForecastItem)


def test_the_list_goes_from_the_newest_on_in_pages_and_one_can_be_deleted(whole: Api) -> None:
    feed, series = loaded(whole)
    made = [store(whole, series, horizon=horizon)["id"] for horizon in (1, 2, 3)]
    first = whole.client.get("/v1/forecasts", params={"feed": feed, "limit": 2})
    assert first.status_code == 200, first.text
    assert [item["id"] for item in first.json()["items"]] == made[:0:-1]
    rest = whole.client.get(first.links["next"]["url"]).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (made[:1], None)
    deleted = whole.client.delete(f"/v1/forecasts/{made[1]}")
    assert (deleted.status_code, deleted.json()["id"]) == (200, made[1])
    problem(whole.client.get(f"/v1/forecasts/{made[1]}"), 404, "not_found")
    problem(whole.client.delete(f"/v1/forecasts/{made[1]}"), 404, "not_found")
    assert len(whole.client.get("/v1/forecasts", params={"feed": feed}).json()["items"]) == 2


def test_a_score_grows_as_values_arrive_and_tells_restated_ones_apart(whole: Api) -> None:
    feed, series = loaded(whole)
    stored = store(whole, series, horizon=6, level=[80])
    expected = np.array(stored["forecast"]["values"])
    before = score(whole, stored)
    assert (before.horizon, before.arrived, before.missing, before.pending) == (6, 0, 0, 6)
    assert (before.now, before.first, before.truth) == (None, None, [None] * 6)

    # Two values come, of which the second is missing; the third is late.
    send(whole, feed, {HOURS: expected[0] + 0.5, HOURS + 1: None, HOURS + 3: expected[3] - 0.1})
    partly = score(whole, stored)
    assert (partly.arrived, partly.missing, partly.pending, partly.restated) == (2, 2, 2, 0)
    assert partly.now is not None and partly.now == partly.first
    assert partly.now.count == 2
    assert partly.now.mae == pytest.approx(0.3) and partly.now.bias == pytest.approx(-0.2)
    assert partly.now.rmse == pytest.approx(np.sqrt((0.25 + 0.01) / 2))

    rest = {HOURS + at: float(expected[at]) for at in (1, 2, 4, 5)}
    send(whole, feed, rest)
    send(whole, feed, {HOURS: float(expected[0]), HOURS + 4: float(expected[4])})  # one is corrected, one is sent again
    full = score(whole, stored)
    assert (full.arrived, full.missing, full.pending, full.restated) == (6, 0, 0, 1)
    assert full.now is not None and full.first is not None
    assert full.now.mae == pytest.approx(0.1 / 6) and full.first.mae == pytest.approx(0.6 / 6)
    assert full.truth[0] == pytest.approx(expected[0]) and full.first_truth[0] == pytest.approx(expected[0] + 0.5)
    assert full.truth[1:] == full.first_truth[1:]
    naive = np.abs(np.array(stored["forecast"]["baseline"]["values"]) - np.array(full.truth)).mean()
    assert full.now.ratio_to_baseline == pytest.approx(full.now.mae / naive)
    assert full.now.mase == pytest.approx(full.now.mae / stored["forecast"]["baseline"]["mase_scale"])
    bounds = stored["forecast"]["levels"]["80"]
    inside = [
        low <= truth <= high for low, truth, high in zip(bounds["lower"], full.truth, bounds["upper"], strict=True)
    ]
    assert full.now.coverage == {"80": pytest.approx(np.mean(inside))}
    assert full.history_changed == 0
    send(whole, feed, {3: 9.0, 4: 9.5})
    assert score(whole, stored).history_changed == 2


def test_a_window_is_scored_when_it_is_over(whole: Api) -> None:
    feed, series = loaded(whole)
    stored = store(whole, series, horizon=3, every="1d", agg="sum")
    send(whole, feed, {HOURS + at: 1.0 for at in range(30)})
    day = score(whole, stored)
    assert (day.arrived, day.pending, day.truth) == (1, 2, [24.0, None, None])
    send(whole, feed, {HOURS + 2: 5.0} | {HOURS + at: 1.0 for at in range(30, 49)})
    days = score(whole, stored)
    assert (days.arrived, days.restated) == (2, 1)
    assert (days.truth, days.first_truth) == ([28.0, 24.0, None], [None, 24.0, None])
    assert days.first is not None and days.first.count == 1


def test_a_request_with_a_key_makes_one_forecast(whole: Api) -> None:
    _, series = loaded(whole)
    sent = [
        whole.client.post("/v1/forecasts", json={"series": series}, headers={**WAIT, "Idempotency-Key": f"k-{series}"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in sent] == [201, 200] and sent[0].json() == sent[1].json()
    other = whole.client.post(
        "/v1/forecasts", json={"series": series, "horizon": 3}, headers={**WAIT, "Idempotency-Key": f"k-{series}"}
    )
    problem(other, 409, "conflict")
    long = whole.client.post("/v1/forecasts", json={"series": series}, headers={"Idempotency-Key": "k" * 256})
    problem(long, 400, "invalid")


@pytest.mark.parametrize("wait", ["wait=30", "wait=0"])
def test_of_requests_with_a_key_that_are_sent_at_once_one_makes_a_forecast(whole: Api, wait: str) -> None:
    _, series = loaded(whole)
    headers = {"Prefer": wait, "Idempotency-Key": f"{wait}-{series}"}

    def send_one(_: int) -> httpx.Response:
        return httpx.post(f"{whole.url}/v1/forecasts", json={"series": series}, headers=headers, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send_one, range(4)))
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, answers
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_fit_that_takes_longer_than_the_wait_is_a_job_whose_result_is_the_forecast(whole: Api) -> None:
    _, series = loaded(whole)
    body = {"series": series, "horizon": 5, "level": [75]}
    headers = {"Prefer": "wait=0", "Idempotency-Key": f"job-{series}"}
    queued = whole.client.post("/v1/forecasts", json=body, headers=headers)
    assert queued.status_code == 202, queued.text
    assert (queued.json()["kind"], queued.json()["request"]["parameters"]["horizon"]) == ("forecast", 5)
    job = whole.client.get(queued.headers["location"], headers=WAIT).json()
    assert (job["state"], job["error"]) == ("done", None), job
    assert job["progress"]["done"] == job["progress"]["total"] == 3
    stored = whole.client.get(job["links"]["forecast"]).json()
    assert stored["id"] == job["result"]["forecast"] == job["id"]
    assert stored["forecast"] == whole.client.get(f"/v1/series/{series}/forecast?horizon=5&level=75").json()
    assert stored["made_from"]["payloads"] == 1
    again = whole.client.post("/v1/forecasts", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, stored["id"])
    made = whole.client.post("/v1/jobs", json={"kind": "forecast", **body}, headers=WAIT).json()
    assert made["state"] == "done" and whole.client.get(made["links"]["forecast"]).status_code == 200


@pytest.mark.parametrize("values", [{0: 1.0, 1: 2.0}, {round(1.1**at): float(at) for at in range(40, 120)}])
def test_a_series_that_is_not_fit_is_refused_at_once_however_it_is_asked(whole: Api, values: dict[int, float]) -> None:
    """Too few values, and uneven ones: no job is made that could only fail."""
    feed = make_feed(whole)
    send(whole, feed, dict(values))
    series = series_of(whole, feed)
    asked = whole.client.get(f"/v1/series/{series}/forecast")
    document = problem(asked, 422, asked.json()["code"])
    jobs = len(whole.client.get("/v1/jobs?kind=forecast").json()["items"])
    for headers in (WAIT, {"Prefer": "wait=0"}):
        refused = whole.client.post("/v1/forecasts", json={"series": series}, headers=headers)
        assert problem(refused, 422, document["code"])["detail"] == document["detail"]
        refused = whole.client.post("/v1/jobs", json={"kind": "forecast", "series": series}, headers=headers)
        assert problem(refused, 422, document["code"])["detail"] == document["detail"]
    assert len(whole.client.get("/v1/jobs?kind=forecast").json()["items"]) == jobs


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, {"$.series"}),
        ({"series": "x", "horizon": 0, "model": "oracle", "level": [100], "minimum": "low", "tz": "Mars", "color": 1},
         {"$.series", "$.horizon", "$.model", "$.level[0]", "$.minimum", "$.tz", "$.color"}),
        ([], {"$"}),
    ],
)  # fmt: skip
def test_every_fault_of_a_request_is_named(whole: Api, body: Any, paths: set[str]) -> None:
    document = problem(whole.client.post("/v1/forecasts", json=body), 400, "invalid")
    assert {error["path"] for error in document["errors"]} >= paths - {"$.horizon", "$.model", "$.level[0]", "$.tz"}
    unknown = whole.client.post("/v1/forecasts", json={"series": "0123456789abcdef"}, headers=WAIT)
    problem(unknown, 404, "not_found")
    for path in ("/v1/forecasts/none", "/v1/forecasts/none/score"):
        problem(whole.client.get(path), 404, "not_found")


def kept(api: Api) -> set[str]:
    """The ids of the forecasts in the catalog."""
    return {forecast.id for forecast in CatalogForecasts(api.services.catalog).list("default")}


def test_a_deletion_removes_the_forecasts_that_were_made_of_what_it_deletes_and_no_other(whole: Api) -> None:
    feed, series = loaded(whole)
    other = make_feed(whole)
    first = send(whole, other, dict(enumerate(load(200))))
    second = send(whole, other, dict(enumerate(load(200))), meter="n")
    m, n = series_of(whole, other), series_of(whole, other, "n")
    early, late = store(whole, m, end=format_instant(START_NS + 100 * HOUR_NS)), store(whole, m)
    of_n, apart = store(whole, n), store(whole, series)

    span = {"start": format_instant(START_NS + 150 * HOUR_NS), "end": format_instant(START_NS + 160 * HOUR_NS)}
    deleted = whole.client.delete(f"/v1/series/{m}/points", params=span, headers=WAIT)
    assert deleted.json()["state"] == "applied", deleted.text
    problem(whole.client.get(late["links"]["self"]), 404, "not_found")
    problem(whole.client.get(late["links"]["score"]), 404, "not_found")
    assert [item["id"] for item in whole.client.get("/v1/forecasts", params={"series": m}).json()["items"]] == [
        early["id"]
    ]
    made_after = store(whole, m)
    until(lambda: late["id"] not in kept(whole))
    assert {early["id"], of_n["id"], made_after["id"]} <= kept(whole)

    assert whole.client.delete(f"/v1/receipts/{second}", headers=WAIT).json()["state"] == "applied"
    problem(whole.client.get(of_n["links"]["self"]), 404, "not_found")
    assert whole.client.get(early["links"]["self"]).status_code == 200
    assert whole.client.delete(f"/v1/receipts/{first}", headers=WAIT).json()["state"] == "applied"
    problem(whole.client.get(early["links"]["self"]), 404, "not_found")

    whole.client.delete(f"/v1/series/{series}", headers=WAIT)
    problem(whole.client.get(apart["links"]["self"]), 404, "not_found")
    assert whole.client.get("/v1/forecasts", params={"feed": feed}).json()["items"] == []
    until(lambda: not kept(whole) & {early["id"], late["id"], made_after["id"], of_n["id"], apart["id"]})
