"""The systems that are compared: how each is started, written to, asked, and measured on disk."""

import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
from tests.support.server import free_port

from bench.peers.load import START_NS, TABLE, BodyFormat, Load
from bench.peers.programs import program
from tidemill.model.time import NS_PER_S

HOUR_NS: Final = 3_600 * NS_PER_S
START_TIMEOUT_S: Final = 30.0
QUESTIONS: Final = (
    *("raw points of an hour, one series", "minute means of 12 h, one series", "newest point, one series"),
    *("hour means, all series", "maximum, all series"),
)


class System(ABC):
    """One system under load, on a free port of loopback and in a folder of its own. Use it in a `with`."""

    name: str
    acknowledgement: str
    form: BodyFormat = "line_protocol"
    headers = ""
    ready_path: str
    write_path: str

    def __init__(self, folder: Path, load: Load) -> None:
        self.folder, self.load = folder, load
        self.port = free_port()
        self.version = ""
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "System":
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120, trust_env=False)
        self.process = self.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if self.client.get(self.ready_path).is_success:
                    self.prepare()
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"{self.name} does not start; its output is in {self.folder}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.client.close()

    def launch(self, command: list[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process whose output goes to a file of the folder."""
        with (self.folder / "output.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)

    @property
    def single_path(self) -> str:
        """Where a single point is written."""
        return self.write_path

    @abstractmethod
    def start(self) -> subprocess.Popen[bytes]:
        """Start the process, and set `version`."""

    def prepare(self) -> None:
        """Make ready for the load."""
        return

    @abstractmethod
    def settle(self) -> None:
        """Return when everything that was acknowledged can be queried."""

    @abstractmethod
    def question(self, name: str, host: int) -> str:
        """Path and query of one of QUESTIONS; of one series: field f0 of a host."""

    @abstractmethod
    def count_values(self, answer: bytes) -> int:
        """How many values an answer has."""

    def disk_bytes(self) -> tuple[int, str]:
        """(what the points take on disk, what else lies there)."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "output.log"]
        return sum(path.stat().st_size for path in files), ""

    def ask(self, path: str) -> bytes:
        """The answer to a question. Raises RuntimeError unless it is a success."""
        answer = self.client.get(path)
        if not answer.is_success:
            raise RuntimeError(f"{self.name}: {path}: {answer.status_code} {answer.text[:300]}")
        return answer.content


class InfluxDB(System):
    """Debian's InfluxDB 1.6, as it comes: an index in memory, a sync of its log before each answer."""

    name = "InfluxDB"
    acknowledgement = "written to its log and fsynced; applied at once"
    ready_path, write_path = "/ping", f"/write?db={TABLE}"

    def start(self) -> subprocess.Popen[bytes]:
        influxd = program("influxd", "influxdb")
        self.version = subprocess.run([influxd, "version"], capture_output=True, text=True, check=True).stdout.split()[
            1
        ]
        config = self.folder / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\nquery-log-enabled = false\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n'
        )
        return self.launch([str(influxd), "run", "-config", str(config)])

    def prepare(self) -> None:
        self.client.post("/query", params={"q": f"CREATE DATABASE {TABLE}"}).raise_for_status()

    def settle(self) -> None:
        return

    def question(self, name: str, host: int) -> str:
        start, end = START_NS, self.load.end_ns
        one = f"FROM {TABLE} WHERE host = 'h{host}' AND time >= {start} AND time < "
        queries = {
            QUESTIONS[0]: f"SELECT f0 {one}{start + HOUR_NS}",
            QUESTIONS[1]: f"SELECT mean(f0) {one}{min(end, start + 12 * HOUR_NS)} GROUP BY time(1m)",
            QUESTIONS[2]: f"SELECT f0 FROM {TABLE} WHERE host = 'h{host}' ORDER BY time DESC LIMIT 1",
            QUESTIONS[3]: f"SELECT mean(*) FROM {TABLE} WHERE time >= {start} AND time < {end} GROUP BY time(1h), host",
            QUESTIONS[4]: f"SELECT max(*) FROM {TABLE} WHERE time >= {start} AND time < {end} GROUP BY host",
        }
        return "/query?" + urlencode({"db": TABLE, "epoch": "ns", "q": queries[name]})

    def count_values(self, answer: bytes) -> int:
        series = json.loads(answer)["results"][0].get("series", [])
        return sum(len(row) - 1 for part in series for row in part["values"])

    def disk_bytes(self) -> tuple[int, str]:
        size, _ = super().disk_bytes()
        log = sum(path.stat().st_size for path in (self.folder / "wal").rglob("*") if path.is_file())
        return size, f"Of its disk {log / self.load.points:.1f} bytes a point are its log, which it compacts later"


class VictoriaMetrics(System):
    """Debian's VictoriaMetrics, as it comes. It acknowledges what is in memory: a power cut loses some seconds."""

    name = "VictoriaMetrics"
    acknowledgement = "in memory, on disk some seconds later, not fsynced; queryable a second later"
    ready_path, write_path = "/health", "/write"

    def start(self) -> subprocess.Popen[bytes]:
        victoria = program("victoria-metrics", "victoria-metrics")
        package = subprocess.run(
            ["apt-cache", "policy", "victoria-metrics"], capture_output=True, text=True, check=False
        ).stdout
        self.version = next((line.split()[-1] for line in package.splitlines() if "Candidate" in line), "unknown")
        return self.launch(
            [
                *(str(victoria), f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}"),
                *("-retentionPeriod=10y", "-search.maxUniqueTimeseries=1000000", "-loggerLevel=ERROR"),
            ]
        )

    def settle(self) -> None:
        self.client.get("/internal/force_flush").raise_for_status()

    def disk_bytes(self) -> tuple[int, str]:
        return super().disk_bytes()[0], "What it has in memory yet is not in its disk"

    def question(self, name: str, host: int) -> str:
        start, end = START_NS // NS_PER_S, self.load.end_ns // NS_PER_S
        one, every = f'{TABLE}_f0{{host="h{host}"}}', f'{{__name__=~"{TABLE}_f.*"}}'
        hour, half_day = 3_600, min(end, start + 12 * 3_600)
        length = f"{end - start}s"
        if name == QUESTIONS[0]:
            return "/api/v1/export?" + urlencode({"match[]": one, "start": start, "end": start + hour - 1})
        ranges = {
            QUESTIONS[1]: (f"avg_over_time({one}[1m])", 60, start + 60, half_day),
            QUESTIONS[3]: (f"avg_over_time({every}[1h]) keep_metric_names", hour, start + hour, end),
        }
        if name in ranges:
            query, step, first, last = ranges[name]
            bounds = {"query": query, "step": step, "start": min(first, last), "end": last}
            return "/api/v1/query_range?" + urlencode(bounds)
        query = f"last_over_time({one}[{length}])" if name == QUESTIONS[2] else f"max_over_time({every}[{length}])"
        return "/api/v1/query?" + urlencode({"query": f"{query} keep_metric_names", "time": end})

    def count_values(self, answer: bytes) -> int:
        document = json.loads(answer)
        if "data" not in document:
            return len(document["values"])
        results = document["data"]["result"]
        return sum(len(part["values"]) if "values" in part else 1 for part in results)
