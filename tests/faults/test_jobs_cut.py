"""Jobs that are cut short: by a kill of the worker, a restart of the server, a cancellation, too little memory. Each
comes to its end, and nothing of it is felt where payloads are acknowledged."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.proof import prove
from tests.support.server import Server, running_server
from tidemill.jobs.worker import MAX_ATTEMPTS
from tidemill.settings import Settings

VERIFY = {"kind": "verify"}
PAYLOADS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("jobs") / "data") as running:
        fill(running)
        yield running


def fill(server: Server) -> None:
    rows = [{"time_stamp": f"2019-05-01T06:00:{n:02}-04:00", "data": [n, 2, 3]} for n in range(PAYLOADS)]
    for row in rows:
        answer = server.client.post("/v1/feeds/dropzone", json=row, headers={"Prefer": "wait=20"})
        assert answer.json()["state"] == "applied", answer.text


def ask(server: Server) -> str:
    answer = server.client.post("/v1/jobs", json=VERIFY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(server: Server, id: str, wait_s: int = 0) -> dict[str, Any]:
    answer = server.client.get(f"/v1/jobs/{id}", headers={"Prefer": f"wait={wait_s}"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(server: Server) -> str:
    """The id of a job that has just begun, in a worker that needs a while for its first job."""
    if has_worker(server):
        server.kill("worker")
    id = ask(server)
    until(lambda: job(server, id)["state"] == "running")
    return id


def done(server: Server, id: str) -> dict[str, Any]:
    until(lambda: job(server, id, 5)["state"] not in ("queued", "running"))
    over = job(server, id)
    assert over["state"] == "done", over
    assert over["result"]["adds_up"] and over["result"]["totals"]["payloads"] == PAYLOADS
    return over


def has_worker(server: Server) -> bool:
    with contextlib.suppress(LookupError):
        return server.part("worker").is_running()
    return False


def test_a_killed_worker_begins_its_job_again(server: Server) -> None:
    id = running(server)
    server.kill("worker")
    assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 200
    done(server, id)
    assert '"part":"worker","status":-9' in server.log.read_text()


def test_a_job_outlives_a_kill_of_the_api(server: Server) -> None:
    id = running(server)
    server.kill("api")
    server.wait_ready()
    done(server, id)


def test_a_cancelled_job_stays_cancelled_and_the_next_is_done(server: Server) -> None:
    id = running(server)
    assert server.client.delete(f"/v1/jobs/{id}").json()["state"] == "cancelled"
    done(server, ask(server))
    assert (job(server, id)["state"], job(server, id)["result"]) == ("cancelled", None)


def test_a_verification_that_nobody_follows_any_more_is_cancelled(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.sendall(b"GET /v1/verify HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: bool(server.client.get("/v1/jobs").json()["items"]))
    until(lambda: server.client.get("/v1/jobs").json()["items"][0]["state"] == "cancelled")
    prove(server.client)


def test_a_restart_takes_no_job_away_and_a_worker_is_there_while_there_are_jobs(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        fill(server)
        assert not has_worker(server)
        id = running(server)
        limits = server.part("worker").rlimit(psutil.RLIMIT_DATA)
        assert limits == (Settings().worker_memory, Settings().worker_memory)
        assert server.stop() == 0
    with running_server(tmp_path / "data") as server:
        done(server, id)
        until(lambda: not has_worker(server))
        id = running(server)
        children = psutil.Process(server.process.pid).children()
        assert len(children) == 4
        server.process.kill()
        server.process.wait()
        assert psutil.wait_procs(children, timeout=15)[1] == [], "none outlives the supervisor"
    with running_server(tmp_path / "data") as server:
        done(server, id)


def test_a_job_that_its_process_does_not_survive_fails_with_words(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", env={"TIDEMILL_CRASH_AT": "job.begun"}) as server:
        fill(server)
        id = ask(server)
        until(lambda: job(server, id, 5)["state"] == "failed")
        assert "TIDEMILL_WORKER_MEMORY" in job(server, id)["error"]
        assert server.log.read_text().count('"part":"worker","status":-9') == MAX_ATTEMPTS


def test_a_crash_before_the_result_is_written_costs_the_result_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", env={"TIDEMILL_CRASH_AT": "job.before_done:2"}) as server:
        fill(server)
        for id in (ask(server), ask(server)):
            done(server, id)
        assert '"part":"worker","status":-9' in server.log.read_text()
