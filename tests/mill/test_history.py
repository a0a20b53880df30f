"""Rules that need the past read it from the store; batches, restarts and repetitions do not matter."""

from collections.abc import Callable
from typing import Any

import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.properties import POLICIES, install, ledger, repetitions_do_not_matter
from tests.rules.test_history import NOW, RULES, Record, streams
from tests.support.rounds import rounds
from tidemill.checks.look_back import LookBack
from tidemill.mill.store_history import StorePast
from tidemill.model.time import NS_PER_S
from tidemill.store.client import Store
from tidemill.store.queries import query

# No shrinking: every example costs the engine a second, and a failure prints what was drawn.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DAY = 86_400


@settings(max_examples=rounds(3, 60), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), policy=POLICIES, rules=st.lists(RULES, min_size=1, max_size=4), payloads=streams())
def test_batches_restarts_and_repetitions_do_not_matter(
    build: Callable[..., House],
    data: st.DataObject,
    policy: str,
    rules: list[dict[str, Any]],
    payloads: list[list[Record]],
) -> None:
    """As without an engine (`test_decide.py`), there with many examples."""
    repetitions_do_not_matter(build, data, policy, rules, payloads)


STEP = [{"check": "step", "action": "reject", "options": {"field": "v", "max_change": 5.0}}]


def test_versions_of_a_feed_see_what_each_other_accepted(house: House) -> None:
    strict = install(house, "last", STEP)
    lenient = install(house, "last", [STEP[0] | {"options": {"field": "v", "max_change": 50.0}}])
    values = [(strict, 1.0), (lenient, 40.0), (strict, 42.0), (lenient, 70.0), (strict, 44.0)]
    for number, (version, value) in enumerate(values):
        house.send("plant", [{"t": NOW + number, "s": "a", "v": value}], feed_version=version)
    house.apply([house.entries()])
    assert ledger(house) == {(5, 0): ["step_change"]}


def test_a_replaced_value_is_the_past_of_what_was_sent_before_its_successor(house: House) -> None:
    version = install(house, "last", STEP)
    for records in (
        [{"t": NOW, "v": 0.0}],
        [{"t": NOW + 1, "v": 6.0}, {"t": NOW, "v": 4.0}],
        [{"t": NOW + 1, "v": 8.0}],
    ):
        house.send("plant", [record | {"s": "a"} for record in records], feed_version=version)
    house.apply([house.entries()])
    assert ledger(house) == {(2, 0): ["step_change"]}
    before = house.everything()
    merge = Store(house.store.address, queries={"merge": query("merge", "OPTIMIZE TABLE points FINAL")})
    merge.command("merge")  # what was replaced is gone from the points
    merge.close()
    house.apply([house.entries()[1:]])
    assert house.everything() == before


RESET = [{"check": "counter_reset", "action": "reject", "options": {"field": "v"}}]
METER = [10432.1, 10432.6, 0.0, 0.3, 0.7, 9.7, 9.9, 2.0, 2.5]


def test_a_counter_that_began_again_is_rejected_once_in_any_batches_and_replays(house: House) -> None:
    flagging = install(house, "last", [RESET[0] | {"action": "flag"}])
    for number, value in enumerate(METER):
        house.send("plant", [{"t": NOW + number, "s": "a", "v": value}], feed_version=flagging)
    entries = house.entries()
    house.apply([entries])
    assert ledger(house) == {}
    strict = install(house, "last", RESET)
    house.replay("plant", strict, receipts=tuple(entry.payload.receipt for entry in entries[2:4]))
    house.work_replays()
    assert ledger(house) == {(3, 0): ["counter_reset"]}
    house.replay("plant", strict)
    house.work_replays()
    assert ledger(house) == {(3, 0): ["counter_reset"], (8, 0): ["counter_reset"]}
    for number, value in enumerate([2.4, 2.45, 2.6]):  # in batches of their own, after a restart
        house.send("plant", [{"t": NOW + 60 + number, "s": "a", "v": value}], feed_version=strict)
        house.new_mill()
        house.apply([house.entries()[-1:]])
    assert sorted(ledger(house)) == [(3, 0), (8, 0), (10, 0)]


def sent(house: House, times: list[int]) -> StorePast:
    """A past over a house to which a series was sent, one value at each time."""
    version = install(house, "last", [])
    house.send("plant", [{"t": time, "s": "a", "v": float(n)} for n, time in enumerate(times)], feed_version=version)
    house.work()
    return StorePast(house.mill.context)


def asked(house: House, times: list[int]) -> pl.DataFrame:
    [series] = [row["series"] for row in house.all("series") if row["field"] == "v"]
    return pl.DataFrame(
        {"series": [series] * len(times), "time": [time * NS_PER_S for time in times]},
        schema={"series": pl.UInt64, "time": pl.Int64},
    )


def test_the_past_goes_back_until_it_has_enough_and_remembers_how_far(house: House) -> None:
    past = sent(house, [NOW - 40 * DAY, NOW - 20 * DAY, NOW - 3600, NOW])
    reach = LookBack(count=2, within_ns=30 * DAY * NS_PER_S)

    def found(time: int) -> list[int]:
        before = past._status.lookups
        points = past.points(house.tenant, asked(house, [time]), reach, before_seq=house.offset(9), policy="last")
        lookups.append(past._status.lookups - before)
        return [time // NS_PER_S - NOW for time in points["time"]]

    lookups: list[int] = []
    assert found(NOW + 1)[-2:] == [-3600, 0]
    assert found(NOW + 2)[-2:] == [-3600, 0]
    assert lookups[1] == 1 < lookups[0]
    assert found(NOW - 3600) == [-20 * DAY, -3600]
    assert found(NOW - 20 * DAY) == [-40 * DAY, -20 * DAY]


def test_nothing_is_looked_up_where_nothing_can_be(house: House) -> None:
    past = sent(house, [NOW])
    reach = LookBack(count=2, within_ns=DAY * NS_PER_S)
    assert past.points(
        house.tenant, asked(house, [NOW + 2 * DAY]), reach, before_seq=house.offset(9), policy="last"
    ).is_empty()
    assert past.latest(house.tenant, asked(house, [NOW + 1]), before_seq=house.offset(9)).is_empty()
    assert past._status.lookups == 0
    assert past.latest(house.tenant, asked(house, [NOW]), before_seq=house.offset(9))["time"].to_list() == [
        NOW * NS_PER_S
    ]
    assert past.latest(house.tenant, asked(house, [NOW]), before_seq=house.offset(1)).is_empty()


def test_one_record_of_long_ago_does_not_make_all_since_be_read(house: House) -> None:
    past = sent(house, [NOW - 300 * DAY, *range(NOW - 100 * DAY, NOW, DAY)])
    reach = LookBack(count=1, within_ns=DAY * NS_PER_S)
    times = [NOW - 300 * DAY + 1, NOW]
    points = past.points(house.tenant, asked(house, times), reach, before_seq=house.offset(9), policy="last")
    assert [time // NS_PER_S for time in points["time"]] == [NOW - 300 * DAY, NOW - DAY]
