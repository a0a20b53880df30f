"""What flows: received = accepted + rejected + waiting in every window and in the totals, whatever goes on."""

import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api, running_mill
from tidemill.catalog.keys import create_key
from tidemill.store.migrate import migrate

WAIT = {"Prefer": "wait=10"}
COUNTS = ("payloads", "received", "accepted", "rejected", "waiting", "late", "duplicate", "flagged", "bytes")


def flow(api: Api, **query: Any) -> dict[str, Any]:
    answer = api.client.get("/v1/flow", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    check_balance(document)
    return document


def check_balance(document: dict[str, Any]) -> None:
    """The counts add up in every window, over the windows and over the feeds."""
    for part in (document, *document["feeds"]):
        columns, totals = part["columns"], part["totals"]
        assert set(columns) == set(totals) == set(COUNTS)
        assert all(len(column) == len(document["time"]) for column in columns.values())
        assert totals == {name: sum(column) for name, column in columns.items()}
        outcome = zip(columns["accepted"], columns["rejected"], columns["waiting"], strict=True)
        assert columns["received"] == [sum(counts) for counts in outcome]
    for name in COUNTS:
        of_feeds = [feed["columns"][name] for feed in document["feeds"]]
        assert document["columns"][name] == [sum(window) for window in zip(*of_feeds, strict=True)] or not of_feeds


def grown(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    return {name: after["totals"][name] - before["totals"][name] for name in COUNTS}


PRESSES = """name = "presses"
duplicates = "first"
[time]
path = "$.time"
[tags.press]
path = "$.press"
[fields.bar]
path = "$.bar"
[[rules]]
check = "range"
action = "reject"
options = { field = "bar", max = MAX }
[[rules]]
check = "range"
action = "flag"
options = { field = "bar", max = 10 }
[rollups]
every = "1m"
late_after = "1h"
"""


@pytest.fixture(scope="module")
def presses(whole: Api) -> str:
    put(whole, 16)
    return "presses"


def put(api: Api, most: int) -> None:
    answer = api.client.put("/v1/feeds/presses", content=PRESSES.replace("MAX", str(most)))
    assert answer.is_success, answer.text


def send(api: Api, *bars: float, at: float | None = None, wait: bool = True) -> dict[str, Any]:
    """A payload with a record for each of these values, of times from `at` (s since the epoch; null: now) on."""
    first = int((time.time() if at is None else at) * 1e9)
    press = f"p{first % 7}"
    records = [{"time": instant(first + n), "press": press, "bar": bar} for n, bar in enumerate(bars)]
    answer = api.client.post("/v1/feeds/presses", json=records, headers=WAIT if wait else {})
    assert answer.status_code in (200, 202), answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def instant(ns: int) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ns // 10**9))}.{ns % 10**9:09d}Z"


def test_records_are_counted_by_feed_and_window(whole: Api) -> None:
    before = flow(whole, feed="dropzone")
    body = json.dumps({"time_stamp": f"2026-02-01T00:00:{time.time_ns() % 60:02d}Z", "data": [1, 2]})
    receipt = whole.client.post("/v1/feeds/dropzone", content=body, headers=WAIT).json()
    after = flow(whole, feed="dropzone")
    more = grown(before, after)
    assert (more["payloads"], more["received"], more["bytes"]) == (1, 1, len(body))
    assert (more["accepted"], more["rejected"]) == (receipt["accepted"], receipt["rejected"])
    assert after["lag_s"] == 0
    assert len(after["time"]) <= 240


def test_it_adds_up_while_payloads_are_applied(whole: Api, presses: str) -> None:
    before, sent, over = flow(whole, feed=presses), [], threading.Event()

    def keep_sending() -> None:
        chance = random.Random(1)
        for _ in range(60):
            sent.append(send(whole, *(chance.uniform(0, 20) for _ in range(chance.randrange(1, 6))), wait=False)["id"])
        over.set()

    sender = threading.Thread(target=keep_sending)
    sender.start()
    last = before["totals"]
    while not over.is_set():
        acknowledged = len(sent)
        totals = flow(whole, feed=presses, every="1m")["totals"]
        assert totals["payloads"] >= before["totals"]["payloads"] + acknowledged
        assert totals["payloads"] >= last["payloads"]
        assert totals["accepted"] >= last["accepted"]
        last = totals
    sender.join()
    send(whole, 1)  # applied with all before it
    receipts = [whole.client.get(f"/v1/receipts/{receipt}").json() for receipt in sent]
    more = grown(before, flow(whole, feed=presses))
    assert more["payloads"] == 61
    assert more["waiting"] == 0
    assert more["accepted"] == sum(receipt["accepted"] for receipt in receipts) + 1
    assert more["rejected"] == sum(receipt["rejected"] for receipt in receipts)
    assert more["bytes"] >= sum(receipt["bytes"] for receipt in receipts)


def test_late_flagged_and_duplicate_records_are_counted(whole: Api, presses: str) -> None:
    before = flow(whole, feed=presses)
    send(whole, 1, 12, 99)
    send(whole, 1, 12, at=1.7e9)  # years late
    send(whole, 2, at=1.7e9)  # a record of that time was there before
    more = grown(before, flow(whole, feed=presses))
    assert (more["accepted"], more["rejected"], more["flagged"]) == (4, 2, 2)
    assert (more["late"], more["duplicate"]) == (2, 1)


def test_it_adds_up_after_a_replay_and_a_deletion(whole: Api, presses: str) -> None:
    before = flow(whole, feed=presses)
    receipt = send(whole, 1, 17, 18)
    assert grown(before, flow(whole, feed=presses))["rejected"] == 2
    put(whole, 17)
    replay = {"feed": presses, "receipts": [receipt["id"]]}
    answer = whole.client.post("/v1/replays", json=replay, headers=WAIT)
    assert answer.json()["state"] == "done", answer.text
    more = grown(before, flow(whole, feed=presses))
    assert (more["accepted"], more["rejected"], more["flagged"]) == (2, 1, 1)
    whole.client.delete(f"/v1/receipts/{receipt['id']}", headers=WAIT)
    after = grown(before, flow(whole, feed=presses))
    assert (after["payloads"], after["received"]) == (1, 3)  # its receipt still proves that it came
    put(whole, 16)


def test_what_waits_is_counted_while_nothing_applies_it(tmp_path: Path, whole: Api) -> None:
    address = msgspec.structs.replace(whole.services.store.address, database="waiting")
    migrate(address)
    with running_api(tmp_path, store=address) as alone:
        for _ in range(3):
            alone.client.post("/v1/feeds/dropzone", json=row())
        document = flow(alone)
        totals = document["totals"]
        assert (totals["received"], totals["waiting"], totals["payloads"]) == (3, 3, 3)
        assert document["lag_s"] > 0
        assert document["feeds"][0]["lag_s"] == document["lag_s"]
        of_feed = {item["name"]: item.get("flow") for item in alone.client.get("/v1/feeds?flow=true").json()["items"]}
        assert of_feed["dropzone"]["per_minute"] == 3
        assert of_feed["location"] is None
        with running_mill(tmp_path, address, alone.hints):
            alone.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
            assert (flow(alone)["totals"]["waiting"], flow(alone)["lag_s"]) == (0, 0)


def test_tenants_see_their_own_flow_only(tmp_path: Path, whole: Api) -> None:
    address = msgspec.structs.replace(whole.services.store.address, database="tenants")
    migrate(address)
    with running_api(tmp_path, store=address, open_access=False) as own, running_mill(tmp_path, address, own.hints):
        headers = {}
        for tenant in ("default", "b"):
            _, secret = create_key(own.services.catalog, tenant, ["admin"])
            headers[tenant] = {"X-API-Key": secret}
        time.sleep(0.2)
        own.client.put("/v1/feeds/presses", content=PRESSES.replace("MAX", "16"), headers=headers["b"])
        sent = own.client.post("/v1/feeds/dropzone", json=row(), headers={**headers["default"], **WAIT})
        assert sent.status_code == 200, sent.text
        seen = {
            tenant: own.client.get("/v1/flow", headers=header).json()["totals"]["payloads"]
            for tenant, header in headers.items()
        }
        assert seen == {"default": 1, "b": 0}
        query = {"q": sent.json()["id"]}
        hits = {tenant: own.client.get("/v1/find", params=query, headers=headers[tenant]).json() for tenant in headers}
        assert [len(hits[tenant]["hits"]) for tenant in ("default", "b")] == [1, 0]
        problem(own.client.get("/v1/flow"), 401, "unauthorized")


def test_while_the_store_is_down_flow_waits_and_feeds_are_listed(api: Api) -> None:
    answer = api.client.get("/v1/flow")
    problem(answer, 503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    feeds = api.client.get("/v1/feeds?flow=true").json()
    assert len(feeds["items"]) > 3
    assert feeds["flow_missing"]
    problem(api.client.get("/v1/feeds?flow=perhaps"), 400, "invalid")
    answer = api.client.get("/v1/series?q=any")
    problem(answer, 503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_faulty_question_is_refused_by_name(whole: Api) -> None:
    for query, path in (
        ("every=fortnight", "$query.every"),
        ("start=yesterdayish", "$query.start"),
        ("start=2026-01-02&end=2026-01-02", "$query.start"),
        ("start=2026-01-02&end=2026-01-01", "$query.start"),
        ("shape=rows", "$query.shape"),
        ("tz=Mars/Olympus", "$query.tz"),
        ("fed=x", "$query.fed"),
    ):
        document = problem(whole.client.get(f"/v1/flow?{query}"), 400, "invalid")
        assert [fault["path"] for fault in document["errors"]] == [path], query
    problem(whole.client.get("/v1/flow?feed=nowhere"), 404, "not_found")
    refused = problem(whole.client.get("/v1/flow?start=1970-01-01&end=2026-01-01&every=1s"), 422, "query_limit")
    assert len(refused["questions"]) == 3 and refused["errors"][0]["code"] == "max_windows"
    for question in refused["questions"]:
        assert whole.client.get(question["url"]).status_code == 200, question
