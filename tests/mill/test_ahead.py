"""A portion is inserted while the next one is decided: what is stored is what one after the other stores, and so it is
after a kill at any point between the stages, and after errors on either side."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.test_crash import SIGKILLED, refusing
from tests.mill.test_order import PHASES, strip
from tests.mill.verifying import prove
from tests.support.rounds import rounds
from tidemill.decode.decoder import Decoder
from tidemill.mill.ahead import InsertAhead
from tidemill.model.deletion import Deletion
from tidemill.store.client import Store

Build = Callable[..., House]
FEED = """
name = "{name}"
duplicates = "{duplicates}"
[input]
on_fault = "reject"
[time]
path = "$.t"
[tags.id]
path = "$.id"
[fields.a]
path = "$.a"
[fields.b]
path = "$.b"
required = false
"""
POLICIES = ("first", "last", "keep")
EACH = {"rows_bytes": 1}  # every payload is a portion
LONG = ("rows_bytes=1", "apply_s=600")  # however busy the machine is, all payloads are one batch


def prepared(build: Build, **bounds: float) -> House:
    house = build(**bounds)
    for policy in POLICIES:
        house.texts.apply(house.tenant, policy, FEED.format(name=policy, duplicates=policy))
    return house


def record(second: int, value: float, device: str = "x", **other: Any) -> dict[str, Any]:
    return {"t": f"2026-01-01T00:00:{second:02}Z", "id": device, "a": value, **other}


def growing(house: House, payloads: int = 5) -> None:
    """Payloads that only add points: each has a new series and later times of one that is there."""
    for number in range(payloads):
        later = [record(10 * number + second, number + second / 8) for second in range(3)]
        house.send("first", [*later, record(0, number, f"new{number}")])


# A payload: its feed, and records of few instants and devices, so that many meet; a value below 0 is a fault.
RECORDS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("xy"), st.integers(-1, 5), st.booleans()), min_size=1, max_size=3
)
PAYLOADS = st.lists(st.tuples(st.sampled_from(POLICIES), RECORDS), min_size=2, max_size=8)


@settings(
    max_examples=rounds(2, 30),
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(payloads=PAYLOADS, all_in_time=st.booleans())
def test_what_is_decided_ahead_leaves_what_is_left_one_after_the_other(
    build: Build, payloads: list[tuple[str, list[tuple[int, str, int, bool]]]], all_in_time: bool
) -> None:
    calm, ahead = prepared(build), prepared(build, **EACH, apply_s=60.0 if all_in_time else 0.0)
    for house in (calm, ahead):
        for feed, records in payloads:
            house.send(
                feed,
                [
                    record(second, value, device, **({"b": 1.0} if more else {})) if value >= 0 else {"id": device}
                    for second, device, value, more in records
                ],
            )
    calm.apply([[entry] for entry in calm.entries()])
    assert ahead.work() == len(payloads)
    assert strip(ahead.everything()) == strip(calm.everything())
    prove(ahead)


def test_the_next_portion_is_decoded_while_one_is_inserted(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = prepared(build, **EACH, apply_s=600.0)
    growing(house, 2)
    house.work()  # from here on nothing has to be asked of the store
    house.send("first", [record(40, 1.0)])
    house.send("first", [record(50, 2.0)])
    decoded, inserting = threading.Event(), threading.Event()
    decode = Decoder.decode_batch

    def noticed(self: Decoder, payloads: Any) -> Any:
        if b"00:00:50" in payloads[0].payload.body:
            assert inserting.wait(60), "the insert before has not begun"
            decoded.set()
        return decode(self, payloads)

    def refuses(name: str, frame: Any) -> bool:
        if name == "points" and not decoded.is_set():
            inserting.set()
            assert decoded.wait(60), "the next portion is not decoded before this one is inserted"
        return False

    monkeypatch.setattr(Decoder, "decode_batch", noticed)
    refusing(monkeypatch, 0, refuses)
    assert house.work() == 2
    assert {row["state"] for row in house.all("payloads")} == {"applied"}
    prove(house)


def test_a_decision_that_needs_the_store_waits_for_the_insert_before(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = prepared(build, **EACH, apply_s=600.0)
    growing(house, 2)
    house.work()
    house.send("first", [record(40, 1.0)])
    house.send("first", [record(40, 2.0)])
    decoded = threading.Event()
    decode = Decoder.decode_batch

    def noticed(self: Decoder, payloads: Any) -> Any:
        if b"2.0" in payloads[0].payload.body:
            decoded.set()
        return decode(self, payloads)

    def slow(name: str, frame: Any) -> bool:
        if name == "points":
            assert decoded.wait(60)
            time.sleep(0.3)  # long enough for the decision about the second, if it did not wait
        return False

    monkeypatch.setattr(Decoder, "decode_batch", noticed)
    refusing(monkeypatch, 0, slow)
    assert house.work() == 2
    assert [row["reasons"] for row in house.all("rejections")] == [["duplicate"]]
    prove(house)


def test_a_batch_ends_in_time_and_the_rest_is_applied_after_it(build: Build) -> None:
    house = prepared(build, **EACH, apply_s=0.0)
    growing(house, 4)
    for applied in range(1, 5):
        assert house.mill.apply_batch() == 1
        assert house.applied == applied
        assert len(house.all("payloads")) == applied, "nothing of the next portion is written"
    prove(house)


def test_a_batch_that_ends_in_time_applies_no_deletion_twice(build: Build) -> None:
    house = prepared(build, **EACH, apply_s=0.0)
    house.send("first", [record(1, 1.0)])
    house.work()
    series = house.all("points")[0]["series"]
    growing(house, 1)
    house.ask(Deletion(kind="series", feed="first", series=f"{series:016x}"))
    growing(house, 1)
    assert [house.mill.apply_batch() for _ in range(2)] == [2, 1]
    prove(house)


def test_what_a_batch_left_for_lack_of_time_is_not_taken_for_applied(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = prepared(build, **EACH, apply_s=0.0)
    asked = list[str]()
    ask = Store.frame

    def noticed(self: Store, name: str, **values: Any) -> Any:
        asked.append(name)
        return ask(self, name, **values)

    monkeypatch.setattr(Store, "frame", noticed)
    for second in range(4):
        house.send("last", [record(second, 1.0)])
    assert house.work() == 4
    assert "mill_applied" not in asked
    house.mill._applier.apply_again(house.entries()[0])
    assert "mill_applied" in asked


def run(house: House, crash_at: str) -> int:
    command = [sys.executable, "-m", "tests.mill.process", str(house.folder)]
    command += [msgspec.json.encode(house.store.address).decode(), str(house.partition.number), *LONG]
    environment = os.environ | {"TIDEMILL_CRASH_AT": crash_at}
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize("point", ["decided:2", "before_insert:2", "after_points:3"])
def test_a_kill_between_the_stages_is_made_good(build: Build, point: str) -> None:
    calm, crashing = prepared(build), prepared(build)
    for house in (calm, crashing):
        growing(house)
    calm.work()
    assert run(crashing, f"mill.{point}") == SIGKILLED
    crashing.new_mill()
    assert crashing.work() == 5, "the batch does not count before all of it is written"
    assert strip(crashing.everything()) == strip(calm.everything())
    prove(crashing)


@pytest.mark.parametrize("table", ["points", "payloads"])
def test_a_refused_insert_is_made_good_though_the_next_portion_was_decided(
    build: Build, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    calm, house = prepared(build), prepared(build, **EACH, apply_s=600.0)
    for one in (calm, house):
        growing(one)
    calm.work()
    refusals = [2]  # the second insert of the table

    def refuses(name: str, frame: Any) -> bool:
        refusals[0] -= name == table
        return name == table and refusals[0] == 0

    refusing(monkeypatch, 241, refuses)
    assert house.work() == 5
    assert refusals[0] < 0, "it was refused, and written again"
    assert strip(house.everything()) == strip(calm.everything())
    prove(house)


def test_a_payload_that_raises_while_another_is_inserted_is_set_aside_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Decoder.decode_batch

    def fragile(self: Decoder, payloads: Any) -> Any:
        if any(b"RAISE" in entry.payload.body for entry in payloads):
            raise RuntimeError("a fault of ours")
        return decode(self, payloads)

    monkeypatch.setattr(Decoder, "decode_batch", fragile)
    house = prepared(build, **EACH)
    growing(house, 2)
    house.send("first", [record(30, 1.0, "RAISE")])
    growing(house, 1)
    assert house.work() == 4
    assert [row["state"] for row in sorted(house.all("payloads"), key=lambda row: row["seq"])] == [
        *("applied", "applied", "poison", "applied")
    ]


def test_an_insert_is_waited_for_by_the_thread_that_prepares_and_by_no_other() -> None:
    ahead, may_end, others = InsertAhead(), threading.Event(), []

    def insert() -> None:
        ahead.wait()  # the insert itself
        assert may_end.wait(60)
        others.append("inserted")

    ahead.start(insert)
    other = threading.Thread(target=lambda: (ahead.wait(), others.append("other"), may_end.set()))
    other.start()
    ahead.wait()
    other.join()
    assert others == ["other", "inserted"]
    ahead.close()


def test_the_error_of_an_insert_is_raised_once_and_nothing_is_begun_after_it() -> None:
    ahead, begun = InsertAhead(), []

    def fail() -> None:
        raise OSError("the disk")

    ahead.start(fail)
    with pytest.raises(OSError, match="the disk"):
        ahead.start(lambda: begun.append(1))
    ahead.wait()
    ahead.start(fail)
    ahead.give_up()
    ahead.start(lambda: begun.append(2))
    ahead.wait()
    assert begun == [2]
    ahead.close()
