"""Tenants in one log: in whatever batches their payloads are applied, the tables are those of the log's order; what one
tenant's payloads wait for holds nobody else up."""

import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.plain import RECORDS, location
from tests.mill.properties import install, text
from tests.mill.test_crash import refusing
from tests.mill.test_history import PHASES, STEP
from tests.mill.test_order import strip
from tests.mill.test_worker import fix
from tests.mill.verifying import prove
from tests.rules.test_history import Record, streams
from tests.support.rounds import rounds
from tidemill.errors import StoreUnavailableError, UnavailableError
from tidemill.log.contract import Header
from tidemill.mill.costs import Costs
from tidemill.mill.progress import PartitionProgress
from tidemill.model.deletion import Deletion, deletion_payload
from tidemill.model.ids import new_receipt

Build = Callable[..., House]
NAMES = ("", "one", "two")


def tenants_of(house: House) -> list[str]:
    return [house.neighbour(name) if name else house.tenant for name in NAMES]


class Fickle(Costs):
    """Guesses that nobody can foresee: any payload may be costly at any time."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance

    def estimate_s(self, header: Header) -> float:
        return self._chance.choice([0.001, 0.2, 0.5, 3.0])


def by_fits_and_starts(house: House, chance: Random, last: int) -> None:
    """Apply all, restarting now and then, where the position file is the newest or an older one."""
    older = None
    while house.mill.progress.checkpoint < house.offset(last):
        if chance.random() < 0.2:
            path = house.folder / "mill" / "position"
            house.mill._guard.forgive_stop()  # who is told to end is not ended by a payload
            house.mill._settling._beside.wait(60)  # a process takes its threads along
            if older is not None and chance.random() < 0.5:
                path.write_bytes(older)
            older = path.read_bytes() if path.exists() else None
            house.new_mill()
        house.mill._lanes.costs = Fickle(chance)
        house.mill._settling.at_most = chance.randint(1, 5)
        house.mill.apply_batch()


@settings(max_examples=rounds(2, 40), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), payloads=st.lists(st.tuples(st.integers(0, 2), RECORDS), min_size=3, max_size=9))
def test_tenants_in_any_order_leave_what_the_logs_order_leaves(
    build: Build, data: st.DataObject, payloads: list[tuple[int, list[dict[str, Any]]]]
) -> None:
    straight, fair = build(), build()
    policy = data.draw(st.sampled_from(["first", "last"]), label="policy")
    gone = data.draw(st.none() | st.integers(0, len(payloads) - 1), label="deleted before")
    last = 0
    for house in (straight, fair):
        tenants = tenants_of(house)
        for tenant in tenants:
            house.texts.apply(tenant, "location", location(policy))
        for number, (which, body) in enumerate(payloads):
            if number == gone:
                asked = Deletion(kind="feed", feed="location")
                entry = deletion_payload(
                    asked,
                    tenant=tenants[which],
                    receipt=new_receipt(house.clock()),
                    received_ns=house.clock(),
                    feed_version=2,
                )
                house.log.append(entry).result(10)
            last = house.send("location", body, feed_version=2, tenant=tenants[which])
    straight.apply([[entry] for entry in straight.entries()])
    by_fits_and_starts(fair, Random(data.draw(st.integers(0, 2**32), label="chance")), last)
    assert fair.mill.progress == PartitionProgress(fair.offset(last))
    for one, other in zip(tenants_of(straight), tenants_of(fair), strict=True):
        expected = strip(straight.everything("replaced", tenant=one))
        assert strip(fair.everything("replaced", tenant=other)) == expected


@settings(max_examples=rounds(2, 40), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), payloads=streams())
def test_rules_that_look_back_find_the_same_past(
    build: Build, data: st.DataObject, payloads: list[list[Record]]
) -> None:
    straight, fair = build(), build()
    whose = data.draw(st.lists(st.integers(0, 2), min_size=len(payloads), max_size=len(payloads)), label="whose")
    last = 0
    for house in (straight, fair):
        tenants = tenants_of(house)
        version = install(house, "last", STEP)
        for tenant in tenants[1:]:
            house.texts.apply(tenant, "plant", text("last", STEP))
        for which, records in zip(whose, payloads, strict=True):
            last = house.send("plant", records, feed_version=version, tenant=tenants[which])
    straight.apply([[entry] for entry in straight.entries()])
    by_fits_and_starts(fair, Random(data.draw(st.integers(0, 2**32), label="chance")), last)
    for one, other in zip(tenants_of(straight), tenants_of(fair), strict=True):
        assert strip(fair.everything("replaced", tenant=other)) == strip(straight.everything("replaced", tenant=one))


def test_a_payload_that_the_store_refuses_is_set_aside_and_others_go_on_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.mill.retries.TRIES_SCARCE", 3)
    other = house.neighbour("one")
    house.send("location", fix(0))
    house.work()
    bad = house.send("location", fix(1))
    house.send("location", fix(2))
    seq = house.send("location", fix(3), tenant=other)
    refusing(
        monkeypatch, 241, lambda name, frame: name == "points" and house.offset(bad) in frame.to_dict().get("seq", [])
    )
    house.mill._lanes.costs = Costs()  # the first payload of all loads code
    house.mill.apply_batch()
    assert house.mill.progress == PartitionProgress(house.offset(bad - 1), {other: house.offset(seq)})
    assert house.mill.status.state == "waiting_for_store"
    assert "code 241" in house.mill.status.last_error
    assert house.state.progress() == house.mill.progress
    house.work()
    states = {row["seq"]: row["state"] for row in house.all("payloads")}
    assert states == {1: "applied", bad: "poison", bad + 1: "applied"}
    [row] = house.all("rejections")
    assert (row["seq"], row["reasons"], row["record"]) == (bad, ["poison"], house.entries()[1].payload.body.decode())
    assert house.mill.status.poisoned == 1
    prove(house)


def test_a_store_that_takes_probes_and_refuses_all_payloads_costs_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many parts in the partition of now: what was applied before is refused as well."""
    monkeypatch.setattr("tidemill.mill.retries.TRIES_SCARCE", 2)
    house.send("location", fix(0))
    house.work()
    for second in range(1, 4):
        house.send("location", fix(second))
    with monkeypatch.context() as patch:
        refusing(patch, 252, lambda name, frame: name == "points" and len(frame.columns) > 1)
        with pytest.raises(StoreUnavailableError, match="code 252"):
            for _ in range(100):
                house.work()
    assert house.mill.status.poisoned == 0
    house.work()
    assert {row["state"] for row in house.all("payloads")} == {"applied"}


def test_without_anything_applied_before_one_payload_is_set_aside_and_no_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.mill.retries.TRIES_ALONE", 2)
    for second in range(3):
        house.send("location", fix(second))
    with monkeypatch.context() as patch:
        refusing(patch, 117, lambda name, frame: name == "points" and len(frame.columns) > 1)
        deadline = time.monotonic() + 60
        while "nothing else was applied" not in house.mill.status.last_error:
            assert time.monotonic() < deadline, "it has no brake"
            house.mill.apply_batch()
            time.sleep(0.02)
    assert [row["state"] for row in house.all("payloads")] == ["poison"]


def test_a_tenant_whose_feed_the_catalog_lacks_waits_alone(house: House) -> None:
    other = house.neighbour("one")
    house.send("mine", fix(1))
    seq = house.send("location", fix(2), tenant=other)
    house.mill.apply_batch()
    assert house.mill.progress == PartitionProgress(house.partition.start, {other: house.offset(seq)})
    assert house.mill.status.state == "waiting_for_catalog"
    house.texts.apply(house.tenant, "mine", house.texts.list(house.tenant)[1].text.replace("location", "mine"))
    house.work()
    assert house.mill.progress == PartitionProgress(house.offset(seq))


def test_a_payload_under_which_the_store_breaks_off_is_set_aside_and_others_go_on_meanwhile(house: House) -> None:
    """The store ends whenever rows of one tenant's payload reach it, and answers again a moment later."""
    others = [house.neighbour(name) for name in ("one", "two")]
    for tenant in (house.tenant, *others):
        house.send("location", fix(0), tenant=tenant)
    house.work()
    guilty = house.send("location", fix(30), tenant=others[0])
    poisonous = house.offset(guilty)
    tenants = (house.tenant, *others)
    after = [house.send("location", fix(second), tenant=tenant) for second in (1, 2) for tenant in tenants]
    insert = house.mill._store.insert

    def breaking_off(table: str, frame: pl.DataFrame) -> None:
        if table == "points" and "seq" in frame.columns and frame.filter(pl.col("seq") == poisonous).height:
            raise StoreUnavailableError("the engine has ended")
        insert(table, frame)

    house.mill._store.insert = breaking_off  # type: ignore[method-assign]
    deadline = time.monotonic() + 60
    while house.mill.progress.checkpoint < house.offset(after[-1]):
        assert time.monotonic() < deadline, house.mill.status
        with suppress(UnavailableError):
            house.mill.apply_batch()
        if house.mill.holding:
            time.sleep(0.01)
    states = {row["seq"]: row["state"] for tenant in others for row in house.all("payloads", tenant)}
    assert states.pop(guilty) == "poison"
    assert set(states.values()) == {"applied"}
    (rejection,) = [row for row in house.all("rejections", others[0]) if row["seq"] == guilty]
    assert rejection["reasons"] == ["poison"]
    assert {row["state"] for row in house.all("payloads")} == {"applied"}
