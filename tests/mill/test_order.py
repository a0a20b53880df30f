"""The store after some payloads is the same in whatever order and in whatever batches they were applied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.test_worker import fix
from tests.support.rounds import rounds
from tidemill.store.client import StoreAddress

# Optional fields: the loser may have one that the winner lacks.
LOCATION = """
name = "location"
duplicates = "first"
[input]
on_fault = "reject"
[time]
path = "$.timestamp"
offset = "optional"
zone = "America/New_York"
[tags.user_id]
path = "$.user_id"
[fields.lat]
path = "$.lat"
min = -90
max = 90
[fields.speed]
path = "$.speed"
required = false
[rollups]
every = "1m"
"""


def strip(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the name of the tenant and what it decides: ids."""
    ids = {row["series"]: (tuple(row["tags"].items()), row["field"]) for row in found["series"]}
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, lines in found.items():
        bare = [{key: value for key, value in line.items() if key not in {"tenant", "receipt"}} for line in lines]
        rows[table] = sorted((line | {"series": ids.get(line.get("series"))} for line in bare), key=repr)
    return rows


RECORDS = st.lists(
    st.builds(
        lambda second, lat, speed, user: (
            {
                key: value
                for key, value in fix(second, f"u{user}", lat=lat).items()
                if key in {"timestamp", "lat", "user_id"}
            }
            | ({} if speed is None else {"speed": speed})
        ),
        second=st.integers(0, 2),
        lat=st.sampled_from([1.0, 2.0, 3.0, 200.0]),
        speed=st.none() | st.sampled_from([5.0, 6.0]),
        user=st.integers(0, 1),
    ),
    min_size=1,
    max_size=3,
)


# No shrinking: every example costs the engine a second, and a failure prints what was drawn.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=rounds(3, 60), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), payloads=st.lists(RECORDS, min_size=2, max_size=7))
@pytest.mark.parametrize("policy", ["first", "last"])
def test_order_and_batches_do_not_matter(
    build: Callable[..., House], policy: str, data: st.DataObject, payloads: list[list[dict[str, Any]]]
) -> None:
    straight, shuffled = build(), build()
    for house in (straight, shuffled):
        house.texts.apply(house.tenant, "location", LOCATION.replace('"first"', f'"{policy}"'))
        for body in payloads:
            house.send("location", body, feed_version=2)
    straight.apply([[entry] for entry in straight.entries()])
    order = data.draw(st.permutations(shuffled.entries()), label="order")
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order))), label="cuts"))
    shuffled.apply([part for part in (order[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)) if part])
    assert strip(shuffled.everything("replaced")) == strip(straight.everything("replaced"))
    for row in straight.all("payloads"):
        assert row["accepted"] + row["rejected"] == len(payloads[row["seq"] - 1])


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
