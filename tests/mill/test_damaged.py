"""Entries of the log that are damaged before the mill has applied them: never wrong points, never a mill that stops."""

from collections.abc import Callable

import apsw

from tests.mill.house import House, questions
from tests.mill.verifying import verify
from tidemill.mill.lanes import Hold
from tidemill.mill.progress import PartitionProgress
from tidemill.store.client import Store
from tidemill.store.queries import query

Build = Callable[..., House]
LONG = " " * 5_000  # longer than what is mended by trying


def heap(second: int, *numbers: float) -> bytes:
    numbers_text = ", ".join(map(str, numbers))
    return f'{{"time_stamp": "2019-05-01T06:00:{second:02}Z", "data": [{numbers_text}]}}{LONG}'.encode()


def garble(house: House, seq: int, old: str, new: str) -> None:
    with apsw.Connection(str(house.folder / "log" / "log.sqlite")) as connection:
        connection.execute(
            "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB) WHERE seq = ?",
            (old, new, house.offset(seq)),
        )
        assert connection.changes() == 1
    connection.close()


def test_a_damaged_entry_is_set_aside_with_the_reason_and_the_rest_is_applied(build: Build) -> None:
    house = build()
    for number in range(3):
        house.send("dropzone", heap(number, 1.0, 2.0 + number))
    garble(house, 2, "3.0", "9.0")
    house.work()
    states = {row["seq"]: (row["state"], dict(row["reasons"])) for row in house.all("payloads")}
    assert states == {1: ("applied", {}), 2: ("poison", {"damaged": 1}), 3: ("applied", {})}
    assert {row["seq"] for row in house.all("points")} == {1, 3}
    assert house.applied == 3
    found = verify(house)
    bad = house.offset(2)
    assert {(one.code, one.seq) for one in found.findings} == {("log_damaged", bad), ("payload_bytes", bad)}


def test_what_only_a_bit_changed_is_applied_as_it_was_sent(build: Build) -> None:
    house = build()
    house.send("dropzone", b'{"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0, 2.0]}')
    garble(house, 1, "2.0", "3.0")  # 2 and 3 differ in one bit
    house.work()
    assert house.values("mean") == {1_556_690_400_000_000_000: 1.5}
    assert [one.code for one in verify(house).findings] == ["log_damaged"]


def test_an_entry_that_was_applied_before_is_applied_again_from_the_store(build: Build) -> None:
    house = build()
    house.send("dropzone", heap(0, 1.0, 2.0))
    house.work()
    before = house.everything()
    garble(house, 1, "2.0", "9.0")
    house.state.save_progress(PartitionProgress(house.partition.start))
    house.new_mill()
    house.work()
    assert house.everything() == before


def test_what_is_damaged_is_not_applied_again_to_try_the_store(build: Build) -> None:
    house = build()
    house.send("dropzone", heap(0, 1.0, 2.0))
    house.work()
    before = house.everything()
    garble(house, 1, "2.0", "9.0")
    assert not house.mill._settling._canary.apply_again(house.mill.progress, lambda _: False)
    assert house.everything() == before


def test_a_damaged_entry_whose_copy_the_store_refuses_holds_up_its_own_tenant_only(build: Build) -> None:
    house = build()
    other = house.neighbour("other")
    house.store.close()
    refused = query("payload_body", "SELECT throwIf(1) WHERE {tenant:String} != '' AND {receipt:String} != ''")
    house.store = Store(house.store.address, queries=questions() | {"payload_body": refused})
    house.new_mill()
    house.send("dropzone", heap(0, 1.0, 2.0))
    house.send("dropzone", heap(1, 1.0, 3.0))
    house.send("dropzone", heap(0, 1.0, 2.0), tenant=other)
    garble(house, 1, "2.0", "9.0")
    for _ in range(3):
        house.mill.apply_batch()
    assert [row["seq"] for row in house.all("payloads", other)] == [3]
    assert house.all("payloads") == []
    assert house.mill.holding
    assert house.mill.progress.checkpoint == house.offset(0)


def test_an_entry_that_is_lost_while_it_is_held_back_is_passed(build: Build) -> None:
    house = build()
    for number in range(3):
        house.send("dropzone", heap(number, 1.0, 2.0))
    house.mill._start()
    house.mill._read_headers()
    house.mill._lanes.hold(house.tenant, Hold(house.offset(1), "the store refuses it", 1, 0.0))
    with apsw.Connection(str(house.folder / "log" / "log.sqlite")) as connection:
        connection.execute("DELETE FROM entries WHERE seq = ?", (house.offset(1),))
    connection.close()
    for _ in range(4):
        house.mill.apply_batch()
    assert house.mill.progress.checkpoint == house.offset(3)
    assert {row["seq"] for row in house.all("payloads")} == {2, 3}
