"""Two mills on one store and one log that both believe that they own the partition: the older one changes nothing more,
says so, and ends."""

import threading
from collections.abc import Callable

import pytest

from tests.mill.house import House
from tests.mill.test_crash import more_traffic, traffic
from tests.mill.test_order import strip
from tests.mill.test_worker import fix
from tidemill.errors import LostPartitionError
from tidemill.store.fenced import FencedStore
from tidemill.store.queries import packaged_queries

Build = Callable[..., House]
FILES = ("position", "confirmed", "owner")


def test_a_mill_that_lost_its_partition_changes_nothing_says_so_and_ends(build: Build) -> None:
    calm, shared = build(), build()
    for house in (calm, shared):
        traffic(house)
        house.work()
    old, new = shared.mill, shared.new_mill()
    for house in (calm, shared):
        more_traffic(house)
        house.work()
    shared.send("location", fix(9, speed=9.0))
    before = shared.everything()
    files = {path: path.read_bytes() for name in FILES if (path := shared.folder / "mill" / name).exists()}
    with pytest.raises(LostPartitionError, match="belongs to another mill"):
        old.run_until(threading.Event())
    status = shared.state.telemetry()
    assert status is not None and status.state == "lost_partition" and not status.recovered
    assert "belongs to another mill" in status.last_error
    assert shared.everything() == before
    assert {path: path.read_bytes() for path in files} == files
    assert new.status.poisoned == old.status.poisoned == 0
    calm.send("location", fix(9, speed=9.0))
    for house in (calm, shared):
        house.work()
    assert strip(shared.everything()) == strip(calm.everything())


def test_a_checkpoint_is_moved_by_the_mill_that_holds_the_partition_only(build: Build) -> None:
    house = build()
    traffic(house)
    old = house.mill
    house.work()
    house.new_mill()._start()
    with pytest.raises(LostPartitionError):
        old._checkpoint.save(house.offset(1))
    assert house.state.progress().checkpoint == house.offset(2)


def test_of_two_mills_that_start_at_once_the_later_claim_holds(house: House) -> None:
    first, second = (FencedStore(house.store, house.partition.number) for _ in range(2))
    first.claim()
    second.claim()
    assert (first.epoch, second.epoch) == (1, 2)
    second.ensure_owner()
    with pytest.raises(LostPartitionError):
        first.ensure_owner()
    first.claim()  # was done: it does not claim the partition back
    second.ensure_owner()


def test_a_mill_of_another_partition_is_not_concerned(build: Build) -> None:
    houses = build(), build()
    for house in houses:
        traffic(house)
        house.work()
    houses[0].new_mill()
    for house in houses:
        more_traffic(house)
        house.work()
        assert house.applied == 5


def test_every_statement_of_a_mill_that_writes_rows_has_the_fence() -> None:
    offline = {"repair_body"}  # with the locks of the mill's folder, and no server
    writes = {
        name: query
        for name, query in packaged_queries().items()
        if query.sql.split()[0] in {"INSERT", "DELETE"} and name not in offline
    }
    assert len(writes) > 25
    assert [name for name, query in writes.items() if "fence_owner" not in query.params] == []
    lacking = [name for name, query in writes.items() if "throwIf(" not in query.sql and query.sql.startswith("INSERT")]
    assert lacking == ["fence_claim"]
    unsafe = [name for name, query in writes.items() if "throwIf(" in query.sql and query.sql.startswith("DELETE")]
    assert unsafe == []  # a mutation that throws is tried for ever
