"""Every published value that changes has one change event with its old value; a window that only grows has none."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.mill.house import House
from tests.mill.test_crash import SIGKILLED, run
from tests.mill.test_worker import fix
from tidemill.model.time import parse_instant
from tidemill.store.client import Store

Build = Callable[..., House]
FEED = """
name = "location"
duplicates = "POLICY"
[time]
path = "$.timestamp"
zone = "America/New_York"
offset = "optional"
[tags.user_id]
path = "$.user_id"
[fields.speed]
path = "$.speed"
[rollups]
every = "1m"
late_after = "10m"
"""
WINDOW = parse_instant("2017-01-01T18:05:00Z")
IN_TIME, LATE = WINDOW + 5 * 60 * 10**9, WINDOW + 3600 * 10**9


def settled(house: House, policy: str = "last") -> House:
    house.texts.apply(house.tenant, "location", FEED.replace("POLICY", policy))
    return house


def send(house: House, *records: tuple[int, float], at: int = IN_TIME) -> int:
    body = [
        {k: v for k, v in fix(s, speed=speed).items() if k in {"timestamp", "speed", "user_id"}} for s, speed in records
    ]
    return house.send("location", body, feed_version=2, received_ns=at)


def change_events(house: House) -> list[tuple[Any, ...]]:
    """(seq, what, time past the window, old, new, why) in the order of followers."""
    return [
        (row["seq"], row["every_s"], (row["time"] - WINDOW) // 10**9, row["old"], row["new"], row["why"])
        for row in house.all("changes")
    ]


def restated(house: House) -> list[bool]:
    return [row["restated_at"] is not None for row in house.all("restated")]


def test_a_window_that_grows_in_time_is_not_restated(house: House) -> None:
    settled(house)
    for second in range(3):
        send(house, (second, float(second)))
        house.work()
    assert change_events(house) == []
    assert restated(house) == [False]
    assert house.mill.status.lookups == 0


def test_a_late_point_restates_its_window_and_stays_told(house: House) -> None:
    settled(house)
    send(house, (1, 2.0))
    house.work()
    late = send(house, (2, 4.0), at=LATE)
    house.work()
    assert change_events(house) == [(late, 60, 0, 2.0, 3.0, "late")]
    assert [(row["count"], row["late"]) for row in house.all("rollups")] == [(2, 1)]
    send(house, (3, 3.0))
    house.work()
    assert len(change_events(house)) == 1, "a point in time, though it came after"
    assert restated(house) == [True], "and what was restated stays so"


def test_a_window_that_is_new_to_readers_is_not_restated_however_late(house: House) -> None:
    settled(house)
    send(house, (1, 2.0), (2, 4.0), at=LATE)
    send(house, (3, 9.0), at=LATE)
    house.work()
    assert change_events(house) == []


def test_a_replaced_value_is_told_with_its_window_and_the_chain_holds(house: House) -> None:
    settled(house)
    seqs = []
    for speed in (1.0, 1.0, 2.0, 5.0):
        seqs.append(send(house, (1, speed)))
        house.work()
    _, _, third, fourth = seqs
    assert change_events(house) == [
        (third, 0, 1, 1.0, 2.0, "replaced"),
        (third, 60, 0, 1.0, 2.0, "replaced"),
        (fourth, 0, 1, 2.0, 5.0, "replaced"),
        (fourth, 60, 0, 2.0, 5.0, "replaced"),
    ]
    assert house.mill.status.changes == 4
    before = house.all("changes")
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    house.work()
    assert house.all("changes") == before


def test_values_that_were_never_published_make_a_chain_of_points_and_no_window(house: House) -> None:
    settled(house)
    first, second = send(house, (1, 1.0), (1, 2.0)), send(house, (1, 3.0))
    house.work()
    assert change_events(house) == [(first, 0, 1, 1.0, 2.0, "replaced"), (second, 0, 1, 2.0, 3.0, "replaced")]


def test_a_record_that_is_overtaken_changes_its_point_and_its_window(house: House) -> None:
    settled(house, "first")
    early, late = send(house, (1, 1.0)), send(house, (1, 2.0))
    one, two = house.entries()
    house.apply([[two], [one]])
    assert change_events(house) == [(early, 0, 1, 2.0, 1.0, "overtaken"), (early, 60, 0, 2.0, 1.0, "overtaken")]
    assert late > early
    house.apply([[one, two]])
    assert len(change_events(house)) == 2


@pytest.mark.parametrize("point", ["before_insert", "after_points", "after_told", "after_insert"])
def test_a_crash_anywhere_tells_all_and_nothing_twice(build: Build, point: str) -> None:
    calm, crashing = settled(build()), settled(build())
    for house in (calm, crashing):
        send(house, (1, 1.0), (2, 2.0))
        house.work()
        send(house, (1, 5.0))
        send(house, (3, 3.0), at=LATE)
    calm.work()
    assert len(change_events(calm)) == 2
    assert run(crashing, f"mill.{point}").returncode == SIGKILLED
    crashing.new_mill()
    crashing.work()
    assert change_events(crashing) == change_events(calm)
    assert restated(crashing) == restated(calm) == [True]


@pytest.mark.parametrize("table", ["points", "rollups", "payloads"])
def test_a_second_attempt_in_other_batches_continues_the_chain(
    house: House, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    settled(house)
    send(house, (1, 1.0))
    house.work()
    send(house, (2, 3.0), at=LATE)
    send(house, (1, 5.0))
    send(house, (3, 7.0), at=LATE)
    entries = house.entries()
    insert = Store.insert

    def failing(self: Store, name: str, frame: Any) -> None:
        if name == table:
            raise ConnectionError("gone in the middle")
        insert(self, name, frame)

    applier = house.mill._applier
    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Store, "insert", failing)
        applier.apply_entries(entries[1:3])
    applier.apply_entries(entries[1:2])
    applier.apply_entries(entries[2:4])
    windows = [(old, new) for _, every, _, old, new, _ in change_events(house) if every]
    assert windows[0][0] == 1.0
    assert windows[-1][1] == 5.0
    assert all(one[1] == following[0] for one, following in pairwise(windows)), windows
    assert [(old, new) for _, every, _, old, new, _ in change_events(house) if not every] == [(1.0, 5.0)]
    assert [row["mean"] for row in house.all("rollups")] == [5.0]
