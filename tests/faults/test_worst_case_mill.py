"""A real server under the payloads that cost most: the mill's memory is bounded, other tenants do not wait, nothing is
stuck after a restart; and a store that refuses one payload, or everything, or has no memory for the largest of all.

The mill runs under a limit of memory, so that a failure here cannot take the machine down.
"""

import contextlib
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.mill.house import House
from tests.mill.test_worker import fix
from tests.support.engine import Engine
from tests.support.rounds import rounds
from tests.support.server import Server, running_server
from tests.support.worst_bodies import WORST
from tidemill.errors import StoreQueryError
from tidemill.mill.progress import PartitionProgress
from tidemill.model.offset import ONLY
from tidemill.settings import load_settings
from tidemill.store.client import Store
from tidemill.store.migrate import migrate

MIB = 1 << 20
BODY_BYTES = 8 * MIB
PEAK_BYTES = 1 << 30
LIMIT_BYTES = 3 << 30  # beyond what is mapped at the start
APPLIED_S = 5.0  # of another tenant's payload
BUSY = 20.0  # and so many times what the same payload takes by itself, for a machine that is busy with other things
PATIENCE_S = 120.0
# Short: of each kind one; full: all of them.
SHORT = (
    "backslash_beside_the_records",
    "duplicate_keys",
    "million_nan",
    "million_objects",
    "zeros",
    "long_texts",
    "deep",
    "series_of_texts",
)
SHAPES = rounds(len(SHORT), len(WORST))


def shapes() -> list[str]:
    return [*SHORT, *(name for name in WORST if name not in SHORT)][:SHAPES]


@dataclass
class Tenant:
    """A client of one tenant."""

    client: httpx.Client

    def apply_feed(self, name: str, text: str) -> None:
        answer = self.client.put(f"/v1/feeds/{name}", content=text, headers={"content-type": "application/toml"})
        assert answer.status_code in (200, 201), answer.text

    def send(self, feed: str, body: bytes, form: str = "json") -> str:
        kind = {"json": "application/json", "ndjson": "application/x-ndjson"}.get(form, "application/octet-stream")
        answer = self.client.post(f"/v1/feeds/{feed}", content=body, headers={"content-type": kind})
        assert answer.status_code == 202, answer.text[:500]
        return str(answer.json()["id"])

    def fix(self, second: int) -> float:
        """Seconds until a small payload of this tenant is applied."""
        begun = time.monotonic()
        answer = self.client.put("/location", json=fix(second % 60), headers={"Prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        receipt = self.receipt(answer.json()["id"])
        while receipt["state"] == "stored":
            assert time.monotonic() < begun + PATIENCE_S, "the other tenant's payload waits"
            time.sleep(0.02)
            receipt = self.receipt(str(receipt["id"]))
        assert receipt["state"] == "applied"
        return time.monotonic() - begun

    def receipt(self, receipt: str) -> dict[str, object]:
        answer = self.client.get(f"/v1/receipts/{receipt}")
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def fixes_until(self, settled: Callable[[], bool]) -> float:
        """Apply small payloads of this tenant, one after the other; the longest that one took, in seconds."""
        longest, number = 0.0, 0
        while not settled():
            longest = max(longest, self.fix(number))
            number += 1
        return longest

    def is_settled(self, receipt: str) -> bool:
        return self.receipt(receipt)["state"] != "stored"

    def wait(self, receipts: list[str], timeout_s: float) -> list[dict[str, object]]:
        """The receipts, once all of them are settled."""
        deadline = time.monotonic() + timeout_s
        found = []
        for receipt in receipts:
            while (state := self.receipt(receipt))["state"] == "stored":
                assert time.monotonic() < deadline, f"{receipt} is stuck"
                time.sleep(0.1)
            found.append(state)
        return found


def key_of(data: Path, tenant: str) -> str:
    command = [sys.executable, "-m", "tidemill.cli", "key", "create", "--data", str(data)]
    done = subprocess.run(
        [*command, "--tenant", tenant, "--scope", "read,write,admin"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


@contextlib.contextmanager
def tenants(server: Server, keys: dict[str, str]) -> Iterator[list[Tenant]]:
    with contextlib.ExitStack() as stack:
        yield [
            Tenant(
                stack.enter_context(
                    httpx.Client(
                        base_url=server.url,
                        headers={"Authorization": f"Bearer {key}"},
                        timeout=120,
                        trust_env=False,
                    )
                )
            )
            for key in keys.values()
        ]


def limit_mill(server: Server) -> int:
    """Put the mill under a limit of memory; its process id."""
    mill = server.part("mill")
    limit = mill.memory_info().vms + LIMIT_BYTES
    resource.prlimit(mill.pid, resource.RLIMIT_AS, (limit, limit))
    return mill.pid


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


@pytest.mark.timeout(rounds(600, 3600))
def test_the_worst_payloads_of_a_tenant_bound_memory_and_hold_nobody_else_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    keys = {tenant: key_of(data, tenant) for tenant in ("costly", "other")}
    with running_server(data) as server, tenants(server, keys) as (costly, other):
        other.fix(0)  # loads code
        alone = sorted(other.fix(number) for number in range(5))[2]
        allowed = APPLIED_S + BUSY * alone
        pid = limit_mill(server)
        for name in shapes():
            worst = WORST[name](BODY_BYTES)
            costly.apply_feed(worst.name, worst.feed)
            begun, receipt = time.monotonic(), costly.send(worst.name, worst.body, worst.format)
            longest = other.fixes_until(lambda receipt=receipt: costly.is_settled(receipt))
            peak = peak_bytes(pid)
            took = time.monotonic() - begun
            print(f"{name}: {took:.1f} s; the other tenant: {longest:.2f} s; peak so far {peak / MIB:.0f} MiB")
            assert costly.receipt(receipt)["state"] == "applied"
            assert longest < allowed, f"{name}: alone it takes {alone:.2f} s"
            assert peak < PEAK_BYTES, name
            assert server.part("mill").pid == pid, f"{name} ended the mill"
        backlog = [costly.send("worst_plain", WORST["zeros"](BODY_BYTES).body) for _ in range(rounds(3, 20))]
        waited = max(other.fix(number) for number in range(3))
        print(f"beside a backlog of {len(backlog)}: {waited:.2f} s; by itself {alone:.2f} s")
        assert waited < allowed
        assert peak_bytes(pid) < PEAK_BYTES
        assert server.client.get("/readyz", headers={"Authorization": f"Bearer {keys['other']}"}).status_code == 200
        server.kill("mill")  # in the middle of the backlog
        server.wait_ready()
        other.fix(30)
        costly.wait(backlog, PATIENCE_S)
        costly.send("worst_plain", WORST["zeros"](BODY_BYTES).body)
    # Ended in the middle of a payload: nothing is stuck after the restart.
    with running_server(data) as server, tenants(server, keys) as (costly, other):
        other.fix(31)
        costly.wait([costly.send("worst_plain", b"{}")], PATIENCE_S)


@contextlib.contextmanager
def working(house: House) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=house.mill.run_until, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


def wait_for(true: Callable[[], bool], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "engine", database="tidemill").start()
    migrate(engine.address)
    try:
        yield engine
    finally:
        engine.stop()


def limited(house: House, engine: Engine, query_memory: int) -> None:
    """Let the house's mill use a store in which a query may use so many bytes."""
    house.store = Store(
        engine.address, queries=house.store._queries, settings={"max_memory_usage": query_memory}, timeout_s=60
    )
    house.new_mill()


def test_a_payload_that_the_engine_refuses_for_want_of_memory_is_set_aside_and_the_rest_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    """200,000 samples are 21 MB of rows, which 16 MiB of memory cannot take in; their body of 400 kB fits."""
    house = House(tmp_path / "house", engine.address, "refused", partition=ONLY)
    limited(house, engine, 16 * MIB)
    other = house.neighbour("other")
    house.send("location", fix(0))
    with working(house):
        wait_for(lambda: house.mill.progress == PartitionProgress(1))
        samples = {"name": "a", "start": "2024-01-01T00:00:00Z", "interval": "1s", "values": [0] * 200_000}
        bad = house.send("signals", samples)
        house.send("location", fix(2))
        begun = time.monotonic()
        seq = house.send("location", fix(3), tenant=other)
        wait_for(lambda: house.mill.progress.applied(other, seq))
        print(f"\nthe other tenant's payload waited {time.monotonic() - begun:.2f} s")
        wait_for(lambda: house.mill.progress == PartitionProgress(seq))
    assert "code 241" in house.mill.status.last_error
    limited(house, engine, 1 << 30)  # for the questions of this test
    states = {row["seq"]: row["state"] for row in house.all("payloads")}
    assert states == {1: "applied", bad: "poison", bad + 1: "applied"}
    [row] = [row for row in house.all("rejections") if row["seq"] == bad]
    assert row["reasons"] == ["poison"] and len(row["record"]) <= 64 << 10
    house.close()


def test_a_store_that_refuses_everything_costs_no_payload_and_is_recovered_from(engine: Engine, tmp_path: Path) -> None:
    house = House(tmp_path / "house", engine.address, "refusing", partition=ONLY)
    limited(house, engine, 64 << 10)  # not enough for an insert of one row
    for second in range(3):
        house.send("location", fix(second))
    with working(house):
        wait_for(lambda: house.mill.status.retries > 5)
        assert house.mill.status.state == "waiting_for_store"
        assert "code 241" in house.mill.status.last_error
        assert house.mill.status.poisoned == 0
    limited(house, engine, 1 << 30)
    with working(house):
        wait_for(lambda: house.mill.progress == PartitionProgress(3))
    assert {row["state"] for row in house.all("payloads")} == {"applied"}
    house.close()


def test_the_largest_payload_can_be_set_aside_however_little_memory_a_query_may_use(
    engine: Engine, tmp_path: Path
) -> None:
    settings = load_settings({"data": str(tmp_path), "query_memory": MIB})
    body = Random(1).randbytes(max(settings.max_body, settings.max_bulk_body, settings.max_unpacked))
    house = House(tmp_path / "house", engine.address, "large", partition=ONLY)
    house.send("location", body)
    [entry] = house.entries()
    limited(house, engine, settings.query_memory)
    with pytest.raises(StoreQueryError):
        house.mill._applier.set_aside(entry, "no reason")
    limited(house, engine, max(settings.query_memory, settings.insert_memory))
    house.mill._applier.set_aside(entry, "no reason")
    stored = house.store.raw("payload_body", "RawBLOB", tenant=house.tenant, receipt=entry.payload.receipt)
    assert stored == body
    house.close()
