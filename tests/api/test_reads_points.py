"""Points over HTTP: questions that are too big, formats, kept answers."""

import gzip
import re
from typing import Any

import httpx
import pytest
import zstandard

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.query.answers import MEDIA_TYPES

WAIT = {"Prefer": "wait=10"}
DAY = {"start": "2026-01-01", "end": "2026-01-02"}
AGES = {"start": "1950-01-01", "end": "2150-01-01"}


def create(api: Api, name: str, values: list[float | None], **facts: Any) -> str:
    body = {"name": name, "start": "2026-01-01T00:00:00Z", "interval": "1m", "values": values, "tags": {"t": name}}
    answer = api.client.post("/v1/series", json=body | facts, headers=WAIT)
    assert answer.status_code == 201
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def minutes(whole: Api) -> str:
    """A series of 600 minutes."""
    return create(whole, "minutes", [float(n % 60) for n in range(600)])


def ask(api: Api, question: dict[str, Any]) -> httpx.Response:
    if "body" in question:
        return api.client.post(question["url"], json=question["body"])
    return api.client.get(question["url"])


@pytest.mark.parametrize(
    ("path", "given", "limit"),
    [
        ("/v1/points?series={id}", {"every": "1s", **AGES}, "max_span"),
        ("/v1/points?series={id}", {"every": "1s", "fill": "null", **AGES}, "max_windows"),
        ("/v1/points?series={id}", {"every": "1s", "evidence": "true", **AGES}, "max_windows"),
        ("/v1/points?tag.t=minutes", {**AGES, "every": "1m", "fill": "null", "tz": "Asia/Kolkata"}, "max_windows"),
        ("/v1/series/{id}/points", {"every": "1s", "agg": "mean,count", **AGES}, "max_span"),
        ("/v1/series/{id}/points", {"every": "1ms", "fill": "linear", "limit": "10"}, "max_windows"),
    ],
)  # fmt: skip
def test_three_questions_are_possible_in_place_of_one_that_is_too_big(
    whole: Api, minutes: str, path: str, given: dict[str, str], limit: str
) -> None:
    url = httpx.URL(path.format(id=minutes)).copy_merge_params(given)
    refused = problem(whole.client.get(url), 422, "query_limit")
    assert refused["errors"][0]["code"] == limit
    assert len(refused["questions"]) == 3
    for question in refused["questions"]:
        answer = ask(whole, question)
        assert answer.status_code == 200, question
        assert question["says"] in refused["detail"]


def test_a_question_with_a_body_that_is_too_big_has_three_bodies_that_are_possible(whole: Api, minutes: str) -> None:
    body = {"select": {"series": [minutes]}, "every": "1s", "fill": "value:0", "agg": ["mean"], **AGES}
    refused = problem(whole.client.post("/v1/query", json=body), 422, "query_limit")
    assert [sorted(set(item["body"]) - {"select", "agg"}) for item in refused["questions"]] == [
        ["end", "every", "fill", "start"],
        ["end", "every", "fill", "start"],
        ["end", "fill", "points", "start"],
    ]
    for question in refused["questions"]:
        assert ask(whole, question).status_code == 200, question


def test_an_analysis_over_too_many_windows_says_which_it_can_do(whole: Api, minutes: str) -> None:
    answer = whole.client.get(f"/v1/series/{minutes}/distribution", params={"every": "1s", **AGES})
    questions = problem(answer, 422, "query_limit")["questions"]
    assert [item["url"].partition("?")[0] for item in questions] == [f"/v1/series/{minutes}/distribution"] * 3
    for question in questions:  # of the newest part, in which nothing is, an analysis says so
        assert ask(whole, question).status_code in (200, 422), question
        assert "questions" not in ask(whole, question).json(), question


PACKED = {"zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data), "gzip": gzip.decompress}


def raw_bytes(api: Api, url: str, **headers: str) -> tuple[httpx.Headers, bytes]:
    with httpx.stream("GET", f"{api.url}{url}", headers=headers) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("identity", None),
        ("br", None),
    ],
)
def test_a_text_is_compressed_as_the_client_accepts(
    whole: Api, minutes: str, accepted: str, encoding: str | None
) -> None:
    for url in (f"/v1/series/{minutes}", f"/v1/series/{minutes}/points?format=csv", f"/v1/points?series={minutes}"):
        _, plain = raw_bytes(whole, url, **{"Accept-Encoding": "identity"})
        headers, body = raw_bytes(whole, url, **{"Accept-Encoding": accepted})
        assert headers.get("content-encoding") == encoding
        assert headers["vary"].lower() == "accept-encoding"
        if encoding is not None:
            assert len(body) < len(plain) / 3
            body = PACKED[encoding](body)
        assert without_time(body) == without_time(plain)


def without_time(body: bytes) -> bytes:
    return re.sub(rb'"took_ms":[\d.]+', b"", body)


def test_a_small_answer_and_a_columnar_file_stay_as_they_are(whole: Api, minutes: str) -> None:
    for url in (
        f"/v1/series?name={minutes}",
        f"/v1/points?series={minutes}&format=parquet",
        f"/v1/points?series={minutes}&format=arrow",
    ):
        assert "content-encoding" not in raw_bytes(whole, url, **{"Accept-Encoding": "gzip, zstd"})[0]


def test_a_closed_range_is_sent_again_only_after_a_change(whole: Api) -> None:
    key = create(whole, "kept", [1.0, 2.0, 3.0])
    hour = "start=2026-01-01T00:00:00Z&end=2026-01-01T01:00:00Z"
    analyses = ("metrics", "distribution", "duration", "coverage", "calendar", "description")
    urls = [f"/v1/points?series={key}&{hour}", f"/v1/series/{key}/points?every=1m&{hour}"]
    urls += [f"/v1/series/{key}/{name}?{hour}" for name in analyses]
    tags = {}
    for url in urls:
        answer = whole.client.get(url)
        tags[url] = answer.headers["etag"]
        assert answer.headers["cache-control"] == "private, no-cache"
        again = whole.client.get(url, headers={"If-None-Match": f'"other", {tags[url]}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tags[url])
        assert whole.client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert create(whole, "kept", [9.0], start="2026-01-01T00:01:00Z") == key
    for url in urls:
        changed = whole.client.get(url, headers={"If-None-Match": tags[url]})
        assert changed.status_code == 200
        assert "9.0" in changed.text or "/points" not in url
        assert changed.headers["etag"] != tags[url]
        tags[url] = changed.headers["etag"]
    assert whole.client.delete(f"/v1/series/{key}").status_code == 204
    for url in urls:
        assert whole.client.get(url, headers={"If-None-Match": tags[url]}).status_code == 404


def test_a_question_with_a_body_has_the_same_formats_and_is_answered_as_of_an_instant(whole: Api, minutes: str) -> None:
    body = {"select": {"series": [minutes]}, "every": "1d", "agg": ["count"]}
    counts = whole.client.post("/v1/query", json=body).json()["items"][0]["columns"]["count"]
    described = whole.client.get("/openapi.json").json()["paths"]["/v1/query"]["post"]["responses"]["200"]["content"]
    for kind, media_type in MEDIA_TYPES.items():
        answer = whole.client.post("/v1/query", json=body | {"format": kind})
        assert answer.headers["content-type"].split(";")[0] == media_type
        assert media_type in described
    lines = whole.client.post("/v1/query", json=body | {"format": "csv"}).text.splitlines()
    assert lines[0] == '"name","tag.name","tag.t","time","count"'
    assert [int(line.rsplit(",", 1)[1]) for line in lines[1:]] == counts
    for name, value in (("format", "xml"), ("as_of", "soon"), ("as_of", "2262-01-01")):
        refused = problem(whole.client.post("/v1/query", json=body | {name: value}), 400, "invalid")
        assert [fault["path"] for fault in refused["errors"]] == [f"$.{name}"]
    early = whole.client.post("/v1/query", json=body | {"as_of": "2020-01-01"})
    assert early.json()["items"][0]["columns"]["count"] == []
