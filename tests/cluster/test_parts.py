"""Store, mill, API and worker, each by itself on one data folder: killed under load, drained, refused in words."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server, free_port, running_server

pytestmark = pytest.mark.slow
FULL = os.environ.get("TIDEMILL_TEST_ROUNDS") == "full"
KILLS = ("store", "mill", "api") * (10 if FULL else 1)


class Load:
    """Sends fixes of one user, one a second of the feed's time, each until it is acknowledged."""

    def __init__(self, url: str, user: str) -> None:
        self._url, self._user = url, user
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "a fix was never acknowledged"

    def _send(self) -> None:
        with httpx.Client(base_url=self._url, timeout=10, trust_env=False) as client:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                self._until_acknowledged(client, number)
                self.sent = number + 1

    def _until_acknowledged(self, client: httpx.Client, number: int) -> None:
        fix = {
            "timestamp": f"2017-01-01 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
            "lat": 40.701,
            "long": -73.916,
            "accuracy": 11.3,
            "speed": 1.4,
            "user_id": self._user,
        }
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                answer = client.put("/location", json=fix, headers={"Idempotency-Key": f"{self._user}-{number}"})
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.is_success:
                return
            assert answer.status_code == 503, answer.text
        raise TimeoutError(f"fix {number} was not acknowledged")


def counted(server: Server, user: str) -> int:
    rollups = server.client.get("/v1/feeds/location/rollups", params={"user_id": user})
    return sum(row["count"] for row in rollups.json()) if rollups.status_code == 200 else 0


def part(*arguments: str, data: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tidemill.cli", *arguments, "--data", str(data)]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)


def test_a_killed_part_loses_and_doubles_nothing(server: Server) -> None:
    logged = server.client.get("/readyz").json()["log"]["last_seq"]
    with Load(server.url, "killed") as load:
        for role in KILLS:
            before, process = load.sent, server.part(role)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            deadline = time.monotonic() + 60
            while load.sent < before + 20:
                assert time.monotonic() < deadline, f"nothing is acknowledged after the {role} was killed"
                time.sleep(0.05)
    deadline = time.monotonic() + 60
    while counted(server, "killed") < load.sent:
        assert time.monotonic() < deadline, f"{counted(server, 'killed')} of {load.sent} fixes are readable"
        time.sleep(0.1)
    assert counted(server, "killed") == load.sent
    assert server.client.get("/readyz").json()["log"]["last_seq"] == logged + load.sent, "a fix was stored twice"


def test_the_folder_is_not_served_twice(server: Server) -> None:
    refused = part("serve", "--listen", f"127.0.0.1:{free_port()}", data=server.data)
    assert refused.returncode == 2 and "serve.lock" in refused.stderr, refused.stderr
    for role in ("store", "mill", "worker"):
        refused = part(role, data=server.data)
        assert refused.returncode == 2, refused.stderr
        assert "in use by another Tidemill process" in refused.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nats://a:4222", "must be http://tidemill:PASSWORD@HOST:PORT/DATABASE"),
        ("http://tidemill:s3cret@127.0.0.1:99999/x", "Port out of range"),
        ("http://tidemill@127.0.0.1:8123/x", "has no password"),
        ("http://other:s3cret@127.0.0.1:8123/x", "The user of `tidemill store` is tidemill"),
    ],
)
def test_a_wrong_url_of_the_store_is_refused_without_its_password(url: str, says: str, tmp_path: Path) -> None:
    refused = part("store", data=tmp_path, TIDEMILL_STORE=url)
    assert refused.returncode == 2 and says in refused.stderr, refused.stderr
    assert "s3cret" not in refused.stderr


def test_an_ending_api_is_not_ready_and_serves_what_still_comes(tmp_path: Path) -> None:
    port, password = free_port(), tmp_path / "password"
    password.write_text("of the store\n")
    env = {
        "TIDEMILL_DRAIN": "600",
        "TIDEMILL_STORE": f"http://tidemill@127.0.0.1:{port}/tidemill",
        "TIDEMILL_STORE_PASSWORD_FILE": str(password),
    }
    fix = {"timestamp": "2017-01-01 13:05:12", "lat": 1.5, "long": 2.5, "accuracy": 1.5, "speed": 1.5, "user_id": "a"}
    with running_server(tmp_path / "data", env=env, in_parts=True) as server:
        assert server.client.put("/location", json=fix, headers={"Prefer": "wait=30"}).status_code == 200
        api = server.part("api")
        api.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while (ready := server.client.get("/readyz")).status_code == 200:
            assert time.monotonic() < deadline, "it still says that it is ready"
        assert "is ending" in ready.json()["degraded"][0]
        late = server.client.put("/location", json=fix | {"user_id": "b"}, headers={"Prefer": "wait=30"})
        assert late.status_code == 200, late.text
        api.send_signal(signal.SIGTERM)  # the second one ends the drain
        api.wait(30)
