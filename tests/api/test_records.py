"""The records of a payload over HTTP: their states, their bytes, pages, and who may see them."""

import hashlib
import json
from typing import Any

import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.catalog.keys import create_key

FEED = """name = "gauges"
duplicates = "{policy}"
[input]
on_fault = "reject"
[time]
path = "$.time"
[tags.gauge]
path = "$.gauge"
[fields.level]
path = "$.level"
[[rules]]
check = "range"
options = {{ field = "level", max = 100 }}
[[rules]]
check = "step"
action = "flag"
options = {{ field = "level", max_change = 5, within = "30d" }}
[[rules]]
check = "monotonic"
options = {{ field = "level" }}
"""
WAIT = {"Prefer": "wait=20"}


def gauge(second: int, level: Any, name: str) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:{second:02}Z", "gauge": name, "level": level}


def send(api: Api, feed: str, records: Any) -> str:
    answer = api.client.post(f"/v1/feeds/{feed}", json=records, headers=WAIT, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def put(api: Api, name: str, policy: str = "first") -> None:
    text = FEED.format(policy=policy).replace('"gauges"', f'"{name}"')
    assert api.client.put(f"/v1/feeds/{name}", content=text).is_success


def records(api: Api, receipt: str, **params: Any) -> dict[str, Any]:
    answer = api.client.get(f"/v1/receipts/{receipt}/records", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def verdicts(record: dict[str, Any]) -> list[str]:
    return [rule["verdict"] for rule in record["rules"]]


def test_each_record_says_what_became_of_it(whole: Api) -> None:
    put(whole, "gauges")
    first = send(whole, "gauges", [gauge(1, 10, "g1"), gauge(2, 20, "g1"), gauge(3, 200, "g1"), gauge(2, 21, "g1"), 7])
    again = send(whole, "gauges", [gauge(1, 11, "g1"), gauge(9, 50, "g1")])
    one, two = records(whole, first), records(whole, again)
    assert [record["state"] for record in one["items"]] == ["accepted", "flagged", "rejected", "rejected", "rejected"]
    assert [record["reasons"] for record in one["items"]] == [
        [],
        [],
        ["outside_range"],
        ["not_monotonic"],
        ["wrong_type"],
    ]
    assert [verdicts(record) for record in one["items"]] == [
        ["passed", "passed", "passed"],
        ["passed", "broken", "passed"],
        ["broken", "not_judged", "passed"],
        ["passed", "not_judged", "broken"],
        ["not_judged", "not_judged", "not_judged"],
    ]
    assert [record["reasons"] for record in two["items"]] == [["not_monotonic"], []]
    assert two["items"][1]["marks"] == ["step_change"]  # against a value of the payload before
    assert [record["time"] for record in one["items"]][-1] is None
    sentence = one["items"][1]["rules"][1]["sentence"]
    assert sentence == "Broken: level changed by more than 5 since the value before."
    assert one["items"][0]["rules"][0]["sentence"].startswith("Passed. A record breaks this rule where level is ")


def test_a_duplicate_names_the_record_that_stays(whole: Api) -> None:
    put(whole, "doubles")
    first = send(whole, "doubles", [gauge(1, 1, "d1")])
    second = send(whole, "doubles", [gauge(1, 2, "d2"), gauge(1, 3, "d1")])
    shown = whole.client.get(f"/v1/receipts/{second}/records/1").json()
    assert shown["item"]["state"] == "rejected"
    assert "duplicate" in shown["item"]["reasons"] or shown["item"]["reasons"] == ["not_monotonic"]
    text = FEED.format(policy="first").replace('"gauges"', '"pairs"').split("[[rules]]")[0]
    assert whole.client.put("/v1/feeds/pairs", content=text).is_success
    first = send(whole, "pairs", [gauge(1, 1, "d1")])
    second = send(whole, "pairs", [gauge(1, 2, "d2"), gauge(1, 3, "d1")])
    item = whole.client.get(f"/v1/receipts/{second}/records/1").json()
    assert (item["item"]["reasons"], item["item"]["winner"]) == (["duplicate"], {"receipt": first, "index": 0})
    assert [point["stands"] for point in item["points"]] == [False]
    winner = whole.client.get(f"/v1/receipts/{first}/records/0").json()
    assert [(point["value"], point["stands"]) for point in winner["points"]] == [(1.0, True)]


def test_the_bytes_are_those_of_the_payload(whole: Api) -> None:
    put(whole, "bytes")
    receipt = send(whole, "bytes", [gauge(second, second * 90, "ü") for second in range(3)])
    body = whole.client.get(f"/v1/receipts/{receipt}/payload")
    assert body.headers["accept-ranges"] == "bytes"
    for record in records(whole, receipt)["items"]:
        start, end = record["bytes"]["start"], record["bytes"]["end"]
        part = whole.client.get(f"/v1/receipts/{receipt}/payload", headers={"Range": f"bytes={start}-{end - 1}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(body.content)}"
        assert part.content == body.content[start:end]
        assert json.loads(part.content)["level"] == record["index"] * 90
        shown = whole.client.get(f"/v1/receipts/{receipt}/records/{record['index']}").json()
        assert shown["record"] == json.loads(part.content)
        assert shown["item"] == record
    assert hashlib.sha256(body.content).hexdigest() == body.headers["etag"].strip('"')


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=5-", 206, (5, None)),
        ("bytes=-4", 206, (-4, None)),
        ("bytes=3-99999999", 206, (3, None)),
        ("bytes=-99999999", 206, (0, None)),
        ("bytes=0-1,3-4", 200, (0, None)),
        ("lines=0-1", 200, (0, None)),
        ("bytes=9-3", 200, (0, None)),
        ("bytes=99999999-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
def test_ranges_are_as_the_rfc_says(whole: Api, wanted: str, status: int, span: tuple[int, int | None] | None) -> None:
    put(whole, "ranges")
    receipt = send(whole, "ranges", [gauge(1, 1, "r")])
    path = f"/v1/receipts/{receipt}/payload"
    body = whole.client.get(path)
    answer = whole.client.get(path, headers={"Range": wanted})
    assert answer.status_code == status
    if span is None:
        problem(answer, 416, "range_not_satisfiable")
    else:
        assert answer.content == body.content[slice(*span)]
    stale = whole.client.get(path, headers={"Range": wanted, "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, body.content)
    unchanged = whole.client.get(path, headers={"Range": "bytes=0-0", "If-Range": body.headers["etag"]})
    assert unchanged.status_code == 206


def test_the_bytes_of_a_payload_are_sent_as_its_hash_and_its_ranges_say(whole: Api) -> None:
    put(whole, "exact", "keep")
    sent_rows = [gauge(second % 60, second, f"g{second}") for second in range(200)]
    receipt = whole.client.post("/v1/feeds/exact", json=sent_rows).json()["id"]
    path, accepted = f"/v1/receipts/{receipt}/payload", {"Accept-Encoding": "gzip, zstd"}
    for wanted in ({}, {"Range": "bytes=10-8000"}):
        with whole.client.stream("GET", path, headers={**accepted, **wanted}) as answer:
            sent = b"".join(answer.iter_raw())
        assert "content-encoding" not in answer.headers
        if wanted:
            assert answer.headers["content-range"].startswith("bytes 10-8000/") and len(sent) == 7991
        else:
            assert answer.headers["etag"] == f'"{hashlib.sha256(sent).hexdigest()}"'


def test_pages_hold_every_record_once(whole: Api) -> None:
    put(whole, "pages", "keep")
    receipt = send(whole, "pages", [gauge(number % 60, number, f"g{number}") for number in range(25)])
    seen, cursor = [], None
    while True:
        page = records(whole, receipt, limit=10, **({} if cursor is None else {"cursor": cursor}))
        seen += [record["index"] for record in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == list(range(25))
    problem(whole.client.get(f"/v1/receipts/{receipt}/records/25"), 404, "not_found")
    problem(whole.client.get(f"/v1/receipts/{receipt}/records", params={"limit": "0"}), 400, "invalid")


def test_a_deleted_payload_shows_no_record(whole: Api) -> None:
    put(whole, "erased")
    receipt = send(whole, "erased", [gauge(1, 1, "e1"), gauge(1, 2, "e2")])
    assert whole.client.delete(f"/v1/receipts/{receipt}", headers=WAIT).is_success
    problem(whole.client.get(f"/v1/receipts/{receipt}/records"), 410, "gone")
    problem(whole.client.get(f"/v1/receipts/{receipt}/records/0"), 410, "gone")


def test_records_are_for_administrators_of_the_tenant(whole: Api, keyed: Api) -> None:
    for scope, status in (("read,write", 403), ("admin", 503)):  # its store is not there
        _, key = create_key(keyed.services.catalog, "default", scope.split(","))
        keyed.services.keys.refresh()
        path = "/v1/receipts/01a200c7-1b60-74c3-be95-2838c89ec96f/records"
        assert keyed.client.get(path, headers={"X-API-Key": key}).status_code == status
    problem(whole.client.get("/v1/receipts/01a200c7-1b60-74c3-be95-2838c89ec96f/records/0"), 404, "not_found")
