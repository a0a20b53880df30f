"""Replays over HTTP: a rule is mended, the difference is looked at, and then it is so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server, running_server
from tidemill.api.replay_request import decode_replay_body
from tidemill.errors import InputError

FEED = """
name = "pumps"
[input]
on_fault = "reject"
[time]
path = "$.t"
[tags.pump]
path = "$.pump"
[fields.pressure]
path = "$.pressure"
[rollups]
every = "1m"
[[rules]]
check = "range"
options = { field = "pressure", max = 10 }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("replays") / "data") as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def put_feed(http: httpx.Client, name: str, highest: int) -> None:
    text = FEED.replace('"pumps"', f'"{name}"').replace("max = 10", f"max = {highest}")
    assert http.put(f"/v1/feeds/{name}", content=text).status_code in (200, 201)


def send(http: httpx.Client, feed: str, *values: float) -> str:
    body = [{"t": f"2026-01-01T00:00:{n:02}Z", "pump": "a", "pressure": value} for n, value in enumerate(values)]
    answer = http.post(f"/v1/feeds/{feed}", content=json.dumps(body), headers={"Prefer": "wait=10"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def replay(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/replays", json=body, headers={"Prefer": "wait=20"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "done", answer.json()
    return dict(answer.json())


def test_a_mended_rule_recovers_what_it_rejected(http: httpx.Client) -> None:
    put_feed(http, "pumps", 10)
    receipt = send(http, "pumps", 5, 20, 7)
    put_feed(http, "pumps", 100)
    chosen = {"feed": "pumps", "rejections": {"reason": "outside_range"}}
    dry = replay(http, **chosen, dry_run=True)
    difference = dry["difference"]
    assert (difference["newly_accepted"], difference["newly_rejected"]) == ({"outside_range": 1}, {})
    (window,) = difference["windows"]
    assert (window["window"], window["old"], window["new"]) == (
        "2026-01-01T00:00:00Z",
        {"mean": 6, "count": 2},
        {"mean": 32 / 3, "count": 3},
    )
    assert http.get(f"/v1/receipts/{receipt}").json()["rejected"] == 1, "a dry run changes nothing"

    real = replay(http, **chosen)
    assert real["difference"] == difference
    after = http.get(f"/v1/receipts/{receipt}").json()
    assert (after["accepted"], after["rejected"], after["rules_version"]) == (3, 0, 2)
    (row,) = http.get("/v1/feeds/pumps/rollups").json()
    assert row["count"] == 3
    (rejection,) = http.get(f"/v1/rejections?receipt={receipt}&recovered=only").json()["items"]
    assert rejection["recovered_by"] == real["id"]
    assert http.get(f"/v1/rejections?receipt={receipt}").json()["items"] == []
    assert replay(http, **chosen)["difference"]["payloads"] == 0, "nothing is left to recover"
    listed = [item["id"] for item in http.get("/v1/replays").json()["items"]]
    assert listed[-2:] == [real["id"], dry["id"]]


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b"{", {"$"}),
        ({"feed": "pumps"}, {"$"}),
        ({"feed": "pumps", "start": "yesterday", "receipts": []}, {"$", "$.start", "$.receipts"}),
        ({"feed": "pumps", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, {"$.end"}),
        ({"feed": "none", "start": "2026-01-02T00:00:00Z"}, {"$.feed"}),
        ({"feed": "location", "start": "2026-01-02T00:00:00Z", "version": 99}, {"$.version"}),
        ({"fed": "pumps", "start": 3, "dry_run": "yes"}, {"$.fed", "$.feed", "$.start", "$.dry_run"}),
        ({"feed": "pumps", "rejections": {"cause": "x"}}, {"$.rejections.cause"}),
    ],
)
def test_every_fault_of_a_request_is_named(http: httpx.Client, body: Any, paths: set[str]) -> None:
    answer = http.post("/v1/replays", content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 400
    assert {fault["path"] for fault in answer.json()["errors"]} == paths


def test_a_fault_is_told_in_the_words_of_json() -> None:
    for body, words in ((b"{}", "1 fault in the body: 'feed' is missing"), (b"[]", "must be an object, not array")):
        with pytest.raises(InputError, match=words):
            decode_replay_body(body)


def test_one_that_is_over_cannot_be_cancelled_and_another_was_never(http: httpx.Client) -> None:
    put_feed(http, "quiet", 10)
    over = replay(http, feed="quiet", start="2026-01-01T00:00:00Z")
    assert over["difference"]["payloads"] == 0
    assert http.delete(f"/v1/replays/{over['id']}").status_code == 409
    assert http.delete("/v1/replays/none").status_code == 404
    assert http.get("/v1/replays/none").status_code == 404


def test_a_replay_survives_the_mill(server: Server, http: httpx.Client, tmp_path: Path) -> None:
    put_feed(http, "tanks", 10)
    receipts = [send(http, "tanks", *range(n, n + 20)) for n in range(4)]
    put_feed(http, "tanks", 15)
    started = http.post("/v1/replays", json={"feed": "tanks", "receipts": receipts}).json()
    server.kill("mill")
    after = http.get(f"/v1/replays/{started['id']}", headers={"Prefer": "wait=30"}).json()
    assert after["state"] == "done", after
    straight = http.get("/v1/rejections/summary?feed=tanks").json()
    assert straight["total"] == sum(max(0, n + 19 - 15) for n in range(4))
