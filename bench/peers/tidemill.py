"""Tidemill as one of the systems that are compared: records as NDJSON for a feed, or line protocol for an open feed."""

import json
import os
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode

from bench.peers.load import SINGLE, START_NS, TABLE
from bench.peers.systems import HOUR_NS, QUESTIONS, System
from tidemill.model.time import format_instant

SETTLE_TIMEOUT_S: Final = 600.0


class Tidemill(System):
    """Tidemill as it comes: one command, three processes. A feed takes the records as NDJSON."""

    name = "Tidemill, NDJSON"
    acknowledgement = "in its log and fsynced; applied a moment later"
    form = "ndjson"
    headers = "Content-Type: application/x-ndjson\r\n"
    ready_path, write_path = "/readyz", f"/v1/feeds/{TABLE}"
    settle_path = f"/v1/feeds/{SINGLE}"
    _settled = 0

    def start(self) -> subprocess.Popen[bytes]:
        self.version = version("tidemill")
        serve = ["-m", "tidemill.cli", "serve", "--data", str(self.folder / "data")]
        return self.launch([sys.executable, *serve, "--listen", f"127.0.0.1:{self.port}"], dict(os.environ))

    @property
    def single_path(self) -> str:
        return f"/v1/feeds/{SINGLE}"

    def prepare(self) -> None:
        for name, count in ((TABLE, self.load.fields), (SINGLE, 1)):
            fields = "".join(f'[fields.f{field}]\npath = "$.f{field}"\n' for field in range(count))
            feed = f'name = "{name}"\n[input]\n[time]\npath = "$.time"\n[tags.host]\npath = "$.host"\n{fields}'
            answer = self.client.put(f"/v1/feeds/{name}", content=feed)
            if not answer.is_success:
                raise RuntimeError(f"the feed is refused: {answer.text}")

    def settle(self) -> None:
        """Payloads of a tenant are applied in the order in which they came: what is sent now is applied last."""
        self._settled += 1
        body, deadline = self.load.single(self.form, -self._settled), time.monotonic() + SETTLE_TIMEOUT_S
        headers = dict(line.split(": ") for line in self.headers.split("\r\n") if line)
        receipt = self.client.post(self.settle_path, content=body, headers=headers | {"Prefer": "wait=60"})
        while receipt.status_code != 200 and time.monotonic() < deadline:
            receipt = self.client.post(self.settle_path, content=body, headers=headers | {"Prefer": "wait=60"})
        if receipt.status_code != 200:
            raise TimeoutError(f"not applied after {SETTLE_TIMEOUT_S} s: {receipt.text}")

    def question(self, name: str, host: int) -> str:
        start, end = START_NS, self.load.end_ns
        ranges = {
            QUESTIONS[0]: {"end": start + HOUR_NS},
            QUESTIONS[1]: {"end": min(end, start + 12 * HOUR_NS), "every": "1m", "agg": "mean"},
        }
        if name in ranges:
            return self._of_series(host, start=start, **ranges[name])
        if name == QUESTIONS[2]:
            return self._of_series(host, order="desc", limit="1")
        given = {"every": "1h", "agg": "mean", "limit": "100000"} if name == QUESTIONS[3] else {"agg": "max"}
        bounds = {"start": format_instant(start), "end": format_instant(end)}
        return "/v1/points?" + urlencode({"feed": TABLE, **bounds, **given})

    def count_values(self, answer: bytes) -> int:
        document = json.loads(answer)
        if isinstance(document, dict) and isinstance(
            document.get("series"), list
        ):  # in columns: an array for each aggregate
            return sum(len(array) for series in document["series"] for array in series["columns"].values())
        return len(document["items"] if isinstance(document, dict) else document)

    def disk_bytes(self) -> tuple[int, str]:
        tables = {table["name"]: table for table in self.client.get("/v1/storage").json()["tables"]}
        bodies = tables["payloads"]["bytes"] / self.load.points
        return tables["points"]["bytes"], f"The archive of bodies takes {bodies:.1f} bytes a point more"

    def _of_series(self, host: int, **given: object) -> str:
        texts = {name: format_instant(value) if isinstance(value, int) else str(value) for name, value in given.items()}
        return f"/v1/series/{self._series()[f'h{host}']}/points?{urlencode(texts)}"

    @cache  # noqa: B019  (one object a run)
    def _series(self) -> dict[str, str]:
        """The id of the series of field f0 of each host."""
        items = self.client.get(f"/v1/series?feed={TABLE}&field=f0&limit=1000&extent=false").json()["items"]
        return {item["tags"]["host"]: item["id"] for item in items}


class TidemillLines(Tidemill):
    """Tidemill written to as InfluxDB is: the same lines on the same route, for an open feed."""

    name = "Tidemill, lines"
    form = "line_protocol"
    headers = ""
    write_path = f"/write?db={TABLE}"
    settle_path = f"/v1/points?feed={SINGLE}"

    @property
    def single_path(self) -> str:
        return f"/write?db={SINGLE}"

    def prepare(self) -> None:
        return
