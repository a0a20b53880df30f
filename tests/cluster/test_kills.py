"""Any part of the cluster is killed under load: nothing acknowledged is lost, and nothing is stored twice."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.server import CLOSED_PORT, Server, free_port
from tidemill.backup.take import take_backup
from tidemill.errors import BackupError

pytestmark = pytest.mark.slow
FULL = os.environ.get("TIDEMILL_TEST_ROUNDS") == "full"
KILLS = ("api", "store", "mill", "haproxy", "nats-server") * (10 if FULL else 1)


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


def process_of(server: Server, name: str) -> psutil.Process:
    """A process of the cluster by its program, or by its role."""
    for child in psutil.Process(server.process.pid).children():
        command = child.cmdline()
        if command and (Path(command[0]).name == name or command[2:4] == ["tidemill.cli", name]):
            return child
    raise LookupError(name)


def test_a_killed_part_loses_and_doubles_nothing(server: Server) -> None:
    logged = server.client.get("/readyz").json()["log"]["last_seq"]
    with Load(server.url, "killed") as load:
        for role in KILLS:
            before, process = load.sent, process_of(server, role)
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
    # Two messages of the stream for each fix: the record of its key, and the fix.
    assert server.client.get("/readyz").json()["log"]["last_seq"] == logged + 2 * load.sent, "a fix was stored twice"


def refusal(data: Path, log: str) -> str:
    """What `tidemill api` says when it does not start on a folder with a log."""
    command = [sys.executable, "-m", "tidemill.cli", "api", "--data", str(data), "--listen", f"127.0.0.1:{free_port()}"]
    env = os.environ | {"TIDEMILL_LOG": log}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_two_installations_do_not_share_a_log_nor_a_folder_two_logs(server: Server, tmp_path: Path) -> None:
    log = process_of(server, "api").environ()["TIDEMILL_LOG"]
    assert "is for another installation" in refusal(tmp_path / "other", log)
    assert f"The log of {server.data}" in refusal(server.data, log.replace("/tidemill?", "/another?"))
    assert f"The log of {server.data} is over NATS" in refusal(server.data, "")
    with pytest.raises(BackupError, match="is over NATS"):
        take_backup(server.data, tmp_path / "backup", nullcontext)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("http://127.0.0.1:4222", "must"),
        (f"nats://127.0.0.1:{CLOSED_PORT}/tidemill?monitor=http://127.0.0.1:{CLOSED_PORT}", "TIDEMILL_LOG="),
    ],
)
def test_a_wrong_or_silent_log_is_refused_in_words_that_say_what_to_do(log: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(tmp_path / "data", log)
