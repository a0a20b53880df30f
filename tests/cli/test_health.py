"""`tidemill health`, as a container's health check calls it."""

from pathlib import Path

from tests.cli.test_app import tidemill
from tests.support.server import CLOSED_PORT, running_server


def test_a_server_that_is_ready_is_0_and_one_that_is_not_there_is_1(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        done = tidemill("health", "--url", server.url)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ready"), done.stderr
    done = tidemill("health", TIDEMILL_URL=f"http://127.0.0.1:{CLOSED_PORT}")
    assert done.returncode == 1 and "--url or TIDEMILL_URL" in done.stderr


def test_a_server_that_takes_nothing_is_1(tmp_path: Path) -> None:
    """Its guard of free disk wants more than any disk has."""
    with running_server(tmp_path / "data", ready=False, env={"TIDEMILL_MIN_FREE_BYTES": str(1 << 60)}) as server:
        server.wait_ready(60, enough=(503,))
        done = tidemill("health", "--url", server.url)
        assert done.returncode == 1 and "not ready" in done.stdout, done.stdout + done.stderr
