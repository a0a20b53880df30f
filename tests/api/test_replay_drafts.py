"""Drafts in dry runs, replays of single rejected records, and the whole difference of a replay: windows, points and
records, in pages and as files."""

import csv
import io
import json
import time
from typing import Any

import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.catalog.keys import create_key

FEED = """name = "{name}"
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
options = {{ field = "pressure", max = {highest} }}
"""
WAIT = {"Prefer": "wait=20"}


def text(name: str, highest: int) -> str:
    return FEED.format(name=name, highest=highest)


def put(api: Api, name: str, highest: int = 10) -> None:
    assert api.client.put(f"/v1/feeds/{name}", content=text(name, highest)).is_success


def send(api: Api, name: str, *values: Any, minute: int = 0) -> str:
    body = [{"t": f"2026-01-01T00:{minute:02}:{n:02}Z", "pump": "a", "pressure": v} for n, v in enumerate(values)]
    answer = api.client.post(f"/v1/feeds/{name}", json=body, headers=WAIT, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def replay(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/replays", json=body, headers=WAIT, timeout=30)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    assert done["state"] == "done", done
    return done


def difference(api: Api, replayed: dict[str, Any], kind: str, limit: int = 1000) -> list[dict[str, Any]]:
    """All rows of a kind, page by page."""
    rows, params = [], {"kind": kind, "limit": str(limit)}
    while True:
        answer = api.client.get(replayed["links"]["difference"], params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page[kind]
        if page["next"] is None:
            assert len(rows) == page["totals"][kind]
            return rows
        params["cursor"] = page["next"]


def test_a_draft_says_what_it_would_change_and_changes_nothing(whole: Api) -> None:
    put(whole, "drafted")
    receipt = send(whole, "drafted", 5, 12, 30)
    before = whole.client.get("/v1/feeds/drafted/points", params={"start": "2026-01-01"}).json()
    request = {"feed": "drafted", "start": "2020-01-01T00:00:00Z", "dry_run": True}
    done = replay(whole, **request, definition=text("drafted", 20))
    assert (done["draft"], done["version"], done["difference"]["newly_accepted"]) == (True, 1, {"outside_range": 1})
    assert [(row["index"], row["change"], row["old_reasons"]) for row in difference(whole, done, "records")] == [
        (1, "accepted", ["outside_range"])
    ]
    assert [(row["change"], row["old"], row["new"]) for row in difference(whole, done, "points")] == [
        ("added", None, 12.0)
    ]
    (window,) = difference(whole, done, "windows")
    assert (window["old_mean"], window["old_count"], window["new_mean"], window["new_count"]) == (5.0, 1, 8.5, 2)
    assert (window["field"], window["tags"]) == ("pressure", {"pump": "a"})
    assert whole.client.get("/v1/feeds/drafted").json()["version"] == 1
    assert whole.client.get("/v1/feeds/drafted/points", params={"start": "2026-01-01"}).json() == before
    assert whole.client.get(f"/v1/receipts/{receipt}").json()["rules_version"] == 1
    put(whole, "drafted", 20)  # what was tried is what the version then does
    version = replay(whole, **request)
    assert version["difference"] == done["difference"]
    for kind in ("windows", "points", "records"):
        assert difference(whole, version, kind) == difference(whole, done, kind)
    assert version["version"] == 2


def test_a_draft_that_makes_more_of_a_payload_than_it_was(whole: Api) -> None:
    """A draft may read fields that no version has."""
    put(whole, "widened")
    whole.client.post(
        "/v1/feeds/widened", json={"t": "2026-01-01T00:00:00Z", "pump": "a", "pressure": 1, "level": 7}, headers=WAIT
    )
    definition = text("widened", 10) + '\n[fields.level]\npath = "$.level"\nrequired = false\n'
    done = replay(whole, feed="widened", start="2020-01-01T00:00:00Z", dry_run=True, definition=definition)
    assert [(row["change"], row["new"]) for row in difference(whole, done, "points")] == [("added", 7.0)]
    assert [series["field"] for series in whole.client.get("/v1/series?feed=widened").json()["items"]] == ["pressure"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"definition": text("judged", 20)}, "$.dry_run"),
        ({"definition": text("judged", 20), "dry_run": True, "version": 1}, "$.version"),
        ({"definition": "x" * (257 << 10), "dry_run": True}, "$.definition"),
        ({"rejections": {"items": []}}, "$.rejections.items"),
        ({"rejections": {"items": [{"receipt": "r", "index": -1}]}}, "$.rejections.items[0].index"),
        ({"rejections": {"items": [{"receipt": "r"}]}}, "$.rejections.items[0].index"),
        ({"rejections": {"items": [{"receipt": "r", "index": 0}] * 10_001}}, "$.rejections.items"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_body_is_named(whole: Api, body: dict[str, Any], path: str) -> None:
    put(whole, "judged")
    which = {} if "rejections" in body else {"start": "2020-01-01T00:00:00Z"}
    answer = whole.client.post("/v1/replays", json={"feed": "judged"} | which | body)
    assert path in [fault["path"] for fault in problem(answer, 400, "invalid")["errors"]]


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        (text("judged", 20).replace("$.t", "t"), "bad_path"),
        (text("other", 20), "name_mismatch"),
        (text("judged", 20).replace("[input]", 'duplicates = "keep"\n[input]'), "cannot_change"),
        ("not toml", "invalid_toml"),
    ],
)
def test_a_draft_with_faults_is_refused_with_them(whole: Api, definition: str, code: str) -> None:
    put(whole, "judged")
    body = {"feed": "judged", "start": "2020-01-01T00:00:00Z", "dry_run": True, "definition": definition}
    answer = problem(whole.client.post("/v1/replays", json=body), 400, "feed_invalid")
    assert code in [fault["code"] for fault in answer["errors"]]


def test_single_rejected_records_choose_their_payloads(whole: Api) -> None:
    put(whole, "chosen")
    receipts = [send(whole, "chosen", 5, 12, minute=minute) for minute in range(3)]
    items = [{"receipt": receipts[0], "index": 1}, {"receipt": receipts[2], "index": 1}]
    put(whole, "chosen", 20)
    done = replay(whole, feed="chosen", rejections={"items": items})
    assert done["asked"] == {"rejections": {"items": items}}
    assert done["difference"]["newly_accepted_total"] == 2
    left = whole.client.get("/v1/rejections?feed=chosen").json()["items"]
    assert [item["receipt"] for item in left] == [receipts[1]]
    body = {"feed": "chosen", "rejections": {"items": [{"receipt": receipts[1], "index": 0}]}}
    failed = whole.client.post("/v1/replays", json=body, headers=WAIT).json()
    assert failed["state"] == "failed"
    assert receipts[1] in failed["error"]


def test_the_difference_in_pages_and_as_files(whole: Api) -> None:
    put(whole, "paged_difference")
    for minute in range(6):
        send(whole, "paged_difference", 5, 12 + minute, 100, minute=minute)
    request = {"feed": "paged_difference", "start": "2020-01-01T00:00:00Z", "dry_run": True}
    done = replay(whole, **request, definition=text("paged_difference", 50))
    counts = {"windows": 6, "points": 6, "records": 6}
    for kind, count in counts.items():
        rows = difference(whole, done, kind, limit=4)
        assert rows == difference(whole, done, kind, limit=1000)
        assert len(rows) == count
        link = done["links"]["difference"]
        lines = list(csv.DictReader(io.StringIO(whole.client.get(link, params={"kind": kind, "format": "csv"}).text)))
        assert len(lines) == count
        ndjson = whole.client.get(link, params={"kind": kind, "format": "ndjson"}).text.splitlines()
        assert [{k: v for k, v in json.loads(line).items() if k != "row"} for line in ndjson] == rows
        assert whole.client.get(link, params={"kind": kind, "format": "parquet"}).content[:4] == b"PAR1"
    sizes = [abs(row["new_mean"] - row["old_mean"]) for row in difference(whole, done, "windows")]
    assert sizes == sorted(sizes, reverse=True)
    named = [(row["series"], row["window"]) for row in difference(whole, done, "windows")]
    assert named == [(row["series"], row["window"]) for row in done["difference"]["windows"]]
    problem(whole.client.get(link, params={"limit": "1001"}), 400, "invalid")
    problem(whole.client.get(link, params={"kind": "series"}), 400, "invalid")


def test_a_cancelled_replay_leaves_no_difference(whole: Api, api: Api) -> None:
    body = {"feed": "dropzone", "start": "2020-01-01T00:00:00Z", "dry_run": True}
    queued = api.client.post("/v1/replays", json=body).json()  # nobody works on it here
    problem(api.client.get(queued["links"]["difference"]), 409, "conflict")
    assert api.client.delete(f"/v1/replays/{queued['id']}").json()["state"] == "cancelled"
    problem(api.client.get(queued["links"]["difference"]), 409, "conflict")


def test_a_deletion_takes_the_difference_along(whole: Api) -> None:
    put(whole, "forgotten")
    send(whole, "forgotten", 5, 12)
    request = {"feed": "forgotten", "start": "2020-01-01T00:00:00Z", "dry_run": True}
    done = replay(whole, **request, definition=text("forgotten", 20))
    assert difference(whole, done, "points")
    deleted = whole.client.delete("/v1/feeds/forgotten/points?end=2030-01-01", headers=WAIT, timeout=30)
    assert deleted.is_success
    deadline = time.monotonic() + 60
    while whole.client.get(done["links"]["difference"]).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    problem(whole.client.get(done["links"]["difference"]), 404, "not_found")


def test_the_difference_is_for_administrators_of_the_tenant(whole: Api, keyed: Api) -> None:
    path = "/v1/replays/01a200c7-1b60-74c3-be95-2838c89ec96f/difference"
    for scope, status in (("read,write", 403), ("admin", 404)):
        _, key = create_key(keyed.services.catalog, "default", scope.split(","))
        keyed.services.keys.refresh()
        answer = keyed.client.get(path, headers={"X-API-Key": key})
        assert answer.status_code == status
    problem(whole.client.get(path), 404, "not_found")
