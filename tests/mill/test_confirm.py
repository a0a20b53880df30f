"""What the store was asked to keep is counted there; what it lacks is applied again, and nothing else."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mill.house import TABLES, House
from tests.mill.test_deletion import send, the_series
from tests.mill.test_retention import Clocks, retention
from tests.mill.test_worker import fix
from tests.mill.verifying import prove, verify
from tidemill.model.deletion import Deletion
from tidemill.model.offset import MAX_SEQ
from tidemill.store.client import Store
from tidemill.store.queries import query

Build = Callable[..., House]
LOST = {
    "payloads": "tenant = {tenant:String} AND {seq} BETWEEN 4 AND 9",
    "points": "tenant = {tenant:String} AND {seq} BETWEEN 4 AND 9",
    "some points": "tenant = {tenant:String} AND {seq} = 7 AND idx = 1",
    "rejections": "tenant = {tenant:String} AND {seq} BETWEEN 4 AND 9",
    "series": "tenant = {tenant:String}",
}


def lose(house: House, table: str, where: str) -> None:
    """Remove rows by hand; in `where` `{seq}` is the place in the house's partition."""
    sql = f"DELETE FROM {table} WHERE {where.replace('{seq}', f'bitAnd(seq, {MAX_SEQ})')}"
    Store(house.store.address, queries={"lose": query("lose", sql)}).command("lose", tenant=house.tenant)


def filled(house: House) -> None:
    """Fixes, files with a bad record, values replaced, a payload that cannot be read: all in one house."""
    for number in range(4):
        house.send("location", fix(5 * number))
        house.send("dropzone", [{"time_stamp": f"2026-01-0{number + 1}T00:00:00Z", "data": [1, number]},
                                {"time_stamp": f"2026-02-0{number + 1}T00:00:00Z", "data": [2, number]}])  # fmt: skip
        house.send("dropzone", {"time_stamp": "2026-01-09T00:00:00Z", "data": [number, number]})
        house.send("location", fix(30 + number) | {"lat": 91 + number})
        house.send("location", b"{")
    send(house, [1.0, 2.0, 3.0])
    house.work()


@pytest.mark.parametrize("what", LOST)
def test_what_the_store_lost_while_nobody_ran_is_applied_again_at_the_next_start(
    house: House, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(house)
    prove(house)
    before = house.everything()
    table = what.removeprefix("some ")
    lose(house, table, LOST[what])
    assert house.all(table) != before[table], "nothing was lost"
    assert verify(house).counts or table == "series", "verify does not see it"
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)  # as in a folder of an earlier version
    house.new_mill()
    with caplog.at_level(logging.ERROR):
        house.work()
    assert "the store lacks what it had answered for" in caplog.text
    assert house.mill.status.returns == 1
    after = house.everything()
    assert {name: after[name] for name in TABLES} == {name: before[name] for name in TABLES}
    prove(house)


def test_what_is_there_is_confirmed_and_asked_for_once(house: House) -> None:
    filled(house)
    house.new_mill()
    house.work()
    assert house.mill.status.confirmed == house.mill.progress.checkpoint == house.log.last_seq()
    assert house.mill.status.returns == 0
    assert house.state.confirmed().checkpoint == house.log.last_seq()


def test_nothing_is_confirmed_beyond_what_is_missing(house: House) -> None:
    filled(house)
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)
    lose(house, "payloads", "tenant = {tenant:String} AND {seq} = 11")
    mill = house.new_mill()
    mill.recovery.confirm()
    assert (mill.progress.checkpoint, mill.status.confirmed) == (house.offset(10), house.offset(0))
    assert mill.status.last_error.endswith(f"applying again from payload {house.offset(11)}")


def test_what_went_on_request_is_not_missed(house: House) -> None:
    """Deletions of every kind, erased or not: counts differ, and nothing is applied again."""
    filled(house)
    series = the_series(house, "speed")
    house.delete(series, feed="location")
    house.ask(Deletion(kind="feed", feed="signals"))
    house.ask(Deletion(kind="range", feed="dropzone", start_ns=0, end_ns=1_769_000_000_000_000_000))
    first = house.entries()[0].payload.receipt
    house.ask(Deletion(kind="payload", feed="location", receipt=first))
    house.work()
    house.mill._retention.run_due()
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)
    before = house.everything()
    house.new_mill()
    house.work()
    assert house.mill.status.returns == 0
    assert house.mill.status.confirmed == house.log.last_seq()
    assert house.everything() == before
    prove(house)


def test_what_is_past_retention_is_not_missed(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(8)
    job.run_due()
    assert house.all("points") == []
    (house.folder / "mill" / "confirmed").unlink(missing_ok=True)
    house.new_mill()
    house.work()
    assert (house.mill.status.returns, house.mill.status.confirmed) == (0, house.offset(1))


def test_a_wiped_store_takes_the_confirmed_place_back(build: Build, tmp_path: Path) -> None:
    house = build()
    filled(house)
    house.new_mill()
    house.work()
    assert house.mill.status.confirmed > house.offset(10)
    for table in ("payloads", "points", "rejections", "series"):
        lose(
            house, table, "tenant = {tenant:String} AND {seq} > 10" if table != "series" else "tenant = {tenant:String}"
        )
    mill = house.new_mill()
    mill._start()
    mill.recovery.confirm()
    assert mill.status.confirmed <= house.offset(10)
    house.work()
    prove(house)
