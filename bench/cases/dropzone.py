"""Case: dropzone files at 1,000 a second."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from tests.support.server import Server, running_server

from bench.figures import Figure
from bench.load import Request, request, run_load

RATE = 1_000
START = datetime(2019, 5, 1, tzinfo=UTC)


def files(count: int, seed: int = 1) -> Iterator[Request]:
    """Files of 100 numbers, each at its own instant, sent as curl -d sends them."""
    random = np.random.default_rng(seed)
    for number in range(count):
        stamp = (START + timedelta(seconds=number)).isoformat()
        body = msgspec.json.encode({"time_stamp": stamp, "data": random.normal(1.5, 0.8, 100).tolist()})
        yield request("POST", "/v1/feeds/dropzone", body, "Content-Type: application/x-www-form-urlencoded\r\n")


def rows(server: Server) -> int:
    items = server.client.get("/v1/series?feed=dropzone&field=count").json()["items"]
    return sum(item["count"] for item in items)


def measure_dropzone(folder: Path, *, quick: bool) -> list[Figure]:
    """60 s at 1,000 requests/s, 100 numbers each; all applied within 5 s of the last, none lost or doubled."""
    seconds = 10 if quick else 60
    prepared = list(files(RATE * seconds))
    with running_server(folder / "data") as server:
        result = run_load("127.0.0.1", server.port, iter(prepared), connections=64, rate=RATE)
        ended = time.monotonic()
        print(f"   {result.line()}")
        while rows(server) < len(prepared) and time.monotonic() - ended < 60:
            time.sleep(0.05)
        behind_s, stored = time.monotonic() - ended, rows(server)
        rejected = server.client.get("/v1/rejections/summary?feed=dropzone").json()["total"]
    return [
        Figure("answers other than 202", len(prepared) - result.statuses.get(202, 0), "", 0),
        Figure("p99", result.quantile_ms(0.99), "ms", 50),
        Figure("all applied after the last answer", behind_s, "s", 5),
        Figure("lost", len(prepared) - stored, "", 0),
        Figure("doubled (rejected or more rows than sent)", rejected + max(0, stored - len(prepared)), "", 0),
    ]
