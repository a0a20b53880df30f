"""Trials over HTTP: what they say is what happens when the same bytes are sent; they store nothing, and the worst that
is sent to them ends in time."""

import base64
import json
import struct
import time
from typing import Any

import httpx
import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.catalog.keys import create_key
from tidemill.feeds.recipes import RECIPES

PUMPS = """name = "{name}"
duplicates = "first"
[input]
on_fault = "{on_fault}"
[time]
path = "$.time"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
[[rules]]
check = "range"
action = "{action}"
options = {{ field = "bar", max = 16 }}
[[rules]]
check = "step"
action = "flag"
options = {{ field = "bar", max_change = 5 }}
"""
NOW = int(time.time())


def row(minute: int, bar: Any, pump: str = "p1") -> dict[str, Any]:
    return {"time": f"2026-01-01T00:{minute:02}:00Z", "pump": pump, "bar": bar}


ROWS = [row(0, 3), row(1, 11), row(2, 17), row(3, "x"), row(0, 4), row(1, 2, "p2"), {"pump": "p1"}, 7]
GOOD_ROWS = [row(4, 3), row(5, 11), row(4, 4), row(6, 10, "p2")]
FIX = {"timestamp": "2017-03-12 02:30:00", "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 2, "user_id": "trial"}
SAMPLES: dict[str, tuple[str, Any, str]] = {
    "rejecting": (PUMPS.format(name="rejecting", on_fault="reject", action="reject"), ROWS, "application/json"),
    "refusing": (PUMPS.format(name="refusing", on_fault="refuse", action="reject"), ROWS, "application/json"),
    "taken": (PUMPS.format(name="taken", on_fault="refuse", action="reject"), GOOD_ROWS, "application/json"),
    "by_rule": (PUMPS.format(name="by_rule", on_fault="refuse", action="refuse"), [*GOOD_ROWS, row(9, 17)], ""),
    "lines": (
        PUMPS.format(name="lines", on_fault="reject", action="reject"),
        "\n".join(map(json.dumps, ROWS)),
        "application/json",
    ),
    "dropzone": ("", [{"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1, 2.5]}, {"data": []}], "text/plain"),
    "location": ("", FIX, ""),
    "meters": (
        "",
        {"data": [{"timestamp": "2023-02-01T00:00:00.000Z", "tags": {"muid": "trial"}, "0100011D00FF": 0.5, "x": "y"}]},
        "application/json",
    ),
    "telemetry": (
        "",
        [
            {"time": NOW, "value": list(struct.pack("<f", 1.5)), "tags": ["a"]},
            {"time": NOW - 7200, "value": 2.5, "tags": ["system"]},
            {"time": NOW, "value": "AAA=", "tags": []},
        ],
        "",
    ),
    "signals": ("", {"name": "trial", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, None, 3]}, ""),
}


def trial(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/feeds/trial", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_trial_says_what_happens_when_the_same_is_sent(whole: Api, name: str) -> None:
    definition, given, content_type = SAMPLES[name]
    sample = given if isinstance(given, str) else json.dumps(given)
    tried = trial(whole, definition=definition or RECIPES[name], sample=sample, content_type=content_type or None)
    assert tried["faults"] == []
    if definition:
        assert whole.client.put(f"/v1/feeds/{name}", content=definition).is_success
    headers = {"Prefer": "wait=20"} | ({"Content-Type": content_type} if content_type else {})
    sent = whole.client.post(f"/v1/feeds/{name}", content=sample, headers=headers, timeout=30)
    receipt = sent.json()["receipt"] if sent.status_code == 400 else sent.json()["id"]
    assert (tried["refused"] is None) == (sent.status_code == 200), sent.text
    if tried["refused"]:
        assert tried["refused"]["status"] == sent.status_code
        assert tried["refused"]["errors"] == sent.json()["errors"]
    outcome = await_outcome(whole.client, receipt)
    assert [tried[key] for key in ("accepted", "rejected", "by_reason")] == [
        outcome[key] for key in ("accepted", "rejected", "reasons")
    ]
    page = whole.client.get(f"/v1/receipts/{receipt}/records").json()
    assert (page["total"], page["no_bytes"]) == (tried["total"], tried["no_bytes"])
    for record, said in zip(page["items"], tried["records"], strict=True):
        same = record.keys() & said.keys() - {"winner", "rules", "at_fault", "marks"}
        assert {key: record[key] for key in same} == {key: said[key] for key in same}
        assert record["state"] == said["verdict"]
        assert (record["winner"] or {}).get("index") == said["winner"]
        for rule, other in zip(record["rules"], said["rules"], strict=True):
            assert rule["verdict"] in (other["verdict"], "not_judged")


def await_outcome(client: httpx.Client, receipt: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (outcome := client.get(f"/v1/receipts/{receipt}").json())["state"] == "stored":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found: dict[str, Any] = outcome
    return found


def test_a_trial_stores_nothing(whole: Api) -> None:
    before = [whole.client.get(path).json() for path in ("/v1/feeds", "/v1/receipts", "/v1/series/count")]
    offset = whole.services.log.last_seq()
    definition = PUMPS.format(name="never_put", on_fault="refuse", action="refuse")
    assert trial(whole, definition=definition, sample=json.dumps(ROWS))["refused"]["status"] == 400
    assert whole.services.log.last_seq() == offset
    assert [whole.client.get(path).json() for path in ("/v1/feeds", "/v1/receipts", "/v1/series/count")] == before
    assert whole.client.get("/v1/feeds/never_put").status_code == 404


def test_the_sample_may_be_bytes_or_a_receipt(whole: Api) -> None:
    sample = json.dumps(SAMPLES["dropzone"][1])
    sent = whole.client.post("/v1/feeds/dropzone", content=sample)
    receipt = sent.json().get("receipt") or sent.json()["id"]
    await_outcome(whole.client, receipt)
    answers = [
        trial(whole, definition=RECIPES["dropzone"], received_at="2026-01-01T00:00:00Z", **more)
        for more in (
            {"sample": sample},
            {"sample_base64": base64.b64encode(sample.encode()).decode()},
            {"receipt": receipt},
        )
    ]
    assert answers[0] == answers[1] == answers[2]


def test_pages_of_a_large_sample(whole: Api) -> None:
    sample = json.dumps([row(number % 60, number, f"p{number}") for number in range(450)])
    definition = PUMPS.format(name="paged", on_fault="reject", action="flag")
    first, indexes = 0, []
    while first is not None:
        page = trial(whole, definition=definition, sample=sample, first=first, limit=200)
        assert (page["total"], page["accepted"]) == (450, 450)
        indexes += [record["index"] for record in page["records"]]
        first = page["next"]
    assert indexes == list(range(450))


def test_the_definition_of_a_feed_is_judged_as_its_next_version(whole: Api) -> None:
    text = RECIPES["dropzone"]
    tried = trial(whole, definition=text.replace('duplicates = "last"', 'duplicates = "keep"'), feed="dropzone")
    codes = {fault["code"] for fault in tried["faults"]}
    put = whole.client.put("/v1/feeds/dropzone?dry_run=true", content=text.replace('"last"', '"keep"', 1))
    assert codes == {fault["code"] for fault in put.json().get("errors", [])}
    other = trial(whole, definition=text, feed="pumps")
    assert [fault["code"] for fault in other["faults"]] == ["name_mismatch"]
    assert trial(whole, definition=text)["faults"] == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.definition"),
        ({"definition": 7}, "$.definition"),
        ({"definition": "x", "smaple": ""}, "$.smaple"),
        ({"definition": "x", "sample": "a", "receipt": "b"}, "$.receipt"),
        ({"definition": "x", "sample_base64": "?"}, "$.sample_base64"),
        ({"definition": "x", "received_at": "today"}, "$.received_at"),
        ({"definition": "x", "limit": 0}, "$.limit"),
        ({"definition": "x", "first": -1}, "$.first"),
        ({"definition": "x" * (257 << 10)}, "$.definition"),
        ({"definition": "x", "sample": "y" * ((1 << 20) + 1)}, "$.sample"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_body_is_named(whole: Api, body: dict[str, Any], path: str) -> None:
    answer = problem(whole.client.post("/v1/feeds/trial", json=body), 400, "invalid")
    assert path in [fault["path"] for fault in answer["errors"]]


def test_a_body_beyond_every_bound_is_too_large(whole: Api) -> None:
    answer = whole.client.post("/v1/feeds/trial", json={"definition": "x", "sample": "y" * (9 << 20)})
    assert answer.status_code == 413, answer.text


def test_only_an_administrator_tries_and_only_own_receipts(whole: Api, keyed: Api) -> None:
    for scope, status in (("read,write", 403), ("admin", 200)):
        _, key = create_key(keyed.services.catalog, "default", scope.split(","))
        keyed.services.keys.refresh()
        headers = {"X-API-Key": key}
        body = {"definition": RECIPES["dropzone"], "sample": "{}"}
        assert keyed.client.post("/v1/feeds/trial", json=body, headers=headers).status_code == status
    assert keyed.client.post("/v1/feeds/trial", json={"definition": "x"}).status_code == 401
    missing = {"definition": RECIPES["dropzone"], "receipt": "01a200c7-1b60-74c3-be95-2838c89ec96f"}
    problem(whole.client.post("/v1/feeds/trial", json=missing), 404, "not_found")
