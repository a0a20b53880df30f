"""Confirming what the store holds, where the store refuses the questions, is of another day, or goes away half way."""

from collections.abc import Callable
from typing import Any

import apsw
import pytest

from tests.mill.house import House, questions
from tests.mill.test_confirm import lose
from tests.mill.test_worker import fix
from tests.mill.verifying import prove
from tidemill.errors import StoreUnavailableError
from tidemill.log.sqlite import SqliteLogReader
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.confirm import Confirmer
from tidemill.mill.progress import PartitionProgress
from tidemill.store.client import Store
from tidemill.store.queries import packaged_queries, query

Build = Callable[..., House]


def fixes(house: House, count: int, **other: Any) -> None:
    for number in range(count):
        house.send("location", fix(5 * number), **other)


def with_question(house: House, name: str, sql: str) -> None:
    """Give a house's next mill a store that is asked differently."""
    house.store.close()
    house.store = Store(house.store.address, queries=questions() | {name: query(name, sql)})
    house.new_mill()


def test_payloads_are_applied_while_the_store_refuses_the_count(house: House) -> None:
    sql = packaged_queries()["confirm_suspects"].sql
    with_question(house, "confirm_suspects", f"{sql} SETTINGS max_memory_usage = 1000")
    fixes(house, 3)
    house.work()
    house.mill.recovery.confirm()
    fixes(house, 3)
    house.work()
    assert (house.applied, house.mill.status.confirmed) == (6, house.offset(0)), "nothing is trimmed uncounted"
    assert "memory limit" in house.mill.status.last_error
    with_question(house, "confirm_suspects", sql)
    house.work()
    assert house.mill.status.confirmed == house.offset(6)


def test_a_count_that_is_too_much_for_the_store_is_made_in_parts(house: House) -> None:
    sql = packaged_queries()["confirm_counts"].sql
    with_question(house, "confirm_counts", f"{sql} HAVING throwIf(count() > 3) = 0")
    fixes(house, 10)
    house.work()
    for _ in range(20):
        house.work()
    assert house.mill.status.confirmed == house.offset(10)


def test_what_a_store_of_an_older_day_lacks_of_the_tenants_that_were_behind_is_applied(house: House) -> None:
    other = house.neighbour("behind")
    for _ in range(3):
        fixes(house, 2)
        fixes(house, 2, tenant=other)
    house.work()
    house.new_mill()
    house.work()
    assert house.mill.status.confirmed == house.offset(12)
    before = house.everything(), house.everything(tenant=other)
    lose(house, "payloads", "tenant = {tenant:String} AND {seq} > 10")
    for table in ("payloads", "points"):
        lose(house, table, f"{{tenant:String}} != '' AND tenant = '{other}' AND {{seq}} > 4")
    house.new_mill()
    house.work()
    assert (house.everything(), house.everything(tenant=other)) == before
    prove(house)


def test_what_is_lacking_is_applied_also_when_the_store_goes_away_before_it_is_asked_how_far_it_is(
    house: House,
) -> None:
    fixes(house, 4)
    house.work()
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)
    house.new_mill()
    house.mill._start()
    before = house.everything()
    lose(house, "payloads", "tenant = {tenant:String} AND {seq} = 1")
    rows = house.mill._store.rows

    def away(name: str, **values: Any) -> Any:
        if name == "mill_highest":
            raise StoreUnavailableError("it is away")
        return rows(name, **values)

    house.mill._store.rows = away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        house.mill.apply_batch()
    del house.mill._store.rows  # type: ignore[method-assign]
    house.mill._confirmer.hurry()  # as the loop does after every error
    house.work()
    assert house.everything() == before
    assert house.mill.progress.checkpoint == house.offset(4)


def test_the_position_that_could_not_be_saved_is_saved_when_there_is_room_again(house: House) -> None:
    house.work()
    draft = house.folder / "mill" / "position.new"
    draft.mkdir(parents=True)  # nothing can be written there
    fixes(house, 2)
    with pytest.raises(OSError):
        house.mill.apply_batch()
    draft.rmdir()
    house.work()
    assert house.state.progress().checkpoint == house.offset(2)
    assert (house.applied, house.mill.progress.checkpoint) == (2, house.offset(2))


def test_a_payload_that_lacks_for_good_is_applied_again_less_and_less_often(house: House) -> None:
    fixes(house, 3)
    house.work()
    now = [0.0]
    confirmer = Confirmer(
        SqliteLogReader(house.folder / "log"),
        house.store,
        house.book,
        Checkpoint(lambda: PartitionProgress(house.partition.start), lambda _: None, house.partition.start),
        monotonic=lambda: now[0],
    )
    lose(house, "payloads", "tenant = {tenant:String} AND {seq} = 2")
    looks = []
    while now[0] < 3_600:
        if confirmer.confirm_next(house.offset(3)) == house.offset(1):
            looks.append(now[0])
        now[0] += 10.0
    assert looks[:3] == [0, 20, 60]
    assert len(looks) <= 12
    house.apply([house.entries()])
    now[0] += 600.0
    assert confirmer.confirm_next(house.offset(3)) is None
    assert confirmer.seq == house.offset(3)


def test_what_follows_an_entry_with_a_flipped_bit_is_counted_too(house: House) -> None:
    fixes(house, 4)
    house.work()
    before = house.everything()
    with apsw.Connection(str(house.folder / "log" / "log.sqlite")) as connection:
        connection.execute("UPDATE entries SET received_ns = received_ns + 1 WHERE seq = ?", (house.offset(2),))
    connection.close()
    for table in ("payloads", "points"):
        lose(house, table, "tenant = {tenant:String} AND {seq} = 3")
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)
    house.new_mill()
    for _ in range(5):
        house.work()
    assert house.mill.status.returns == 1
    assert house.everything() == before
