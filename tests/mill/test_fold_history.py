"""The hour that comes twice, told apart beside what is stored: as the log says, in whatever batches, and again."""

from collections.abc import Callable, Sequence

import pytest

from tests.mill.house import House
from tests.mill.properties import installed
from tests.mill.verifying import prove
from tidemill.model.time import format_instant

Build = Callable[..., House]
FEED = """
name = "grid"
[input]
on_fault = "reject"
[time]
path = "$.t"
offset = "optional"
zone = "Europe/Vienna"
fold = "by_order"
[tags.m]
path = "$.m"
[fields.v]
path = "$.v"
"""
BEFORE = [("01:30", 1.0), ("01:45", 2.0)]
FIRST = [("02:00", 3.0), ("02:15", 4.0), ("02:30", 5.0), ("02:45", 6.0)]
SECOND = [("02:00", 7.0), ("02:15", 8.0), ("02:30", 9.0), ("02:45", 10.0)]
AFTER = [("03:00", 11.0), ("03:15", 12.0)]
Run = Sequence[tuple[str, float]]


def sending(build: Build, *payloads: Run) -> House:
    house = build()
    version = installed(house, "grid", FEED)
    for records in payloads:
        body = [{"t": f"2022-10-30T{clock}:00", "m": m, "v": value} for clock, value in records for m in ("a", "b")]
        house.send("grid", body, feed_version=version)
    return house


def points(house: House) -> dict[str, float | None]:
    """UTC clock -> value of one of the two series, which have the same."""
    both: dict[int, dict[str, float | None]] = {}
    for row in house.all("points"):
        both.setdefault(row["series"], {})[format_instant(row["time"])[11:16]] = row["value"]
    assert len(both) == 2
    one, other = both.values()
    assert one == other
    return dict(sorted(one.items()))


def reasons(house: House) -> dict[int, set[str]]:
    """The reasons of the rejected records, by payload."""
    found: dict[int, set[str]] = {}
    for row in house.all("rejections"):
        found.setdefault(row["seq"], set()).update(row["reasons"])
    return found


def utc(run: Run, hour: int) -> dict[str, float]:
    return {f"{int(clock[:2]) - hour:02d}:{clock[3:]}": value for clock, value in run}


ALL = {"23:30": 1.0, "23:45": 2.0} | utc(FIRST, 2) | utc(SECOND, 1) | utc(AFTER, 1)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "payloads",
    [
        (BEFORE, FIRST, SECOND, AFTER),  # the first run is next to what was before
        (BEFORE + FIRST, SECOND, AFTER),
        (AFTER, SECOND, BEFORE, FIRST),  # the second is next to what comes after
        (BEFORE, *([record] for record in FIRST), *([record] for record in SECOND), AFTER),
    ],
)
def test_each_run_is_stored_as_it_was(build: Build, payloads: Sequence[Run], together: bool) -> None:
    house = sending(build, *payloads)
    entries = house.entries()
    house.apply([entries] if together else [[entry] for entry in entries])
    assert points(house) == dict(sorted(ALL.items()))
    assert reasons(house) == {}
    house.apply([entries[1:]])
    assert (points(house), reasons(house)) == (dict(sorted(ALL.items())), {})


def test_the_same_payload_once_more_is_the_same_run(build: Build) -> None:
    house = sending(build, BEFORE + FIRST, FIRST, SECOND, FIRST, SECOND, AFTER)
    house.work()
    assert points(house) == dict(sorted(ALL.items()))
    assert reasons(house) == {}
    prove(house)
    replay = house.replay("grid", installed(house, "grid", FEED))
    assert replay.result is not None
    assert (replay.state, replay.result.points_changed, replay.result.newly_rejected_total) == ("done", 0, 0)
    prove(house)


def test_one_run_between_both_ends_is_of_either(build: Build) -> None:
    house = sending(build, BEFORE, AFTER, FIRST, SECOND)
    house.work()
    assert reasons(house) == {3: {"fold_unclear"}, 4: {"fold_unclear"}}
    prove(house)


def test_what_the_store_does_not_decide_stays_unclear(build: Build) -> None:
    flat = [(clock, 0.0) for clock, _ in FIRST]
    house = sending(
        build, FIRST, BEFORE + flat, flat, [("02:10", 1.0), ("02:20", 2.0)], SECOND + AFTER, [("02:00", 5.5)]
    )
    house.work()
    assert reasons(house) == {
        1: {"fold_unclear"},  # nothing is around it
        3: {"fold_unclear"},  # no meter moves: once more, or the second run
        4: {"fold_unclear"},  # within one of the two
        6: {"fold_unclear"},  # both runs are there, with other values
    }
    prove(house)
