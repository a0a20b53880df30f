"""Asking by POST, and saying who asks: bodies, keys, tokens of OAuth 2, and secrets that something else renews."""

import json
import logging

import msgspec
import pytest

from tests.sources.conftest import FAST, LOCAL, until
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.load import load_feed
from tidemill.feeds.variables import VariableScope
from tidemill.sources.body import compile_body
from tidemill.sources.poller import Poller

FEED = """
name = "plant"
[input]
records = "$.rows"
[time]
path = "$.t"
[fields.v]
path = "$.v"
[source]
url = "URL"
every = "40ms"
max_backoff = "40ms"
allow = ["127.0.0.0/8"]
"""
ROWS = b'{"rows": [{"t": "2026-01-01T00:00:00Z", "v": 1}]}'
OAUTH = """
[source.oauth2]
token_url = "URL/token"
client_id = "mill"
client_secret = "${TIDEMILL_HUSH}"
"""
ENVIRONMENT = {"TIDEMILL_HUSH": "hush-hush-secret"}


def definition(text, url, **more):
    return load_feed((FEED + text).replace("URL", url), environment=ENVIRONMENT, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('json = { from = "{start}", n = "{start:number}", list = ["{x}"], k = 1 }', {"n": 5, "k": 1, "list": ["{x}"]}),
        ('graphql = "{ rows(a: {start}) { t } }"\nvariables = { from = "{start:number}" }', {"variables": {"from": 5}}),
    ],
)
def test_placeholders_of_a_json_body_are_filled_in(text, expected):
    text = f'params = {{ z = "{{stop}}" }}\n[source.window]\nstart = "2026-01-01T00:00:00Z"\n[source.body]\n{text}'
    body = definition(text.replace('["{x}"]', '["$[x]"]'), "http://x").source.body
    found = json.loads(compile_body(body).encode({"start": "5", "stop": "6"}))
    for name, value in expected.items():
        assert found[name] == (["$[x]"] if name == "list" else value)
    assert found.get("query", "{ rows(a: {start}) { t } }") == "{ rows(a: {start}) { t } }"


def test_a_form_and_a_text_are_sent_as_they_are(web, polling, intake):
    with web.answering(lambda request: (200, {}, ROWS)) as url:
        for text in ('form = { a = "b c&", d = "é" }', 'text = "<ask/>"'):
            with polling(definition(f"[source.body]\n{text}", url)):
                asked = len(web.requests)
                until(lambda asked=asked: len(web.requests) > asked)
    assert {request.method for request in web.requests} == {"POST"}
    sent = {(request.headers["content-type"], request.body) for request in web.requests}
    assert sent == {("application/x-www-form-urlencoded", b"a=b+c%26&d=%C3%A9"), ("text/plain", b"<ask/>")}


def test_windows_and_pages_are_asked_for_in_the_body(web, polling, intake):
    paged = '[source.page]\nby = "offset"\nsize = 2\n[source.body]\njson = { skip = "{cursor:number}" }'
    levels = [{"t": "2026-01-01T00:00:00Z", "v": n} for n in range(5)]

    def answer(request):
        skip = json.loads(request.body)["skip"]
        return 200, {}, json.dumps({"rows": levels[skip : skip + 2]}).encode()

    with web.answering(answer) as url, polling(definition(paged, url)):
        until(lambda: len(intake.bodies()) >= 6)
    assert [json.loads(request.body)["skip"] for request in web.requests[:4]] == [0, 2, 4, 0]
    windows = '[source.window]\nstart = "2020-01-01T00:00:00Z"\nsize = "1000d"\nformat = "unix_ms"\n'
    with web.answering(lambda request: (200, {}, b'{"data": {"rows": []}}')) as url:
        text = FEED.replace("$.rows", "$.data.rows") + windows
        text += '[source.body]\ngraphql = "query ($from: Int) { rows { t } }"\nvariables = { from = "{start:number}" }'
        with polling(load_feed(text.replace("URL", url))):
            until(lambda: len(web.requests) > 2)
    first, second = (json.loads(request.body)["variables"]["from"] for request in web.requests[:2])
    assert (first, second) == (1_577_836_800_000, 1_577_836_800_000 + 1000 * 86_400_000)


def test_errors_of_graphql_are_no_answer(web, polling, states):
    body = b'{"errors": [{"message": "no such field"}], "rows": []}'
    with (
        web.answering(lambda request: (200, {}, body)) as url,
        polling(definition('[source.body]\ngraphql="{a}"', url)),
    ):
        state = until(lambda: (s := states().get("plant")) and s.reason and s)
    assert state.reason == "unexpected" and "no such field" in state.detail


def test_a_body_goes_no_further_than_its_host(web, polling, states):
    def answer(request):
        if request.path == "/":
            return 307, {"location": "/moved"}, b""
        return 308, {"location": web.url.replace("127.0.0.1", "localhost")}, b""

    with web.answering(answer) as url, polling(definition('[source.body]\ntext = "key=1"', url)):
        state = until(lambda: (s := states().get("plant")) and s.reason and s)
    assert (state.reason, "would send the body to another host" in state.detail) == ("redirects", True)
    assert [(one.method, one.body) for one in web.requests[:2]] == [("POST", b"key=1")] * 2


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('[source.basic]\nuser = "reader"\npassword = "${TIDEMILL_HUSH}"', ("authorization", "Basic cmVhZGVyOmh1c2g")),
        ('[source.api_key]\nheader = "X-Key"\nvalue = "${TIDEMILL_HUSH}"', ("x-key", "hush-hush-secret")),
        ('[source.api_key]\nheader = "Authorization"\nprefix = "Token "\nvalue = "t1"', ("authorization", "Token t1")),
        ('[source.api_key]\nparam = "key"\nvalue = "${TIDEMILL_HUSH}"', ("key", "hush-hush-secret")),
    ],
)
def test_keys_are_sent_where_they_belong_and_never_shown(text, sent, web, polling, states):
    header, value = sent

    def answer(request):
        return 200, {}, json.dumps({**request.headers, **request.query}).encode()

    with web.answering(answer) as url, polling(definition(text, url)):
        state = until(lambda: (s := states().get("plant")) and s.reason and s)
    asked = web.requests[0]
    assert {**asked.headers, **asked.query}[header].startswith(value)
    assert state.reason == "unexpected", "it sends back what it was asked with"
    assert "hush" not in state.detail and "aHVzaC1odXNo" not in state.detail and "cmVhZGVyOmh1c2g" not in state.detail


class Issuer:
    """A server that gives tokens, takes each for `life` requests, and replaces refresh tokens."""

    def __init__(self, life=3):
        self.life, self.given, self.left, self.asked = life, 0, 0, []

    def __call__(self, request):
        if request.path != "/token":
            good = request.headers.get("authorization") == f"Bearer secret-token-{self.given}" and self.left > 0
            self.left -= good
            return (200, {}, ROWS) if good else (401, {}, b'{"error": "secret-token-1"}')
        form = dict(pair.split("=") for pair in request.body.decode().split("&"))
        self.asked.append({**form, "login": request.headers.get("authorization", "")})
        if form.get("refresh_token", f"secret-refresh-{self.given}") != f"secret-refresh-{self.given}":
            return 400, {}, b'{"error": "invalid_grant", "error_description": "secret-refresh-0"}'
        self.given, self.left = self.given + 1, self.life
        token = {"access_token": f"secret-token-{self.given}", "token_type": "bearer", "expires_in": 3600}
        if "refresh_token" in form:
            token["refresh_token"] = f"secret-refresh-{self.given}"
        return 200, {}, json.dumps(token).encode()


def test_a_token_is_asked_for_and_again_after_a_401(web, polling, intake, states, caplog):
    caplog.set_level(logging.DEBUG)
    rows = []
    text = OAUTH + 'scope = ["read", "all"]'
    with web.answering(issuer := Issuer()) as url, polling(definition(text, url), record=rows.extend):
        until(lambda: len(intake.bodies()) > 5)
    assert issuer.asked[0] == {
        "grant_type": "client_credentials",
        "scope": "read+all",
        "client_id": "mill",
        "client_secret": "hush-hush-secret",
        "login": "",
    }
    assert len(issuer.asked) > 1 and states()["plant"].failures == 0, "a token that ended is no failure"
    shown = f"{states()} {rows} {[record.getMessage() for record in caplog.records]}"
    assert "secret-token" not in shown and "hush" not in shown


def test_a_token_is_renewed_before_it_ends(web, polling, intake, states):
    def short(request):
        status, headers, body = issuer(request)
        return status, headers, body.replace(b"3600", b"1") if request.path == "/token" else body

    issuer = Issuer(life=10**6)
    with web.answering(short) as url, polling(definition(OAUTH + 'send_as = "basic"', url)):
        until(lambda: len(issuer.asked) > 2)
    assert issuer.asked[0]["login"] == "Basic bWlsbDpodXNoLWh1c2gtc2VjcmV0" and "client_secret" not in issuer.asked[0]
    assert not any(request.path == "/" and "authorization" not in request.headers for request in web.requests)


def test_a_replaced_refresh_token_is_remembered_until_the_definition_has_another(web, polling, intake, states, catalog):
    text = OAUTH.replace('client_secret = "${TIDEMILL_HUSH}"', 'refresh_token = "secret-refresh-0"')
    with web.answering(issuer := Issuer(life=2)) as url:
        with polling(definition(text, url)):
            until(lambda: issuer.given > 2)
        given = issuer.given
        with polling(definition(text, url)):
            until(lambda: issuer.given > given)
        assert issuer.asked[0]["grant_type"] == "refresh_token"
        issuer.life = 0
        with polling(definition(text.replace("refresh-0", "refresh-x"), url)):
            state = until(lambda: (s := states().get("plant")) and s.reason == "token" and s)
    assert "invalid_grant" in state.detail and "look at client_id" in state.detail and "refresh" not in state.detail
    assert issuer.asked[-1]["refresh_token"] == "secret-refresh-x"


@pytest.mark.parametrize(
    "answer",
    [
        *((200, {}, body) for body in (b"<html>", b"{}", b"[1]", b'{"access_token": 5}')),
        (200, {}, b'{"access_token": "a", "token_type": "mac"}'),
        (500, {}, b""),
        (429, {"retry-after": "7"}, b""),
    ],
)
def test_no_token_is_a_failure_that_says_why(answer, web, polling, states):
    with web.answering(lambda request: answer) as url, polling(definition(OAUTH, url)):
        state = until(lambda: (s := states().get("plant")) and s.reason and s)
    assert state.reason == "token" and state.detail.startswith("no token: ")
    assert {request.path for request in web.requests} == {"/token"}
    assert (state.retry_ns is not None) == (answer[0] == 429)


def test_a_secret_in_a_file_is_read_again_when_it_changes(web, catalog, intake, states, tmp_path):
    (folder := tmp_path / "secrets").mkdir()
    (folder / "token").write_text("first-secret\n")
    good = ["first-secret"]

    def answer(request):
        return (200, {}, ROWS) if request.headers["authorization"] == f"Bearer {good[0]}" else (401, {}, b"")

    texts = CatalogFeeds(catalog)
    book = FeedBook(texts, scope_of=lambda tenant: VariableScope({}, folder))
    with web.answering(answer) as url:
        text = FEED.replace("URL", url) + f'headers = {{ Authorization = "Bearer ${{file:{folder}/token}}" }}\n'
        texts.apply("default", "plant", text)
        poller = Poller(
            lambda: [("default", book.current("default", "plant"))],
            catalog,
            intake.submit,
            policy=LOCAL,
            pacing=FAST,
            renew_secrets=book.renew_secrets,
        )
        poller.start()
        try:
            until(lambda: (s := states().get("plant")) and s.state == "ok")
            good[0] = "other-secret"
            until(lambda: states()["plant"].last_status == 401)
            (folder / "token").write_text("")  # about to be written
            assert not book.renew_secrets()
            (folder / "token").write_text("other-secret\n")
            until(lambda: (s := states()["plant"]).state == "ok" and s.last_status == 200)
        finally:
            assert poller.stop()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[source.body]", "source.body"),
        ('[source.body]\ntext = "a"\njson = {}', "source.body"),
        ('[source.body]\ntext = "a"\nvariables = { a = 1 }', "source.body.variables"),
        ('[source.body]\njson = { a = "{start}" }', "source.body.json.a"),
        ('[source.api_key]\nvalue = "a"', "source.api_key.header"),
        ('headers = { authorization = "x" }\n[source.basic]\nuser = "a"', "source.basic"),
        ('[source.oauth2]\ntoken_url = "x"\nclient_id = "a"\nclient_secret = "b"', "source.oauth2.token_url"),
        ('[source.oauth2]\ntoken_url = "http://x"\nclient_id = "a"', "source.oauth2.client_secret"),
    ],
)
def test_bodies_and_logins_are_checked(text, key):
    with pytest.raises(FeedDefinitionError) as refused:
        definition(text, "http://x")
    assert any(fault.path.endswith(f": {key}") for fault in refused.value.faults), refused.value.faults


def test_a_struct_of_secrets_shows_none():
    feed = definition(OAUTH, "http://x")
    assert "hush" not in repr(feed.source) and "hush" not in repr(feed)
    assert msgspec.structs.asdict(feed.source)["secrets"] == ("hush-hush-secret",)
