"""A store that takes connections and never answers: intake, readiness and acknowledgements do not wait for it."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.api.samples import row
from tests.support.api import Api, running_api
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.store.client import StoreAddress

MIB_OF_ROWS = b"\n".join([msgspec.json.encode(row())] * ((1 << 20) // len(msgspec.json.encode(row()))))


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Api]:
    """Its mill has applied everything for ever, so that every wait leads to a question to the store."""
    FileMillState(tmp_path).save_progress(PartitionProgress(1 << 40))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as engine:
        taken: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    taken.append(engine.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        with running_api(tmp_path, store=StoreAddress(*engine.getsockname(), password="x")) as api:
            try:
                yield api
            finally:
                engine.shutdown(socket.SHUT_RDWR)
                for connection in taken:
                    connection.close()


def ask_without_waiting(api: Api, method: str, path: str, times: int) -> list[threading.Thread]:
    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            client.request(method, api.url + path)

    threads = [threading.Thread(target=ask) for _ in range(times)]
    for thread in threads:
        thread.start()
    return threads


def test_nobody_else_waits_for_a_hung_store(hung: Api) -> None:
    asking = ask_without_waiting(hung, "GET", "/v1/receipts/00000000-0000-7000-8000-000000000000", 8)
    asking += ask_without_waiting(hung, "DELETE", "/v1/series/0123456789abcdef", 8)
    with hung.client.stream("GET", "/v1/stream", params={"feed": "dropzone"}) as stream:
        assert next(stream.iter_lines()) == "retry: 2000"
    time.sleep(0.3)
    before = threading.active_count()
    for _ in range(5):
        began = time.monotonic()
        answer = hung.client.post(
            "/v1/feeds/dropzone", content=MIB_OF_ROWS, headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 202
        state = hung.client.get("/readyz")
        assert state.status_code == 200 and state.json()["store"]["up"] is False
        assert hung.client.get("/v1/status").json()["store"]["state"] == "down"
        assert hung.client.get("/v1/feeds").status_code == 200
        assert time.monotonic() - began < 15
    time.sleep(2)
    began = time.monotonic()
    assert "no answer within" in hung.client.get("/readyz").json()["store"]["reason"]
    assert time.monotonic() - began < 15
    assert threading.active_count() <= before + 8, "threads do not pile up"


def test_a_wait_is_given_up_when_the_store_hangs(hung: Api) -> None:
    for _ in range(6):  # more than there are threads
        began = time.monotonic()
        answer = hung.client.post("/v1/feeds/dropzone", json=row(), headers={"Prefer": "wait=1"})
        assert answer.status_code == 202
        assert time.monotonic() - began < 15
