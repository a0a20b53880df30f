"""Case: every kind of read on a store of 50 million points of 1,000 series, alone and under a mixed load."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
from tests.support.engine import running_engine
from tests.support.server import Server, running_server

from bench.cases.lineage import DEVICES, RECORDS, START, STEP_NS, fill_store, series_ids
from bench.cases.location import fixes
from bench.figures import Figure
from bench.load import run_load
from tidemill.model.ids import format_series
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

PAYLOADS = 500_000
FILL = ("points", "rollups")  # without payloads: the log has none
HOUR_S, DAY_S, MONTH_S = 3_600, 86_400, 30 * 86_400
READS_A_SECOND = 20.0
PAYLOADS_A_SECOND = 1_000 / 60
TARGET_MS = 350.0
MERGE_TIMEOUT_S = 300.0
IDLE_TARGETS_MS = {
    "one hour, raw": 6.0,
    "12 hours by minute": 6.0,
    "a month by hour": 25.0,
    "hour means of all series over a day": 150.0,
}
AGAIN_TARGETS_MS = {"one hour, raw": 1.5, "12 hours by minute": 1.5, "last value of all series": 10.0, "forecast": 20.0}
FEED = 'name = "fleet"\n[input]\n[time]\npath = "$.t"\n[tags.id]\npath = "$.id"\n[fields.f0]\npath = "$.f0"\n'
_ALL = series_ids()
NextPath = Callable[[], str]  # the path and query of the next request of a kind


@dataclass
class Latencies:
    """Latencies (ms) of a kind of read; `failures`: answers that are no success."""

    ms: list[float] = field(default_factory=list)
    failures: int = 0

    def quantile(self, q: float) -> float:
        """A quantile of the latencies, NaN for none."""
        return float(np.quantile(self.ms, q)) if self.ms else float("nan")


def measure_reads(folder: Path, *, quick: bool) -> list[Figure]:
    """p50 of each kind of read alone, of new requests and of the same again, then p99 of each under 20 mixed requests a
    second while payloads arrive."""
    payloads = PAYLOADS // (20 if quick else 1)
    with running_server(folder / "data") as server:  # which makes the catalog and the tables
        server.client.put("/v1/feeds/fleet", content=FEED).raise_for_status()
    with running_engine(folder / "data" / "store", database="tidemill") as address:
        fill_store(address, payloads, FILL)
        _wait_until_merged(address)
    with running_server(folder / "data") as server:
        kinds = kinds_of_reads(payloads // DEVICES * RECORDS * STEP_NS // NS_PER_S)
        count = 10 if quick else 100
        alone = {name: _alone(server, name, make, count) for name, make in kinds.items()}
        again = {name: _again(server, name, kinds[name](), count) for name in AGAIN_TARGETS_MS}
        mixed = _mixed(server, kinds, 20 if quick else 180)
    figures = [Figure(f"{name}, p50", alone[name].quantile(0.5), "ms", IDLE_TARGETS_MS.get(name)) for name in kinds]
    figures += [Figure(f"{name}, p99, mixed load", mixed[name].quantile(0.99), "ms", TARGET_MS) for name in kinds]
    figures += [
        Figure(f"{name}, asked again, p50", again[name].quantile(0.5), "ms", target)
        for name, target in AGAIN_TARGETS_MS.items()
    ]
    failures = sum(run.failures for run in [*alone.values(), *again.values(), *mixed.values()])
    return [*figures, Figure("answers that are no success", failures, "", 0)]


def _wait_until_merged(address: StoreAddress) -> None:
    """Wait until the engine merges no parts: what it does after a flood is no part of a read."""
    store = Store(address, queries={"merges": query("merges", "SELECT count() AS n FROM system.merges")})
    quiet, deadline = 0, time.monotonic() + MERGE_TIMEOUT_S
    while quiet < 5 and time.monotonic() < deadline:
        quiet = 0 if store.rows("merges")[0]["n"] else quiet + 1
        time.sleep(1)
    store.close()


def kinds_of_reads(length_s: int) -> dict[str, NextPath]:
    """Each kind of read with a function that makes its next request; the points go on for `length_s` seconds."""

    def of_series(kind: str, span_s: int = 0, **given: str) -> NextPath:
        return lambda: f"/v1/series/{_any_series()}{kind}?{urlencode({**_span(length_s, span_s), **given})}"

    def of_points(span_s: int, **given: str) -> NextPath:
        return lambda: f"/v1/points?{urlencode({'series': _any_series(), **_span(length_s, span_s), **given})}"

    def of_all(span_s: int, **given: str) -> NextPath:
        return lambda: f"/v1/points?{urlencode({'feed': 'fleet', **_span(length_s, span_s), **given})}"

    return {
        "one hour, raw": of_series("/points", HOUR_S),
        "newest point": of_series("/points", order="desc", limit="1"),
        "12 hours by minute": of_series("/points", 12 * HOUR_S, every="1m"),
        "a month by hour": of_series("/points", MONTH_S, every="1h"),
        "a month by hour, Zurich": of_series("/points", MONTH_S, every="1h", tz="Europe/Zurich"),
        "a month by day, Zurich": of_series("/points", MONTH_S, every="1d", tz="Europe/Zurich"),
        "hour means of all series over a day": of_all(DAY_S, every="1h", agg="mean"),
        "last value of all series": of_all(0, agg="last"),
        "evidence of a month, 1,200 columns": of_points(MONTH_S, points="1200"),
        "a month thinned by minmax": of_points(MONTH_S, points="1200", thin="minmax"),
        "metrics of a day": of_series("/metrics", DAY_S),
        "forecast": of_series("/forecast", DAY_S, horizon="24"),
        "autocorrelation of a day": of_series("/autocorrelation", DAY_S),
        "list of series": lambda: "/v1/series?limit=100&feed=fleet",
        "search of series": lambda: f"/v1/series?q=f{random.randrange(5)}&facets=field&extent=false",
        "count of series": lambda: "/v1/series/count",
        "newest receipts": lambda: "/v1/receipts?limit=50",
        "newest rejections": lambda: "/v1/rejections?limit=50",
        "feeds": lambda: "/v1/feeds",
    }


def _any_series() -> str:
    return format_series(random.choice(_ALL))


def _span(length_s: int, span_s: int) -> dict[str, str]:
    """Bounds of a span at a random hour; none where the span is 0."""
    if not span_s:
        return {}
    hours = max(1, (length_s - span_s) // HOUR_S)
    start = START + random.randrange(hours) * HOUR_S * NS_PER_S
    return {"start": format_instant(start), "end": format_instant(start + span_s * NS_PER_S)}


def _alone(server: Server, name: str, make: NextPath, count: int) -> Latencies:
    """So many requests of a kind, one after the other; three before do not count. Prints what they cost."""
    for _ in range(3):
        server.client.get(make())
    return _measured(server, name, make, count)


def _again(server: Server, name: str, path: str, count: int) -> Latencies:
    """The same request so many times, after it was answered once."""
    server.client.get(path)
    return _measured(server, f"{name}, asked again", lambda: path, count)


def _measured(server: Server, name: str, make: NextPath, count: int) -> Latencies:
    taken, before = Latencies(), _processor_s(server)
    for _ in range(count):
        _get(server.client, make(), time.perf_counter(), taken)
    spent = {role: (after - before[role]) / count * 1000 for role, after in _processor_s(server).items()}
    costs = ", ".join(f"{role} {ms:.1f}" for role, ms in spent.items())
    print(f"   {name}: p50 {taken.quantile(0.5):.1f} ms; processor ms a request: {costs}", flush=True)
    return taken


def _processor_s(server: Server) -> dict[str, float]:
    """Processor time of the processes that answer reads, in s."""
    times = {role: server.part(role).cpu_times() for role in ("api", "store")}
    return {role: spent.user + spent.system for role, spent in times.items()}


def _mixed(server: Server, kinds: dict[str, NextPath], seconds: int) -> dict[str, Latencies]:
    """All kinds at once, each at its part of READS_A_SECOND, while fixes are submitted."""
    rate = READS_A_SECOND / len(kinds)
    taken = {name: Latencies() for name in kinds}
    threads = [
        threading.Thread(
            target=_paced,
            args=(server, make, taken[name], rate),
            kwargs={"seconds": seconds, "delay_s": number / READS_A_SECOND},
        )
        for number, (name, make) in enumerate(kinds.items())
    ]
    for thread in threads:
        thread.start()
    written = run_load(
        "127.0.0.1", server.port, fixes(int(seconds * PAYLOADS_A_SECOND)), connections=4, rate=PAYLOADS_A_SECOND
    )
    for thread in threads:
        thread.join()
    print(f"   writes beside: {written.line()}", flush=True)
    return taken


def _paced(server: Server, make: NextPath, taken: Latencies, rate: float, *, seconds: int, delay_s: float) -> None:
    """Requests on a schedule; the latency of a late one counts from when it was due."""
    started = time.perf_counter() + delay_s
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        for number in itertools.count():
            due = started + number / rate
            if due > started + seconds:
                return
            time.sleep(max(0.0, due - time.perf_counter()))
            _get(client, make(), due, taken)


def _get(client: httpx.Client, path: str, due: float, taken: Latencies) -> None:
    answer = client.get(path)
    taken.ms.append((time.perf_counter() - due) * 1000)
    if not answer.is_success:
        taken.failures += 1
        print(f"   {path}: {answer.status_code} {answer.text[:200]}", flush=True)
