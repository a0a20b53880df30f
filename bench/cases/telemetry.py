"""Case: telemetry polled at 1,000 points a second while the mill, which polls, is killed every ten seconds."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import httpx
from tests.support.proof import verify_report
from tests.support.server import Server, free_port, running_server

from bench.figures import Figure

RATE = 1_000
KILL_EVERY_S = 10.0
Point = tuple[int, float]


@contextmanager
def data_server(count: int) -> Iterator[httpx.Client]:
    """The data server of `tidemill simulate`, with `count` points at RATE a second from its first answer on."""
    port = free_port()
    command = [sys.executable, "-m", "tidemill.cli", "simulate", "data-server", "--port", str(port)]
    process = subprocess.Popen([*command, "--rate", str(RATE), "--count", str(count)], stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with suppress(httpx.HTTPError):
                    client.get("/tally")
                    break
                time.sleep(0.02)
            yield client
    finally:
        process.terminate()
        process.wait(10)


def poll_and_kill(server: Server, source: httpx.Client, count: int, kills: int) -> float:
    """Kill the mill `kills` times while the source is emptied; seconds until it is."""
    started = killed = time.monotonic()
    left = kills
    while (handed := source.get("/tally").json()["handed_out"]) < count:
        now = time.monotonic()
        if left and now - killed >= KILL_EVERY_S:
            with suppress(LookupError):
                server.kill("mill")
                killed, left = now, left - 1
                print(f"   {now - started:5.1f} s: {handed} handed out, the mill is killed", flush=True)
        if now - started > 5 * count / RATE + 60:
            raise TimeoutError(f"the source still has {count - handed} of {count} points")
        time.sleep(0.2)
    return time.monotonic() - started


def settle(server: Server) -> float:
    """Seconds until nothing waits in the log any more and the source was seen empty."""
    started = time.monotonic()
    while time.monotonic() - started < 120:
        mill = server.client.get("/readyz").json()["mill"]
        [state] = [item for item in server.client.get("/v1/sources").json()["items"] if item["feed"] == "telemetry"]
        if mill["lag"] == 0 and state["state"] == "empty":
            return time.monotonic() - started
        time.sleep(0.1)
    raise TimeoutError(f"not settled: {mill}, {state}")


def account(server: Server, source: httpx.Client) -> tuple[int, int]:
    """(points handed out and neither stored nor rejected, points stored more often than handed out)."""
    tally = source.get("/tally?points=1").json()
    handed = Counter((point["time"], point["value"]) for point in tally["points"] if not point["reasons"])
    rows = server.client.get("/v1/feeds/telemetry/points?limit=1000000").json()
    stored = Counter((int(datetime.fromisoformat(row["time"]).timestamp()), row["value"]) for row in rows)
    rejected = server.client.get("/v1/rejections/summary?feed=telemetry").json()["total"]
    missing = tally["rejected"] - rejected
    return (handed - stored).total() + max(0, missing), (stored - handed).total() + max(0, -missing)


def measure_telemetry(folder: Path, *, quick: bool) -> list[Figure]:
    """60 s at 1,000 points/s from one data server, SIGKILL of the mill every 10 s; every point is accounted for."""
    seconds, kills = (15, 1) if quick else (60, 5)
    count = RATE * seconds
    with (
        data_server(count) as source,
        running_server(folder / "data", env={"TIDEMILL_TELEMETRY_URL": f"{source.base_url}"}) as server,
    ):
        polled_s = poll_and_kill(server, source, count, kills)
        settled_s = settle(server)
        lost, doubled = account(server, source)
        report = verify_report(server.client, feed="telemetry")
    totals = report["totals"]
    print(f"   verify: {json.dumps(totals)} in {report['seconds']:.1f} s", flush=True)
    for finding in report["findings"][:20]:
        print(f"   {finding}", flush=True)
    return [
        Figure("findings of verify", sum(report["counts"].values()), "", 0),
        Figure("handed out - accepted - rejected", count - totals["accepted"] - totals["rejected"], ""),
        Figure("lost between source and log, all kills", lost, "points"),
        Figure("doubled", doubled, "points", 0),
        Figure("points a second, restarts included", count / polled_s, "points/s", RATE * 0.9, at_most=False),
        Figure("all applied after the last point", settled_s, "s"),
    ]
