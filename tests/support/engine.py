"""A real store engine for tests: its own process, its own folder and a free port; the caller ends it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill.store.client import StoreAddress
from tidemill.store.generations import Generations, shared_memory

START_TIMEOUT_S = 30.0


_memories: dict[str, int] = {}  # of each engine's secret


def generations_of(address: StoreAddress) -> Generations:
    """The generations of an engine of this process, as the API has them; none of any other store."""
    return Generations(_memories.get(address.password))


class Engine:
    """One engine on one folder. It can be killed and started again: same folder and secret, another port."""

    def __init__(self, path: Path, *options: str, database: str = "default") -> None:
        self.path = path
        self.secret = secrets.token_urlsafe(24)
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options
        self._database = database
        self._port = 0
        self._memory = shared_memory()

    @property
    def address(self) -> StoreAddress:
        return StoreAddress("127.0.0.1", self._port, password=self.secret, database=self._database)

    def start(self) -> "Engine":
        ready = self.path.with_name(self.path.name + ".ready")
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tidemill.store.engine", "--path", str(self.path)]
        listen = f"127.0.0.1:{self._port}"  # the same port again after a restart, as under the supervisor
        memory = ["--generations-fd", str(self._memory)]
        self.process = subprocess.Popen(
            [*command, "--listen", listen, "--ready-file", str(ready), *memory, *self._options],
            env=os.environ | {"TIDEMILL_STORE_SECRET": self.secret},
            pass_fds=(self._memory,),
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert self.process.poll() is None, f"the engine ended with status {self.process.returncode}"
            assert time.monotonic() < deadline, "the engine is not ready in time"
            time.sleep(0.02)
        self._port = json.loads(ready.read_text())["port"]
        _memories[self.secret] = self._memory
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def running_engine(path: Path, *options: str, database: str = "default") -> Iterator[StoreAddress]:
    """An engine on `path` (made if missing) for the length of a `with`; yields its address."""
    engine = Engine(path, *options, database=database).start()
    try:
        yield engine.address
    finally:
        engine.stop()
