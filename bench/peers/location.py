"""`PUT /location` from 32 connections: Tidemill beside a plain service of FastAPI, asyncpg and PostgreSQL."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
from tests.support.server import free_port, running_server

from bench.cases.location import fixes
from bench.load import Result, run_load
from bench.peers.programs import FOLDER, MissingProgramError

CONNECTIONS: Final = 32
_PACKAGES: Final = ("fastapi", "asyncpg")
_START_TIMEOUT_S: Final = 30.0


def measure_location(folder: Path, count: int) -> dict[str, Result]:
    """The result of `count` fixes by system; the plain service is left out, and why is printed, where it cannot be."""
    results = {}
    with running_server(folder / "data") as server:
        results["Tidemill"] = _load(server.port, count)
    try:
        with _plain_service(folder / "plain") as port:
            results["FastAPI + asyncpg + PostgreSQL"] = _load(port, count)
    except MissingProgramError as error:
        print(f"the plain service is left out: {error}", flush=True)
    return results


def _load(port: int, count: int) -> Result:
    run_load("127.0.0.1", port, fixes(count // 10), connections=CONNECTIONS)
    return run_load("127.0.0.1", port, fixes(count, count // 10), connections=CONNECTIONS)


@contextmanager
def _plain_service(folder: Path) -> Iterator[int]:
    """The port of the plain service, over a PostgreSQL of its own. Raises MissingProgramError."""
    site, port = _packages(), free_port()
    with _postgres(folder) as dsn:
        command = [sys.executable, "-m", "uvicorn", "bench.peers.plain_app:app", "--port", str(port)]
        environment = os.environ | {"DSN": dsn, "PYTHONPATH": f"{Path.cwd()}:{site}"}
        with (folder / "service.log").open("wb") as log:
            quiet = ["--log-level", "warning", "--no-access-log"]
            service = subprocess.Popen([*command, *quiet], env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/openapi.json", service)
            yield port
        finally:
            service.terminate()
            service.wait(20)


def _packages() -> Path:
    """The folder with the packages of the plain service, installed there when they are missing."""
    site = FOLDER / "site"
    if not (site / "asyncpg").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(site)]
        done = subprocess.run([*command, *_PACKAGES], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingProgramError(f"{' and '.join(_PACKAGES)} cannot be installed: {done.stderr.strip()[-300:]}")
    return site


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """The address of a PostgreSQL with its defaults, in `folder`. Raises MissingProgramError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise MissingProgramError("there is no PostgreSQL in /usr/lib/postgresql; install Debian's postgresql")
    programs, data, port = found[-1].parent, folder / "postgres", free_port()
    folder.mkdir(parents=True)
    as_user: list[str] = []
    if os.geteuid() == 0:  # as whom PostgreSQL does not run
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        folder.parent.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    initdb = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust"]
    subprocess.run(initdb, check=True, capture_output=True)
    options = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen([*as_user, str(programs / "postgres"), *options], stdout=log, stderr=log)
    try:
        _wait_for_socket(folder / f".s.PGSQL.{port}", process)
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL does not start; its output is in {path.parent}")
        time.sleep(0.05)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            httpx.get(url, trust_env=False).raise_for_status()
            return
        time.sleep(0.1)
    raise RuntimeError("the plain service does not start")
