"""Points go a set time after they were received; what is sealed stays as it was; a clock that jumps takes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.mill.house import NOW_NS, House
from tests.mill.test_worker import fix
from tidemill.clock import ClockFile
from tidemill.errors import StoreUnavailableError
from tidemill.mill.retention import RetentionJob
from tidemill.store.client import Store

DAY_S = 86_400
DAY_NS = DAY_S * 10**9
Build = Callable[..., House]


class Clocks:
    """A wall clock and a monotonic one that may be moved apart."""

    def __init__(self) -> None:
        self.wall_ns = NOW_NS
        self.passed_s = 0.0

    def now(self) -> int:
        return self.wall_ns

    def monotonic(self) -> float:
        return self.passed_s

    def pass_days(self, days: float) -> None:
        self.wall_ns += int(days * DAY_NS)
        self.passed_s += days * DAY_S


def retention(house: House, clocks: Clocks) -> RetentionJob:
    path = house.folder / "retention"
    return RetentionJob(
        house.mill.context,
        house.book,
        lambda: house.mill.progress,
        ClockFile(path),
        monotonic=clocks.monotonic,
        partition=house.partition,
    )


def test_a_window_past_retention_is_sealed_and_its_points_go(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12, speed=1.0))
    house.send("location", fix(20, speed=3.0))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(6.9)
    house.send("location", fix(30, speed=5.0), received_ns=clocks.now())
    house.work()
    job.run_due()
    assert len(house.all("points")) == 12, "nothing is past seven days"
    clocks.pass_days(0.2)
    job.run_due()
    assert house.all("points") == []
    [row] = [row for row in house.all("rollups") if row["max"] == 5.0]
    assert (row["mean"], row["count"], row["sealed"]) == (3.0, 3, True)


def test_a_record_for_a_sealed_window_is_rejected_and_changes_nothing(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(7.5)
    job.run_due()
    before = house.all("rollups")
    house.send("location", fix(12, speed=9.0), received_ns=clocks.now())
    house.send("location", fix(40, speed=9.0), received_ns=clocks.now())
    house.new_mill()  # nothing in memory
    house.work()
    assert {tuple(row["reasons"]) for row in house.all("rejections")} == {("window_sealed",)}
    assert house.all("rollups") == before
    assert house.all("points") == []
    house.send("location", fix(12) | {"timestamp": "2017-01-01 13:06:00"}, received_ns=clocks.now())
    house.work()
    assert len(house.all("points")) == 4, "the next minute is open"


def test_replay_over_a_seal_changes_nothing(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    for speed in (1.0, 2.0):
        house.send("location", fix(12, speed=speed))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(8)
    job.run_due()
    before = house.everything()
    house.new_mill()
    house.apply([[entry] for entry in house.entries()])
    assert house.everything() == before


def test_an_old_event_received_today_stays(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12))  # an event of 2017
    house.work()
    job = retention(house, clocks)
    clocks.pass_days(1)
    job.run_due()
    assert len(house.all("points")) == 4


def test_a_feed_without_retention_keeps_everything(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1]})
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(10_000)
    job.run_due()
    assert len(house.all("points")) == 4


def test_a_clock_that_jumps_by_years_takes_nothing(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.wall_ns += 3650 * DAY_NS
    house.send("location", fix(12, "b2"), received_ns=clocks.now())
    house.work()
    for _ in range(24):
        clocks.pass_days(1 / 24)
        job.run_due()
    assert len(house.all("points")) == 8
    retention(house, clocks).run_due()
    assert len(house.all("points")) == 8, "nor after a restart"


def test_points_received_while_the_clock_was_50_years_back_stay(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    job = retention(house, clocks)
    job.run_due()
    house.send("location", fix(12), received_ns=clocks.now())
    clocks.wall_ns -= 50 * 365 * DAY_NS
    house.send("location", fix(20), received_ns=clocks.now())
    house.work()
    clocks.wall_ns += 50 * 365 * DAY_NS
    job.run_due()
    assert len(house.all("points")) == 8, "nothing was seen of the jump, but the order of the log says when it was"
    clocks.pass_days(6)
    house.send("location", fix(40) | {"timestamp": "2017-01-01 13:06:00"}, received_ns=clocks.now())
    house.work()
    clocks.pass_days(1.1)
    job.run_due()
    assert len(house.all("points")) == 4, "seven days after they were received both are gone"


def test_retention_says_that_it_waits_and_goes_on_when_the_clock_is_steady(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12))
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.wall_ns += 3650 * DAY_NS
    job.run_due()
    assert "jumped by +3650.0 days" in house.mill.status.clock_doubt
    assert len(house.all("points")) == 4
    clocks.pass_days(3.1)
    job.run_due()
    assert house.mill.status.clock_doubt == ""
    assert house.all("points") == []


def test_a_seal_that_was_cut_short_keeps_its_rollup(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(12, speed=1.0))
    house.send("location", fix(20, speed=3.0), received_ns=NOW_NS + 3 * DAY_NS)
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(7.5)
    command = Store.command

    def failing(self: Store, name: str, /, **values: Any) -> None:
        if name == "mill_expire_windows":
            raise StoreUnavailableError("gone in the middle")
        command(self, name, **values)

    with monkeypatch.context() as patch, pytest.raises(StoreUnavailableError):
        patch.setattr(Store, "command", failing)
        job.run_due()
    house.mill.context.store.command(
        "mill_expire_points", tenant=house.tenant, feed="location", before=NOW_NS + DAY_NS, fresh=2**64 - 1
    )
    clocks.pass_days(3)  # now what is left is past retention, too
    job.run_due()
    assert house.all("points") == []
    [row] = [row for row in house.all("rollups") if row["max"] == 3.0]
    assert (row["mean"], row["count"], row["sealed"]) == (2.0, 2, True)
