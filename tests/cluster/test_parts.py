"""Store, mill, API and worker, each by itself on one data folder: drained, and refused in words."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.server import free_port, running_server
from tidemill.errors import StartupError
from tidemill.parts import run_part
from tidemill.settings import Settings

pytestmark = pytest.mark.slow


def part(*arguments: str, data: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tidemill.cli", *arguments, "--data", str(data)]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)


def is_not_served_twice(data: Path) -> None:
    refused = part("serve", "--listen", f"127.0.0.1:{free_port()}", data=data)
    assert refused.returncode == 2 and "serve.lock" in refused.stderr, refused.stderr
    for role in ("store", "mill", "worker"):
        refused = part(role, data=data)
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
    with pytest.raises(StartupError) as refused:
        run_part("store", Settings(data=str(tmp_path), store=url))
    assert says in refused.value.message
    assert "s3cret" not in refused.value.message


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
        is_not_served_twice(server.data)
        api.send_signal(signal.SIGTERM)  # the second one ends the drain
        api.wait(30)
