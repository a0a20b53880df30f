"""Case: a million records replayed after a rule was mended."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tests.support.server import Server, running_server

from bench.figures import Figure

PAYLOAD = 1_000  # records
PUMPS = 50
FEED = """
name = "pumps"
[input]
on_fault = "reject"
[time]
path = "$.t"
format = "unix_s"
[tags.pump]
path = "$.pump"
[fields.pressure]
path = "$.pressure"
[rollups]
every = "1m"
[[rules]]
check = "range"
options = { field = "pressure", min = 0, max = MAX }
[[rules]]
check = "max_future"
options = { max_future = "1d" }
"""


def measure_replay(folder: Path, *, quick: bool) -> list[Figure]:
    """1,000,000 records of 50 pumps, some 5 % above the range: the range is widened, a dry run, then the replay."""
    count = 50_000 if quick else 1_000_000
    values = np.random.default_rng(1).normal(6.0, 2.43, count).round(3)
    rejected = [int(((values < 0) | (values > highest)).sum()) for highest in (10, 12)]
    with running_server(folder / "data") as server:
        put_feed(server, 10)
        receipt = ""
        for body in payloads(values):
            answer = server.client.post("/v1/feeds/pumps", content=body).raise_for_status()
            receipt = answer.json()["id"]
        server.wait_applied(receipt, timeout_s=300)
        put_feed(server, 12)
        dry_s, planned = replay(server, dry_run=True)
        newly = (planned["newly_accepted_total"], planned["newly_rejected_total"])
        assert newly == (rejected[0] - rejected[1], 0), planned
        assert planned["accepted_after"] == count - rejected[1]
        print(f"   {planned['newly_accepted_total']} newly accepted, {planned['windows_changed']} windows would change")
        real_s, published = replay(server, dry_run=False)
        assert published == planned
        summary = server.client.get("/v1/rejections/summary?feed=pumps").json()
        assert summary["total"] == rejected[1], summary
    return [
        Figure("dry run of a replay, 1,000,000 records", dry_s, "s", None if quick else 15),
        Figure("the replay itself, published", real_s, "s"),
    ]


def put_feed(server: Server, highest: int) -> None:
    """Apply the feed with a range up to `highest`."""
    server.client.put("/v1/feeds/pumps", content=FEED.replace("MAX", str(highest))).raise_for_status()


def payloads(values: Any) -> Iterator[bytes]:
    """Yields the bodies: every pump in turn, a record a second."""
    start = 1_700_000_000
    for first in range(0, len(values), PAYLOAD):
        yield msgspec.json.encode(
            [
                {"t": start + number // PUMPS, "pump": f"p{number % PUMPS}", "pressure": value}
                for number, value in enumerate(values[first : first + PAYLOAD].tolist(), first)
            ]
        )


def replay(server: Server, *, dry_run: bool) -> tuple[float, dict[str, Any]]:
    """Replay everything; the seconds from the request to the answer, and the difference."""
    started = time.monotonic()
    request = {"feed": "pumps", "start": "2020-01-01T00:00:00Z", "dry_run": dry_run}
    job = server.client.post("/v1/replays", json=request).raise_for_status().json()
    while job["state"] not in ("done", "failed"):
        job = server.client.get(f"/v1/replays/{job['id']}", headers={"Prefer": "wait=5"}).json()
    assert job["state"] == "done", job
    return time.monotonic() - started, job["difference"]
