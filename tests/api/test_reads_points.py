"""Points over HTTP: questions that are too big, formats, kept answers."""

from typing import Any

import httpx
import pytest

from tests.api.samples import problem
from tests.support.api import Api

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
    assert [item["url"].partition("?")[0] for item in questions] == [f"/v1/series/{minutes}/distribution"] * 2
    assert ask(whole, questions[0]).status_code == 200
