"""Pages of other origins: none may use the API unless an operator names it, and none has the session of a person."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.samples import problem, row
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key
from tidemill.errors import StartupError
from tidemill.settings import Settings, load_settings, origins_of

APP = "https://app.example.org"
LOCAL = "http://localhost:3000"
OTHERS = [
    "https://app.example.org:8443", "http://app.example.org", "https://app.example.org.evil.example", "null",
    "https://evil.example", "http://localhost:30001", "HTTPS://APP.EXAMPLE.ORG", "https://app.example.org/", "",
]  # fmt: skip
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """An API that two origins may use, and a key for it."""
    settings = Settings(cors_origins=f"{APP}, {LOCAL}")
    with running_api(tmp_path_factory.mktemp("shared"), settings=settings) as api:
        secret = create_key(api.services.catalog, "default", ["admin"])[1]
        api.services.keys.refresh()
        yield api, secret


@pytest.mark.parametrize("origin", [APP, LOCAL])
def test_a_named_origin_reads_and_sends_with_a_key(shared: tuple[Api, str], origin: str) -> None:
    api, secret = shared
    sent = CROSS | {"Origin": origin, "Authorization": f"Bearer {secret}"}
    for answer in (
        api.client.get("/v1/feeds", headers=sent),
        api.client.post("/v1/feeds/dropzone", json=row(), headers=sent),
        api.client.post("/v1/replays", json={}, headers=sent),  # 400: a problem can be read, too
        api.client.get("/v1/feeds/none", headers=sent),
    ):
        assert answer.status_code in (200, 202, 400, 404)
        assert answer.headers["access-control-allow-origin"] == origin
        assert "Origin" in answer.headers["vary"]
        assert {"ETag", "Link", "Location", "Retry-After"} < set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_says_what_the_path_takes(shared: tuple[Api, str]) -> None:
    api, _ = shared
    for path, methods in (
        ("/v1/feeds/dropzone", {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"}),
        ("/v1/query", {"OPTIONS", "POST"}),
    ):
        answer = api.client.options(path, headers=ASKS | CROSS | {"Origin": APP})
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == APP
        assert set(answer.headers["access-control-allow-methods"].split(", ")) == methods
        named = answer.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "x-api-key", "content-type", "idempotency-key", "prefer", "if-match"} < set(named)
        assert "x-tidemill-csrf" not in named and "cookie" not in named
        assert int(answer.headers["access-control-max-age"]) > 0
    plain = api.client.options("/v1/query", headers={"Origin": APP})
    assert "access-control-allow-methods" not in plain.headers


@pytest.mark.parametrize("origin", OTHERS)
def test_no_other_origin_is_taken(shared: tuple[Api, str], origin: str) -> None:
    api, secret = shared
    sent = CROSS | {"Origin": origin, "Authorization": f"Bearer {secret}"}
    problem(api.client.post("/v1/feeds/dropzone", json=row(), headers=sent), 403, "cross_site")
    for answer in (
        api.client.get("/v1/feeds", headers=sent),
        api.client.options("/v1/feeds/dropzone", headers=ASKS | {"Origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" in answer.headers["vary"]


def test_a_named_origin_has_no_session(shared: tuple[Api, str]) -> None:
    api, secret = shared
    signed_in = api.client.post("/v1/session", json={"key": secret})
    cookie, _, _ = signed_in.headers["set-cookie"].partition(";")
    api.client.cookies.clear()
    sent = CROSS | {"Origin": APP, "Cookie": cookie, "X-Tidemill-CSRF": signed_in.json()["csrf"]}
    problem(api.client.get("/v1/feeds", headers=sent), 401, "unauthorized")
    problem(api.client.post("/v1/feeds/dropzone", json=row(), headers=sent), 401, "unauthorized")
    for method in ("POST", "DELETE"):
        problem(api.client.request(method, "/v1/session", json={"key": secret}, headers=sent), 403, "cross_site")
    answer = api.client.get("/v1/session", headers=sent)
    assert answer.json()["csrf"] is None and "access-control-allow-origin" not in answer.headers
    answer = api.client.options("/v1/session", headers=sent | ASKS)
    assert "access-control-allow-origin" not in answer.headers


def test_pages_of_the_server_itself_are_shared_with_nobody(shared: tuple[Api, str]) -> None:
    api, _ = shared
    for path in ("/", "/docs", "/explore"):
        assert "access-control-allow-origin" not in api.client.get(path, headers={"Origin": APP}).headers


def test_without_the_setting_nothing_is_said(api: Api) -> None:
    for answer in (
        api.client.get("/v1/feeds", headers={"Origin": APP}),
        api.client.options("/v1/feeds/dropzone", headers=ASKS | {"Origin": APP}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers.get("vary", "Accept-Encoding") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("*", "would let pages of others"),
        ("https://*.example.org", "would let pages of others"),
        (f"{APP}/", f"has more than an origin; write {APP}"),
        (f"{APP}/app?x", f"has more than an origin; write {APP}"),
        (f"{LOCAL},HTTPS://App.Example.org", f"is written {APP} by browsers"),
        (f"{APP}:443", f"is written {APP} by browsers"),
        ("http://localhost:80", "is written http://localhost by browsers"),
        ("null", "is the origin of any page without one"),
        ("app.example.org", "is not SCHEME://HOST"),
        ("ftp://app.example.org", "is not SCHEME://HOST"),
        ("https://me@app.example.org", "is not SCHEME://HOST"),
        ("https://app.example.org:", "is not SCHEME://HOST"),
        ("https://", "is not SCHEME://HOST"),
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(text: str, sentence: str) -> None:
    with pytest.raises(StartupError, match="TIDEMILL_CORS_ORIGINS must be origins") as refused:
        load_settings({}, {"TIDEMILL_CORS_ORIGINS": text})
    assert sentence in refused.value.message


def test_origins_are_taken_as_browsers_write_them() -> None:
    assert origins_of(f" {APP} ,, {LOCAL},http://[::1]:5173") == {APP, LOCAL, "http://[::1]:5173"}
    assert not origins_of("")


@given(st.text(max_size=40))
def test_a_setting_is_taken_or_refused_with_a_sentence(text: str) -> None:
    try:
        origins = origins_of(text)
    except StartupError as error:
        assert error.message.startswith("TIDEMILL_CORS_ORIGINS must be origins")
    else:
        assert origins == {part.strip() for part in text.split(",")} - {""}


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example.org", "10.0.0.1/8", "none"])
def test_what_is_no_network_of_proxies_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(StartupError, match="TIDEMILL_TRUSTED_PROXIES must be networks"):
        load_settings({}, {"TIDEMILL_TRUSTED_PROXIES": text})
