"""Opens a data folder without a server: takes its locks, and runs its store as long as a command needs it."""

import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tidemill.errors import StartupError
from tidemill.lock import FolderLock, served_url
from tidemill.store.client import Store, StoreAddress

_READY_S: Final = 60.0
_STOP_S: Final = 15.0
_LOCKS: Final = (("", "serve.lock"), ("mill", "mill.lock"))


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """The store of a data folder; no server can be started on it meanwhile. Raises StartupError when a server runs, or
    when there is no store."""
    if not (folder / "store").is_dir():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    with ExitStack() as stack:
        for part, name in _LOCKS:
            if (folder / part).is_dir():
                stack.callback(_lock(folder, folder / part, name).release)
        address = stack.enter_context(_engine(folder / "store"))
        store = Store(address)
        stack.callback(store.close)
        yield store


def _lock(folder: Path, directory: Path, name: str) -> FolderLock:
    try:
        return FolderLock(directory, name)
    except StartupError as error:
        url = served_url(folder)
        if url is None:
            raise
        raise StartupError(f"{error.message}. Or ask the server that runs on it: tidemill verify --url {url}") from None


@contextmanager
def _engine(path: Path) -> Iterator[StoreAddress]:
    secret = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="tidemill-") as scratch:
        ready = Path(scratch) / "ready"
        command = [sys.executable, "-m", "tidemill.store.engine", "--path", str(path), "--ready-file", str(ready)]
        command.append("--secret-stdin")
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.PIPE)
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:  # the process ended: `_port` raises why
            pipe.write(secret.encode())
        try:
            yield StoreAddress("127.0.0.1", _port(process, ready, log), password=secret)
        finally:
            _end(process)


def _port(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> int:
    deadline = time.monotonic() + _READY_S
    while not ready.exists():
        if process.poll() is not None:
            raise StartupError(f"The store did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
        if time.monotonic() > deadline:
            raise StartupError(f"The store was not ready within {_READY_S:.0f} s.")
        time.sleep(0.02)
    return int(json.loads(ready.read_text())["port"])


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
