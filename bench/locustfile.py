"""The load of the first jobs for Locust: phones, files into means, reads and the stream. `make load URL=...` runs it
and writes an HTML report.

Each user starts a fixed number of requests a second and waits for each answer, so a server that slows down gets fewer:
Locust's latencies are then too good. `make bench` starts requests on a schedule, and its figures are the ones to quote.
TIDEMILL_KEY is sent as the key; LOAD_RATE is the requests that a user starts a second (1).
"""

import itertools
import json
import os
import random
import time
from datetime import UTC, datetime, timedelta

from locust import FastHttpUser, constant_throughput, tag, task

RATE = float(os.environ.get("LOAD_RATE", "1"))
STREAM_S = 5.0
VALUES = 1024  # of one file of the dropzone
HEADERS = {"Authorization": f"Bearer {os.environ['TIDEMILL_KEY']}"} if "TIDEMILL_KEY" in os.environ else {}
JSON = HEADERS | {"Content-Type": "application/json"}
numbers = itertools.count()


class TidemillUser(FastHttpUser):
    """A client with a number of its own."""

    abstract = True
    wait_time = constant_throughput(RATE)

    def on_start(self) -> None:
        self.number = next(numbers)
        self.random = random.Random(self.number)


class Phone(TidemillUser):
    """Sends where it is."""

    weight = 6

    @tag("location")
    @task
    def send_location(self) -> None:
        fix = {
            "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
            "lat": round(self.random.uniform(40.5, 40.9), 6),
            "long": round(self.random.uniform(-74.2, -73.7), 6),
            "accuracy": round(self.random.uniform(3, 30), 1),
            "speed": round(self.random.uniform(0, 20), 1),
            "user_id": f"load-{self.number}",
        }
        self.client.put("/location", data=json.dumps(fix), headers=JSON)


class Instrument(TidemillUser):
    """Sends files of values for the dropzone, each of a time of its own."""

    weight = 1

    def on_start(self) -> None:
        super().on_start()
        self.time = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=self.number)

    @tag("dropzone")
    @task
    def send_file(self) -> None:
        self.time += timedelta(seconds=1)
        data = [round(self.random.gauss(1.5, 0.8), 4) for _ in range(VALUES)]
        body = json.dumps({"time_stamp": self.time.isoformat(), "data": data})
        self.client.post("/v1/feeds/dropzone", data=body, headers=JSON)


class Reader(TidemillUser):
    """Asks for what came in during the last minutes."""

    weight = 2

    @tag("queries")
    @task(3)
    def read_points(self) -> None:
        self._read("/v1/feeds/location/points", "field=speed&limit=1000")

    @tag("queries")
    @task(1)
    def read_rollups(self) -> None:
        self._read("/v1/feeds/location/rollups", "limit=1000")

    @tag("queries")
    @task(1)
    def list_receipts(self) -> None:
        self.client.get("/v1/receipts?feed=location&limit=50", name="/v1/receipts", headers=HEADERS)

    def _read(self, path: str, options: str) -> None:
        start = datetime.now(UTC) - timedelta(minutes=5)
        query = f"start={start:%Y-%m-%dT%H:%M:%SZ}&{options}"
        self.client.get(f"{path}?{query}", name=path, headers=HEADERS)


class Watcher(TidemillUser):
    """Follows the stream for STREAM_S; its first event is counted, with the time since the stream was opened."""

    weight = 1

    @tag("stream")
    @task
    def follow(self) -> None:
        began = time.perf_counter()
        with self.client.get("/v1/stream", headers=HEADERS, stream=True, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
                return
            answer.success()
            is_first = True
            while time.perf_counter() - began < STREAM_S and (line := answer.stream.readline(b"\n")):
                if is_first and line.startswith(b"data:"):
                    is_first = False
                    self._report_first(began, len(line))
            answer.stream.release()

    def _report_first(self, began: float, size_bytes: int) -> None:
        self.environment.events.request.fire(
            request_type="SSE",
            name="/v1/stream first event",
            response_time=1000 * (time.perf_counter() - began),
            response_length=size_bytes,
            exception=None,
        )
