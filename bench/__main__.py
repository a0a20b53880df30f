"""`make bench`: run the cases against real servers in a temporary folder and print their figures.

python -m bench                 all cases
python -m bench location kill   some of them
python -m bench --quick         all, shortened (to see that they run; the figures mean less)
"""

import argparse
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from bench.cases import (
    cluster_log,
    dropzone,
    forecast_latency,
    kill,
    lineage,
    location,
    memory,
    reads,
    readyourwrites,
    replay,
    rules,
    series,
    telemetry,
)
from bench.forecast_accuracy import measure_forecast

CASES = {
    "memory": memory.measure_memory,
    "location": location.measure_location,
    "dropzone": dropzone.measure_dropzone,
    "series": series.measure_series,
    "rules": rules.measure_rules,
    "replay": replay.measure_replay,
    "readyourwrites": readyourwrites.measure_read_your_writes,
    "kill": kill.measure_kill,
    "telemetry": telemetry.measure_telemetry,
    "lineage": lineage.measure_lineage,
    "reads": reads.measure_reads,
    "forecast": measure_forecast,
    "cluster-log": cluster_log.measure_cluster_log,
    "forecast-latency": forecast_latency.measure_forecast_latency,
}


def machine() -> str:
    """The machine and the versions that figures depend on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    memory_gib = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    packages = ("tidemill", "apsw", "chdb-core", "clickhouse-connect", "litestar", "msgspec", "polars", "uvicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{cores} x {cpu}, {memory_gib:.0f} GiB, {platform.platform()}, Python {platform.python_version()}\n{versions}"
    )


def main() -> int:
    """Run the chosen cases; the exit status is the number of cases that missed a figure or failed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], help="which cases (default: all)")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    options = parser.parse_args()
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), machine(), sep="\n", flush=True)
    missed = 0
    for name in options.cases or CASES:
        print(f"\n== {name}: {(CASES[name].__doc__ or '').splitlines()[0]}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix=f"tidemill-bench-{name}-"))
        try:
            figures = CASES[name](folder, quick=options.quick)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for figure in figures:
            print(f"   {figure}", flush=True)
            missed += figure.missed
    return missed


if __name__ == "__main__":
    sys.exit(main())
