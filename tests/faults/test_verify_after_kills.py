"""A server is killed under the load of two feeds, and `tidemill verify` finds nothing amiss."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import apsw
import httpx
import psutil
import pytest

from tests.faults.test_processes import Sender
from tests.support.proof import prove
from tests.support.server import free_port, running_server
from tidemill.cli.offline import open_store
from tidemill.errors import StartupError


def verify(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidemill.cli", "verify", *options]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)


class DataServer:
    """The data server of `tidemill simulate`, on a free port."""

    def __init__(self, rate: int) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "tidemill.cli", "simulate", "data-server", "--port", port]
        self.process = subprocess.Popen([*command, "--rate", str(rate)], stdout=subprocess.DEVNULL)

    def handed_out(self) -> int:
        return int(httpx.get(f"{self.url}/tally", trust_env=False).json()["handed_out"])

    def __enter__(self) -> "DataServer":
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.handed_out()
                return self
            except httpx.HTTPError:
                time.sleep(0.05)
        raise TimeoutError("the data server did not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_after_kills_under_load_everything_adds_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with DataServer(rate=200) as source:
        environment = {"TIDEMILL_TELEMETRY_URL": source.url}
        with running_server(data, env=environment | {"TIDEMILL_CRASH_AT": "mill.after_points:4"}) as server:
            with Sender(server, "place"):
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline and '"status":-9' not in server.log.read_text():
                    time.sleep(0.05)
                server.wait_ready()
                server.kill("store")
                server.wait_ready()
                children = psutil.Process(server.process.pid).children()
                server.process.kill()  # the whole house goes dark with the load still on
                server.process.wait()
            psutil.wait_procs(children, timeout=10)
            assert '"status":-9' in server.log.read_text()
        dark = verify("--data", str(data), "--json")
        assert dark.returncode == 0, dark.stdout + dark.stderr
        with running_server(data, env=environment) as server:
            before = json.loads(dark.stdout)["totals"]
            deadline = time.monotonic() + 20
            while (report := prove(server.client))["totals"]["payloads"] < before["payloads"] + before["waiting"]:
                assert time.monotonic() < deadline, report
            with pytest.raises(StartupError, match=f"pid {server.process.pid}"), open_store(data):
                pass
            asked = verify("--url", server.url)
            assert asked.returncode == 0, asked.stdout + asked.stderr
            assert "Everything adds up." in asked.stdout
            nowhere = server.client.get("/v1/verify", params={"feed": "nope"})
            assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
        assert source.handed_out() > 0
    after = report["totals"]
    assert 0 < after["records"] == after["accepted"] + after["rejected"]
    broken(data)


def broken(data: Path) -> None:
    """What does not add up ends the command with 1."""
    connection = apsw.Connection(str(data / "log" / "log.sqlite"))
    [(receipt,)] = connection.execute("SELECT receipt FROM entries ORDER BY seq LIMIT 1")
    connection.execute("UPDATE entries SET sha256 = zeroblob(32), seal = NULL WHERE receipt = ?", (receipt,))
    connection.close()
    done = verify("--data", str(data))
    assert done.returncode == 1, done.stderr
    assert f"log_differs: {receipt}: sha256" in done.stdout
    assert "This does not add up." in done.stdout
    unknown = verify("--data", str(data), "--tenant", "nobody")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "There is no tenant 'nobody' to verify." in unknown.stderr


def test_nothing_to_verify_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no Tidemill data"), open_store(tmp_path):
        pass
