"""What flows: received = accepted + rejected + waiting in every window and in the totals, whatever goes on."""

import json
import time
from typing import Any

from tests.api.samples import problem
from tests.support.api import Api

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


def send(api: Api, feed: str, *records: dict[str, Any]) -> dict[str, Any]:
    body = "\n".join(json.dumps(record) for record in records)
    answer = api.client.post(f"/v1/feeds/{feed}", content=body, headers=WAIT)
    receipt: dict[str, Any] = answer.json()
    return receipt


def test_records_are_counted_by_feed_and_window(whole: Api) -> None:
    before = flow(whole)
    body = json.dumps({"time_stamp": f"2026-02-01T00:00:{time.time_ns() % 60:02d}Z", "data": [1, 2]})
    receipt = whole.client.post("/v1/feeds/dropzone", content=body, headers=WAIT).json()
    after = flow(whole)
    grown = {name: after["totals"][name] - before["totals"][name] for name in COUNTS}
    assert (grown["payloads"], grown["received"], grown["bytes"]) == (1, 1, len(body))
    assert (grown["accepted"], grown["rejected"]) == (receipt["accepted"], receipt["rejected"])
    assert after["lag_s"] == 0
    assert len(after["time"]) <= 240


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
    problem(whole.client.get("/v1/flow?start=1970-01-01&end=2026-01-01&every=1s"), 422, "query_limit")
