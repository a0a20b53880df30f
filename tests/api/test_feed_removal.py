"""A feed is removed with its data kept or deleted, and comes back when it is applied again."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_deletions import WAIT, make, record, send
from tests.support.api import Api


@pytest.fixture(scope="module")
def client(whole: Api) -> Iterator[httpx.Client]:
    yield whole.client


def names(client: httpx.Client) -> list[str]:
    return [feed["name"] for feed in client.get("/v1/feeds").json()["items"]]


def filled(client: httpx.Client, name: str) -> tuple[str, str]:
    """A feed with two series of three points and one rejection; its path and a receipt."""
    path = make(client, name)
    receipt = send(client, path, record(1), record(2), record(3), {"who": "x"})
    return path, receipt


def test_a_bare_deletion_says_both_ways_and_changes_nothing(client: httpx.Client) -> None:
    path, _ = filled(client, "bare")
    answer = client.delete(path)
    assert answer.status_code == 400
    assert "data=keep" in answer.json()["detail"] and "data=delete" in answer.json()["detail"]
    assert answer.json()["errors"][0]["path"] == "$query.data"
    preview = client.delete(path, params={"dry_run": "true"}).json()
    assert preview["contents"] == {"series": 2, "points": 6, "receipts": 1, "rejections": 1}
    assert (preview["dry_run"], preview["data"], preview["removed_at"], preview["deletion"]) == (True, None, None, None)
    assert "bare" in names(client)
    assert client.delete("/v1/feeds/never-was", params={"data": "keep"}).status_code == 404


def test_a_feed_whose_data_is_kept_can_be_read_and_applied_again(client: httpx.Client) -> None:
    path, receipt = filled(client, "kept")
    removed = client.delete(path, params={"data": "keep"})
    assert removed.status_code == 200, removed.text
    assert (removed.json()["version"], removed.json()["data"], removed.json()["contents"]) == (1, "keep", None)
    assert "kept" not in names(client)
    for answer in (client.post(path, json=[record(4)]), client.get(path), client.get(f"/v1/sources/{'kept'}")):
        assert (answer.status_code, answer.json()["code"]) == (410, "feed_removed")
        assert "its data was kept" in answer.json()["detail"]
    series = client.get("/v1/series", params={"feed": "kept"}).json()["items"]
    assert [(item["count"], item["removed"]) for item in series] == [(3, True), (3, True)]
    points = client.get(f"/v1/series/{series[0]['id']}/points").json()["items"]
    assert len(points) == len(client.get(f"{path}/points", params={"field": "a"}).json()) == 3
    assert client.get(f"/v1/receipts/{receipt}").json()["accepted"] == 3
    assert client.get(f"/v1/receipts/{receipt}/payload").status_code == 200
    assert client.get("/v1/rejections", params={"feed": "kept"}).json()["items"][0]["receipt"] == receipt
    story = client.get("/v1/why", params={"series": series[0]["id"], "time": points[0]["time"]}).json()
    assert story["verdict"]
    assert client.get(f"{path}/versions").json()["items"][0]["version"] == 1
    refused = client.post("/v1/replays", json={"feed": "kept", "start": "2020-01-01T00:00:00Z"})
    assert refused.status_code == 400 and "was removed" in refused.json()["detail"]
    text = client.get(path, params={"version": "1"}).json()["text"]
    again = client.put(path, content=text, headers={"If-None-Match": "*"})
    assert (again.status_code, again.json()["version"], again.json()["changed"]) == (200, 2, True)
    assert "kept" in names(client)
    send(client, path, record(4))
    series = client.get("/v1/series", params={"feed": "kept"}).json()["items"]
    assert [(item["count"], "removed" in item) for item in series] == [(4, False), (4, False)]


def test_a_feed_whose_data_is_deleted_leaves_a_receipt_of_that(client: httpx.Client) -> None:
    path, receipt = filled(client, "deleted")
    removed = client.delete(path, params={"data": "delete"}, headers=WAIT)
    assert removed.status_code == 200, removed.text
    deletion: dict[str, Any] = removed.json()["deletion"]
    assert (deletion["points"], deletion["payloads"], deletion["state"]) == (6, 1, "applied")
    assert removed.headers["location"] == f"/v1/deletions/{deletion['id']}"
    assert client.get("/v1/series", params={"feed": "deleted"}).json()["items"] == []
    assert client.get(f"/v1/receipts/{receipt}").json()["state"] == "deleted"
    refused = client.post(path, json=[record(4)])
    assert refused.status_code == 410 and "its data was deleted" in refused.json()["detail"]
    make(client, "deleted")
    send(client, path, record(1))
    assert [item["count"] for item in client.get("/v1/series?feed=deleted").json()["items"]] == [1, 1]


def test_data_that_was_kept_can_be_deleted_later(client: httpx.Client) -> None:
    path, _ = filled(client, "later")
    client.delete(path, params={"data": "keep"})
    assert client.delete(path, params={"data": "delete"}, headers=WAIT).json()["deletion"]["points"] == 6
    assert client.get("/v1/series", params={"feed": "later"}).json()["items"] == []
    assert client.delete(path, params={"data": "keep"}).json()["data"] == "delete"  # what was deleted stays so


def test_everything_of_a_feed_is_deleted_without_the_feed(client: httpx.Client) -> None:
    path, _ = filled(client, "emptied")
    assert client.delete(f"{path}/data", headers=WAIT).json()["points"] == 6
    assert "emptied" in names(client)


def test_a_replay_under_way_keeps_its_feed(client: httpx.Client) -> None:
    path, receipt = filled(client, "replayed")
    replay = client.post("/v1/replays", json={"feed": "replayed", "receipts": [receipt]}).json()
    refused = client.delete(path, params={"data": "keep"})
    deadline = time.monotonic() + 60
    if refused.status_code == 409:  # unless it was over already
        assert replay["id"] in refused.json()["detail"]
        while client.delete(path, params={"data": "keep"}).status_code == 409:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert client.get(f"/v1/replays/{replay['id']}").json()["state"] == "done"
    assert "replayed" not in names(client)
