"""Crash is an input: every process of a running server is killed, and nothing acknowledged is lost or doubled."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.proof import prove
from tests.support.server import Server, free_port, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("faults") / "data") as running:
        yield running


def fix(user: str, second: int) -> dict[str, object]:
    stamp = f"2017-01-01 {10 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return {"timestamp": stamp, "lat": 40.7, "long": -73.9, "accuracy": 5, "speed": 1.5, "user_id": user}


class Sender(threading.Thread):
    """Sends one user's distinct fixes until stopped; remembers the receipts of those that were acknowledged."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(daemon=True)
        self.server, self.user = server, user
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self.broken = 0
        self.sent = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.server.url, timeout=20, trust_env=False) as client:
            while not self.stopping.is_set():
                body = fix(self.user, self.sent)
                self.sent += 1
                try:
                    answer = client.put("/location", json=body)
                except httpx.HTTPError:
                    self.broken += 1
                    continue
                if answer.status_code == 200:
                    self.acknowledged.append(answer.json()["id"])
                else:
                    self.refused.append(answer.status_code)
                time.sleep(0.005)

    def __enter__(self) -> "Sender":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join()


def account(server: Server, sender: Sender) -> None:
    """Every acknowledged fix is one accepted record, and the averages count no more than was sent."""
    for receipt in sender.acknowledged:
        outcome = server.wait_applied(receipt)
        assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("applied", 1, 0), outcome
    rows = server.client.get("/v1/feeds/location/rollups", params={"user_id": sender.user, "limit": 1000}).json()
    stored = sum(row["count"] for row in rows)
    assert len(sender.acknowledged) <= stored <= sender.sent
    assert stored - len(sender.acknowledged) <= sender.broken + len(sender.refused)
    prove(server.client)


def test_a_crash_of_the_store_harms_no_acknowledgement(server: Server) -> None:
    with Sender(server, "segv") as sender:
        time.sleep(0.5)
        server.part("store").send_signal(signal.SIGSEGV)
        killed = time.monotonic()
        refusals = []
        while time.monotonic() - killed < 10:
            answer = server.client.get("/v1/series?limit=1")
            if answer.status_code == 200:
                break
            refusals.append(answer)
            time.sleep(0.02)
        back_s = time.monotonic() - killed
        time.sleep(0.5)
    assert answer.status_code == 200
    assert back_s < 6  # 3 s on a quiet machine; `make bench` measures it
    assert refusals, "the store was not seen down"
    for refusal in refusals:
        assert refusal.status_code == 503
        assert refusal.headers["content-type"] == "application/problem+json"
        assert int(refusal.headers["retry-after"]) >= 1
    assert sender.refused == []
    assert sender.broken == 0
    account(server, sender)


@pytest.mark.parametrize("role", ["api", "mill", "store"])
def test_sigkill_loses_and_doubles_nothing(server: Server, role: str) -> None:
    with Sender(server, f"kill-{role}") as sender:
        for _ in range(3):
            time.sleep(0.4)
            server.kill(role)
            server.wait_ready()
        time.sleep(0.2)
    assert len(sender.acknowledged) > 20
    account(server, sender)


@pytest.mark.parametrize(
    "place",
    [
        "log.before_commit:20",
        "log.after_commit:20",
        "mill.before_insert:3",
        "mill.after_points:3",
        "mill.after_insert:3",
        "mill.after_checkpoint:3",
    ],
)
def test_a_crash_at_each_named_place_loses_and_doubles_nothing(tmp_path: Path, place: str) -> None:
    with running_server(tmp_path / "data", env={"TIDEMILL_CRASH_AT": place}) as server:
        with Sender(server, "place") as sender:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and '"status":-9' not in server.log.read_text():
                time.sleep(0.1)
            server.wait_ready()
            time.sleep(0.5)
        assert '"status":-9' in server.log.read_text(), f"nothing crashed at {place}"
        account(server, sender)


def test_what_was_acknowledged_before_a_restart_is_there_after_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, Sender(server, "again") as sender:
        time.sleep(1)
        sender.stopping.set()
        sender.join()
        assert server.stop() == 0
    with running_server(tmp_path / "data") as server:
        account(server, sender)


def test_sigterm_ends_every_process_in_time(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, Sender(server, "term"):
        time.sleep(0.5)
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) == 3
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10
        assert not [child for child in children if child.is_running()]


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
    with running_server(tmp_path / "data") as server:
        assert server.client.get("/v1/series").status_code == 200


def test_a_hung_process_is_found_and_replaced(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", env={"TIDEMILL_SILENCE": "3"}) as server:
        hung = server.part("api")
        hung.suspend()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and hung.is_running():
            time.sleep(0.1)
        server.wait_ready()
        assert server.part("api").pid != hung.pid


def serve(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidemill.cli", "serve", "--data", str(data), *options]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=30, env=os.environ | {"NO_COLOR": "1"}
    )


def test_a_second_server_on_the_same_folder_is_refused_with_the_pid(server: Server) -> None:
    done = serve(server.data, "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert f"pid {server.process.pid}" in done.stderr


def test_a_taken_port_is_said(server: Server, tmp_path: Path) -> None:
    done = serve(tmp_path, "--listen", f"127.0.0.1:{server.port}")
    assert done.returncode == 2
    assert "--listen" in done.stderr


def test_serving_beyond_loopback_needs_a_key(tmp_path: Path) -> None:
    done = serve(tmp_path, "--listen", f"0.0.0.0:{free_port()}")
    assert done.returncode == 2
    assert "tidemill key create" in done.stderr


def test_a_key_closes_open_access_and_tenants_never_meet(tmp_path: Path) -> None:
    def key(tenant: str, scope: str) -> str:
        command = [sys.executable, "-m", "tidemill.cli", "key", "create", "--data", str(tmp_path / "data")]
        done = subprocess.run(
            [*command, "--tenant", tenant, "--scope", scope], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout.strip()

    with running_server(tmp_path / "data") as server:
        assert server.client.get("/v1/series").status_code == 200
        keys = {name: key(name, "read,write,admin") for name in ("acme", "beta")}
        reader = key("acme", "read")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and server.client.get("/v1/series").status_code != 401:
            time.sleep(0.05)
        assert server.client.get("/v1/series").status_code == 401
        assert server.client.put("/location", json=fix("a1", 0)).status_code == 401
        heads = {name: {"Authorization": f"Bearer {secret}"} for name, secret in keys.items()}
        answer = server.client.put("/location", json=fix("a1", 0), headers=heads["acme"] | {"Prefer": "wait=10"})
        assert answer.json()["state"] == "applied"
        receipt = answer.json()["id"]
        path = f"/v1/receipts/{receipt}"
        assert server.client.get(path, headers=heads["acme"]).status_code == 200
        foreign, absent = (
            server.client.get(p, headers=heads["beta"]).json()
            for p in (path, "/v1/receipts/01a200c8-f53e-70d0-a7b4-c303ba909bc7")
        )
        assert json.dumps(foreign).replace(receipt, "") == json.dumps(absent).replace(
            "01a200c8-f53e-70d0-a7b4-c303ba909bc7", ""
        )
        assert server.client.get("/v1/series", headers=heads["beta"]).json()["items"] == []
        assert len(server.client.get("/v1/series", headers={"X-API-Key": reader}).json()["items"]) == 4
        assert server.client.put("/location", json=fix("a1", 1), headers={"X-API-Key": reader}).status_code == 403
        assert server.client.get("/v1/rejections", headers={"X-API-Key": reader}).status_code == 403
        assert server.client.get("/v1/series", headers={"X-API-Key": "tm_wrong"}).status_code == 401
