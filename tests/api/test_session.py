"""Sessions of browsers at the API: sign in, use, forgery, sign out, and what ends a session."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api
from tidemill import __version__
from tidemill.api.session import WRONG_A_MINUTE
from tidemill.api.wrong_keys import MAX_A_MINUTE
from tidemill.catalog.keys import create_key, revoke_key
from tidemill.catalog.sessions import IDLE_S, LONGEST_S
from tidemill.log.sqlite import SqliteLog
from tidemill.settings import Settings

DEADLINE_S = 60.0
NOBODY = {"tenant": None, "scopes": [], "key": None, "open_access": False, "csrf": None, "version": __version__}
BEHIND_TLS = {"X-Forwarded-Proto": "https", "Host": "mill.example.org", "Origin": "https://mill.example.org"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path / "data") as running:
        yield running


def key(api: Api, *scopes: str, tenant: str = "default") -> tuple[str, str]:
    """The id and the secret of a new key."""
    info, secret = create_key(api.services.catalog, tenant, scopes, "control room")
    api.services.keys.refresh()
    return info.key_id, secret


class Browser:
    """A browser on a page of ours: it keeps cookies, and sends its origin and the page's token."""

    def __init__(self, api: Api) -> None:
        self.client = httpx.Client(base_url=api.url, timeout=15, trust_env=False)
        self.origin = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
        self.csrf = ""

    def sign_in(self, secret: str) -> dict[str, Any]:
        answer = self.client.post("/v1/session", json={"key": secret}, headers=self.origin)
        assert answer.status_code == 201, answer.text
        self.csrf = answer.json()["csrf"]
        return dict(answer.json())

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **sent: Any) -> httpx.Response:
        given = self.origin | {"X-Tidemill-CSRF": self.csrf} if headers is None else headers
        return self.client.request(method, path, headers=given, **sent)

    @property
    def session(self) -> dict[str, Any]:
        return dict(self.client.get("/v1/session").json())


def until(true: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_while_access_is_open_anybody_is_the_default_tenant(api: Api) -> None:
    everything = {"tenant": "default", "scopes": ["read", "write", "admin"], "open_access": True}
    answer = api.client.get("/v1/session")
    assert answer.json() == NOBODY | everything
    assert answer.headers["cache-control"] == "no-store"
    problem(api.client.post("/v1/session", json={"key": "tm_none"}), 401, "unauthorized")


def test_a_session_is_begun_used_and_ended(api: Api) -> None:
    key_id, secret = key(api, "read", "write")
    browser = Browser(api)
    assert browser.session == NOBODY
    view = browser.sign_in(secret)
    assert view == NOBODY | {
        "tenant": "default",
        "scopes": ["read", "write"],
        "key": {"id": key_id, "name": "control room"},
        "csrf": browser.csrf,
    }
    assert browser.session == view
    assert browser.client.get("/v1/feeds").status_code == 200
    assert browser.send("POST", "/v1/feeds/dropzone", json=row()).status_code == 202  # before the framework
    problem(browser.send("POST", "/v1/replays", json={}), 403, "forbidden")  # and behind it: the key has no admin
    assert browser.send("DELETE", "/v1/session").json() == NOBODY
    assert browser.session == NOBODY
    problem(browser.client.get("/v1/feeds"), 401, "unauthorized")


def test_the_cookie_is_for_this_server_and_no_script(api: Api) -> None:
    _, secret = key(api, "read")
    answer = api.client.post("/v1/session", json={"key": f" {secret}\n"})
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith(f"tidemill_session_{api.port}=")
    assert secret not in answer.headers["set-cookie"] and secret not in answer.text
    assert attributes == [f"Max-Age={LONGEST_S}", "Path=/", "HttpOnly", "SameSite=Strict"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_second_sign_in_ends_the_first_session(api: Api) -> None:
    _, secret = key(api, "read")
    browser = Browser(api)
    browser.sign_in(secret)
    first = dict(browser.client.cookies)
    browser.sign_in(secret)
    assert browser.client.get("/v1/feeds").status_code == 200
    browser.client.cookies.clear()
    browser.client.cookies.update(first)
    problem(browser.client.get("/v1/feeds"), 401, "unauthorized")


@pytest.mark.parametrize("method,path", [
    ("PUT", "/location"), ("POST", "/v1/feeds/dropzone"), ("POST", "/v1/series"), ("POST", "/v1/replays"),
    ("DELETE", "/v1/series/0000000000000000"), ("PUT", "/v1/feeds/mine"), ("DELETE", "/v1/feeds/dropzone"),
    ("DELETE", "/v1/session"), ("POST", "/v1/query"),
])  # fmt: skip
def test_what_changes_something_needs_the_token_and_a_page_of_ours(api: Api, method: str, path: str) -> None:
    _, secret = key(api, "admin")
    browser = Browser(api)
    browser.sign_in(secret)
    token = {"X-Tidemill-CSRF": browser.csrf}
    problem(browser.send(method, path, token), 403, "cross_site")  # no word of where it comes from
    problem(browser.send(method, path, token | {"Sec-Fetch-Site": "none"}), 403, "cross_site")
    problem(browser.send(method, path, browser.origin), 403, "csrf")
    problem(browser.send(method, path, browser.origin | {"X-Tidemill-CSRF": browser.csrf[:-1]}), 403, "csrf")
    problem(browser.send(method, path, browser.origin | {"X-Tidemill-CSRF": ""}), 403, "csrf")
    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        problem(browser.send(method, path, browser.origin | token | foreign), 403, "cross_site")
    for ours in ({"Origin": api.url}, {"Sec-Fetch-Site": "same-origin"}):
        answer = browser.send(method, path, token | ours, json={})
        assert answer.status_code not in (401, 403), answer.text
        if path == "/v1/session":
            browser.sign_in(secret)
            token = {"X-Tidemill-CSRF": browser.csrf}
    assert api.services.log.last_seq() <= 5


def test_the_token_of_another_session_does_not_count(api: Api) -> None:
    _, secret = key(api, "admin")
    one, other = Browser(api), Browser(api)
    one.sign_in(secret)
    other.sign_in(secret)
    assert one.csrf != other.csrf
    problem(one.send("POST", "/v1/feeds/dropzone", one.origin | {"X-Tidemill-CSRF": other.csrf}), 403, "csrf")


def test_a_page_of_another_origin_never_has_the_session(api: Api) -> None:
    _, secret = key(api, "read")
    browser = Browser(api)
    browser.sign_in(secret)
    problem(browser.client.get("/v1/feeds", headers={"Origin": "http://localhost:3000"}), 401, "unauthorized")


def test_a_key_in_the_headers_comes_before_the_session(api: Api) -> None:
    _, reads = key(api, "read")
    writer, writes = key(api, "write")
    browser = Browser(api)
    browser.sign_in(reads)
    bearer = {"Authorization": f"Bearer {writes}"}
    assert browser.client.get("/v1/session", headers=bearer).json()["key"]["id"] == writer
    assert browser.client.post("/v1/feeds/dropzone", json=row(), headers=bearer).status_code == 202  # as a program
    problem(browser.client.get("/v1/feeds", headers={"X-API-Key": "tm_wrong"}), 401, "unauthorized")


def test_wrong_keys_are_counted_and_a_right_one_signs_in(api: Api) -> None:
    _, secret = key(api, "read")
    for _ in range(WRONG_A_MINUTE):
        document = problem(api.client.post("/v1/session", json={"key": "tm_wrong"}), 401, "unauthorized")
        assert document["detail"] == "This key is not known here. `tidemill key create` makes one."
    refused = api.client.post("/v1/session", json={"key": "tm_wrong"})
    problem(refused, 429, "wrong_keys")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert api.client.post("/v1/session", json={"key": secret}).status_code == 201
    assert WRONG_A_MINUTE == 5 < MAX_A_MINUTE


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{}", '{"key": 1}', '{"key": "a", "more": 1}', "key=a", '{"key": "\\ud800"}']
)
def test_a_body_without_a_key_is_refused(api: Api, body: str) -> None:
    key(api, "read")
    assert api.client.post("/v1/session", content=body).status_code in (400, 401)


@pytest.mark.parametrize("cookie", ["{}=", "{}=x", "{}=\u00ff", "{}={}", "={}", "{}", "a=b, {}=x", "{}=" + "x" * 9000])
def test_what_is_no_session_is_none(api: Api, cookie: str) -> None:
    named = {"Cookie": cookie.replace("{}", f"tidemill_session_{api.port}").encode("latin-1")}
    assert api.client.get("/v1/feeds", headers=named).status_code == 200  # access is open
    key(api, "read")
    problem(api.client.get("/v1/feeds", headers=named), 401, "unauthorized")
    assert api.client.get("/v1/session", headers=named).json() == NOBODY


def test_revoking_the_key_ends_its_sessions(api: Api) -> None:
    key(api, "admin")
    key_id, secret = key(api, "admin")
    browser = Browser(api)
    browser.sign_in(secret)
    revoke_key(api.services.catalog, key_id)
    until(lambda: browser.client.get("/v1/feeds").status_code == 401)
    assert browser.session == NOBODY
    assert not api.services.catalog.list("sessions/")


def test_a_restart_ends_no_session_and_time_does(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        _, secret = key(api, "admin")
        browser = Browser(api)
        browser.sign_in(secret)
        cookie = next(iter(browser.client.cookies.jar)).value
    ahead_ns = 0
    clock = lambda: time.time_ns() + ahead_ns  # noqa: E731
    with running_api(tmp_path / "data", clock=clock) as api:
        headers = {"Cookie": f"tidemill_session_{api.port}={cookie}"}
        assert api.client.get("/v1/feeds", headers=headers).status_code == 200
        assert api.client.get("/v1/session", headers=headers).json()["csrf"] == browser.csrf
        ahead_ns = IDLE_S * 10**9
        problem(api.client.get("/v1/feeds", headers=headers), 401, "unauthorized")


def test_processes_share_the_sessions(tmp_path: Path) -> None:
    with (
        running_api(tmp_path / "data") as api,
        running_api(tmp_path / "data", log=SqliteLog(tmp_path / "log")) as other,
    ):
        _, secret = key(api, "admin")
        browser = Browser(api)
        browser.sign_in(secret)
        cookie = next(iter(browser.client.cookies.jar)).value
        headers = {"Cookie": f"tidemill_session_{other.port}={cookie}"}
        until(lambda: other.client.get("/v1/feeds", headers=headers).status_code == 200)
        unsafe = headers | {"Origin": other.url, "X-Tidemill-CSRF": browser.csrf}
        assert other.client.post("/v1/feeds/dropzone", json=row(), headers=unsafe).status_code == 202
        assert other.client.delete("/v1/session", headers=unsafe).status_code == 200
        until(lambda: browser.client.get("/v1/feeds").status_code == 401)


@pytest.mark.parametrize("ended_by", ["sign-out", "revoked key", "revoked header key"])
def test_a_stream_ends_with_the_session_that_opened_it(whole: Api, tmp_path: Path, ended_by: str) -> None:
    with running_api(tmp_path / "data", store=whole.services.store.address) as api:
        key(api, "admin")
        key_id, secret = key(api, "admin")
        browser = Browser(api)
        headers = {}
        if ended_by == "revoked header key":
            headers = {"X-API-Key": secret}
        else:
            browser.sign_in(secret)
        ended, opened = threading.Event(), threading.Event()

        def follow() -> None:
            with browser.client.stream("GET", "/v1/changes/stream", headers=headers, timeout=DEADLINE_S) as stream:
                for _ in stream.iter_raw():
                    opened.set()
            ended.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert opened.wait(DEADLINE_S)
        if ended_by == "sign-out":
            browser.send("DELETE", "/v1/session")
        else:
            revoke_key(api.services.catalog, key_id)
        assert ended.wait(DEADLINE_S), "the stream goes on"
        thread.join()


def behind(proxy: str) -> Settings:
    return Settings(trusted_proxies=proxy, hosts="mill.example.org")


def test_behind_a_proxy_that_ends_tls_the_cookie_is_for_tls_only(tmp_path: Path) -> None:
    with running_api(tmp_path / "data", settings=behind("10.0.0.0/8,127.0.0.0/8")) as api:
        _, secret = key(api, "admin")
        answer = api.client.post("/v1/session", json={"key": secret}, headers=BEHIND_TLS)
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Host-tidemill_session=") and "Secure" in attributes
        assert {"Path=/", "HttpOnly", "SameSite=Strict"} < set(attributes)
        value = cookie.partition("=")[2]
        token = {"X-Tidemill-CSRF": answer.json()["csrf"]}
        sent = BEHIND_TLS | token | {"Cookie": cookie}
        assert api.client.post("/v1/feeds/dropzone", json=row(), headers=sent).status_code == 202
        plain = {"Cookie": f"tidemill_session={value}; tidemill_session_{api.port}={value}"}
        problem(api.client.get("/v1/feeds", headers=BEHIND_TLS | plain), 401, "unauthorized")
        assert api.client.get("/docs", headers=BEHIND_TLS).text.count("https://mill.example.org/v1/") > 10
        ended = api.client.delete("/v1/session", headers=sent)
        assert ended.headers["set-cookie"].startswith("__Host-tidemill_session=; Max-Age=0; Path=/;")


def test_a_peer_that_is_no_trusted_proxy_is_not_believed(tmp_path: Path) -> None:
    with running_api(tmp_path / "data", settings=behind("10.0.0.0/8")) as api:
        _, secret = key(api, "admin")
        answer = api.client.post("/v1/session", json={"key": secret}, headers=BEHIND_TLS)
        assert answer.headers["set-cookie"].startswith("tidemill_session=")
        assert "Secure" not in answer.headers["set-cookie"]


def test_wrong_keys_behind_a_proxy_are_counted_by_client(tmp_path: Path) -> None:
    with running_api(tmp_path / "data", settings=behind("127.0.0.1,10.0.0.0/8")) as api:
        key(api, "admin")

        def status(forwarded: str) -> int:
            sent = {"X-Forwarded-For": forwarded}
            return api.client.post("/v1/session", json={"key": "tm_wrong"}, headers=sent).status_code

        for n in range(WRONG_A_MINUTE):
            assert status(f"198.51.100.{n}, 192.0.2.1, 10.2.3.4") == 401  # what the client wrote itself is not read
        assert status("192.0.2.1") == 429
        assert status("192.0.2.2") == 401
        assert status("not an address") == 401
