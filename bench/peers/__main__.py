"""`make bench-peers`: one load and the same questions for Tidemill, InfluxDB and VictoriaMetrics, one after the other.

python -m bench.peers                     4 million points of 100 hosts x 10 fields
python -m bench.peers --points 400000     shorter (under two minutes)
python -m bench.peers --only tidemill     one of them

Everything runs on loopback and in a temporary folder. A peer that cannot be had is left out, and the reason is said.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.__main__ import machine
from bench.load import request, run_load
from bench.peers.load import Load
from bench.peers.location import CONNECTIONS, measure_location
from bench.peers.programs import MissingProgramError
from bench.peers.systems import QUESTIONS, InfluxDB, System, VictoriaMetrics
from bench.peers.table import Column, print_table
from bench.peers.tidemill import Tidemill, TidemillLines

SYSTEMS: dict[str, type[System]] = {
    "tidemill": TidemillLines,
    "influxdb": InfluxDB,
    "victoriametrics": VictoriaMetrics,
    "tidemill-ndjson": Tidemill,
}
ASKED = 20  # times a question is asked after the first, which does not count
SINGLES = 300


def measure(system: System, load: Load, writers: int) -> Column:
    """Write the load, ask every question, write single points; returns the column of the table."""
    column = Column(system.name, system.version, system.acknowledgement)
    write = [request("POST", system.write_path, body, system.headers) for body in load.bodies(system.form)]
    before = _processor_s(system)
    begun = time.perf_counter()
    result = run_load("127.0.0.1", system.port, iter(write), connections=writers)
    acknowledged_s = time.perf_counter() - begun
    system.settle()
    applied_s = time.perf_counter() - begun
    if sum(result.statuses.values()) != sum(n for status, n in result.statuses.items() if 200 <= status < 300):
        raise RuntimeError(f"{system.name} refuses: {result.statuses}")
    column.add("acknowledged, points/s", load.points / acknowledged_s, more_is_better=True)
    column.add("applied and queryable, points/s", load.points / applied_s, more_is_better=True)
    column.add("processor, s for a million points", (_processor_s(system) - before) / load.points * 1e6)
    for name in QUESTIONS:
        latencies = []
        for number in range(ASKED + 1):
            path = system.question(name, number * 7 % load.hosts)
            began = time.perf_counter()
            answer = system.ask(path)
            latencies.append((time.perf_counter() - began) * 1000)
        column.add(f"{name}, p50 ms", sorted(latencies[1:])[ASKED // 2])
        column.values[name] = system.count_values(answer)
    singles = (
        request("POST", system.single_path, load.single(system.form, number), system.headers)
        for number in range(SINGLES)
    )
    result = run_load("127.0.0.1", system.port, singles, connections=1)
    column.add("a single point, p50 ms", result.quantile_ms(0.5))
    column.add("a single point, p99 ms", result.quantile_ms(0.99))
    system.settle()
    disk, beside = system.disk_bytes()
    column.add("disk, bytes a point", disk / load.points)
    column.notes = beside
    return column


def _processor_s(system: System) -> float:
    """Seconds of the processor that the system's processes have taken."""
    root = psutil.Process(system.process.pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def _compare_location(count: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-peers-location-"))
    print(f"\nPUT /location, {CONNECTIONS} connections, every answer after an fsync:", flush=True)
    try:
        for name, result in measure_location(folder, count).items():
            print(f"   {name}: {result.line()}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Measure the chosen systems and print one table; the exit status is 1 when Tidemill could not be measured."""
    parser = argparse.ArgumentParser(
        prog="bench.peers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, default=4_000_000)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1_000, help="records a request")
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--fixes", type=int, default=50_000, help="fixes of PUT /location (0: none)")
    options = parser.parse_args()
    load = Load(options.points, options.hosts, options.fields, options.batch)
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), machine(), sep="\n")
    print(
        f"{load.points:,} points of {load.hosts} hosts x {load.fields} fields, {load.batch} records a request, "
        f"{options.writers} writers; other work on the machine: load {os.getloadavg()[0]:.1f}\n",
        flush=True,
    )
    columns = []
    for name in options.only:
        folder = Path(tempfile.mkdtemp(prefix=f"bench-peers-{name}-"))
        try:
            with SYSTEMS[name](folder, load) as system:
                columns.append(measure(system, load, options.writers))
        except MissingProgramError as error:
            print(f"{name} is left out: {error}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(columns)
    if options.fixes:
        _compare_location(options.fixes)
    return int("tidemill" in options.only and not any(column.name.startswith("Tidemill") for column in columns))


if __name__ == "__main__":
    sys.exit(main())
