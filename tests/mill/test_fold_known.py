"""The hour that comes twice, once the points beside which it was told apart are gone: what is said of its records, what
a deletion takes, and what the verification finds."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.mill.house import House
from tests.mill.properties import installed
from tests.mill.test_fold_history import AFTER, BEFORE, FEED, FIRST, SECOND, Run
from tests.mill.test_retention import Clocks, retention
from tests.mill.verifying import prove
from tidemill.model.deletion import Deletion
from tidemill.model.time import parse_instant
from tidemill.query.parameters import read_query
from tidemill.query.queries import Queries
from tidemill.query.why import InstantVerdict, WhyQuery

Build = Callable[..., House]
OPTIONAL = FEED + '[fields.w]\npath = "$.w"\nrequired = false\n'
EXPIRING = OPTIONAL + '[retention]\npoints = "1d"\n'
EARLIER, LATER = "2022-10-30T00:15:00Z", "2022-10-30T01:15:00Z"


def sending(build: Build, text: str, *payloads: Sequence[tuple[str, Run]], **house_of: Any) -> House:
    """A house that has applied these payloads, each of runs of meters; no record has a value of `w`."""
    house = build(**house_of)
    version = installed(house, "grid", text)
    received = {"received_ns": house_of["clock"]()} if "clock" in house_of else {}
    for runs in payloads:
        body = [{"t": f"2022-10-30T{clock}:00", "m": m, "v": v} for m, run in runs for clock, v in run]
        house.send("grid", body, feed_version=version, **received)
    house.work()
    assert house.all("rejections") == []
    return house


def verdict(house: House, field: str, time: str, meter: str = "a") -> InstantVerdict:
    queries = Queries(house.store, house.log, house.book, applied=lambda tenant: (house.mill.progress.checkpoint,))
    asked = read_query([("feed", "grid"), ("field", field), ("tag.m", meter), ("time", time)], WhyQuery, ("m",))
    return queries.why.why(house.tenant, asked).verdict


def delete(house: House, start: str, end: str, **tags: str) -> None:
    span = {"start_ns": parse_instant(start), "end_ns": parse_instant(end)}
    house.ask(Deletion(kind="range", feed="grid", tags=tags, **span))
    house.work()


# The payload of both meters goes on beyond the hour: only the points of its records tell the run of each.
ALONE = ([("a", BEFORE)], [("a", FIRST)], [("a", SECOND)])
MIXED = ([("a", BEFORE), ("b", AFTER)], [("a", FIRST), ("b", SECOND), ("c", BEFORE + FIRST + SECOND + AFTER)])


@pytest.mark.parametrize("payloads", [ALONE, MIXED])
def test_a_null_is_known_at_its_own_instant_only(build: Build, payloads: Any) -> None:
    house = sending(build, OPTIONAL, *payloads)
    assert verdict(house, "w", EARLIER).state == "received_null"
    assert verdict(house, "w", LATER).state == ("received_null" if payloads is ALONE else "never_received")
    if payloads is MIXED:
        assert verdict(house, "w", LATER, "b").state == "received_null"
        assert verdict(house, "w", EARLIER, "b").state == "never_received"
    prove(house)


@pytest.mark.parametrize("payloads", [ALONE, MIXED])
def test_what_decided_is_deleted_and_all_adds_up(build: Build, payloads: Any) -> None:
    house = sending(build, OPTIONAL, *payloads)
    delete(house, "2022-10-29T00:00:00Z", "2022-10-30T00:00:00Z")
    assert verdict(house, "w", EARLIER).state == "received_null"
    prove(house)


def test_a_range_deletes_the_payload_whose_records_left_no_point(build: Build) -> None:
    clocks = Clocks()
    house = sending(build, EXPIRING, *ALONE, clock=clocks.now)
    clocks.pass_days(2)
    retention(house, clocks).run_due()
    assert house.all("points") == []
    assert verdict(house, "v", EARLIER).state == "expired"
    prove(house)
    delete(house, "2022-10-30T00:00:00Z", "2022-10-30T01:00:00Z")
    assert [row["state"] for row in house.all("payloads")][:3] == ["applied", "deleted", "applied"]
    assert verdict(house, "v", LATER).state == "expired"
    prove(house)


def test_where_nothing_tells_the_run_any_more_that_is_said(build: Build) -> None:
    clocks = Clocks()
    house = sending(build, EXPIRING, *MIXED, clock=clocks.now)
    clocks.pass_days(2)
    retention(house, clocks).run_due()
    assert verdict(house, "v", EARLIER).state == "unsearched"
    assert verdict(house, "v", LATER).state == "unsearched"
    prove(house)
    delete(house, "2022-10-30T00:00:00Z", "2022-10-30T01:00:00Z", m="a")
    assert verdict(house, "v", EARLIER).state == "deleted"
    prove(house)
