"""Case: forecasts of 5,000 points over HTTP, idle and while payloads arrive."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from tests.support.server import Server, running_server

from bench.cases.location import fixes
from bench.figures import Figure
from bench.load import Result, request, run_load

POINTS = 5_000
HORIZON = 24
NEW_A_SECOND = 3.0  # a machine with two cores makes about ten
PAYLOADS_A_SECOND = 1_000 / 60
WARM_S = 8.0  # the server warms its processes after five


def measure_forecast_latency(folder: Path, *, quick: bool) -> list[Figure]:
    """First and kept answers of 5,000 points, horizon 24; memory of the process; event loop; stored and scored ones."""
    count = 20 if quick else 100
    with running_server(folder / "data") as server:
        series = create(server)
        time.sleep(WARM_S)
        numbers = itertools.count()

        def first() -> bytes:
            return request("GET", f"/v1/series/{series}/forecast?horizon={HORIZON}&minimum=-{1000 + next(numbers)}")

        kept = request("GET", f"/v1/series/{series}/forecast?horizon={HORIZON}")
        alive = request("GET", "/healthz")
        run(server, [kept], connections=1)
        idle = run(server, times(count, first), connections=1)
        kept_idle = run(server, [kept] * 10 * count, connections=1)
        lag_idle = run(server, [alive] * 5 * count, rate=50)
        seconds = count / NEW_A_SECOND
        with beside(server, times(count, first), NEW_A_SECOND):
            lag = run(server, [alive] * 5 * count, rate=5 * count / seconds)
        with beside(server, fixes(int(2 * seconds * PAYLOADS_A_SECOND)), PAYLOADS_A_SECOND):
            loaded = run(server, times(count, first), rate=NEW_A_SECOND)
            kept_loaded = run(server, [kept] * 5 * count, rate=5 * count / seconds)
        memory_mib = max(child.memory_full_info().uss for child in processes(server)) / 2**20
        worker_mib = min(child.memory_full_info().uss for child in processes(server)) / 2**20
        stored_ms, scored_ms = stored(server, series, count)
    for name, result in (
        ("first", idle),
        ("first, loaded", loaded),
        ("kept", kept_idle),
        ("kept, loaded", kept_loaded),
    ):
        print(f"   {name}: {result.line()}")
    return [
        Figure("first answer p99, idle", idle.quantile_ms(0.99), "ms", 250),
        Figure("first answer p99, 1,000 payloads a minute", loaded.quantile_ms(0.99), "ms", 350),
        Figure("kept answer p99, idle", kept_idle.quantile_ms(0.99), "ms", 20),
        Figure("kept answer p99, 1,000 payloads a minute", kept_loaded.quantile_ms(0.99), "ms", 20),
        Figure(
            "event loop p99 above idle, while fitting", lag.quantile_ms(0.99) - lag_idle.quantile_ms(0.99), "ms", 10
        ),
        Figure("memory of the process that forecasts", worker_mib, "MiB", 60),
        Figure("memory of the process of other analyses", memory_mib, "MiB"),
        Figure("store a forecast, p99", stored_ms, "ms", 350),
        Figure("score a forecast, p99", scored_ms, "ms", 350),
    ]


def create(server: Server) -> str:
    """A load with a day, a week and noise; returns the id of its series."""
    at = np.arange(POINTS)
    day = 1 + np.clip(np.sin((at % 24 - 8) * np.pi / 12), 0, None)
    values = day * np.where(at // 24 % 7 < 5, 1.0, 0.7) + np.random.default_rng(1).normal(0, 0.05, POINTS)
    signal = {"name": "load", "start": "2026-01-01T00:00:00Z", "interval": "1h", "values": values.round(4).tolist()}
    answer = server.client.post("/v1/series", json=signal, headers={"Prefer": "wait=30"})
    return str(answer.json()["id"])


def times(count: int, make: Callable[[], bytes]) -> Iterator[bytes]:
    return (make() for _ in range(count))


def run(server: Server, requests: Iterable[bytes], *, rate: float | None = None, connections: int = 8) -> Result:
    """The result of a load whose every answer is good."""
    result = run_load("127.0.0.1", server.port, iter(requests), connections=connections, rate=rate)
    assert set(result.statuses) <= {200, 202} and not result.failures, result.line()
    return result


@contextmanager
def beside(server: Server, requests: Iterable[bytes], rate: float) -> Iterator[None]:
    """Make these requests at the same time; ends when both have ended."""
    thread = threading.Thread(target=run, args=(server, requests), kwargs={"rate": rate})
    thread.start()
    try:
        yield
    finally:
        thread.join()


def processes(server: Server) -> list[psutil.Process]:
    """The processes that compute for the API."""
    return [child for child in server.part("api").children() if "tidemill.processes.child" in child.cmdline()]


def stored(server: Server, series: str, count: int) -> tuple[float, float]:
    """p99 (ms) of storing a forecast whose answer is kept, and of its score."""
    made, scored = [], []
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        for _ in range(count):
            started = time.perf_counter()
            answer = client.post(
                "/v1/forecasts", json={"series": series, "horizon": HORIZON}, headers={"Prefer": "wait=30"}
            )
            made.append(time.perf_counter() - started)
            started = time.perf_counter()
            client.get(answer.raise_for_status().json()["links"]["score"]).raise_for_status()
            scored.append(time.perf_counter() - started)
    return float(np.quantile(made, 0.99)) * 1000, float(np.quantile(scored, 0.99)) * 1000
