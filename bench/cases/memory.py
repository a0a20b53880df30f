"""Case: start-up and idle memory."""

import time
from pathlib import Path

from tests.support.server import running_server

from bench.figures import Figure


def measure_memory(folder: Path, *, quick: bool) -> list[Figure]:
    """From the command to /readyz, and resident memory of all processes when nothing happens."""
    with running_server(folder / "data") as server:
        time.sleep(3)
        used = server.rss_mib()
        print("   " + ", ".join(f"{role} {mib:.0f} MiB" for role, mib in used.items()))
        return [
            Figure("start to ready", server.ready_s, "s", 5),
            Figure("resident memory, idle", sum(used.values()), "MiB", 700),
        ]
