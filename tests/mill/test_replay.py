"""A replay ends in the store that the payloads would have made under the other version from the start."""

import json
from collections.abc import Callable
from shutil import rmtree
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill.breaking import Breaking, BreakingAlways
from tests.mill.house import House
from tests.mill.test_order import strip
from tests.mill.test_status import running, wait_for
from tests.support.rounds import rounds
from tidemill.errors import Fault
from tidemill.mill.progress import PartitionProgress
from tidemill.model.deletion import Deletion
from tidemill.model.ids import new_receipt
from tidemill.model.payload import EntryKind
from tidemill.model.replay import Replay, ReplayRequest

FEED = """
name = "location"
duplicates = "POLICY"
[input]
on_fault = "reject"
[time]
path = "$.t"
format = "unix_s"
[tags.user_id]
path = "$.user_id"
[fields.v]
path = "$.v"
[rollups]
every = "1m"
[[rules]]
check = "range"
options = { field = "v", min = -10, max = MAX }
"""


def feed(policy: str, highest: float) -> str:
    return FEED.replace("POLICY", policy).replace("MAX", str(highest))


def record(second: int, value: float, user: str = "a") -> dict[str, Any]:
    return {"t": 1_700_000_000 + second, "v": value, "user_id": user}


PAYLOADS = [
    [record(0, 5), record(1, 50), record(2, 500)],
    [record(0, 60), record(1, 7), record(61, 80)],
    [record(2, 8), record(61, 9), record(0, 10)],
    [record(1, 90, "b"), record(0, 5)],
]


def outcome(house: House) -> dict[str, Any]:
    """What readers see. (A series that lost all its points is still known.)"""
    rows: dict[str, Any] = strip(house.everything("replaced", "rejections", "payloads"))
    del rows["series"]
    rows["rejections"] = sorted(
        (row["seq"], row["idx"], row["reasons"], row["winner_seq"], json.loads(row["record"]))
        for row in house.all("rejections")
        if not row["recovered_by"]
    )
    rows["payloads"] = sorted((row["seq"], row["accepted"], row["rejected"]) for row in house.all("payloads"))
    return rows


def build_with(build: Callable[..., House], policy: str, first: float, second: float) -> House:
    house = build()
    house.texts.apply(house.tenant, "location", feed(policy, first))
    house.texts.apply(house.tenant, "location", feed(policy, second))
    return house


@pytest.mark.parametrize("policy", ["first", "last", "keep"])
@pytest.mark.parametrize(("first", "second"), [(1000, 55), (55, 1000)])
def test_a_replay_is_as_if_it_had_been_so_from_the_start(
    build: Callable[..., House], policy: str, first: float, second: float
) -> None:
    house, straight = (build_with(build, policy, first, second) for _ in range(2))
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
        straight.send("location", body, feed_version=3)
    straight.work()
    house.work()
    before = outcome(house)
    dry = house.replay("location", 3, dry_run=True)
    assert (dry.state, dry.error, outcome(house)) == ("done", "", before), "a dry run writes nothing"
    real = house.replay("location", 3)
    assert (real.state, real.error) == ("done", "")
    assert real.result == dry.result
    assert outcome(house) == outcome(straight)
    again = house.replay("location", 3)
    assert again.result is not None
    assert (again.result.newly_accepted_total, again.result.newly_rejected_total) == (0, 0)
    assert (again.result.points_changed, again.result.windows_changed) == (0, 0)
    assert outcome(house) == outcome(straight)
    house.replay("location", 2)
    assert outcome(house)["payloads"] == before["payloads"]
    assert outcome(house)["rejections"] == before["rejections"]


RECORDS = st.lists(
    st.builds(record, st.integers(0, 3), st.sampled_from([5.0, 60.0, 600.0]), st.sampled_from("ab")),
    min_size=1,
    max_size=3,
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=rounds(1, 20), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(payloads=st.lists(RECORDS, min_size=2, max_size=6), data=st.data())
@pytest.mark.parametrize("policy", ["first", "last"])
def test_some_payloads_may_be_replayed_and_the_mill_may_fail_meanwhile(
    build: Callable[..., House], policy: str, payloads: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Others that they held down stand again. Wherever the store breaks off, the mill (the same, a new one, one on an
    empty disk) ends what was begun before it applies anything else of the feed."""
    first, second = data.draw(st.permutations([1000, 100, 10]), label="highest")[:2]
    house, straight = (build_with(build, policy, first, second) for _ in range(2))
    chosen = data.draw(st.sets(st.integers(0, len(payloads) - 1), min_size=1), label="chosen")
    for number, body in enumerate(payloads):
        house.send("location", body, feed_version=2)
        straight.send("location", body, feed_version=3 if number in chosen else 2)
    straight.work()
    house.work()
    receipts = tuple(entry.payload.receipt for n, entry in enumerate(house.entries()) if n in chosen)
    at, after = data.draw(st.integers(1, 17), label="at"), data.draw(st.booleans(), label="after")
    with Breaking(house, at, after=after):
        house.replay("location", 3, receipts=receipts)
    ended = data.draw(st.sampled_from(["not", "killed", "disk lost"]), label="ended")
    if ended == "disk lost":
        rmtree(house.folder / "mill")
    if ended != "not":
        house.new_mill()
    later = data.draw(RECORDS, label="later")
    house.send("location", later, feed_version=2)
    straight.send("location", later, feed_version=2)
    straight.work()
    house.work_replays()
    assert [(one.state, one.error) for one in house.replays.list(house.tenant)] == [("done", "")]
    assert outcome(house) == outcome(straight)
    assert not list((house.folder / "mill" / "replays").glob("*/*"))
    assert (house.state.manifests(), house.all("replay_plans")) == ([], [])


def begun(house: House, version: int) -> Replay:
    """A replay of location whose plan is decided, and of which nothing is published yet."""
    asked = ReplayRequest(feed="location", version=version, dry_run=False, start_ns=0)
    replay = Replay(id=new_receipt(0), tenant=house.tenant, request=asked, state="queued", created_ns=0)
    house.replays.create(replay)
    assert house.mill.replays is not None
    while not house.mill.replays.blocked:
        assert house.mill.replays.step(house.mill.progress)
    return replay


@pytest.mark.parametrize("pieces", [0, 5, 10])
def test_other_feeds_go_on_while_a_replay_is_published(build: Callable[..., House], pieces: int) -> None:
    house, straight = (build_with(build, "last", 1000, 55) for _ in range(2))
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
        straight.send("location", body, feed_version=3)
    house.work()
    replay = begun(house, 3)
    planned_at = house.mill.progress
    assert house.mill.replays is not None
    for _ in range(pieces):
        house.mill.replays.step(house.mill.progress)
    other = house.neighbour("other")
    for one in (house, straight):
        one.send("location", [record(3, 4)], feed_version=3)
        one.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0]})
    house.send("location", [record(3, 4)], tenant=other)
    house.work()
    states = {row["feed"]: row["seq"] for row in house.all("payloads")}
    assert (states["dropzone"], states["location"]) == (6, 4), "only the feed of the replay waits"
    assert house.all("payloads", other)
    assert house.mill.progress.through(house.tenant) == planned_at.checkpoint, "its changes come before what follows"
    assert house.mill.progress.through(other) == house.offset(7)
    house.work_replays()
    straight.work()
    assert house.replays.get(house.tenant, replay.id).state == "done"
    assert house.mill.progress == PartitionProgress(house.offset(7))
    assert outcome(house) == outcome(straight)


def test_what_was_applied_meanwhile_counts_once_the_replay_is_published(house: House) -> None:
    for highest in (1000, 55):
        house.texts.apply(house.tenant, "location", feed("last", highest))
    house.send("location", PAYLOADS[0], feed_version=2)
    house.work()
    begun(house, 3)
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0]})
    house.work()
    assert (len(house.all("payloads")), house.applied) == (2, 1)
    house.work_replays()
    assert house.applied == 2
    assert house.new_mill().progress == PartitionProgress(house.offset(2)), "and is saved"


def test_a_replay_that_cannot_be_published_holds_up_nobody_else(house: House) -> None:
    for highest in (1000, 55):
        house.texts.apply(house.tenant, "location", feed("last", highest))
    house.send("location", PAYLOADS[0], feed_version=2)
    house.work()
    replay = begun(house, 3)
    with BreakingAlways(house, "replay_outcomes"), running(house.mill):
        wait_for(lambda: house.mill.status.retries > 1)
        house.send("location", PAYLOADS[1], feed_version=2)
        house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1.0]})
        wait_for(lambda: {row["seq"] for row in house.all("payloads")} == {1, 3})
        assert not house.mill.status.recovered
        assert house.replays.get(house.tenant, replay.id).state == "publishing"
    house.new_mill()
    with running(house.mill):
        wait_for(lambda: house.applied == 3 and house.mill.status.recovered)
    assert house.replays.get(house.tenant, replay.id).state == "done"


def test_a_deletion_waits_for_the_replay_that_is_published(house: House) -> None:
    for highest in (10, 1000):
        house.texts.apply(house.tenant, "location", feed("last", highest))
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
    house.work()
    replay = begun(house, 3)
    house.ask(Deletion(kind="payload", feed="location", receipt=house.entries()[0].payload.receipt))
    house.work()
    assert house.applied == len(PAYLOADS)
    house.work_replays()
    assert (house.applied, house.replays.get(house.tenant, replay.id).state) == (len(PAYLOADS) + 1, "done")
    assert 1 not in {row["seq"] for row in house.all("points")} | {row["seq"] for row in house.all("rejections")}


STEP = (
    FEED.replace("POLICY", "last").replace("MAX", "1000")
    + """
[[rules]]
check = "step"
options = { field = "v", max_change = CHANGE }
"""
)


@pytest.mark.parametrize("chosen", [{0, 1, 2, 3, 4}, {1}, {0, 3}, {2, 3}])
def test_rules_that_need_the_past_see_it_as_it_becomes(build: Callable[..., House], chosen: set[int]) -> None:
    """Also with payloads between that are not replayed."""
    house = build()
    for change in (10, 30):
        house.texts.apply(house.tenant, "location", STEP.replace("CHANGE", str(change)))
    for number, value in enumerate((0, 20, 45, 50, 58)):
        house.send("location", record(number, value), feed_version=2)
    house.work()
    expected = as_decided_in_order(house, chosen)
    receipts = tuple(entry.payload.receipt for n, entry in enumerate(house.entries()) if n in chosen)
    assert house.replay("location", 3, receipts=receipts).state == "done"
    assert {row["time"]: row["value"] for row in house.all("points")} == expected


def as_decided_in_order(house: House, chosen: set[int]) -> dict[int, float]:
    """Payloads that are not replayed keep what was decided; each replayed one looks at what stands before it."""
    stands = {row["time"]: row["value"] for row in house.all("points")}
    for number, value in enumerate((0, 20, 45, 50, 58)):
        time = (1_700_000_000 + number) * 1_000_000_000
        if number in chosen:
            stands.pop(time, None)
            before = [stands[one] for one in sorted(stands) if one < time]
            if not before or abs(value - before[-1]) <= 30:
                stands[time] = value
    return stands


def test_a_deletion_while_a_replay_is_under_way_is_not_undone(build: Callable[..., House]) -> None:
    house = build_with(build, "last", 10, 1000)
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
    house.work()
    asked = ReplayRequest(feed="location", version=3, dry_run=False, start_ns=0)
    replay = Replay(id=new_receipt(0), tenant=house.tenant, request=asked, state="queued", created_ns=0)
    house.replays.create(replay)
    assert house.mill.replays is not None
    for _ in range(2):
        house.mill.replays.step(house.mill.progress)
    assert house.replays.get(house.tenant, replay.id).done == len(PAYLOADS), "every payload is milled"
    first = house.entries()[0].payload.receipt
    house.ask(Deletion(kind="payload", feed="location", receipt=first))
    house.work_replays()
    done = house.replays.get(house.tenant, replay.id)
    assert done.result is not None
    assert (done.state, done.result.payloads) == ("done", len(PAYLOADS) - 1)
    assert 1 not in {row["seq"] for row in house.all("points")} | {row["seq"] for row in house.all("rejections")}
    assert [row["state"] for row in house.all("payloads") if row["receipt"] == first] == ["deleted"]


def test_windows_of_another_width_are_made_by_a_replay(build: Callable[..., House]) -> None:
    house = build()
    for every in ("1m", "1h"):
        house.texts.apply(house.tenant, "location", feed("last", 1000).replace('"1m"', f'"{every}"'))
    house.send("location", PAYLOADS[1], feed_version=2)
    house.work()
    replay = house.replay("location", 3, start_ns=0)
    assert replay.result is not None
    assert replay.result.windows_changed == 1
    assert sorted(row["count"] for row in house.all("rollups")) == [1, 2, 3]


def test_a_first_record_of_a_deleted_series_does_not_hide_the_replayed_one(build: Callable[..., House]) -> None:
    house = build_with(build, "first", 10, 100)
    house.send("location", record(0, 5), feed_version=2)
    house.work()
    (series,) = {row["series"] for row in house.all("points")}
    house.ask(Deletion(kind="series", feed="location", series=f"{series:016x}"))
    house.send("location", record(0, 50), feed_version=2)
    house.work()
    assert house.replay("location", 3, start_ns=0).state == "done"
    assert list(house.values("v").values()) == [50.0]
    assert [row["count"] for row in house.all("rollups")] == [1]


def test_a_feed_that_refuses_refuses_again_and_unknown_receipts_are_named(build: Callable[..., House]) -> None:
    house = build()
    for highest in (10, 100):
        text = feed("last", 1000).replace('on_fault = "reject"', 'on_fault = "refuse"')
        house.texts.apply(house.tenant, "location", text.replace('path = "$.v"', f'path = "$.v"\nmax = {highest}'))
    fault = Fault("$.v", "out_of_range", "too large")
    for value in (50, 500):
        house.send("location", record(0, value), feed_version=2, kind=EntryKind.REFUSED, faults=(fault,))
    house.work()
    chosen = tuple(entry.payload.receipt for entry in house.entries())
    still = house.replay("location", 3, receipts=chosen[1:])
    assert (still.state, still.error) == ("done", "")
    assert house.replay("location", 3, receipts=chosen).state == "done"
    assert [(row["state"], row["accepted"]) for row in house.all("payloads")] == [("applied", 1), ("refused", 0)]
    failed = house.replay("location", 3, receipts=("never",))
    assert (failed.state, "never" in failed.error) == ("failed", True)


def test_payloads_that_are_applied_again_keep_the_version_of_their_replay(build: Callable[..., House]) -> None:
    """The position was lost: everything that the log holds comes again."""
    house = build_with(build, "last", 1000, 55)
    for body in PAYLOADS:
        house.send("location", body, feed_version=2)
    house.work()
    house.replay("location", 3, start_ns=0)
    before = outcome(house)
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    assert house.work() == len(PAYLOADS)
    assert outcome(house) == before
    assert {row["feed_version"] for row in house.all("payloads")} == {3}
