"""Case: one series of a million samples."""

import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from tests.support.server import running_server

from bench.figures import Figure


def measure_series(folder: Path, *, quick: bool) -> list[Figure]:
    """1,000,000 samples: stored, applied and read back in full, as Arrow and as JSON; then the small requests."""
    count = 100_000 if quick else 1_000_000
    values = np.random.default_rng(1).normal(size=count).tolist()
    figures = []
    with running_server(folder / "data") as server:
        for fmt, target in (("arrow", 3.0), ("json", 6.0)):
            body = msgspec.json.encode(
                {"name": f"pump {fmt}", "start": "2026-01-01T00:00:00Z", "sample_rate_hz": 25600, "values": values}
            )
            started = time.monotonic()
            answer = server.client.post("/v1/series", content=body)
            stored_s = time.monotonic() - started
            if answer.status_code == 202:
                server.wait_applied(answer.json()["receipt"]["id"])
            applied_s = time.monotonic() - started
            back = server.client.get(f"/v1/series/{answer.json()['id']}?format={fmt}")
            total_s = time.monotonic() - started
            read = pl.read_ipc_stream(back.content)["value"].to_list() if fmt == "arrow" else back.json()["values"]
            if read != values:
                raise AssertionError(f"{fmt}: the series read differs from the series sent")
            print(f"   {fmt}: answer {stored_s:.2f} s, applied {applied_s:.2f} s, read {total_s - applied_s:.2f} s")
            figures.append(Figure(f"store + apply + read back ({fmt})", total_s, "s", target))
        started = time.monotonic()
        server.client.get(f"/v1/series/{answer.json()['id']}/metrics").raise_for_status()
        figures.append(Figure("metrics of a million samples", (time.monotonic() - started) * 1000, "ms", 350))
        started = time.monotonic()
        server.client.delete(f"/v1/series/{answer.json()['id']}").raise_for_status()
        figures.append(Figure("delete", (time.monotonic() - started) * 1000, "ms", 350))
    return figures
