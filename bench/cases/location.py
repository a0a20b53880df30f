"""Case: PUT /location from 32 connections."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.server import Server, running_server

from bench.figures import Figure
from bench.load import Request, request, run_load

USERS = 1_000


def fixes(count: int, first: int = 0) -> Iterator[Request]:
    """Fixes of 1,000 users, one a second each, all distinct."""
    for number in itertools.islice(itertools.count(first), count):
        step, user = divmod(number, USERS)
        minute, second = divmod(step, 60)
        body = (
            f'{{"timestamp": "2017-01-01 {13 + minute // 60:02d}:{minute % 60:02d}:{second:02d}", '
            f'"lat": {40.7 + user % 50 / 1000}, "long": -73.{916 + user % 50}, "accuracy": 11.3, '
            f'"speed": 1.{step % 10}, "user_id": "u{user}"}}'
        )
        yield request("PUT", "/location", body.encode(), "Content-Type: application/json\r\n")


def wait_applied(server: Server, total: int, timeout_s: float) -> float:
    """Seconds until `total` payloads of the location feed are applied."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        if applied(server) >= total:
            return time.monotonic() - started
        time.sleep(0.05)
    raise TimeoutError(f"{applied(server)} of {total} applied after {timeout_s} s")


def applied(server: Server) -> int:
    """The number of accepted records: each has a point of the field `lat`."""
    items = server.client.get("/v1/series?feed=location&field=lat&limit=1000").json()["items"]
    return sum(item["count"] for item in items)


def measure_location(folder: Path, *, quick: bool) -> list[Figure]:
    """32 connections, closed loop, the mill applying at the same time; every request durable before its answer."""
    count = 20_000 if quick else 150_000
    with running_server(folder / "data") as server:
        run_load("127.0.0.1", server.port, fixes(2_000), connections=32)
        result = run_load("127.0.0.1", server.port, fixes(count, 2_000), connections=32)
        print(f"   {result.line()}")
        behind_s = wait_applied(server, count + 2_000, 120)
        rate = result.statuses.get(200, 0) / result.wall_s
    return [
        Figure("durable requests", rate, "/s", 5_000, at_most=False),
        Figure("p99", result.quantile_ms(0.99), "ms", 20),
        Figure("answers other than 200, broken connections", count - result.statuses.get(200, 0), "", 0),
        Figure("all applied after the last answer", behind_s, "s"),
    ]
