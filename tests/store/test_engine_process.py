"""The engine as a process: it keeps what it acknowledged, ends when told to, and garbage does it no harm."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest

from tests.support.engine import Engine, generations_of
from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.store.client import Store
from tidemill.store.generations import POINTS, SERIES
from tidemill.store.queries import query

QUERIES = {
    q.name: q
    for q in (
        query(
            "create",
            "CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k"
            " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
        ),
        query("keys", "SELECT k FROM t ORDER BY k"),
        query("one", "SELECT 1 AS x"),
        query("slow", "SELECT count() AS n FROM numbers(1000000000000) WHERE number % 7 = 1"),
        query("endless deletion", "ALTER TABLE t DELETE WHERE throwIf(k > 0) SETTINGS mutations_sync = 0"),
        query("end mutations", "KILL MUTATION WHERE 1"),
        query("wide", "SELECT number, toString(number) AS s FROM numbers(1000000)"),
    )
}
SMALL = ("--sessions", "2", "--queue", "2")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "engine", *SMALL).start()
    yield engine
    engine.stop()


@pytest.fixture
def store(engine: Engine) -> Iterator[Store]:
    store = Store(engine.address, queries=QUERIES)
    yield store
    store.close()


def keys(first: int, count: int) -> pl.DataFrame:
    return pl.DataFrame({"k": pl.int_range(first, first + count, dtype=pl.UInt64, eager=True)})


def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_what_was_acknowledged_survives_a_kill(engine: Engine, store: Store) -> None:
    store.command("create")
    acknowledged: list[int] = []

    def write() -> None:
        for batch in range(10_000):
            try:
                store.insert("t", keys(batch * 10, 10))
            except StoreUnavailableError:
                return
            acknowledged.append(batch)

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(acknowledged) > 20)
    engine.kill()
    writer.join()
    with pytest.raises(StoreUnavailableError):
        store.ping()
    engine.start()
    kept = store.frame("keys")["k"].to_list()
    assert set(kept) >= {batch * 10 + i for batch in acknowledged for i in range(10)}
    assert len(kept) == len(set(kept))
    assert len(kept) <= (len(acknowledged) + 1) * 10


def test_idle_engine_ends_at_once_when_told(engine: Engine, store: Store) -> None:
    store.rows("one")
    started = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - started < 30


def test_busy_engine_cancels_reads_and_ends_in_time(engine: Engine, store: Store) -> None:
    failures: list[Exception] = []

    def read() -> None:
        try:
            store.rows("slow")
        except (StoreQueryError, StoreUnavailableError) as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.3)
    started = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - started < 30
    reader.join()
    assert len(failures) == 1


def test_segmentation_fault_ends_the_process(engine: Engine) -> None:
    assert engine.process is not None
    engine.process.send_signal(signal.SIGSEGV)
    assert engine.process.wait(5) == -signal.SIGSEGV
    engine.start()


def test_nothing_is_kept_while_a_mutation_goes_on_that_an_earlier_process_began(engine: Engine, store: Store) -> None:
    generations = generations_of(store.address)
    assert generations.of_all(POINTS) is not None
    store.command("create")
    store.insert("t", keys(0, 10))
    store.command("endless deletion")
    engine.kill()
    engine.start()
    assert [generations.of_all(area) for area in (POINTS, SERIES)] == [None, None]
    with closing(Store(engine.address, queries=QUERIES)) as again:
        again.command("end mutations")
        assert again.frame("keys").height == 10
    until(lambda: generations.of_all(POINTS) is not None and generations.of_all(SERIES) is not None, 60)


def test_second_engine_on_a_folder_names_the_first(engine: Engine) -> None:
    assert engine.process is not None
    command = [sys.executable, "-m", "tidemill.store.engine", "--path", str(engine.path)]
    environment = os.environ | {"TIDEMILL_STORE_SECRET": "x"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert str(engine.process.pid) in done.stderr
    assert "in use" in done.stderr


def test_engine_without_a_secret_refuses_to_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tidemill.store.engine", "--path", str(tmp_path / "engine")]
    environment = {name: value for name, value in os.environ.items() if name != "TIDEMILL_STORE_SECRET"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "TIDEMILL_STORE_SECRET" in done.stderr


def test_engine_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.engine import Engine\n"
        f"e = Engine(Path({str(tmp_path / 'engine')!r})).start(); print(e.process.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 8)


def test_full_queue_is_refused_as_unavailable(engine: Engine) -> None:
    url = f"http://127.0.0.1:{engine.address.port}/"
    auth = (engine.address.user, engine.address.password)
    slow = QUERIES["slow"].sql.encode()
    codes: list[str] = []
    clients = [httpx.Client(auth=auth, timeout=30, trust_env=False) for _ in range(8)]  # takes its time, so made before
    together = threading.Barrier(len(clients))

    def ask(client: httpx.Client) -> None:
        together.wait()
        answer = client.post(url, params={"max_execution_time": "1"}, content=slow)
        client.close()
        codes.append(answer.headers["X-ClickHouse-Exception-Code"])

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    until(lambda: codes, 20)
    assert httpx.get(url + "ping").text == "Ok.\n"
    for thread in threads:
        thread.join()
    assert set(codes) == {"159", "202"}
    assert codes.count("159") >= 4  # two ran, two waited, four were refused; fewer where one came only after those
    answer = httpx.post(url, content=b"SELECT 1", auth=auth)
    assert answer.text == "1\n"


def test_stopped_store_is_unavailable_to_its_client(engine: Engine, store: Store) -> None:
    assert engine.process is not None
    store.ping()
    engine.process.send_signal(signal.SIGTERM)
    until(lambda: engine.process is None or engine.process.poll() is not None)
    with pytest.raises(StoreUnavailableError):
        store.rows("one")


GARBAGE = [
    b"\x00\xff" * 1000,
    b"GET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nSELECT",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xff\r\nContent-Length: 0\r\n\r\n",
]


def test_garbage_on_the_socket_harms_nothing(engine: Engine, store: Store) -> None:
    for data in GARBAGE * 3:
        with socket.create_connection(("127.0.0.1", engine.address.port), 2) as connection:
            connection.sendall(data)
    assert store.rows("one") == [{"x": 1}]


def test_requests_that_make_no_sense_are_answered(engine: Engine, store: Store) -> None:
    url = f"http://127.0.0.1:{engine.address.port}"
    auth = (engine.address.user, engine.address.password)
    for content, headers in [
        (b"", {}),
        (b"-- nothing", {}),
        (b"\xff\xfe\x00", {}),
        (b"SELECT 1", {"Content-Encoding": "br"}),
        (b"SELECT 1", {"Content-Encoding": "zstd"}),
        (b"x", {"Content-Type": "multipart/form-data"}),
        (b"x", {"Content-Type": "multipart/form-data; boundary=b"}),
        (b"'" * 100_001, {}),
        (b"(" * 100_000, {}),
        (b"INSERT INTO", {}),
        (b"INSERT INTO nosuch FORMAT Native\n\x00", {}),
        (b"INSERT INTO nosuch FORMAT Nosuch\nx", {}),
    ]:
        answer = httpx.post(url, content=content, headers=headers, auth=auth)
        assert 400 <= answer.status_code < 600, content[:20]
        assert answer.text.startswith("Code: "), content[:20]
        assert int(answer.headers["X-ClickHouse-Exception-Code"]) > 0
    assert httpx.get(url + "/nosuch").status_code == 404
    assert store.rows("one") == [{"x": 1}]


def test_memory_is_given_back_after_work(engine: Engine, store: Store) -> None:
    """Idle it holds little, and large reads leave nothing behind (the engine's library alone maps 205 MB)."""
    assert engine.process is not None
    process = psutil.Process(engine.process.pid)
    store.rows("one")
    assert process.memory_info().rss < 350e6
    for _ in range(5):
        assert store.frame("wide").height == 1_000_000
    until(lambda: process.memory_info().rss < 350e6, 10)
