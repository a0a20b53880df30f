"""One cluster on this machine (`scripts/cluster.py`): three NATS nodes, two APIs, mill, store, worker and HAProxy."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import curl, sample, sources
from tests.support.nats import PROGRAM
from tests.support.server import Server, free_port

__all__ = ["curl", "sample", "sources"]
SCRIPT = Path(__file__).parents[2] / "scripts/cluster.py"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, int]) -> Iterator[Server]:
    """The cluster as its clients see it: through HAProxy."""
    if PROGRAM is None or shutil.which("haproxy") is None:
        pytest.skip("nats-server or haproxy is not installed here")
    env = {
        "TIDEMILL_SERIES_WAIT": "10",
        "TIDEMILL_TELEMETRY_URL": f"http://127.0.0.1:{sources['telemetry']}/",
        "TIDEMILL_METERS_URL": f"http://127.0.0.1:{sources['meters']}/meterdata/measurement",
    }
    folder, port, started = tmp_path_factory.mktemp("cluster"), free_port(), time.monotonic()
    command = [sys.executable, str(SCRIPT), "--data", str(folder), "--listen", f"127.0.0.1:{port}", "--no-traffic"]
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(command, env=os.environ | env, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        running = Server(url, port, folder / "data", process, 0.0, folder / "output", client)
        try:
            running.wait_ready()
            running.ready_s = time.monotonic() - started
            yield running
        finally:
            process.terminate()
            process.wait(60)
