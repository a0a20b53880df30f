"""Forecasts that are cut short: by a client that goes away, a kill of the worker, a restart of the server, a
cancellation. Processes are stopped where a fit has to last, so that nothing depends on how fast the machine is."""

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server import Server, running_server
from tidemill.api.forecasts import LINGER_S

VALUES = [float(at % 24) + at % 7 / 10 for at in range(2_000)]
SIGNAL = {"name": "load", "start": "2026-01-01T00:00:00Z", "interval": "1h", "values": VALUES}
DEADLINE_S = 60.0
LEAVES_S = 20.0  # within which a fit must end whose client is gone; one that nobody ends is ended after 30 s


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("forecasts") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def series(server: Server) -> str:
    return create(server)


def create(server: Server) -> str:
    answer = server.client.post("/v1/series", json=SIGNAL, headers={"Prefer": "wait=30"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def until(true: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fitting(part: psutil.Process) -> list[psutil.Process]:
    """The processes that compute for a part of the server."""
    with contextlib.suppress(psutil.Error):
        return [child for child in part.children() if "tidemill.processes.child" in child.cmdline()]
    return []


def is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def ask(server: Server, series: str, horizon: int) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)
    wire.sendall(f"GET /v1/series/{series}/forecast?horizon={horizon} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return wire


@pytest.fixture
def stopped(server: Server) -> Iterator[list[psutil.Process]]:
    """The processes in which the API's analyses run, all stopped: a fit lasts until they go on."""
    until(lambda: len(fitting(server.part("api"))) == 2)
    processes = fitting(server.part("api"))
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    yield processes
    resume(processes)


def resume(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def one_is_gone(processes: list[psutil.Process]) -> bool:
    return any(map(is_gone, processes))


def forecast(server: Server, series: str, horizon: int) -> int:
    path = f"/v1/series/{series}/forecast?horizon={horizon}"
    return server.client.get(path, timeout=DEADLINE_S).status_code


def test_a_fit_goes_on_while_another_client_waits_for_the_same(
    server: Server, series: str, stopped: list[psutil.Process]
) -> None:
    with ask(server, series, 31) as stays:
        for _ in range(3):
            with ask(server, series, 31):
                time.sleep(0.3)
        time.sleep(0.5)
        assert not one_is_gone(stopped)
        resume(stopped)
        assert stays.recv(100).startswith(b"HTTP/1.1 200")


def test_a_fit_ends_when_its_only_client_has_gone(server: Server, series: str, stopped: list[psutil.Process]) -> None:
    deadline = time.monotonic() + LEAVES_S
    wait_s = 0.2
    while not one_is_gone(stopped):  # a client that leaves too early ends nothing: there was no fit yet
        assert time.monotonic() < deadline, "nobody waits for it, and it goes on"
        with ask(server, series, 30):
            time.sleep(wait_s)
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, 3.0)
    resume(stopped)
    assert forecast(server, series, 30) == 200
    assert forecast(server, series, 29) == 200


def test_a_fit_that_became_a_job_does_not_end_its_process_at_once_nor_keeps_it_for_long(
    server: Server, series: str, stopped: list[psutil.Process]
) -> None:
    body = {"series": series, "horizon": 32}
    begun = time.monotonic()
    answer = server.client.post("/v1/forecasts", json=body, headers={"Prefer": "wait=2"}, timeout=DEADLINE_S)
    assert answer.status_code == 202, answer.text
    if time.monotonic() - begun < 2 + LINGER_S / 2:
        assert not one_is_gone(stopped)
    until(lambda: one_is_gone(stopped), LEAVES_S)
    done(server, answer.json()["id"])


def queued(server: Server, series: str, **members: Any) -> str:
    answer = server.client.post("/v1/forecasts", json={"series": series, **members}, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(server: Server, id: str, wait_s: int = 0) -> dict[str, Any]:
    answer = server.client.get(f"/v1/jobs/{id}", headers={"Prefer": f"wait={wait_s}"}, timeout=DEADLINE_S)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def stopped_fit(server: Server, series: str) -> tuple[str, psutil.Process]:
    """A job whose fit was stopped before its end, and the process of the fit."""
    id = queued(server, series, horizon=500)
    begun: list[psutil.Process] = []

    def stop() -> bool:
        with contextlib.suppress(LookupError, psutil.Error):
            begun.extend(fitting(server.part("worker")))
            for process in begun:
                process.send_signal(signal.SIGSTOP)
        return bool(begun) or job(server, id)["state"] == "done"

    until(stop)
    if not begun:  # this machine was faster
        return stopped_fit(server, series)
    until(lambda: job(server, id)["progress"]["step"] == "fitting the models")
    return id, begun[0]


def test_a_cancelled_fit_ends_and_stores_nothing(server: Server, series: str) -> None:
    id, process = stopped_fit(server, series)
    assert server.client.delete(f"/v1/jobs/{id}").json()["state"] == "cancelled"
    until(lambda: is_gone(process))
    assert server.client.get(f"/v1/forecasts/{id}").status_code == 404
    done(server, queued(server, series))


def done(server: Server, id: str) -> None:
    until(lambda: job(server, id, 5)["state"] not in ("queued", "running"))
    assert job(server, id)["state"] == "done", job(server, id)
    assert server.client.get(job(server, id)["links"]["forecast"]).json()["id"] == id


def test_a_killed_worker_begins_its_fit_again_and_leaves_no_process(server: Server, series: str) -> None:
    id, process = stopped_fit(server, series)
    server.kill("worker")
    process.send_signal(signal.SIGCONT)  # it sees that its parent has gone when it goes on
    until(lambda: is_gone(process))
    done(server, id)


def test_a_restart_takes_no_fit_away(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        id, process = stopped_fit(server, create(server))
        assert server.stop() == 0
        process.send_signal(signal.SIGCONT) if not is_gone(process) else None
        until(lambda: is_gone(process))
    with running_server(tmp_path / "data") as server:
        done(server, id)
