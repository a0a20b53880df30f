"""The find box: what a short text names, whatever the text, also while the store is down."""

from typing import Any

import pytest

from tests.api.samples import problem, row
from tests.support.api import Api

WAIT = {"Prefer": "wait=10"}


def hits(api: Api, text: str, **query: str) -> list[dict[str, Any]]:
    answer = api.client.get("/v1/find", params={"q": text, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["hits"]
    return found


def test_receipts_are_found_by_the_begin_of_id_or_digest(whole: Api) -> None:
    receipt = whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT).json()
    for text, by in (
        (receipt["id"], "id"),
        (receipt["id"][:20], "id"),
        (receipt["sha256"], "sha256"),
        (receipt["sha256"][:13].upper(), "sha256"),
        (f"sha256:{receipt['sha256'][:10]}", "sha256"),
    ):
        chosen = [
            hit for hit in hits(whole, text, limit="50") if hit["kind"] == "receipt" and hit["id"] == receipt["id"]
        ]
        assert [hit["by"] for hit in chosen] == [by], text
        assert whole.client.get(chosen[0]["link"]).status_code == 200
    assert hits(whole, receipt["sha256"][:12] + "0000") == []


def test_feeds_series_and_instants_are_found_by_words(whole: Api) -> None:
    whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    kinds = {hit["kind"]: hit for hit in hits(whole, "DROP")}
    assert kinds["feed"]["name"] == "dropzone"
    series = kinds["series"]
    assert whole.client.get(series["link"]).json()["feed"] == "dropzone"
    assert [hit["id"] for hit in hits(whole, series["id"]) if hit["kind"] == "series"] == [series["id"]]
    instant = hits(whole, f"{series['field']} 2026-01-31 14:42", tz="Europe/Zurich")[0]
    assert (instant["kind"], instant["time"]) == ("instant", "2026-01-31T13:42:00Z")
    assert instant["local"] == "2026-01-31T14:42:00+01:00"
    assert whole.client.get(instant["link"]).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["%", "'; DROP TABLE points", "\\", "\u202e", "😀", "--", "0" * 64, "a" * 200, "-" * 36, "1 2 3 4 5 6 7 8 9 10"],
)
def test_any_text_is_answered(whole: Api, text: str) -> None:
    hits(whole, text)


def test_a_faulty_question_is_refused_by_name(whole: Api) -> None:
    for query, path in (("", "$query.q"), ("q=", "$query.q"), ("q=%20", "$query.q"), ("q=a&tz=Mars", "$query.tz")):
        document = problem(whole.client.get(f"/v1/find?{query}"), 400, "invalid")
        assert [fault["path"] for fault in document["errors"]] == [path]
    problem(whole.client.get("/v1/find", params={"q": "a" * 201}), 400, "invalid")


def test_while_the_store_is_down_the_rest_is_found_and_the_answer_says_what_is_missing(api: Api) -> None:
    answer = api.client.get("/v1/find", params={"q": "drop yesterday 14:42"}).json()
    assert [hit["kind"] for hit in answer["hits"]] == ["instant"]
    assert answer["missing"] == ["series"]
    assert [hit["name"] for hit in hits(api, "drop")] == ["dropzone"]
    receipt = api.client.post("/v1/feeds/dropzone", json=row()).json()["id"]
    assert [(hit["id"], hit["state"]) for hit in hits(api, receipt)] == [(receipt, "stored")]
