"""The process dies at the worst moments, the store goes away, a payload is deadly: nothing lost, doubled or stuck."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from tests.mill.house import House
from tests.mill.plain import location
from tests.mill.test_order import strip
from tests.mill.test_worker import fix
from tests.mill.verifying import prove
from tests.support.engine import Engine
from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.errors import Fault, FeedDefinitionError, StoreQueryError, StoreUnavailableError, UnavailableError
from tidemill.model.offset import seq_of
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.store.client import Store
from tidemill.store.migrate import migrate

SIGKILLED = -9
Build = Callable[..., House]


def run(house: House, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TIDEMILL_CRASH_AT"}
    if crash_at:
        environment["TIDEMILL_CRASH_AT"] = crash_at
    address = msgspec.json.encode(house.store.address).decode()
    command = [sys.executable, "-m", "tests.mill.process", str(house.folder), address]
    command.append(str(house.partition.number))
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)


def traffic(house: House) -> None:
    """Duplicates in one batch and against the store, values that are replaced, a record out of its minute."""
    house.send("location", [fix(1, speed=1.0), fix(1, speed=2.0)])
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0, 2.0]})


def more_traffic(house: House) -> None:
    house.send("location", [fix(1, speed=3.0), fix(2, speed=4.0)])
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [5.0, 6.0]})
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:01Z", "data": [7.0]})


@pytest.mark.parametrize("point", ["before_insert", "after_points", "after_insert", "after_checkpoint"])
def test_a_crash_anywhere_is_made_good(build: Build, point: str) -> None:
    calm, crashing = build(), build()
    for house in (calm, crashing):
        traffic(house)
        house.work()
        more_traffic(house)
    calm.work()
    assert run(crashing, f"mill.{point}").returncode == SIGKILLED
    crashing.new_mill()
    crashing.work()
    assert crashing.applied == 5
    assert strip(crashing.everything()) == strip(calm.everything())
    prove(crashing)


def test_a_payload_that_kills_the_mill_is_set_aside_and_the_log_moves_on(build: Build) -> None:
    house = build()
    for second in range(6):
        house.send("location", fix(second, "KILL" if second == 3 else "a1"))
    kills = 0
    while (ended := run(house)).returncode == SIGKILLED:
        kills += 1
        assert kills < 8
    assert seq_of(int(ended.stdout)) == 6
    states = {row["seq"]: row["state"] for row in house.all("payloads")}
    assert states == {1: "applied", 2: "applied", 3: "applied", 4: "poison", 5: "applied", 6: "applied"}
    [row] = house.all("rejections")
    assert (row["seq"], row["reasons"]) == (4, ["poison"])
    [poison] = [row for row in house.all("payloads") if row["state"] == "poison"]
    assert b"KILL" in bytes.fromhex(poison["body"])
    prove(house)


def test_a_payload_that_raises_is_set_aside_alone(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Decoder.decode_batch

    def fragile(self: Decoder, payloads: Sequence[LogEntry]) -> Batch:
        if any(b"RAISE" in entry.payload.body for entry in payloads):
            raise RuntimeError("a fault of ours")
        return decode(self, payloads)

    monkeypatch.setattr(Decoder, "decode_batch", fragile)
    house = build()
    for second in range(7):
        house.send("location", fix(second, "RAISE" if second in {0, 5} else "a1"))
    house.work()
    poison = [row["seq"] for row in house.all("payloads") if row["state"] == "poison"]
    assert poison == [1, 6]
    assert len(house.all("payloads")) == 7
    assert house.mill.status.poisoned == 2
    assert house.applied == 7
    assert "a fault of ours" in house.mill.status.last_error


def test_payloads_of_a_feed_that_the_catalog_lacks_wait_for_it(house: House) -> None:
    house.send("location", fix(1))
    house.send("mine", fix(2))
    with pytest.raises(UnavailableError, match="version 1 of feed 'mine'"):
        house.mill.apply_batch()
    house.texts.apply(house.tenant, "mine", house.texts.list(house.tenant)[1].text.replace("location", "mine"))
    assert house.work() == 2
    assert {row["state"] for row in house.all("payloads")} == {"applied"}


def test_a_variable_that_only_polling_needs_holds_no_payload_up(house: House) -> None:
    text = location("first") + '[source]\nurl = "${TIDEMILL_TEST_NOWHERE}"\nevery = "1m"\n[retention]\npoints = "30d"\n'
    version = house.texts.apply(house.tenant, "location", text).version
    with pytest.raises(FeedDefinitionError, match="TIDEMILL_TEST_NOWHERE"):
        house.book.version(house.tenant, "location", version)
    house.send("location", fix(1), feed_version=version)
    house.work()
    assert [row["state"] for row in house.all("payloads")] == ["applied"]
    house.mill._retention.run_due()


def working(house: House) -> tuple[threading.Event, threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=house.mill.run_until, args=(stop,))
    thread.start()
    return stop, thread


def wait_for(what: Callable[[], Any], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_store_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", database="tidemill").start()
    migrate(engine.address)
    house = House(tmp_path / "house", engine.address, "waiting")
    stop, thread = working(house)
    try:
        house.send("location", fix(1))
        wait_for(lambda: house.applied == 1)
        engine.kill()
        house.send("location", fix(2))
        wait_for(lambda: house.mill.status.state == "waiting_for_store")
        begun = house.mill.status.retries
        time.sleep(1.0)
        assert house.mill.status.retries - begun < 8, "it does not spin"
        assert time.monotonic() - house.mill.last_turn < 20, "it turns while it waits"
        assert house.applied == 1
        engine.start()
        wait_for(lambda: house.applied == 2)
        assert house.mill.status.poisoned == 0
        assert sorted(house.values("speed").values()) == [1.0, 1.0]
        wait_for(lambda: house.mill.status.state == "idle")
    finally:
        stop.set()
        thread.join(10)
        engine.stop()
    found = house.state.telemetry()
    assert found is not None
    assert (found.state, found.applied_offset, found.lag) == ("stopped", house.offset(2), 0)


def test_ends_by_force_while_a_slow_store_is_waited_for_condemn_nobody(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop in the middle of an insert, and killed before it returns: three times, then the store is well."""
    house = build()
    house.send("location", fix(1))
    insert, answers, asked = Store.insert, threading.Event(), threading.Event()

    def slow(self: Store, name: str, frame: pl.DataFrame) -> None:
        asked.set()
        answers.wait(30)
        insert(self, name, frame)

    attempt = house.folder / "mill" / "mill.attempt"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "insert", slow)
        for _ in range(3):
            asked.clear()
            answers.clear()
            house.new_mill()
            stop, thread = working(house)
            assert asked.wait(20)
            stop.set()
            wait_for(lambda: b'"forgiven":true' in attempt.read_bytes())
            as_killed = attempt.read_bytes()
            answers.set()
            thread.join(10)
            attempt.write_bytes(as_killed)
            house.mill._checkpoint.save(house.partition.start)
    house.new_mill()
    house.work()
    assert [row["state"] for row in house.all("payloads")] == ["applied"]


def test_an_idle_mill_applies_what_a_hint_speaks_of(build: Build) -> None:
    house = build()
    stop, thread = working(house)
    try:
        house.ours.send(house.send("location", fix(0)))  # the first loads code and zones
        wait_for(lambda: house.applied == 1)
        time.sleep(0.2)
        house.ours.send(house.send("location", fix(1)))
        wait_for(lambda: house.applied == 2)
    finally:
        stop.set()
        thread.join(10)


@pytest.mark.parametrize("table", ["points", "rejections", "replaced", "payloads"])
def test_a_write_that_fails_while_a_standing_record_is_overtaken(
    build: Build, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    calm, shaken = build(), build()
    for house in (calm, shaken):
        for speed in (1.0, 2.0, 3.0):
            house.send("location", fix(1, speed=speed))
        house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0, 2.0]})
        house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [5.0, 6.0]})
    calm.apply([[entry] for entry in calm.entries()])
    first, second, third, fourth, fifth = shaken.entries()
    shaken.apply([[second, third, fourth]])
    insert = Store.insert

    def failing(self: Store, name: str, frame: pl.DataFrame) -> None:
        if name == table:
            raise StoreUnavailableError("gone in the middle")
        insert(self, name, frame)

    with monkeypatch.context() as patch, pytest.raises(StoreUnavailableError):
        patch.setattr(Store, "insert", failing)
        shaken.apply([[first, fifth]])
    shaken.apply([[first, fifth]])
    assert strip(shaken.everything()) == strip(calm.everything())


def refusing(monkeypatch: pytest.MonkeyPatch, code: int, refused: Callable[[str, pl.DataFrame], bool]) -> None:
    insert = Store.insert

    def choosy(self: Store, name: str, frame: pl.DataFrame) -> None:
        if refused(name, frame):
            raise StoreQueryError(code, "refused by the test")
        insert(self, name, frame)

    monkeypatch.setattr(Store, "insert", choosy)


@pytest.mark.parametrize("code", [241, 159, 173, 74, 243, 394, 439, 1001, 60, 0])
def test_a_store_that_refuses_for_reasons_of_its_own_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    for second in range(3):
        house.send("location", fix(second))
    with monkeypatch.context() as patch:
        refusing(patch, code, lambda name, frame: name == "points")
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match=f"{code}"):
                house.mill.apply_batch()
    assert house.work() == 3
    assert {row["state"] for row in house.all("payloads")} == {"applied"}
    assert len(house.values("speed")) == 3


def test_a_store_with_memory_for_few_payloads_is_given_few(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for second in range(20):
        house.send("location", fix(second))
    refusing(monkeypatch, 241, lambda name, frame: name == "payloads" and frame.height > 3)
    done = refusals = 0
    while done < 20:
        try:
            done += house.mill.apply_batch()
        except StoreUnavailableError:
            refusals += 1
            assert refusals < 20
    assert len(house.values("speed")) == 20
    assert house.mill.status.poisoned == 0


def test_a_payload_that_is_set_aside_leaves_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, shaken = build(), build()
    for house in (calm, shaken):
        house.send("location", [fix(1, speed=1.0), fix(2, speed=2.0)])
        house.work()
    both = [fix(3, speed=9.0), fix(1, speed=9.0), fix(4) | {"timestamp": "2017-01-01 14:00:00"}]
    bad = shaken.send("location", both)
    calm.send("location", both, kind=EntryKind.REFUSED, faults=(Fault("$", "poison", ""),))
    calm.work()
    monkeypatch.setattr("tidemill.mill.retries.TRIES_ALONE", 2)
    with monkeypatch.context() as patch:
        refusing(
            patch,
            117,
            lambda name, frame: (
                name == "payloads"
                and not frame.filter(pl.col("seq") == shaken.offset(bad), pl.col("state") == "applied").is_empty()
            ),
        )
        shaken.work()
    states = {row["seq"]: (row["state"], row["rejected"]) for row in shaken.all("payloads")}
    assert states == {1: ("applied", 0), bad: ("poison", 1)}
    assert [row["reasons"] for row in shaken.all("rejections")] == [["poison"]]
    left = {
        house: strip({table: house.all(table) for table in ("series", "points", "rollups")}) for house in (calm, shaken)
    }
    for table in ("points", "rollups"):
        assert left[shaken][table] == left[calm][table]


def test_a_store_that_refuses_what_is_set_aside_does_not_end_the_mill(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.mill.retries.TRIES_ALONE", 1)
    house.send("location", fix(1))
    with monkeypatch.context() as patch:
        refusing(patch, 117, lambda name, frame: name == "payloads")
        stop, thread = working(house)
        wait_for(lambda: house.mill.status.retries > 1)
        assert "refused by the test" in house.mill.status.last_error
        assert thread.is_alive()
    wait_for(lambda: house.applied == 1)
    stop.set()
    thread.join(10)
