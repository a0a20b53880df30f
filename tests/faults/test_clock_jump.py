"""The clock of a whole server jumps by ten years: its log is not trimmed by age until a person says that the clock is
right. The jump is made by a time namespace: the first server believes that the machine has been up for ten years more.
"""

import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.test_processes import fix
from tests.support.server import Server, running_server
from tidemill.api.lifecycle import TRIM_EVERY_S

TEN_YEARS_S = 10 * 365 * 86_400
YEARS_EARLIER = ("unshare", "--time", "--boottime", str(TEN_YEARS_S), "--")
ENTRIES = 20
SHORT_KEEP = {"TIDEMILL_LOG_KEEP_S": "1"}


def can_jump() -> bool:
    """Whether this machine gives a process a time since boot of its own: a Linux namespace, made by root."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run([*YEARS_EARLIER, "cat", "/proc/uptime"], check=False, capture_output=True, text=True)
    return done.returncode == 0 and float(done.stdout.split()[0]) > TEN_YEARS_S


def state(server: Server) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = server.client.get("/readyz").json()
    return found


@pytest.mark.timeout(400)
@pytest.mark.skipif(not can_jump(), reason="needs unshare and the right to make a time namespace")
def test_a_server_whose_clock_jumped_by_years_trims_nothing_by_age_until_it_is_confirmed(tmp_path: Path) -> None:
    data, twin = tmp_path / "data", tmp_path / "twin"
    with running_server(data, through=YEARS_EARLIER) as server:
        for second in range(ENTRIES):
            answer = server.client.put("/location", json=fix("a", second))
            assert answer.status_code == 200, answer.text
        server.wait_applied(answer.json()["id"])
        assert state(server)["log"]["clock_doubt"] == ""
        assert server.stop() == 0
    shutil.copytree(data, twin, symlinks=True)
    confirmed = {"TIDEMILL_CLOCK_CONFIRMED": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    with running_server(data, env=SHORT_KEEP) as jumped, running_server(twin, env=SHORT_KEEP | confirmed) as trusted:
        deadline = time.monotonic() + 90
        while state(trusted)["log"]["first_seq"] == 1:
            assert time.monotonic() < deadline, "a clock that a person confirmed trims nothing"
            time.sleep(0.5)
        assert state(trusted)["degraded"] == []
        time.sleep(TRIM_EVERY_S)  # by now the other, which started first, has looked twice as well
        shown = state(jumped)
        assert shown["log"]["first_seq"] == 1, "the log was trimmed by a clock that jumped"
        [reason] = shown["degraded"]
        assert "the system's clock jumped by +3650.0 days" in reason
        assert "tidemill_clock_trusted 0" in jumped.client.get("/metrics").text
        answer = jumped.client.put("/location", json=fix("a", ENTRIES))
        assert jumped.wait_applied(answer.json()["id"])["state"] == "applied"
