"""Case: the log over a JetStream of three nodes on this machine, by one process."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from tests.log.payloads import payload
from tests.support.nats import NatsCluster, running_nats

from bench.figures import Figure
from tidemill.log.contract import Appended, IntakeLog
from tidemill.log.jetstream import parse_log_address
from tidemill.log.limits import LogLimits
from tidemill.log.opening import open_cluster_log, open_cluster_partition_reader

WAITING = 96  # payloads that are sent and not acknowledged


def measure_cluster_log(folder: Path, *, quick: bool) -> list[Figure]:
    """Durable payloads of 200 B, with and without a key; reading at 2 kB; 64 MiB; syncs a batch and node."""
    with running_nats(folder / "nats") as cluster:
        limits = LogLimits(min_free_bytes=0, min_free_ratio=0, max_waiting_bytes=512 << 20)
        log = open_cluster_log(parse_log_address(cluster.url()), [0], limits=limits)
        _flow(log, 500, 200)
        figures = _durable(log, 10_000 if quick else 60_000)
        figures += _keyed(log, 2_000 if quick else 10_000)
        figures += _large(log)
        figures += _syncs(log, cluster)
        figures += _reading(log, cluster, 5_000 if quick else 50_000)
        log.close()
    return figures


def _flow(log: IntakeLog, count: int, size: int, key: str = "", waiting: int = WAITING) -> tuple[float, list[float]]:
    """Append `count` payloads with `waiting` unacknowledged; the rate a second, and the time of each in ms."""
    times: list[float] = []
    room, body = threading.Semaphore(waiting), os.urandom(size)

    def ended(sent_s: float) -> Callable[[Future[Appended]], None]:
        def note(future: Future[Appended]) -> None:
            future.result()
            times.append((time.perf_counter() - sent_s) * 1000)
            room.release()

        return note

    payloads = [payload(body) for _ in range(count)]
    started = time.perf_counter()
    for number, each in enumerate(payloads):
        room.acquire()
        sent_s = time.perf_counter()
        log.append(each, idempotency_key=f"{key}{number}" if key else None).add_done_callback(ended(sent_s))
    for _ in range(waiting):
        room.acquire()
    return count / (time.perf_counter() - started), times


def _durable(log: IntakeLog, count: int) -> list[Figure]:
    rate, times = _flow(log, count, 200)
    gentle, gentle_times = _flow(log, count // 10, 200, waiting=32)
    return [
        Figure("durable on three nodes, 200 B", rate, "payloads/s", 10_000, at_most=False),
        Figure("p99 of it, 96 waiting", float(np.quantile(times, 0.99)), "ms", 50),
        Figure("durable, 32 waiting", gentle, "payloads/s"),
        Figure("p99 of it, 32 waiting", float(np.quantile(gentle_times, 0.99)), "ms"),
    ]


def _keyed(log: IntakeLog, count: int) -> list[Figure]:
    rate, times = _flow(log, count, 200, key=f"{time.time_ns()}-", waiting=64)
    p99 = float(np.quantile(times, 0.99))
    return [Figure("with an idempotency key", rate, "payloads/s", 2_500, at_most=False), Figure("p99 of it", p99, "ms")]


def _large(log: IntakeLog) -> list[Figure]:
    started = time.perf_counter()
    log.append(payload(os.urandom(64 << 20))).result(120)
    return [Figure("a body of 64 MiB", time.perf_counter() - started, "s")]


def _reading(log: IntakeLog, cluster: NatsCluster, count: int) -> list[Figure]:
    first = log.partitions[0].last_seq()
    _flow(log, count, 2_000)
    reader = open_cluster_partition_reader(parse_log_address(cluster.url()), 0)
    started, after, size = time.perf_counter(), first, 0
    while entries := reader.read(after, 1000, 4 << 20):
        size, after = size + sum(len(entry.payload.body) for entry in entries), entries[-1].seq
    rate = size / 1e6 / (time.perf_counter() - started)
    reader.close()
    return [Figure("reading at 2 kB", rate, "MB/s", 40, at_most=False)]


def _syncs(log: IntakeLog, cluster: NatsCluster) -> list[Figure]:
    """Syncs of one node for each batch of 100 payloads, by strace; nothing where there is no strace."""
    if (program := shutil.which("strace")) is None:
        return []
    process = cluster.nodes[0].process
    assert process is not None
    output = cluster.nodes[0].folder / "strace"
    command = [program, "-f", "-e", "trace=fsync,fdatasync", "-o", str(output), "-p", str(process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(1)
    commits = int(log.health().details["commits"])
    for _ in range(20):
        for future in [log.append(payload(b"x" * 200)) for _ in range(100)]:
            future.result(60)
    batches = int(log.health().details["commits"]) - commits
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    syncs = sum("sync(" in line for line in output.read_text().splitlines())
    return [Figure("syncs a batch and node", syncs / batches, "", 2), Figure("payloads a batch", 2000 / batches, "")]
