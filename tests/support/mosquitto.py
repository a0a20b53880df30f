"""A real MQTT broker for tests: Debian's `mosquitto`, on a free port of loopback. Without it tests are skipped."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.server import free_port

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="there is no mosquitto: apt-get install mosquitto")


class Broker:
    """A broker that can be ended and started again with what it had."""

    def __init__(self, folder: Path, lines: Sequence[str] = ()) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        text = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/", "user root"]
        if not any(line.startswith("allow_anonymous") for line in lines):
            text.append("allow_anonymous true")
        (folder / "mosquitto.conf").write_text("\n".join([*text, *lines]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(self.folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "mosquitto ended"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        """End it; what it keeps is written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


@contextlib.contextmanager
def running_broker(folder: Path, lines: Sequence[str] = ()) -> Iterator[Broker]:
    broker = Broker(folder, lines)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
