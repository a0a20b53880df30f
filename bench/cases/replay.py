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


def run(folder: Path, *, quick: bool) -> list[Figure]:
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
        dry_s, found = replay(server, dry_run=True)
        assert (found["newly_accepted_total"], found["newly_rejected_total"]) == (rejected[0] - rejected[1], 0), found
        assert found["accepted_after"] == count - rejected[1]
        print(f"   {found['newly_accepted_total']} newly accepted, {found['windows_changed']} windows would change")
        real_s, same = replay(server, dry_run=False)
        assert same == found
        summary = server.client.get("/v1/rejections/summary?feed=pumps").json()
        assert summary["total"] == rejected[1], summary
    return [
        Figure("dry run of a replay, 1,000,000 records", dry_s, "s", None if quick else 15),
        Figure("the replay itself, published", real_s, "s"),
    ]


def put_feed(server: Server, highest: int) -> None:
    """The feed, with a range up to `highest`."""
    server.client.put("/v1/feeds/pumps", content=FEED.replace("MAX", str(highest))).raise_for_status()


def payloads(values: Any) -> Iterator[bytes]:
    """The bodies: every pump in turn, a record a second."""
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
    asked = {"feed": "pumps", "start": "2020-01-01T00:00:00Z", "dry_run": dry_run}
    one = server.client.post("/v1/replays", json=asked).raise_for_status().json()
    while one["state"] not in ("done", "failed"):
        one = server.client.get(f"/v1/replays/{one['id']}", headers={"Prefer": "wait=5"}).json()
    assert one["state"] == "done", one
    return time.monotonic() - started, one["difference"]
