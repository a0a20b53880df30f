"""Who may do what: open access, keys, scopes, tenants."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.samples import fix, problem, row
from tests.support.api import Api, running_api
from tidemill.api.problems import WrongKeysError
from tidemill.api.wrong_keys import MAX_A_MINUTE, MAX_ADDRESSES, WrongKeys
from tidemill.catalog.keys import create_key, revoke_key
from tidemill.feeds.recipes import RECIPES


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("access")) as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def key(api: Api, *scopes: str, tenant: str = "default") -> str:
    _, secret = create_key(api.services.catalog, tenant, scopes)
    api.services.keys.refresh()
    return secret


def put(api: Api, headers: dict[str, str] | None = None) -> httpx.Response:
    return api.client.put("/location", json=fix(), headers=headers or {})


def test_access_is_open_until_a_key_exists(own: Api) -> None:
    assert own.client.get("/readyz").json()["open_access"] is True
    assert put(own).status_code == 200
    create_key(own.services.catalog, "default", ["write"])
    deadline = time.monotonic() + 60
    while put(own).status_code == 200:
        assert time.monotonic() < deadline, "a key exists, and access stays open"
        time.sleep(0.05)
    answer = put(own)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert own.client.get("/readyz").json()["open_access"] is False


def test_a_server_that_is_not_open_needs_a_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_api(tmp_path_factory.mktemp("closed"), open_access=False) as api:
        problem(put(api), 401, "unauthorized")
        problem(api.client.get("/v1/feeds"), 401, "unauthorized")
        assert api.client.get("/healthz").status_code == 200
        assert "A key is needed" in api.client.get("/").text


def test_wrong_keys_are_counted_and_a_right_one_always_works(own: Api) -> None:
    right, wrong = key(own, "admin"), bearer("tm_wrong")
    paths = ("/v1/feeds", "/readyz", "/metrics", "/v1/series")  # before the framework and behind it, one count
    for n in range(MAX_A_MINUTE):
        answer = put(own, wrong) if n % 2 else own.client.get(paths[n // 2 % len(paths)], headers=wrong)
        problem(answer, 401, "unauthorized")
    for refused in (put(own, wrong), *(own.client.get(path, headers=wrong) for path in paths)):
        assert problem(refused, 429, "wrong_keys")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert put(own, bearer(right)).status_code == 200
    assert own.client.get("/v1/feeds", headers=bearer(right)).status_code == 200
    problem(put(own), 401, "unauthorized")  # none is not a wrong one
    assert own.client.get("/readyz").status_code == 200


def test_the_count_is_of_an_address_and_of_a_minute() -> None:
    now = 0.0
    counted = WrongKeys(clock=lambda: now)
    for n in range(MAX_A_MINUTE):
        now = float(n)
        counted.count("192.0.2.1")
    with pytest.raises(WrongKeysError) as refused:
        counted.count("::ffff:192.0.2.1")
    assert refused.value.retry_after_s == 41
    counted.count("192.0.2.2")
    now = 60.0
    counted.count("192.0.2.1")
    with pytest.raises(WrongKeysError):
        counted.count("192.0.2.1")
    for n in range(MAX_A_MINUTE):
        counted.count(f"2001:db8::{n:x}")
    with pytest.raises(WrongKeysError):
        counted.count("2001:db8::ffff:0:0:1")
    counted.count("2001:db8:0:1::1")


def test_addresses_without_end_do_not_fill_the_memory() -> None:
    counted = WrongKeys()
    for n in range(2 * MAX_ADDRESSES):
        counted.count(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(counted._times) <= MAX_ADDRESSES


def test_how_much_others_send_does_not_show_once_keys_exist(own: Api) -> None:
    for path in ("/readyz", "/metrics"):
        assert "log" in own.client.get(path).text
    assert "payloads durable" in own.client.get("/").text
    admin, reads = key(own, "admin"), key(own, "read", "write")
    assert own.client.get("/readyz").json() == {
        "ready": True, "degraded": [], "open_access": False, "log": None, "mill": None, "store": None
    }  # fmt: skip
    assert own.client.get("/readyz", headers=bearer(reads)).json()["log"] is None
    assert own.client.get("/readyz", headers=bearer(admin)).json()["log"]["accepting"] is True
    problem(own.client.get("/metrics"), 401, "unauthorized")
    problem(own.client.get("/metrics", headers=bearer(reads)), 403, "forbidden")
    assert "tidemill_log_last_seq" in own.client.get("/metrics", headers=bearer(admin)).text
    assert "payloads durable" not in own.client.get("/").text
    assert "to apply" not in own.client.get("/").text


def test_both_headers_carry_a_key(own: Api) -> None:
    secret = key(own, "write")
    assert put(own, bearer(secret)).status_code == 200
    assert put(own, {"X-API-Key": secret}).status_code == 200
    assert put(own, {"Authorization": f"bearer  {secret}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "\u00ff" * 10},
        {"X-API-Key": "x" * 10_000},
    ],
)
def test_what_is_no_key_is_refused(own: Api, headers: dict[str, str]) -> None:
    key(own, "write")
    problem(put(own, {name: value.encode("latin-1") for name, value in headers.items()}), 401, "unauthorized")  # type: ignore[arg-type, misc]


def test_scopes_are_kept_apart(own: Api) -> None:
    reads, writes, admin = key(own, "read"), key(own, "write"), key(own, "admin")
    document = problem(put(own, bearer(reads)), 403, "forbidden")
    assert "write" in document["detail"]
    problem(own.client.get("/v1/feeds", headers=bearer(writes)), 403, "forbidden")
    problem(own.client.get("/v1/rejections", headers=bearer(reads)), 403, "forbidden")
    assert own.client.get("/v1/feeds", headers=bearer(reads)).status_code == 200
    assert put(own, bearer(admin)).status_code == 200
    assert own.client.get("/v1/feeds", headers=bearer(admin)).status_code == 200
    assert own.client.get("/v1/feeds/location", headers=bearer(reads)).json()["text"] is None
    assert own.client.get("/v1/feeds/location", headers=bearer(admin)).json()["text"] == RECIPES["location"]


def test_another_tenants_things_are_not_found(own: Api) -> None:
    mine, other = key(own, "admin"), key(own, "admin", tenant="other")
    own.services.texts.apply("default", "mine", RECIPES["dropzone"].replace('"dropzone"', '"mine"'))
    receipt = own.client.post("/v1/feeds/mine", json=row(), headers=bearer(mine)).json()["id"]
    log = own.services.log
    assert log.find("default", receipt) is not None
    assert log.find("other", receipt) is None
    theirs = own.client.post("/v1/feeds/mine", json=row(), headers=bearer(other))
    never = own.client.post("/v1/feeds/minf", json=row(), headers=bearer(other))
    assert theirs.json()["detail"].replace("mine", "minf") == problem(never, 404, "not_found")["detail"]
    assert problem(theirs, 404, "not_found")


def test_a_revoked_key_ends_within_a_second(own: Api) -> None:
    info, secret = create_key(own.services.catalog, "default", ["write"])
    assert put(own, bearer(secret)).status_code == 200
    revoke_key(own.services.catalog, info.key_id)
    deadline = time.monotonic() + 60
    while put(own, bearer(secret)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_feed_version_is_used_within_a_second(own: Api) -> None:
    own.services.texts.apply("default", "dropzone", RECIPES["dropzone"] + "\n# changed\n")
    deadline = time.monotonic() + 60
    while own.client.post("/v1/feeds/dropzone", json=row()).json()["rules_version"] == 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
