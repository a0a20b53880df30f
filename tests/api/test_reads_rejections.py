"""The rejection ledger over HTTP: for administrators only."""

import time
from collections.abc import Iterator

import pytest

from tests.api.samples import problem
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key

WAIT = {"Prefer": "wait=10"}
POINT = {"value": [0, 0, 128, 63], "tags": []}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("keyed"), open_access=False) as running:
        yield running


def test_every_reason_is_listed_and_counted(whole: Api) -> None:
    now = int(time.time())
    points = [
        POINT | {"time": now},
        POINT | {"time": now - 4000, "tags": ["system", "suspect"]},
        POINT | {"time": now, "tags": ["suspect"]},
    ]
    before = whole.client.get("/v1/rejections/summary", params={"feed": "telemetry"}).json()
    receipt = whole.client.post("/v1/feeds/telemetry", json=points, headers=WAIT).json()
    assert (receipt["accepted"], receipt["rejected"]) == (1, 2)
    page = whole.client.get(receipt["links"]["rejections"]).json()
    assert page["next"] is None
    assert [(item["index"], item["reasons"]) for item in page["items"]] == [
        (2, ["suspect"]),
        (1, ["too_old", "internal", "suspect"]),
    ]
    oldest = page["items"][1]
    assert oldest["record"] == points[1]
    assert (oldest["feed"], oldest["receipt"]) == ("telemetry", receipt["id"])
    assert {"received_at", "time", "detail", "rules_version", "winner"} < set(oldest)
    after = whole.client.get("/v1/rejections/summary", params={"feed": "telemetry"}).json()
    assert after["total"] - before["total"] == 2
    assert after["by_reason"]["suspect"] - before["by_reason"].get("suspect", 0) == 2


def test_a_duplicate_names_the_first_submitted(whole: Api) -> None:
    fix = {"timestamp": "2026-07-01 13:05:12", "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 1, "user_id": "dup"}
    first = whole.client.put("/location", json=fix, headers=WAIT).json()["id"]
    second = whole.client.put("/location", json=fix | {"speed": 2}, headers=WAIT).json()["id"]
    (item,) = whole.client.get("/v1/rejections", params={"receipt": second}).json()["items"]
    assert item["reasons"] == ["duplicate"]
    assert item["winner"] == {"receipt": first, "index": 0}
    assert item["record"]["speed"] == 2


def test_only_administrators_read_the_ledger(keyed: Api) -> None:
    secrets = {scope: create_key(keyed.services.catalog, "default", [scope])[1] for scope in ("read", "write", "admin")}
    for path in ("/v1/rejections", "/v1/rejections/summary"):
        problem(keyed.client.get(path), 401, "unauthorized")
        for scope in ("read", "write"):
            answer = keyed.client.get(path, headers={"Authorization": f"Bearer {secrets[scope]}"})
            problem(answer, 403, "forbidden")
        answer = keyed.client.get(path, headers={"X-API-Key": secrets["admin"]})
        problem(answer, 503, "store_unavailable")  # let in; this API's store is not there
    problem(keyed.client.get("/v1/series", headers={"X-API-Key": secrets["write"]}), 403, "forbidden")


def test_faults_of_a_query_are_all_named(whole: Api) -> None:
    answer = whole.client.get("/v1/rejections", params={"limit": "x", "reson": "too_old", "cursor": "???", "end": "\0"})
    document = problem(answer, 400, "invalid")
    assert {fault["path"]: fault["code"] for fault in document["errors"]} == {
        "$query.limit": "invalid",
        "$query.reson": "unknown_parameter",
        "$query.cursor": "invalid",
        "$query.end": "invalid",
    }
