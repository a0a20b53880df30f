"""Submissions that are compared by their local times, over deletions, replays, retention and a mill that starts anew.
Ends with the proof that everything adds up."""

import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from tests.mill.breaking import BreakingEverywhere
from tests.mill.house import House
from tests.mill.properties import installed
from tests.mill.test_order import strip
from tests.mill.test_retention import Clocks, retention
from tests.mill.test_submissions import FEED, HOURS, Sent, expected, instant, tables
from tests.mill.verifying import prove
from tests.support.rounds import rounds
from tidemill.mill import rollups
from tidemill.mill.known import SERIES_STATES
from tidemill.mill.submissions import KnownSubmissions
from tidemill.model.deletion import Deletion
from tidemill.store.queries import query

Build = Callable[..., House]
EAST, MIDDLE, WEST = "America/New_York", "America/Chicago", "America/Denver"
WINDOWS: dict[str, Any] = {"series": pl.UInt64, "window": pl.Int64}
COUNT = query("held_submissions", "SELECT count() AS n FROM submissions WHERE tenant = {tenant:String}")
SEALING = FEED + 'late_after = "1h"\n[retention]\npoints = "7d"\nseal_rollups = true\n'


def fix(hour: int, zone: str, lat: float = 1.0) -> Sent:
    return {"at": f"2017-01-01 {hour:02d}:00:00", "zone": zone, "user": "ada", "lat": lat}


def sending(build: Build, *records: Sent, text: str = FEED, **house_of: Any) -> House:
    """A house that has applied these records, each as a payload of its own."""
    house = build(**house_of)
    installed(house, "walks", text)
    send(house, *records)
    return house


def send(house: House, *records: Sent, **other: Any) -> None:
    version = house.texts.current(house.tenant, "walks")
    assert version is not None
    for record in records:
        house.send("walks", record, **{"feed_version": version.version} | other)
    house.work()


def lats(house: House) -> dict[int, float | None]:
    return house.values("lat")


def reasons(house: House) -> dict[int, tuple[list[str], int]]:
    """The reasons and the winner's payload of each rejected record, by payload."""
    return {
        row["seq"]: (row["reasons"], row["winner_seq"]) for row in house.all("rejections") if not row["recovered_by"]
    }


def held(house: House) -> int:
    store = house.store
    return int(
        type(store)(store.address, queries={"held_submissions": COUNT}).rows("held_submissions", tenant=house.tenant)[
            0
        ]["n"]
    )


def by_receipt(house: House, seq: int) -> Deletion:
    [receipt] = [row["receipt"] for row in house.all("payloads") if row["seq"] == seq]
    return Deletion(kind="payload", feed="walks", receipt=receipt)


def test_one_that_was_current_is_taken_back_with_its_window_and_says_so(build: Build) -> None:
    """The payload that was submitted first is applied last; its instant is another."""
    house = sending(build)
    installed(house, "walks", FEED)
    house.send("walks", fix(13, EAST, 1.0), feed_version=1)
    house.send("walks", fix(13, MIDDLE, 2.0), feed_version=1)
    first, second = house.entries()
    house.apply([[second], [first]])
    assert lats(house) == {instant(fix(13, EAST)): 1.0}
    assert reasons(house) == {2: (["duplicate"], 1)}
    changed = [row for row in house.all("changes") if row["old"] == 2.0]
    assert {(row["every_s"], row["new"], row["new_count"], row["why"], row["cause_seq"]) for row in changed} == {
        (0, None, 0, "overtaken", 1),
        (60, None, 0, "overtaken", 1),
    }
    assert [row["mean"] for row in house.all("rollups") if row["count"]] == [1.0]


@pytest.mark.parametrize("after", [False, True])
def test_taking_back_is_made_good_when_the_store_breaks_off_at_any_write(build: Build, after: bool) -> None:
    calm, broken = sending(build), sending(build)
    for house in (calm, broken):
        for record in (fix(13, EAST, 1.0), fix(13, MIDDLE, 2.0), fix(14, EAST, 3.0), fix(13, WEST, 4.0)):
            house.send("walks", record, feed_version=installed(house, "walks", FEED))
        house.apply([house.entries()[1:]])
    calm.apply([calm.entries()[:1]])
    breaking, done = BreakingEverywhere(broken, after=after), False
    while not done:
        with breaking:
            broken.mill._applier.apply_entries(broken.entries()[:1])
            done = True
    assert {"mill_purge_instants", "mill_repoint_records", "submissions"} <= {name for name, _ in breaking.broken}
    assert (
        tables(broken)
        == tables(calm)
        == expected(
            {1: [fix(13, EAST, 1.0)], 2: [fix(13, MIDDLE, 2.0)], 3: [fix(14, EAST, 3.0)], 4: [fix(13, WEST, 4.0)]}
        )
    )
    told, due = (strip(house.everything() | {"changes": house.all("changes")})["changes"] for house in (broken, calm))
    assert told == due


def test_a_deleted_payload_leaves_its_duplicates_rejected_and_its_time_free(build: Build) -> None:
    """The second does not return, in a range of time or not; what is submitted later counts."""
    house = sending(build, fix(13, EAST, 1.0), fix(13, MIDDLE, 2.0), fix(14, EAST, 3.0))
    assert reasons(house) == {2: (["duplicate"], 1), 3: (["duplicate"], 2)}, "14 in the east is 13 in the middle"
    house.ask(by_receipt(house, 1))
    house.work()
    assert [row for row in house.all("points") if row["seq"] < 4] == []
    house.apply([[entry for entry in house.entries() if entry.seq - house.partition.start in (2, 3)]])
    assert house.all("points") == [], "applied again, neither duplicate returns"
    send(house, fix(13, EAST, 5.0))
    assert lats(house) == {instant(fix(13, EAST)): 5.0}
    prove(house)


def test_a_deleted_range_leaves_duplicates_at_other_instants_rejected(build: Build) -> None:
    house = sending(build, fix(13, EAST, 1.0), fix(13, MIDDLE, 2.0), fix(13, WEST, 3.0), fix(10, EAST, 9.0))
    at = instant(fix(13, EAST))
    house.ask(Deletion(kind="range", feed="walks", start_ns=at, end_ns=at + 1))
    house.work()
    house.apply([house.entries()[1:3]])
    assert lats(house) == {instant(fix(10, EAST)): 9.0}
    send(house, fix(13, WEST, 4.0))
    assert lats(house) == {instant(fix(10, EAST)): 9.0, instant(fix(13, WEST)): 4.0}
    prove(house)


def test_submissions_expire_with_the_points_and_those_of_deleted_feeds_are_purged(build: Build) -> None:
    clocks = Clocks()
    house = sending(build, fix(13, EAST), fix(13, MIDDLE), text=SEALING, clock=clocks.now)
    assert held(house) == 3, "two local times, and the instant of the duplicate"
    job = retention(house, clocks)
    clocks.pass_days(6.9)
    job.run_due()
    assert held(house) == 3
    clocks.pass_days(0.2)
    job.run_due()
    assert (held(house), house.all("points")) == (0, [])
    send(house, fix(13, WEST), received_ns=clocks.now())
    assert held(house) == 1
    house.ask(Deletion(kind="feed", feed="walks"))
    house.work()
    job.run_due()
    assert held(house) == 0


def test_what_counts_for_a_sealed_window_is_not_taken_back(build: Build) -> None:
    """The mill ended between the seal and the purge of the window's points."""
    house = sending(build, text=SEALING)
    house.send("walks", fix(13, EAST, 1.0), feed_version=1)
    house.send("walks", fix(13, MIDDLE, 2.0), feed_version=1)
    first, second = house.entries()
    house.apply([[second]])
    [window] = [row for row in house.all("rollups") if row["mean"] == 2.0]
    windows = pl.DataFrame({"series": [window["series"]], "window": [window["window"]]}, schema=WINDOWS)
    context, sealed_seq = house.mill.context, house.partition.start + 2
    rollups.recompute_windows(
        context.store, context.known, tenant=house.tenant, every=60 * 10**9, windows=windows,
        version=context.versions.next(), sealed_seq=sealed_seq,
    )  # fmt: skip
    house.new_mill()
    house.apply([[first]])
    assert sorted((row["mean"], row["sealed"]) for row in house.all("rollups")) == [(1.0, False), (2.0, True)]
    assert reasons(house) == {}


def test_a_replay_that_rejects_the_first_brings_the_second_back(build: Build) -> None:
    house = sending(build, fix(13, EAST, 50.0), fix(13, MIDDLE, 2.0), fix(14, EAST, 3.0))
    before = tables(house)
    house.texts.apply(house.tenant, "walks", FEED.replace("max = 90", "max = 40"))
    assert (replay := house.replay("walks", 2, dry_run=True)).state == "done", replay.error
    assert tables(house) == before
    house.replay("walks", 2)
    assert lats(house) == {instant(fix(13, MIDDLE)): 2.0}
    assert reasons(house) == {1: (["out_of_range"], 0), 3: (["duplicate"], 2)}
    prove(house)
    house.replay("walks", 1)
    assert tables(house)["points"] == before["points"]
    assert reasons(house) == {2: (["duplicate"], 1), 3: (["duplicate"], 2)}
    prove(house)


def test_what_was_forgotten_is_asked_for_again_whatever_is_written_next(build: Build) -> None:
    """The mill may forget series between the decision about a batch and its note of what the batch writes."""
    house = sending(build, fix(13, EAST, 1.0), fix(13, MIDDLE, 2.0))
    [anchor] = [row["series"] for row in house.all("series") if row["field"] == "lat"]
    known = KnownSubmissions(house.store)
    known.learn(submitted(anchor, fix(1, EAST)).select("series", pl.lit(False).alias("local"), at="time"))
    rows = known.read(house.tenant, submitted(anchor, fix(13, MIDDLE)), pl.DataFrame(schema=SERIES_STATES))
    assert (rows["local"].to_list(), rows["time"].to_list()) == ([False], [instant(fix(13, MIDDLE))])


def submitted(series: int, record: Sent) -> pl.DataFrame:
    """A record without a local time, as an anchor."""
    kinds = {"series": pl.UInt64, "time": pl.Int64, "local_ns": pl.Int64, "seq": pl.UInt64, "idx": pl.UInt32}
    return pl.DataFrame([(series, instant(record), None, 1 << 60, 0)], schema=kinds, orient="row")


@pytest.mark.parametrize("seed", range(rounds(1, 3)))
def test_replays_of_any_payloads_and_a_mill_that_starts_anew_change_nothing(build: Build, seed: int) -> None:
    draw = random.Random(seed)
    house = sending(build)
    version = installed(house, "walks", FEED)
    payloads = [
        [fix(draw.randint(12, 14), draw.choice(sorted(HOURS)), draw.choice([1.0, 2.0, 200.0])) for _ in range(2)]
        for _ in range(8)
    ]
    for body in payloads:
        house.send("walks", body, feed_version=version)
    house.work()
    oracle = expected(dict(enumerate(payloads, 1)))
    assert tables(house) == oracle
    receipts = [row["receipt"] for row in house.all("payloads")]
    for _ in range(2):
        replay = house.replay("walks", version, receipts=tuple(draw.sample(receipts, 3)))
        assert (replay.state, replay.error) == ("done", "")
        assert replay.result is not None
        assert (replay.result.points_changed, replay.result.newly_accepted_total) == (0, 0)
    assert {name: rows for name, rows in tables(house).items() if name != "rejections"} == {
        name: rows for name, rows in oracle.items() if name != "rejections"
    }
    alive = {
        (row["seq"], row["idx"]): (row["reasons"], (row["winner_seq"], row["winner_idx"]))
        for row in house.all("rejections")
        if not row["recovered_by"]
    }
    assert alive == oracle["rejections"]
    (house.folder / "mill" / "position").unlink()
    house.new_mill()
    house.work()
    assert tables(house)["points"] == oracle["points"]
    prove(house)
