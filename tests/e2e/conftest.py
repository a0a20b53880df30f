"""One real server for the contract stories; each story uses its own instants, users or names."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, free_port, running_server


@pytest.fixture(scope="session")
def sources() -> dict[str, int]:
    """Ports on which a test may start its data server and its metering API; the server polls them from the start."""
    return {"telemetry": free_port(), "meters": free_port()}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, int]) -> Iterator[Server]:
    env = {
        "TIDEMILL_SERIES_WAIT": "10",  # a busy machine is no reason for a 202
        "TIDEMILL_TELEMETRY_URL": f"http://127.0.0.1:{sources['telemetry']}/",
        "TIDEMILL_METERS_URL": f"http://127.0.0.1:{sources['meters']}/meterdata/measurement",
    }
    with running_server(tmp_path_factory.mktemp("e2e") / "data", env=env) as running:
        yield running


@pytest.fixture
def curl(server: Server) -> Callable[..., tuple[int, str]]:
    """Run plain curl against the server, as a person would type it; returns (status, body)."""

    def run(*arguments: str) -> tuple[int, str]:
        *options, path = arguments
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "-w",
                "\n%{http_code}",
                *options,
                f"{server.url}{path}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    return run


@pytest.fixture
def sample() -> Path:
    return Path(__file__).parents[2] / "examples" / "dropzone" / "file.json"
