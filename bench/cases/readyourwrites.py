"""Case: how long until a write can be read."""

import time
from pathlib import Path

import numpy as np
from tests.support.server import running_server

from bench.figures import Figure


def measure_read_your_writes(folder: Path, *, quick: bool) -> list[Figure]:
    """One fix at a time on an idle server: from sending to the outcome (`Prefer: wait`)."""
    took = []
    with running_server(folder / "data") as server:
        for number in range(30 if quick else 300):
            stamp = f"2017-01-01 13:{number // 60:02d}:{number % 60:02d}"
            fix = {"timestamp": stamp, "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 1, "user_id": "a"}
            started = time.perf_counter()
            answer = server.client.put("/location", json=fix, headers={"Prefer": "wait=5"})
            took.append((time.perf_counter() - started) * 1000)
            if answer.json()["state"] != "applied":
                raise AssertionError(answer.text)
            time.sleep(0.05)
    return [
        Figure("p50 of write, apply, read", float(np.quantile(took, 0.5)), "ms"),
        Figure("p99 of write, apply, read", float(np.quantile(took, 0.99)), "ms", 150),
    ]
