"""A real `tidemill serve` for tests and benchmarks: started in a folder, watched, measured, ended."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

PARTS = Path(__file__).parents[2] / "scripts/parts.py"
CLOSED_PORT = 1  # privileged: unlike one that is free now, no other test's server comes to listen on it


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server: `url`, its supervisor `process`, and a plain HTTP client."""

    url: str
    port: int
    data: Path
    process: subprocess.Popen[bytes]
    ready_s: float
    log: Path
    client: httpx.Client = field(repr=False)

    def part(self, role: str) -> psutil.Process:
        """The supervised process of a role (`api`, `mill`, `store`)."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[2:4] in (["tidemill.service", role], ["tidemill.cli", role]):
                    return child
        raise LookupError(f"no process for {role}")

    def kill(self, role: str) -> None:
        self.part(role).send_signal(signal.SIGKILL)

    def rss_mib(self) -> dict[str, float]:
        """Resident memory of every process, by role, in MiB."""
        memory_mib = {"serve": psutil.Process(self.process.pid).memory_info().rss / 2**20}
        for role in ("store", "mill", "api"):
            with contextlib.suppress(LookupError, psutil.Error):
                memory_mib[role] = self.part(role).memory_info().rss / 2**20
        return memory_mib

    def wait_ready(self, timeout_s: float = 60, enough: tuple[int, ...] = (200,)) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code in enough:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"not ready after {timeout_s} s:\n{self.log.read_text()[-3000:]}")

    def wait_applied(
        self, receipt: str, timeout_s: float = 60, headers: dict[str, str] | None = None
    ) -> dict[str, object]:
        """Poll a receipt until its outcome is known, and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = self.client.get(f"/v1/receipts/{receipt}", headers=headers)
            if answer.status_code == 200 and answer.json()["state"] != "stored":
                receipt_item: dict[str, object] = answer.json()
                return receipt_item
            time.sleep(0.02)
        raise TimeoutError(f"receipt {receipt} was not applied in {timeout_s} s: {answer.text}")

    def stop(self) -> int:
        """SIGTERM and wait; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextlib.contextmanager
def running_server(
    data: Path,
    *,
    listen_port: int = 0,
    env: dict[str, str] | None = None,
    ready: bool = True,
    through: tuple[str, ...] = (),
    in_parts: bool = False,
) -> Iterator[Server]:
    """Serve `data` on a free loopback port until the block ends. `env` adds settings (`TIDEMILL_...`). `ready` false:
    it is enough that `/readyz` is answered, if only to say that nothing can be acknowledged. `through` is a command
    that executes the rest of its line. `in_parts`: `tidemill store|mill|api|worker`, each by itself, instead of
    `tidemill serve`.

    Sources point at closed ports unless `env` says otherwise, so that nothing is polled by accident.
    """
    port = listen_port or free_port()
    data.mkdir(parents=True, exist_ok=True)
    quiet = {
        "TIDEMILL_TELEMETRY_URL": f"http://127.0.0.1:{CLOSED_PORT}/",
        "TIDEMILL_METERS_URL": f"http://127.0.0.1:{CLOSED_PORT}/meterdata/measurement",
    }
    log_path = data.parent / f"{data.name}.log"
    with log_path.open("ab") as log:
        started = time.monotonic()
        program = [str(PARTS)] if in_parts else ["-m", "tidemill.cli", "serve"]
        serve = [sys.executable, *program, "--data", str(data), "--listen", f"127.0.0.1:{port}"]
        process = subprocess.Popen(
            [*through, *serve],
            env=os.environ | quiet | (env or {}),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        server = Server(url, port, data, process, 0.0, log_path, client)
        try:
            server.wait_ready(enough=(200,) if ready else (200, 503))
            server.ready_s = time.monotonic() - started
            yield server
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.stop()
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.wait()
