"""What closes stays closed: the first key ends what only an open server grants, and a lost catalog opens nothing. And
what nobody configured is not polled.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.sources.web import Web
from tests.support.server import Server, free_port, running_server
from tidemill.simulate.server import running

UNCONFIGURED = {"TIDEMILL_TELEMETRY_URL": "", "TIDEMILL_METERS_URL": ""}
FEED = """
name = "here"
[time]
format = "received"
[fields.v]
path = "$.v"
[source]
url = "URL/${TIDEMILL_PLANT}"
every = "100ms"
max_backoff = "100ms"
allow = ["127.0.0.0/8"]
"""


def cli(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidemill.cli", *arguments]
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )


def key(data: Path, tenant: str) -> dict[str, str]:
    made = cli("key", "create", "--data", str(data), "--tenant", tenant, "--scope", "admin")
    assert made.returncode == 0, made.stderr
    return {"X-API-Key": made.stdout.strip()}


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_first_key_ends_the_reach_of_sources_to_this_machine_and_to_all_variables(tmp_path: Path) -> None:
    web, env = Web(lambda request: (200, {}, b'{"v": 1}')), UNCONFIGURED | {"TIDEMILL_PLANT": "hush"}
    with running(web) as url, running_server(tmp_path / "data", env=env) as server:

        def state(headers: dict[str, str], name: str) -> dict[str, str]:
            items = server.client.get(f"/v1/sources/{name}", headers=headers).json()["items"]
            return items[0] if items else {"reason": "", "detail": ""}

        assert server.client.get("/v1/sources").json()["items"] == [], "no recipe polls of its own accord"
        text = FEED.replace("URL", url)
        assert server.client.put("/v1/feeds/here", content=text).status_code == 201
        until(lambda: len(web.requests) > 3, "an open server on loopback polls its own machine")
        acme = key(server.data, "acme")
        default = key(server.data, "default")
        until(lambda: state(default, "here")["reason"] == "definition", "its variable is not the tenant's any more")
        assert "TIDEMILL_SOURCE_VARIABLES=" in state(default, "here")["detail"]
        plain = text.replace("/${TIDEMILL_PLANT}", "/plain")
        for one in (acme, default):
            assert server.client.put("/v1/feeds/here", content=plain, headers=one).status_code in {200, 201}
            until(lambda one=one: state(one, "here")["reason"] == "address", "the machine is out of reach")  # type: ignore[misc]
            assert "127.0.0.1 is a loopback address" in state(one, "here")["detail"]
        assert not [request for request in web.requests if request.path == "/plain"]
        assert "hush" not in server.log.read_text()


def test_a_server_whose_catalog_is_lost_does_not_start_and_when_that_is_accepted_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data, env=UNCONFIGURED) as server:
        headers = key(data, "default")
        sent = server.client.post("/v1/feeds/dropzone", content=b'{"time_stamp": "x"}', headers=headers)
        assert sent.status_code == 400 and sent.json()["receipt"]
    kept = {path: path.read_bytes() for path in data.glob("catalog.sqlite*")}
    for path in kept:
        path.unlink()
    address = f"127.0.0.1:{free_port()}"
    refused = cli("serve", "--data", str(data), "--listen", address)
    assert refused.returncode == 2
    words = " ".join(refused.stderr.split())
    assert "is missing" in words and "back from a backup" in words
    assert "TIDEMILL_ACCEPT_CATALOG_LOSS=1" in words and "tidemill key create" in words
    assert not list(data.glob("catalog.sqlite*")), "nothing was made in its place"
    listed = cli("key", "create", "--data", str(data), "--tenant", "default", "--scope", "admin")
    assert listed.returncode == 2 and "is missing" in listed.stderr, "no command makes one either"
    with running_server(data, env=UNCONFIGURED | {"TIDEMILL_ACCEPT_CATALOG_LOSS": "1"}) as server:
        assert server.client.get("/v1/feeds").status_code == 401
        assert server.client.get("/v1/feeds", headers=headers).status_code == 401
        assert server.client.get("/v1/feeds", headers=key(data, "default")).status_code == 200
        assert "tidemill key create" in server.log.read_text()
    with running_server(data, env=UNCONFIGURED) as server:
        assert server.client.get("/v1/feeds").status_code == 401


def test_two_demonstrations_have_servers_of_their_own(tmp_path: Path) -> None:
    def urls(server: Server) -> set[str]:
        found = server.part("mill").environ()
        return {found[name] for name in UNCONFIGURED}

    def feeds(server: Server) -> set[str]:
        return {item["feed"] for item in server.client.get("/v1/sources").json()["items"] if item["payloads"]}

    env, both = UNCONFIGURED | {"TIDEMILL_DEMO": "true"}, {"telemetry", "meters"}
    with running_server(tmp_path / "one", env=env) as one, running_server(tmp_path / "two", env=env) as two:
        for server in (one, two):
            until(lambda server=server: feeds(server) == both, "the recipes poll what the demonstration serves")  # type: ignore[misc]
        assert len(urls(one) | urls(two)) == 4
