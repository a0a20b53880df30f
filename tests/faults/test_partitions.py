"""A server whose log has four partitions: killed, restarted, verified, backed up and restored."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.api.samples import fix
from tests.support.backups import back_up, tidemill
from tests.support.proof import prove
from tests.support.server import Server, running_server
from tidemill.catalog.keys import create_key
from tidemill.catalog.sqlite import SqliteCatalog

FOUR = {"TIDEMILL_PARTITIONS": "4"}
TENANTS = ("default", "acme")
FEEDS = ("location", "location-b", "location-c", "dropzone")


def test_four_partitions_serve_are_killed_verified_backed_up_and_restored(tmp_path: Path) -> None:
    data, receipts = tmp_path / "data", dict[str, list[str]]()
    with running_server(data, env=FOUR) as server:
        keys = {tenant: _key(data, tenant) for tenant in TENANTS}
        for tenant in TENANTS:
            _install(server, keys[tenant])
        for tenant in TENANTS:
            receipts[tenant] = _send(server, keys[tenant], 0)
        server.kill("mill")
        for tenant in TENANTS:
            receipts[tenant] += _send(server, keys[tenant], 20)
        server.kill("api")
        server.kill("store")
        server.wait_ready()
        for tenant in TENANTS:
            _is_whole(server, keys[tenant], receipts[tenant])
            _changes_come_once(server, keys[tenant])
            _rejections_come_once(server, keys[tenant])
        _deleted_at_once(server, keys["default"])
        metrics = server.client.get("/metrics", headers=keys["default"]).text
        used = [f'tidemill_log_last_seq{{partition="{number}"}}' for number in range(4)]
        assert all(f"{name} 0\n" not in metrics and name in metrics for name in used), metrics
        backup = back_up(data, tmp_path / "backups")
    refused = tidemill("serve", "--data", data, "--listen", "127.0.0.1:0")
    assert refused.returncode == 2 and "TIDEMILL_PARTITIONS=4" in refused.stderr
    checked = tidemill("verify", "--data", data)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    restored = tidemill("restore", backup, "--data", tmp_path / "again")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    with running_server(tmp_path / "again", env=FOUR) as server:
        for tenant in TENANTS:
            more = _send(server, keys[tenant], 40)
            _is_whole(server, keys[tenant], receipts[tenant] + more)


def _key(data: Path, tenant: str) -> dict[str, str]:
    catalog = SqliteCatalog(data / "catalog.sqlite")
    try:
        return {"Authorization": f"Bearer {create_key(catalog, tenant, ['read', 'write', 'admin'])[1]}"}
    finally:
        catalog.close()


def _install(server: Server, key: dict[str, str]) -> None:
    """Feeds under several names, so that every partition has some."""
    for recipe, names in (("location", FEEDS[:3]), ("dropzone", FEEDS[3:])):
        text = (Path(__file__).parents[2] / f"src/tidemill/feeds/recipes/{recipe}.toml").read_text()
        for name in names:
            body = text.replace(f'name = "{recipe}"', f'name = "{name}"')
            answer = server.client.put(f"/v1/feeds/{name}", content=body, headers=key)
            assert answer.status_code in (200, 201), answer.text


def _send(server: Server, key: dict[str, str], first: int) -> list[str]:
    """Fixes and their duplicates, files that replace each other; the receipts."""
    receipts = []
    for number in range(first, first + 4):
        for feed in FEEDS:
            body: Any = {"time_stamp": f"2019-05-01T06:00:0{number % 2}Z", "data": [1.0, float(number)]}
            if feed != "dropzone":
                body = fix(timestamp=f"2017-01-01 00:00:0{number % 3}")
            answer = server.client.post(f"/v1/feeds/{feed}", json=body, headers=key)
            assert answer.status_code in (200, 202), answer.text
            receipts.append(answer.json()["receipt"]["id"] if "receipt" in answer.json() else answer.json()["id"])
    return receipts


def _is_whole(server: Server, key: dict[str, str], receipts: list[str]) -> None:
    """All is applied, and adds up."""
    deadline = time.monotonic() + 60
    with httpx.Client(base_url=server.url, headers=key, trust_env=False, timeout=60) as client:
        while (totals := prove(client)["totals"])["waiting"] or totals["payloads"] < len(receipts):
            assert time.monotonic() < deadline, totals
    for receipt in receipts:
        server.wait_applied(receipt, headers=key)


def _pages(server: Server, key: dict[str, str], path: str, limit: int = 7) -> list[list[dict[str, Any]]]:
    pages, cursor = [], ""
    while True:
        asked = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        answer = server.client.get(path, params=asked, headers=key)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append(page["items"])
        if not page["items"] or page["next"] is None:
            return pages
        cursor = page["next"]


def _changes_come_once(server: Server, key: dict[str, str]) -> None:
    found = [item for page in _pages(server, key, "/v1/changes") for item in page]
    whole = server.client.get("/v1/changes", params={"limit": "1000"}, headers=key).json()["items"]
    assert found and sorted(map(_what, found)) == sorted(map(_what, whole))
    assert len({item["feed"] for item in found}) >= 1
    middle = len(whole) // 2  # an id leads to what comes behind it
    rest = server.client.get("/v1/changes", params={"since": whole[middle]["id"], "limit": "1000"}, headers=key).json()
    assert list(map(_what, rest["items"])) == list(map(_what, whole[middle + 1 :]))


def _what(change: dict[str, Any]) -> str:
    return repr({name: value for name, value in change.items() if name != "id"})


def _rejections_come_once(server: Server, key: dict[str, str]) -> None:
    paged = [item for page in _pages(server, key, "/v1/rejections") for item in page]
    whole = server.client.get("/v1/rejections", params={"limit": "1000"}, headers=key).json()["items"]
    assert len({item["feed"] for item in whole}) == 3
    assert sorted(map(repr, paged)) == sorted(map(repr, whole))
    assert [item["received_at"] for item in whole] == sorted((i["received_at"] for i in whole), reverse=True)
    lines, link = 0, "/v1/rejections?format=ndjson&limit=5"
    while link:
        answer = server.client.get(link, headers=key)
        assert answer.status_code == 200, answer.text
        lines += len(answer.text.splitlines())
        link = answer.links.get("next", {}).get("url", "")
    assert lines == len(whole)


def _deleted_at_once(server: Server, key: dict[str, str]) -> None:
    """A series is gone at once; deletions in several partitions are listed newest first, a page at a time."""
    body = {"name": "pump", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1.0, 2.0]}
    made = server.client.post("/v1/series", json=body, headers=key).json()
    server.kill("mill")
    gone = server.client.delete(f"/v1/series/{made['id']}", headers=key)
    assert gone.status_code == 204, gone.text
    assert server.client.get(f"/v1/series/{made['id']}", headers=key).status_code == 404
    asked = [item["id"] for item in _deletions(server, key)]  # known before it is applied
    assert len(asked) == 1
    for feed in FEEDS:
        params = {"start": "2017-01-01T00:00:00Z", "end": "2017-01-01T06:00:00Z"}
        answer = server.client.delete(f"/v1/feeds/{feed}/points", params=params, headers=key)
        assert answer.status_code in (200, 202), answer.text
        asked.append(answer.json()["id"])
    deadline = time.monotonic() + 60
    while any(item["state"] == "requested" for item in _deletions(server, key)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [item["id"] for item in _deletions(server, key)] == asked[::-1]
    paged = [item["id"] for page in _pages(server, key, "/v1/deletions", limit=2) for item in page]
    assert paged == asked[::-1]


def _deletions(server: Server, key: dict[str, str]) -> list[dict[str, Any]]:
    answer = server.client.get("/v1/deletions", headers=key)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
