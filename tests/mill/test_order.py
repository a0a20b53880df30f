"""The store after some payloads is the same in whatever order and in whatever batches they were applied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.plain import RECORDS
from tests.mill.properties import POLICIES, any_order_and_batches
from tests.mill.test_worker import fix
from tests.support.rounds import rounds
from tidemill.store.client import StoreAddress


def strip(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the name of the tenant and what it decides: ids."""
    ids = {row["series"]: (tuple(row["tags"].items()), row["field"]) for row in found["series"]}
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, lines in found.items():
        bare = [{key: value for key, value in line.items() if key not in {"tenant", "receipt"}} for line in lines]
        rows[table] = sorted((line | {"series": ids.get(line.get("series"))} for line in bare), key=repr)
    return rows


# No shrinking: every example costs the engine a second, and a failure prints what was drawn.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=rounds(4, 60), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), policy=POLICIES, payloads=st.lists(RECORDS, min_size=2, max_size=7))
def test_order_and_batches_do_not_matter(
    build: Callable[..., House], data: st.DataObject, policy: str, payloads: list[list[dict[str, Any]]]
) -> None:
    """As without an engine (`test_decide.py`), there with many examples."""
    any_order_and_batches(build, data, policy, payloads)


def test_a_record_applied_late_wins_and_the_ledger_follows(build: Callable[..., House]) -> None:
    house = build()
    for speed in (1.0, 2.0, 3.0):
        house.send("location", fix(12, speed=speed))
    one, two, three = house.entries()
    house.apply([[three], [two], [one]])
    assert list(house.values("speed").values()) == [1.0]
    rows = sorted((row["seq"], row["winner_seq"]) for row in house.all("rejections"))
    assert rows == [(2, 1), (3, 1)], "also who lost to a record that lost itself"
    counts = sorted((row["seq"], row["accepted"], row["rejected"]) for row in house.all("payloads"))
    assert counts == [(1, 1, 0), (2, 0, 1), (3, 0, 1)]


def test_each_of_several_records_that_are_overtaken_keeps_its_own_text(build: Callable[..., House]) -> None:
    house = build()
    for order in ((0, 1, 2), (2, 1, 0)):
        house.send("location", [fix(second, "u1", lat=float(second)) for second in order])
    first, second = house.entries()
    house.apply([[second], [first]])
    rejections = house.all("rejections")
    assert [(row["seq"], row["idx"]) for row in rejections] == [(2, idx) for idx in range(3)]
    assert [json.loads(row["record"])["lat"] for row in rejections] == [2.0, 1.0, 0.0]


def test_replay_and_order_may_mix(build: Callable[..., House]) -> None:
    """The loser stands in the store, and comes again in the batch that brings the winner."""
    straight, mixed = build(), build()
    for house in (straight, mixed):
        house.send("location", fix(12, speed=1.0))
        house.send("location", [fix(12, speed=2.0), fix(13)])
        house.send("location", fix(12, speed=3.0))
    straight.apply([straight.entries()])
    one, two, three = mixed.entries()
    mixed.apply([[two, three], [one, two]])
    counts = sorted((row["seq"], row["accepted"], row["rejected"]) for row in mixed.all("payloads"))
    assert counts == [(1, 1, 0), (2, 1, 1), (3, 0, 1)]
    assert strip(mixed.everything()) == strip(straight.everything())


def test_a_duplicate_in_the_payload_of_a_record_that_is_overtaken_names_the_winner(build: Callable[..., House]) -> None:
    house = build()
    house.send("location", fix(12, speed=1.0))
    house.send("location", [fix(12, speed=2.0), fix(12, speed=3.0)])
    one, both = house.entries()
    house.apply([[both], [one]])
    rows = sorted((row["seq"], row["idx"], row["winner_seq"], row["winner_idx"]) for row in house.all("rejections"))
    assert rows == [(2, 0, 1, 0), (2, 1, 1, 0)]


def test_replay_from_the_beginning_changes_nothing(build: Callable[..., House]) -> None:
    house = build()
    for second, speed in ((1, 1.0), (1, 2.0), (2, 3.0)):
        house.send("location", fix(second, speed=speed))
    for values in ([1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [5.0]):
        house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": values})
        house.work()
    before = house.everything()
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    assert house.work() == 7
    assert house.everything() == before
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    house.apply([[entry] for entry in house.entries()])
    assert house.everything() == before


def test_a_wiped_store_is_rebuilt_from_the_log(tmp_path: Path) -> None:
    from tests.support.engine import Engine
    from tidemill.store.migrate import migrate

    def opened(name: str) -> tuple[Engine, StoreAddress]:
        engine = Engine(tmp_path / name, database="tidemill").start()
        migrate(engine.address)
        return engine, engine.address

    first, address = opened("one")
    house = House(tmp_path / "house", address, "wiped")
    for second in range(5):
        house.send("location", fix(second))
        house.work()
    before = house.everything()
    first.stop()
    second_engine, address = opened("two")
    try:
        house.store.close()
        again = House(tmp_path / "house", address, "wiped", log=house.log)
        assert again.work() == 5
        assert again.everything() == before
        again.close()
    finally:
        second_engine.stop()
