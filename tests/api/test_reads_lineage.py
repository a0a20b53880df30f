"""Lineage, why and the export of the ledger over HTTP, through the real mill and store."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.samples import problem
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key

WAIT = {"Prefer": "wait=10"}
AT = "2026-07-01 13:05:12"
FIX = {"timestamp": AT, "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 1, "user_id": "lineage"}
UTC = "2026-07-01T17:05:12Z"


@pytest.fixture(scope="module")
def sent(whole: Api) -> dict[str, Any]:
    """A fix, one that lost against it and one of another minute that was refused; its series of `speed`."""
    receipts = [whole.client.put("/location", json=fix, headers=WAIT).json() for fix in (FIX, FIX | {"speed": 2})]
    answer = whole.client.get("/v1/series", params={"feed": "location", "tag.user_id": "lineage", "field": "speed"})
    (series,) = answer.json()["items"]
    return {"first": receipts[0]["id"], "second": receipts[1]["id"], "series": series["id"]}


def test_from_a_point_to_its_bytes_and_its_loser(whole: Api, sent: dict[str, Any]) -> None:
    lineage = whole.client.get(f"/v1/series/{sent['series']}/lineage", params={"time": UTC}).json()
    (point,) = lineage["points"]
    assert (point["value"], point["record"], point["index"]) == (1, FIX, 0)
    assert whole.client.get(point["payload"]["links"]["payload"]).json() == FIX
    assert [(lost["receipt"], lost["winner"]) for lost in lineage["duplicates"]] == [(sent["second"], sent["first"])]
    assert whole.client.get(point["rules"]["definition"]).json()["version"] == point["rules"]["version"]
    (window,) = lineage["windows"]
    of_window = whole.client.get(window["links"]["lineage"]).json()
    assert [page["payload"]["receipt"] for page in of_window["payloads"]] == [sent["first"]]
    assert of_window["rejected"]["by_reason"] == {"duplicate": 1}
    assert whole.client.get(of_window["rejected"]["link"]).json()["items"][0]["receipt"] == sent["second"]
    assert whole.client.get(of_window["links"]["points"]).json()["items"][0]["value"] == 1
    story = whole.client.get(lineage["links"]["why"]).json()
    assert [event["event"] for event in story["events"]] == [
        "received", "accepted", "window_touched", "received", "rejected", "duplicate_lost", "duplicate_won"
    ]  # fmt: skip
    assert story["verdict"]["state"] == "stands"


def test_why_by_feed_and_tags(whole: Api, sent: dict[str, Any]) -> None:
    named = {"feed": "location", "tag.user_id": "lineage", "time": UTC}
    answer = whole.client.get("/v1/why", params=named)
    assert {fault["code"] for fault in problem(answer, 400, "invalid")["errors"]} == {"ambiguous"}
    story = whole.client.get("/v1/why", params=named | {"field": "speed"}).json()
    assert (story["series"], story["verdict"]["value"]) == (sent["series"], 1)
    later = whole.client.get("/v1/why", params=named | {"field": "speed", "time": "2026-07-01T17:06:00Z"}).json()
    assert later["verdict"]["state"] == "never_received"
    assert later["around"]["before"]["time"] == UTC
    missing = whole.client.get(f"/v1/series/{sent['series']}/lineage", params={"time": "2026-07-01T17:06:00Z"})
    assert f"nearest points are at {UTC}" in problem(missing, 404, "not_found")["detail"]
    story = whole.client.get("/v1/why", params=named | {"field": "speed", "tag.user_id": "nobody"}).json()
    assert story["verdict"]["state"] == "never_received"


def test_what_is_refused_is_found_by_the_tags_it_has(whole: Api) -> None:
    refused = FIX | {"user_id": "refused", "speed": -1}
    receipt = problem(whole.client.put("/location", json=refused), 400, "invalid")["receipt"]
    named = {"feed": "location", "tag.user_id": "refused", "time": UTC, "field": "lat"}
    deadline = time.monotonic() + 60
    while whole.client.get(f"/v1/receipts/{receipt}").json()["state"] == "stored" and time.monotonic() < deadline:
        time.sleep(0.02)
    story = whole.client.get("/v1/why", params=named).json()
    assert story["verdict"]["state"] == "possibly_rejected"


def test_another_tenant_sees_nothing_and_only_administrators_ask_why(
    whole: Api, sent: dict[str, Any], tmp_path: Path
) -> None:
    paths = [f"/v1/series/{sent['series']}/lineage?time={UTC}", f"/v1/why?series={sent['series']}&time={UTC}"]
    with running_api(tmp_path, store=whole.services.store.address, open_access=False) as keyed:
        keys = {}
        for tenant, scope in (("other", "admin"), ("default", "read"), ("default", "admin")):
            keys[tenant, scope] = {"X-API-Key": create_key(keyed.services.catalog, tenant, [scope])[1]}
        keyed.services.keys.refresh()
        for path in paths:
            problem(keyed.client.get(path, headers=keys["other", "admin"]), 404, "not_found")
            assert keyed.client.get(path, headers=keys["default", "admin"]).status_code == 200
        assert keyed.client.get(paths[0], headers=keys["default", "read"]).status_code == 200
        problem(keyed.client.get(paths[1], headers=keys["default", "read"]), 403, "forbidden")


def test_faults_are_named(whole: Api, sent: dict[str, Any]) -> None:
    for path in ("/v1/why?series=x&time=y", "/v1/why", f"/v1/series/{sent['series']}/lineage"):
        problem(whole.client.get(path), 400, "invalid")
    problem(whole.client.get(f"/v1/series/nope/lineage?time={UTC}"), 404, "not_found")


def test_the_ledger_is_exported(whole: Api, sent: dict[str, Any]) -> None:
    chosen = {"series": sent["series"], "reason": "duplicate"}
    answer = whole.client.get("/v1/rejections", params=chosen, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["receipt"], row["winner_receipt"]) == (sent["second"], sent["first"])
    answer = whole.client.get("/v1/rejections", params=chosen | {"format": "ndjson"})
    assert json.loads(json.loads(answer.text)["record"]) == FIX | {"speed": 2}
    assert whole.client.get("/v1/rejections", params=chosen | {"format": "parquet"}).content[:4] == b"PAR1"
    assert whole.client.get("/v1/rejections", params=chosen).json()["next"] is None
