"""Deletion on request over HTTP: what goes, what stays, who may, and the receipts of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.samples import body, fix, problem
from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tidemill.catalog.keys import create_key
from tidemill.errors import LogCorruptError
from tidemill.log.sqlite.shut import ShutLog
from tidemill.model.time import parse_instant
from tidemill.store.migrate import migrate

WAIT = {"Prefer": "wait=10"}
HOUR_NS = 3600 * 10**9
FEED = """
name = "NAME"
[input]
on_fault = "reject"
[time]
path = "$.t"
format = "unix_s"
[tags.who]
path = "$.who"
[fields.a]
path = "$.a"
[fields.b]
path = "$.b"
"""


@pytest.fixture(scope="module")
def client(whole: Api) -> Iterator[httpx.Client]:
    yield whole.client


def make(client: httpx.Client, name: str) -> str:
    answer = client.put(f"/v1/feeds/{name}", content=FEED.replace("NAME", name))
    assert answer.status_code in (200, 201), answer.text
    return f"/v1/feeds/{name}"


def send(client: httpx.Client, url: str, *records: Any) -> str:
    answer = client.post(url, json=list(records), headers=WAIT)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def record(t: int, who: str = "x", **fields: float) -> dict[str, Any]:
    return {"t": t, "who": who, "a": 1.0, "b": 2.0} | fields


def counted(item: dict[str, Any]) -> tuple[int, int, int, int]:
    return item["points"], item["records"], item["payloads"], item["payloads_kept"]


def series(client: httpx.Client, feed: str, **filters: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/v1/series", params={"feed": feed} | filters).json()["items"]
    return items


def test_records_of_a_person_go_with_a_receipt(client: httpx.Client) -> None:
    url = make(client, "people")
    alone = send(client, url, record(1), record(2))
    mixed = send(client, url, record(3), record(3, "y"))
    filters = {"tag.who": "x"}
    preview = client.delete(f"{url}/points", params=filters | {"dry_run": "true"}).json()
    assert (preview["state"], preview["id"], counted(preview)) == ("dry_run", None, (6, 3, 1, 1))
    assert sum(item["count"] for item in series(client, "people")) == 8, "a dry run changes nothing"
    answer = client.delete(f"{url}/points", params=filters)
    item = answer.json()
    assert (answer.status_code, item["state"], counted(item)) == (200, "applied", (6, 3, 1, 1))
    assert item["selector"] == {"feed": "people", "tags": {"who": "x"}}
    within = parse_instant(item["erase_by"]) - parse_instant(item["requested_at"])
    assert within == 72 * HOUR_NS
    assert answer.headers["location"] == item["links"]["self"]
    assert client.get(item["links"]["self"]).json() == item
    assert client.get("/v1/deletions?limit=1").json()["items"] == [item]
    kept = client.get(item["links"]["payloads_kept"]).json()
    assert [listed["receipt"] for listed in kept["items"]] == [mixed]
    assert [(item["tags"], item["count"]) for item in series(client, "people")] == [({"who": "y"}, 1)] * 2
    receipt = client.get(f"/v1/receipts/{alone}").json()
    assert (receipt["state"], receipt["accepted"], receipt["bytes"] > 0) == ("deleted", 2, True)
    problem(client.get(f"/v1/receipts/{alone}/payload"), 410, "gone")
    assert client.get(f"/v1/receipts/{mixed}/payload").status_code == 200


def test_a_range_of_one_series_and_the_series_itself(client: httpx.Client) -> None:
    url = make(client, "ranges")
    send(client, url, *(record(n) for n in range(5)))
    [a] = series(client, "ranges", field="a")
    item = client.delete(f"/v1/series/{a['id']}/points", params={"start": "1970-01-01T00:00:03Z"}).json()
    assert (item["kind"], counted(item)) == ("range", (2, 2, 0, 1))
    assert [listed["count"] for listed in series(client, "ranges")] == [3, 5]
    answer = client.delete(f"/v1/series/{a['id']}")
    assert (answer.status_code, answer.json()["kind"], answer.json()["payloads_kept"]) == (200, "series", 1)
    assert [listed["field"] for listed in series(client, "ranges")] == ["b"]
    problem(client.get(f"/v1/series/{a['id']}"), 404, "not_found")


def test_a_second_api_on_the_same_log_hides_what_the_first_deleted(tmp_path: Path) -> None:
    """No mill applies the deletions: only the log tells the second of them."""
    with running_engine(tmp_path / "store") as address:
        migrate(address)
        with running_api(tmp_path, store=address) as first:
            url = make(first.client, "shared")
            with running_mill(tmp_path, address, first.hints):
                receipt = send(first.client, url, record(1), record(1, "y"))
            reader = ShutLog(tmp_path / "log", LogCorruptError("this process only reads"))
            with running_api(tmp_path, store=address, log=reader) as second:
                hides_what_was_deleted(first.client, second.client, url, f"/v1/receipts/{receipt}")


def hides_what_was_deleted(first: httpx.Client, second: httpx.Client, url: str, receipt: str) -> None:
    at_once = {"Prefer": "wait=0"}
    shared, other = series(second, "shared", field="a")
    assert len(series(second, "shared", field="b")) == 2
    assert first.delete(f"/v1/series/{shared['id']}", headers=at_once).status_code == 202
    assert [item["id"] for item in series(second, "shared", field="a")] == [other["id"]]
    problem(second.get(f"/v1/series/{shared['id']}"), 404, "not_found")
    assert first.delete(receipt, headers=at_once).status_code == 202
    deadline = time.monotonic() + 60
    while second.get(f"{receipt}/payload").status_code != 410:
        assert time.monotonic() < deadline
    assert first.delete(f"{url}/data", headers=at_once).status_code == 202
    assert series(first, "shared") == series(second, "shared") == []


def test_one_payload_goes_once(client: httpx.Client) -> None:
    url = make(client, "payloads")
    first, other = send(client, url, record(1)), send(client, url, record(2))
    answer = client.delete(f"/v1/receipts/{first}", headers={"Prefer": "wait=9"})
    assert (answer.status_code, counted(answer.json())) == (200, (2, 1, 1, 0))
    assert answer.headers["preference-applied"] == "wait=9"
    problem(client.get(f"/v1/receipts/{first}/payload"), 410, "gone")
    problem(client.delete(f"/v1/receipts/{first}"), 410, "gone")
    problem(client.delete(f"/v1/receipts/{answer.json()['id']}"), 404, "not_found")
    assert client.get(f"/v1/receipts/{other}/payload").status_code == 200
    assert [item["count"] for item in series(client, "payloads")] == [1, 1]


def test_everything_of_a_feed_goes_and_its_definition_stays(whole: Api, client: httpx.Client) -> None:
    url = make(client, "all_of_it")
    receipt = send(client, url, record(1), {"t": "no time"})
    assert client.get("/v1/rejections?feed=all_of_it").json()["items"]
    answer = client.delete(f"{url}/data")
    assert (answer.status_code, answer.json()["records"], answer.json()["payloads"]) == (200, 2, 1)
    assert series(client, "all_of_it") == client.get("/v1/rejections?feed=all_of_it").json()["items"] == []
    assert client.get(url).status_code == 200
    assert client.get(f"/v1/receipts/{receipt}").json()["state"] == "deleted"
    deadline = time.monotonic() + 60
    while whole.services.log.find("default", receipt).payload.body:  # type: ignore[union-attr]
        assert time.monotonic() < deadline, "the log lets go soon"
        time.sleep(0.02)
    send(client, url, record(1))
    assert len(series(client, "all_of_it")) == 2, "it begins anew"


def test_a_series_sent_whole_is_in_the_list_of_deletions(client: httpx.Client) -> None:
    sent = {"name": "listed", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, 2]}
    created = client.post("/v1/series", json=sent, headers=WAIT).json()
    preview = client.delete(f"/v1/series/{created['id']}?dry_run=true")
    assert (preview.status_code, counted(preview.json())) == (200, (2, 2, 1, 0))
    deleted = client.delete(f"/v1/series/{created['id']}")
    assert deleted.status_code == 204
    assert client.get(deleted.headers["location"]).json()["kind"] == "series"
    client.post("/v1/series", json=sent | {"values": [3]}, headers=WAIT)
    item = client.get("/v1/deletions?limit=1").json()["items"][0]
    assert (item["kind"], item["selector"]["series"], counted(item)) == ("series", created["id"], (2, 2, 1, 0))
    problem(client.get(f"/v1/receipts/{created['receipt']['id']}/payload"), 410, "gone")


def test_what_is_not_said_or_not_there_is_a_problem(client: httpx.Client) -> None:
    url = make(client, "faults")
    send(client, url, record(1))
    [a] = series(client, "faults", field="a")
    for path in (f"{url}/points", f"/v1/series/{a['id']}/points"):
        faults = problem(client.delete(path), 400, "invalid")["errors"]
        assert [(fault["path"], fault["code"]) for fault in faults] == [("$query.start", "missing")]
    for query in ("start=x&end=1", "dry_run=maybe", "tag.who=", "start=2027-01-01&end=2026-01-01"):
        problem(client.delete(f"{url}/points?{query}"), 400, "invalid")
    for path in ("/v1/feeds/none/data", "/v1/feeds/none/points?start=2026-01-01", "/v1/receipts/none"):
        problem(client.delete(path), 404, "not_found")
    for path in (f"/v1/series/{'0' * 16}/points?start=2026-01-01", f"/v1/series/{'0' * 16}"):
        problem(client.delete(path), 404, "not_found")
    for path in ("/v1/deletions/none", "/v1/deletions/none/payloads"):
        problem(client.get(path), 404, "not_found")


def test_a_series_that_shares_its_records_is_not_torn_out(client: httpx.Client) -> None:
    client.put("/location", json=fix(user_id="torn"), headers=WAIT)
    item = series(client, "location", **{"tag.user_id": "torn"})[0]
    for path in (f"/v1/series/{item['id']}", f"/v1/series/{item['id']}/points?start=2017-01-01"):
        detail = problem(client.delete(path), 409, "not_deletable")["detail"]
        assert "DELETE /v1/feeds/location/points" in detail


def test_only_administrators_of_the_tenant_delete(whole: Api, client: httpx.Client, tmp_path: Any) -> None:
    url = make(client, "guarded")
    receipt = send(client, url, record(1))
    [a] = series(client, "guarded", field="a")
    with running_api(tmp_path, store=whole.services.store.address, open_access=False) as other:
        for tenant in ("default", "theirs"):
            other.services.texts.install(tenant, {"guarded": FEED.replace("NAME", "guarded")})
        _, writer = create_key(other.services.catalog, "default", ["read", "write"])
        _, stranger = create_key(other.services.catalog, "theirs", ["read", "write", "admin"])
        other.services.keys.refresh()
        paths = [f"/v1/series/{a['id']}", f"/v1/series/{a['id']}/points?start=1970-01-01", f"/v1/receipts/{receipt}"]
        for path in [*paths, "/v1/feeds/guarded", "/v1/feeds/guarded/points?tag.who=x"]:
            problem(other.client.delete(path, headers={"X-API-Key": writer}), 403, "forbidden")
        problem(other.client.get("/v1/deletions", headers={"X-API-Key": writer}), 403, "forbidden")
        for path in paths:
            problem(other.client.delete(path, headers={"X-API-Key": stranger}), 404, "not_found")
        theirs = other.client.delete("/v1/feeds/guarded/data?dry_run=true", headers={"X-API-Key": stranger}).json()
        assert counted(theirs) == (0, 0, 0, 0)
        assert other.client.get("/v1/deletions", headers={"X-API-Key": stranger}).json()["items"] == []
    assert [item["count"] for item in series(client, "guarded")] == [1, 1]


def test_what_is_not_applied_yet_is_requested(whole: Api, tmp_path: Any) -> None:
    with running_api(tmp_path, store=whole.services.store.address) as halted:  # no mill
        stored = halted.client.post(
            "/v1/feeds/dropzone", content=body({"time_stamp": "2019-05-01T06:00:00Z", "data": [1]})
        )
        receipt = stored.json()["id"]
        answer = halted.client.delete(f"/v1/receipts/{receipt}", headers={"Prefer": "wait=0"})
        item = answer.json()
        assert (answer.status_code, item["state"], item["points"]) == (202, "requested", None)
        problem(halted.client.get(f"/v1/receipts/{receipt}/payload"), 410, "gone")
        problem(halted.client.get(f"/v1/receipts/{receipt}/records"), 410, "gone")
        problem(halted.client.get(f"/v1/receipts/{receipt}/records/0"), 410, "gone")
        trial = {"definition": "", "feed": "dropzone", "receipt": receipt}
        problem(halted.client.post("/v1/feeds/trial", json=trial), 410, "gone")
        assert halted.client.get(item["links"]["self"]).json() == item
        assert item in halted.client.get("/v1/deletions").json()["items"]
        assert halted.client.get(f"{item['links']['self']}/payloads").json() == {"items": [], "next": None}
