"""Series over HTTP: list, count, in full, points, metrics."""

import io
import urllib.parse
from typing import Any

import httpx
import polars as pl
import pytest

from tests.api.samples import problem
from tests.support.api import Api

WAIT = {"Prefer": "wait=10"}


def create(api: Api, name: str, values: list[float | None], **facts: Any) -> str:
    body = {"name": name, "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": values, "tags": {"t": name}}
    assert api.client.post("/v1/feeds/signals", json=body | facts, headers=WAIT).json()["accepted"] == len(values)
    items = api.client.get("/v1/series", params={"name": name}).json()["items"]
    assert len(items) == 1
    return str(items[0]["id"])


def following(answer: httpx.Response) -> str | None:
    return answer.links["next"]["url"] if "next" in answer.links else None


def test_a_series_has_every_sample_with_values_and_times(whole: Api) -> None:
    key = create(whole, "full", [1, None, 2.5], unit="g")
    series = whole.client.get(f"/v1/series/{key}").json()
    assert (series["values"], series["count"], series["unit"]) == ([1.0, None, 2.5], 2, "g")
    assert series["times"] == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]
    assert (series["start"], series["end"]) == (series["times"][0], series["times"][-1])


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv; charset=utf-8"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("parquet", "application/vnd.apache.parquet"),
    ],
)
def test_formats_say_what_they_are(whole: Api, kind: str, media_type: str) -> None:
    key = create(whole, f"format-{kind}", [1.0, 2.0])
    for path in (f"/v1/series/{key}", f"/v1/series/{key}/points", f"/v1/series/{key}/points?every=1s"):
        answer = whole.client.get(path, params={"format": kind} | dict(urllib.parse.parse_qsl(path.partition("?")[2])))
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.content


def test_a_large_series_streams_whole(whole: Api) -> None:
    values = [float(n % 1000) for n in range(300_000)]
    key = create(whole, "large", values, interval="39.0625us")  # type: ignore[arg-type]
    assert whole.client.get(f"/v1/series/{key}").json()["values"] == values
    arrow = whole.client.get(f"/v1/series/{key}", params={"format": "arrow"})
    assert pl.read_ipc_stream(io.BytesIO(arrow.content))["value"].to_list() == values
    metrics = whole.client.get(f"/v1/series/{key}/metrics").json()
    assert (metrics["count"], metrics["mean"], metrics["peak"]) == (300_000, 499.5, 999.0)
    assert metrics["interval_mean_s"] == pytest.approx(39.0625e-6, rel=1e-9)


def test_pages_follow_the_link_and_the_cursor(whole: Api) -> None:
    key = create(whole, "paged", [float(n) for n in range(10)])
    url: str | None = f"/v1/series/{key}/points?limit=4&tz=Europe%2FZurich"
    seen: list[float] = []
    while url:
        answer = whole.client.get(url)
        document = answer.json()
        assert document["items"][0]["time"].endswith("+01:00")
        seen += [item["value"] for item in document["items"]]
        url = following(answer)
        assert (document["next"] is None) == (url is None)
        assert url is None or urllib.parse.quote(document["next"]) in url
    assert seen == [float(n) for n in range(10)]


def test_windows(whole: Api) -> None:
    key = create(whole, "windows", [1, 2, None, None, 5, 6])
    given = {"every": "2s", "agg": "mean,count", "fill": "previous"}
    page = whole.client.get(f"/v1/series/{key}/points", params=given).json()
    assert [(item["mean"], item["count"]) for item in page["items"]] == [(1.5, 2), (1.5, 0), (5.5, 2)]


def test_metrics_are_null_where_not_defined(whole: Api) -> None:
    key = create(whole, "constant", [3.0, 3.0])
    metrics = whole.client.get(f"/v1/series/{key}/metrics", params={"q": "0.5,1"}).json()
    assert (metrics["stddev"], metrics["skewness"], metrics["quantiles"]) == (0.0, None, {"0.5": 3.0, "1": 3.0})


def test_list_and_count_filter_by_tag(whole: Api) -> None:
    create(whole, "tagged", [1.0])
    page = whole.client.get("/v1/series", params={"tag.t": "tagged"}).json()
    assert [item["name"] for item in page["items"]] == ["tagged"]
    names = "id feed name field tags unit count missing first last"
    assert " ".join(page["items"][0]) == names
    assert whole.client.get("/v1/series/count", params={"tag.t": "tagged"}).json()["count"] == 1
    assert whole.client.get("/v1/series/count", params={"tag.t": "nobody"}).json() == {"count": 0, "by_feed": {}}


def test_unknown_series_and_wrong_queries(whole: Api) -> None:
    for path in ("", "/points", "/metrics"):
        problem(whole.client.get(f"/v1/series/0123456789abcdef{path}"), 404, "not_found")
        problem(whole.client.get(f"/v1/series/count2{path}"), 404, "not_found")
    key = create(whole, "queried", [1.0])
    wrong = {"start": "2026-02-01", "end": "2026-01-01", "fill": "null"}
    for path, given in (("/points", wrong), ("/metrics", {"q": "2"}), ("", {"format": "xml"})):
        problem(whole.client.get(f"/v1/series/{key}{path}", params=given), 400, "invalid")
    too_many = "&".join(f"tag.x{n}=1" for n in range(101))
    problem(whole.client.get(f"/v1/series?{too_many}"), 400, "invalid")
    problem(whole.client.get("/v1/series?name=%ff%00"), 400, "invalid")
