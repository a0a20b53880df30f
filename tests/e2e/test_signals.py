"""Contract 1: store raw series, ask for metrics."""

import json
import math
from collections.abc import Callable

import numpy as np

from tests.support.server import Server

Curl = Callable[..., tuple[int, str]]


def store(server: Server, **body: object) -> dict[str, object]:
    answer = server.client.post("/v1/series", json=body)
    assert answer.status_code in (201, 202), answer.text
    if answer.status_code == 202:
        server.wait_applied(answer.json()["receipt"]["id"])
    return answer.json()


def test_the_curl_of_the_contract_works_as_typed(server: Server, curl: Curl) -> None:
    body = {"name": "pump-3 vibration", "unit": "g", "tags": {"site": "north"}, "start": "2026-01-01T00:00:00Z"}
    body |= {"interval": "39.0625us", "values": [0.1, 0.2, None, -0.4]}
    status, text = curl("-X", "POST", "-d", json.dumps(body), "/v1/series")
    assert status == 201, text
    created = json.loads(text)
    assert (created["count"], created["missing"], created["start"]) == (3, 1, "2026-01-01T00:00:00Z")
    assert created["end"] == "2026-01-01T00:00:00.000117188Z"  # 3 x 39.0625 us, to the nearest ns
    status, text = curl(f"/v1/series/{created['id']}")
    series = json.loads(text)
    assert series["values"] == [0.1, 0.2, None, -0.4]
    assert series["times"] == [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000039063Z",
        "2026-01-01T00:00:00.000078125Z",
        "2026-01-01T00:00:00.000117188Z",
    ]
    assert (series["name"], series["unit"], series["tags"]["site"]) == ("pump-3 vibration", "g", "north")


def test_sample_rate_and_explicit_times_are_the_same_series(server: Server) -> None:
    by_rate = store(server, name="by rate", start="2026-01-01T00:00:00Z", sample_rate_hz=2, values=[1, 2, 3])
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z"]
    by_times = store(server, name="by times", times=times, values=[1, 2, 3])
    one, other = (server.client.get(f"/v1/series/{s['id']}").json() for s in (by_rate, by_times))
    assert one["times"] == other["times"] == times
    assert one["values"] == other["values"] == [1, 2, 3]


def test_metrics_of_a_sine(server: Server) -> None:
    count, amplitude = 1000, 2.0
    values = [amplitude * math.sin(2 * math.pi * 10 * n / count) for n in range(count)]
    series = store(server, name="sine", start="2026-01-01T00:00:00Z", sample_rate_hz=1000, values=values)
    metrics = server.client.get(f"/v1/series/{series['id']}/metrics?q=0.05,0.5,0.95").json()
    assert (metrics["count"], metrics["missing"]) == (1000, 0)
    assert math.isclose(metrics["rms"], amplitude / math.sqrt(2), rel_tol=1e-9)
    assert math.isclose(metrics["crest_factor"], math.sqrt(2), rel_tol=1e-6)
    assert math.isclose(metrics["peak_to_peak"], 2 * amplitude, rel_tol=1e-6)
    assert math.isclose(metrics["quantiles"]["0.95"], float(np.quantile(values, 0.95)), rel_tol=1e-9)


def test_count_delete_and_send_again(server: Server) -> None:
    def count() -> int:
        return server.client.get("/v1/series/count").json()["count"]

    before = count()
    body = {"name": "to delete", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, 2, 3]}
    series = store(server, **body)
    assert count() == before + 1
    assert server.client.delete(f"/v1/series/{series['id']}").status_code in (200, 204)
    assert count() == before
    for path in ("", "/metrics", "/points"):
        assert server.client.get(f"/v1/series/{series['id']}{path}").status_code == 404
    assert server.client.delete(f"/v1/series/{series['id']}").status_code == 404
    again = store(server, **(body | {"values": [7]}))
    assert again["id"] == series["id"]
    assert server.client.get(f"/v1/series/{series['id']}").json()["values"] == [7]
    assert count() == before + 1


def test_anonymous_series_never_mix(server: Server) -> None:
    one, other = (store(server, start="2026-01-01T00:00:00Z", interval="1s", values=[n]) for n in (1, 2))
    assert one["id"] != other["id"]
    assert server.client.get(f"/v1/series/{one['id']}").json()["values"] == [1]


def test_points_page_through_a_series(server: Server) -> None:
    series = store(server, name="pages", start="2026-01-01T00:00:00Z", interval="1s", values=list(range(25)))
    found, cursor = [], None
    for _ in range(5):
        params = {"limit": 7, "start": "2026-01-01T00:00:02Z", "end": "2026-01-01T00:00:22Z"}
        page = server.client.get(
            f"/v1/series/{series['id']}/points", params=params | ({"cursor": cursor} if cursor else {})
        )
        items = page.json()
        found += [point["value"] for point in items["items"]]
        cursor = items["next"]
        if cursor is None:
            break
    assert found == list(range(2, 22))


def test_every_fault_of_a_series_is_named(server: Server) -> None:
    cases = [
        ({"values": []}, "$.values"),
        ({"start": "2026-01-01T00:00:00Z", "interval": "1s"}, "$.values"),
        ({"start": "2026-01-01T00:00:00Z", "interval": "1 parsec", "values": [1]}, "$.interval"),
        ({"start": "2026-01-01T00:00:00Z", "sample_rate_hz": 0, "values": [1]}, "$.sample_rate_hz"),
        ({"times": ["2026-01-01T00:00:00Z"], "values": [1, 2]}, "$.times"),
        ({"start": "2026-01-01T00:00:00", "interval": "1s", "values": [1]}, "$.start"),
    ]
    for body, path in cases:
        answer = server.client.post("/v1/series", json=body)
        assert answer.status_code == 400, body
        assert path in [e["path"] for e in answer.json()["errors"]], (body, answer.text)
