"""The routes of keys, storage and limits: for administrators, each of their own tenant."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api, running_mill
from tidemill.catalog.keys import create_key
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.data_folder import CLOSED_MARK
from tidemill.settings import Settings
from tidemill.store.migrate import migrate

DEADLINE_S = 60.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Api]:
    folder = tmp_path / "data"
    with running_api(folder, settings=Settings(data=str(folder))) as api:
        yield api


def admin(api: Api, tenant: str = "default") -> tuple[str, dict[str, str]]:
    """The id of an administrator's key, and the headers that carry it."""
    info, secret = create_key(api.services.catalog, tenant, ["admin"], f"of {tenant}")
    api.services.keys.refresh()
    return info.key_id, {"X-API-Key": secret}


def test_a_key_is_made_shown_once_used_and_revoked(own: Api) -> None:
    first, headers = admin(own)
    answer = own.client.post("/v1/keys", json={"name": "dashboard", "scopes": ["read"]}, headers=headers)
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    made, secret = answer.json()["key"], answer.json()["secret"]
    assert answer.json()["notes"] == []
    assert answer.headers["location"] == f"/v1/keys/{made['id']}"
    assert (made["name"], made["scopes"], made["last_used_at"], made["sessions"]) == ("dashboard", ["read"], None, 0)
    reader = {"X-API-Key": secret}
    assert own.client.get("/v1/feeds", headers=reader).status_code == 200
    problem(own.client.get("/v1/keys", headers=reader), 403, "forbidden")
    assert own.client.post("/v1/session", json={"key": secret}).status_code == 201
    listed = own.client.get("/v1/keys", headers=headers)
    assert secret not in listed.text
    items = listed.json()["items"]
    assert [(item["id"], item["current"], item["sessions"]) for item in items] == [
        (first, True, 0),
        (made["id"], False, 1),
    ]
    assert all(item["last_used_at"].endswith(":00Z") for item in items)
    own.client.cookies.clear()
    revoked = own.client.delete(f"/v1/keys/{made['id']}", headers=headers)
    assert revoked.json() == {"id": made["id"], "sessions": 1}
    problem(own.client.get("/v1/feeds", headers=reader), 401, "unauthorized")  # at once
    problem(own.client.delete(f"/v1/keys/{made['id']}", headers=headers), 404, "not_found")


def test_revoking_ends_sessions_before_the_answer(own: Api) -> None:
    _, headers = admin(own)
    key_id, other = admin(own)
    cookie = own.client.post("/v1/session", json={"key": other["X-API-Key"]}).headers["set-cookie"].partition(";")[0]
    own.client.cookies.clear()
    assert own.client.get("/v1/feeds", headers={"Cookie": cookie}).status_code == 200
    assert own.client.delete(f"/v1/keys/{key_id}", headers=headers).json()["sessions"] == 1
    problem(own.client.get("/v1/feeds", headers={"Cookie": cookie}), 401, "unauthorized")


def test_keys_of_another_tenant_are_not_there(own: Api) -> None:
    key_id, headers = admin(own)
    other, of_other = admin(own, "acme")
    assert [item["id"] for item in own.client.get("/v1/keys", headers=of_other).json()["items"]] == [other]
    problem(own.client.delete(f"/v1/keys/{key_id}", headers=of_other), 404, "not_found")
    made = own.client.post("/v1/keys", json={"scopes": ["admin"]}, headers=of_other).json()["secret"]
    assert own.client.get("/v1/session", headers={"X-API-Key": made}).json()["tenant"] == "acme"
    assert own.client.get("/v1/session", headers=headers).json()["tenant"] == "default"


def test_the_last_key_that_can_make_keys_stays(own: Api) -> None:
    key_id, headers = admin(own)
    own.client.post("/v1/keys", json={"scopes": ["read", "write"]}, headers=headers)
    document = problem(own.client.delete(f"/v1/keys/{key_id}", headers=headers), 409, "conflict")
    assert f"tidemill key revoke {key_id}" in document["detail"]
    other, _ = admin(own)
    assert own.client.delete(f"/v1/keys/{key_id}", headers=headers).status_code == 200
    problem(own.client.get("/v1/keys", headers=headers), 401, "unauthorized")
    assert other


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.scopes"),
        ({"scopes": []}, "$.scopes"),
        ({"scopes": ["read", "root"]}, "$.scopes"),
        ({"scopes": "admin"}, "$.scopes"),
        ({"scopes": ["read"], "tenant": "acme"}, "$.tenant"),
        ({"scopes": ["read"], "name": "x" * 101}, "$.name"),
        ({"scopes": ["read"], "name": 7}, "$.name"),
    ],
)
def test_what_is_no_key_is_refused_with_its_place(own: Api, body: dict[str, object], path: str) -> None:
    _, headers = admin(own)
    document = problem(own.client.post("/v1/keys", json=body, headers=headers), 400, "invalid")
    assert path in [fault["path"] for fault in document["errors"]]
    assert len(own.client.get("/v1/keys", headers=headers).json()["items"]) == 1


def test_the_first_key_ends_open_access_and_says_so(own: Api) -> None:
    assert own.client.get("/v1/keys").json() == {"items": []}
    document = problem(own.client.post("/v1/keys", json={"scopes": ["read", "write"]}), 400, "invalid")
    assert document["errors"][0]["code"] == "first_key"
    assert own.client.get("/v1/feeds").status_code == 200
    made = own.client.post("/v1/keys", json={"scopes": ["admin"]}).json()
    assert made["notes"][0].startswith("This is the first key.")
    problem(own.client.get("/v1/feeds"), 401, "unauthorized")
    assert own.client.get("/v1/keys", headers={"X-API-Key": made["secret"]}).status_code == 200
    assert (own.services.settings.folder / CLOSED_MARK).exists()


def test_when_a_key_was_used_outlives_the_server(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        key_id, headers = admin(api)
        before_ns = time.time_ns()
        api.client.get("/v1/feeds", headers=headers)
        _, other = admin(api)
    with running_api(tmp_path / "data") as api:
        items = {item["id"]: item["last_used_at"] for item in api.client.get("/v1/keys", headers=other).json()["items"]}
        assert items[key_id] is not None
    catalog = SqliteCatalog(tmp_path / "data" / "catalog.sqlite")
    entry = catalog.get(f"key_uses/{key_id}")
    catalog.close()
    assert entry is not None and before_ns <= int(entry.value) <= time.time_ns()


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/storage", "/v1/limits"])
def test_these_routes_are_for_administrators(own: Api, path: str) -> None:
    admin(own)
    problem(own.client.get(path), 401, "unauthorized")
    _, secret = create_key(own.services.catalog, "default", ["read", "write"])
    own.services.keys.refresh()
    problem(own.client.get(path, headers={"X-API-Key": secret}), 403, "forbidden")


def test_storage_counts_what_is_there(whole: Api, tmp_path: Path) -> None:
    address = whole.services.store.address.__class__(
        **{name: getattr(whole.services.store.address, name) for name in ("host", "port", "user", "password")},
        database="storage",
    )
    migrate(address)
    folder = tmp_path / "data"
    with (
        running_api(folder, store=address, settings=Settings(data=str(folder))) as api,
        running_mill(folder, address, api.hints),
    ):
        _, headers = admin(api)
        empty = api.client.get("/v1/storage", headers=headers).json()
        assert empty["feeds"] == [] and empty["exact"] is True
        sizes = []
        instant = row()
        for n in range(3):
            body = instant | {"data": [n, 1.5, 2.5]}
            answer = api.client.post("/v1/feeds/dropzone", json=body, headers=headers)  # replaces
            sizes.append(len(answer.request.content))
            receipt = answer.json()["id"]
            deadline = time.monotonic() + DEADLINE_S
            while api.client.get(f"/v1/receipts/{receipt}", headers=headers).json()["state"] == "stored":
                assert time.monotonic() < deadline
                time.sleep(0.02)
        stored = api.client.get("/v1/storage", headers=headers).json()
        (feed,) = stored["feeds"]
        assert (feed["feed"], feed["payloads"], feed["payload_bytes"]) == ("dropzone", 3, sum(sizes))
        assert (feed["series"], feed["points"], feed["rejections"]) == (4, 4, 0)
        assert stored["archive"]["payloads"] == 3 and stored["archive"]["received_bytes"] == sum(sizes)
        tables = {table["name"]: table for table in stored["tables"]}
        assert tables["points"]["rows"] >= 4 and tables["points"]["bytes"] > 0
        assert stored["archive"]["stored_bytes"] == tables["payloads"]["bytes"]
        assert stored["log"]["entries"] == 3 and stored["log"]["bytes"] > sum(sizes)
        assert 0 < stored["disk"]["free_bytes"] <= stored["disk"]["total_bytes"]
        _, other = admin(api, "acme")
        assert api.client.get("/v1/storage", headers=other).json()["feeds"] == []


def test_storage_waits_for_its_store(own: Api) -> None:
    problem(own.client.get("/v1/storage"), 503, "store_unavailable")


def test_limits_are_shown_with_the_variables_that_set_them(own: Api) -> None:
    view = own.client.get("/v1/limits").json()
    limits = {item["name"]: item for item in view["limits"]}
    assert limits["max_body"]["value"] == own.services.settings.max_body
    assert (limits["max_body"]["unit"], limits["max_body"]["variable"]) == ("bytes", "TIDEMILL_MAX_BODY")
    assert all(item["meaning"].endswith(".") for item in limits.values())
    location = next(item for item in view["retention"] if item["feed"] == "location")
    assert (location["points"], location["seal_rollups"]) == ("7d", True)


PUMPS = """name = "pumps" # of the plant

[time]
path = "$.time"

# Kept for as long as the contract says.
[fields.pressure]
path = "$.pressure"
"""


def test_retention_is_set_by_a_next_version_of_the_same_text(own: Api) -> None:
    own.client.put("/v1/feeds/pumps", content=PUMPS)
    for points, version in (("90d", 2), ("90d", 2), ("12h", 3), (None, 4)):
        answer = own.client.put("/v1/feeds/pumps/retention", json={"points": points})
        assert (answer.status_code, answer.json()["version"]) == (200, version), answer.text
        assert answer.headers["etag"] == f'"{version}"'
        view = own.client.get("/v1/limits").json()["retention"]
        assert next(item for item in view if item["feed"] == "pumps")["points"] == points
    texts = own.services.texts.versions("default", "pumps")
    assert texts[1].text == PUMPS + '\n[retention]\npoints = "90d"\n'
    assert texts[3].text == PUMPS
    problem(
        own.client.put("/v1/feeds/pumps/retention", json={"points": "1d"}, headers={"If-Match": '"3"'}),
        412,
        "version_mismatch",
    )
    for body in (
        {"points": "soon"},
        {"points": '1d"\nname = "x'},
        {"points": 3},
        {},
        {"points": None, "seal_rollups": True},
    ):
        assert own.client.put("/v1/feeds/pumps/retention", json=body).status_code == 400, body
    problem(own.client.put("/v1/feeds/none/retention", json={"points": "1d"}), 404, "not_found")
    assert len(own.services.texts.versions("default", "pumps")) == 4


def test_retention_of_another_form_is_left_to_its_author(own: Api) -> None:
    own.client.put("/v1/feeds/pumps", content='retention.points = "7d"\n' + PUMPS)
    document = problem(own.client.put("/v1/feeds/pumps/retention", json={"points": "1d"}), 400, "feed_invalid")
    assert document["errors"][0]["code"] == "retention_form"
