"""Case: SIGKILL of a random process, again and again, under load."""

import contextlib
import random
import threading
import time
from pathlib import Path

import httpx
import numpy as np
from tests.support.server import Server, running_server

from bench.figures import Figure

FIX = '{{"timestamp": "{stamp}", "lat": 40.7, "long": -73.9, \
"accuracy": 5, "speed": 1.5, "user_id": "w{worker}"}}'


class Writer(threading.Thread):
    """Sends distinct fixes one after the other and remembers which were acknowledged."""

    def __init__(self, url: str, worker: int) -> None:
        super().__init__(daemon=True)
        self.url, self.worker = url, worker
        self.acknowledged: list[str] = []
        self.last_receipt = ""
        self.sent = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        while not self.stopping.is_set():
            number = self.sent
            self.sent += 1
            minute, second = divmod(number, 60)
            hour, minute = divmod(minute, 60)
            day, hour = divmod(hour, 24)
            stamp = f"2017-01-{day + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
            body = FIX.format(stamp=stamp, worker=self.worker)
            with contextlib.suppress(httpx.HTTPError):
                answer = client.put("/location", content=body)
                if answer.status_code == 200:
                    self.acknowledged.append(stamp)
                    self.last_receipt = answer.json()["id"]
            time.sleep(0.002)


def recovered(server: Server, timeout_s: float = 30) -> float:
    """Seconds until a new write is acknowledged, applied, and can be read."""
    started = time.monotonic()
    number = int(time.time() * 1000) % 86_400_000
    while time.monotonic() - started < timeout_s:
        minute, second = divmod(number // 1000, 60)
        stamp = f"2018-01-01 {minute // 60 % 24:02d}:{minute % 60:02d}:{second:02d}.{number % 1000:03d}"
        fix = {"timestamp": stamp, "lat": 40.7, "long": -73.9, "accuracy": 1, "speed": 1, "user_id": "probe"}
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.put(
                f"{server.url}/location", json=fix, headers={"Prefer": "wait=10"}, timeout=15, trust_env=False
            )
            if answer.status_code == 200 and answer.json()["state"] == "applied":
                return time.monotonic() - started
        time.sleep(0.02)
        number += 1
    raise TimeoutError("no recovery")


def measure_kill(folder: Path, *, quick: bool) -> list[Figure]:
    """50 kills of api, mill or store at random moments; every acknowledged fix is applied exactly once."""
    kills = 8 if quick else 50
    choose = random.Random(1)
    recoveries: dict[str, list[float]] = {"api": [], "mill": [], "store": []}
    with running_server(folder / "data") as server:
        writers = [Writer(server.url, worker) for worker in range(8)]
        for writer in writers:
            writer.start()
        for _ in range(kills):
            time.sleep(choose.uniform(0.2, 1.0))
            role = choose.choice(["api", "mill", "store"])
            server.kill(role)
            recoveries[role].append(recovered(server))
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join()
        time.sleep(2)
        lost, doubled, unsure = account(server, writers)
        used = server.rss_mib()
        print("   " + ", ".join(f"{role} {mib:.0f} MiB" for role, mib in used.items()))
    for role, times in recoveries.items():
        if times:
            print(f"   {role}: {len(times)} kills, recovery median {np.median(times):.2f} s, max {max(times):.2f} s")
    every = [each for times in recoveries.values() for each in times]
    return [
        Figure("acknowledged, then lost", lost, "", 0),
        Figure("doubled", doubled, "", 0),
        Figure("sent, never acknowledged, yet stored", unsure, ""),
        Figure("recovery p99", float(np.quantile(every, 0.99)), "s", 3),
        Figure("resident memory after that", sum(used.values()), "MiB", 1536),
    ]


def account(server: Server, writers: list[Writer]) -> tuple[int, int, int]:
    """(acknowledged but not stored, stored twice or taken for a duplicate, stored though never acknowledged)."""
    for writer in writers:
        server.wait_applied(writer.last_receipt, timeout_s=60)
    items = server.client.get("/v1/series?feed=location&field=lat&limit=1000").json()["items"]
    ids = {item["tags"]["user_id"]: item["id"] for item in items}
    lost = doubled = unsure = 0
    for writer in writers:
        series = server.client.get(f"/v1/series/{ids[f'w{writer.worker}']}").json()
        stored, acknowledged = set(series["times"]), set(writer.acknowledged)
        lost += len(acknowledged - stored)
        doubled += len(series["times"]) - len(stored)
        unsure += len(stored - acknowledged)
    rejected = server.client.get("/v1/rejections/summary?feed=location").json()
    return lost, doubled + rejected["total"], unsure
