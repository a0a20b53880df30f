"""A real browser shows a page of another site that tries what such pages try: to send, to delete, to read, also under a
name of the attacker's that leads to the server. Nothing is done, nothing is read.

`tests/api/test_admission.py` sends the same requests by socket, in every combination; this one shows that a browser
really forms them so. Needs chromium, which CI installs.
"""

import html
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.samples import row
from tests.support.api import Api, running_api

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--no-proxy-server", "--dump-dom",
]  # fmt: skip
PAGE = """<!doctype html><title>hostile</title><pre id=out></pre><iframe name=sink></iframe><script>
const target = TARGET, rebound = REBOUND, out = {};
async function attempt(name, work) {
  try { out[name] = await work(); } catch (error) { out[name] = "failed: " + error.name; }
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
  document.getElementById("out").textContent = JSON.stringify(out);
})();
</script>"""


def visit(url: str, profile: Path) -> str:
    """The document of a page after its scripts have run. The name evil.example leads to this machine."""
    assert CHROMIUM is not None
    flags = [*FLAGS, f"--user-data-dir={profile}", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    done = subprocess.run(
        [CHROMIUM, *flags, "--virtual-time-budget=20000", url],
        capture_output=True, timeout=90, check=False, env=os.environ | {"HOME": str(profile)},
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def hostile(page: bytes) -> Iterator[int]:
    """Another site, on another port."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusals(api: Api) -> dict[str, int]:
    text = api.client.get("/metrics").text
    found = re.findall(r'tidemill_http_requests_total\{route="\(none\)",status="(403|421)"\} (\d+)', text)
    return {status: int(count) for status, count in found}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_hostile_page_changes_and_reads_nothing(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        page = PAGE.replace("TARGET", json.dumps(api.url)).replace("ROW", json.dumps(row()))
        page = page.replace("REBOUND", json.dumps(f"http://evil.example:{api.port}"))
        with hostile(page.encode()) as port:
            shown = visit(f"http://evil.example:{port}/", tmp_path / "profile")
        found = re.search(r"<pre id=\"out\">(.*?)</pre>", shown, re.DOTALL)
        assert found is not None, shown[:2000]
        assert found[1], shown[:2000]
        out = json.loads(html.unescape(found[1]))
        assert out["form"] == "sent", out
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
        rebound = visit(f"http://evil.example:{api.port}/v1/feeds", tmp_path / "profile")
        assert "misdirected" in rebound
        assert "dropzone" not in rebound
        assert "The time-series service" in visit(f"{api.url}/", tmp_path / "profile")
