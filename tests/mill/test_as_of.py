"""An answer as of an instant is the one that was given then; it is refused where that cannot be known any more."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mill.house import NOW_NS, House
from tests.mill.test_history import PHASES
from tests.mill.test_rollups_or_points import RECORDS, START, take, version
from tests.support.rounds import rounds
from tidemill.errors import InputError, NotFoundError
from tidemill.model.time import format_instant
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.parameters import read_query
from tidemill.query.queries import Queries

WAYS: list[dict[str, str]] = [
    {"shape": "rows"},
    {"every": "1m", "agg": "mean,count,first,last,median", "shape": "rows", "fill": "null"},
    {"every": "1d", "agg": "sum,max", "tz": "Europe/Zurich", "shape": "rows"},
    {"agg": "min,max"},
]


class Clocked:
    """A house whose clock the test moves: a second for each step."""

    def __init__(self, build: Callable[..., House]) -> None:
        self.now = NOW_NS
        self.house = build(clock=lambda: self.now)

    def send(self, policy: str, records: Any) -> None:
        self.now += 10**9
        feed_version = version(self.house, policy)
        self.house.send("sensors", records, feed_version=feed_version, received_ns=self.now)
        self.house.work()

    def answers(self, **as_of: str) -> list[Any]:
        queries, found = Queries(self.house.store, self.house.log, self.house.book), []
        for way in WAYS:
            query = read_query([("feed", "sensors"), *way.items(), *as_of.items()], ManyPointsQuery)
            try:
                answer = json.loads(queries.many_points.read_many(self.house.tenant, query, self.now + 1).body)
            except NotFoundError:
                return []
            if "items" in answer:
                found.append(answer["items"])
            else:  # of series that have a value
                found.append({i["id"]: i["columns"] for i in answer["series"] if i["columns"]["min"] != [None]})
        return found


@settings(max_examples=rounds(2, 60), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(policy=st.sampled_from(["first", "last"]), payloads=st.lists(RECORDS, min_size=1, max_size=3))
def test_an_answer_as_of_a_time_is_the_one_that_was_given_then(
    build: Callable[..., House], policy: str, payloads: list[Any]
) -> None:
    clocked, given_then = Clocked(build), []
    everything = [{"t": START - 1000, "pump": pump, "level": 0} for pump in "ab"]
    for records in (everything, *payloads):
        clocked.send(policy, records)
        given_then.append((clocked.now, clocked.answers()))
    for at, answers in given_then:
        assert clocked.answers(as_of=format_instant(at)) == answers


@pytest.mark.parametrize("kind", ["replay", "delete range", "delete series", "delete payload"])
def test_what_cannot_be_known_is_refused_in_words(build: Callable[..., House], kind: str) -> None:
    clocked = Clocked(build)
    clocked.send("last", [{"t": START + n, "pump": "a", "level": n} for n in range(30)])
    clocked.send("last", [{"t": START + 100, "pump": "b", "level": 7}])
    before, known = clocked.now, clocked.answers()
    assert clocked.answers(as_of=format_instant(before)) == known
    clocked.now += 10**9
    what = {"replay": 12, "delete range": (5, 4), "delete series": 0, "delete payload": 0}[kind]
    take(clocked.house, "last", kind, what)
    if kind == "delete series":
        clocked.send("last", [{"t": START + n, "pump": "a", "level": n} for n in range(3)])
        clocked.send("last", [{"t": START + n, "pump": "b", "level": n} for n in range(3)])
    with pytest.raises(InputError, match="cannot be known"):
        clocked.answers(as_of=format_instant(before))
    clocked.now += 10**9
    assert clocked.answers(as_of=format_instant(clocked.now)) == clocked.answers()


def test_a_value_that_was_replaced_before_its_payload_was_deleted_is_not_known(build: Callable[..., House]) -> None:
    clocked = Clocked(build)
    clocked.send("last", [{"t": START, "pump": "a", "level": 1}])
    first = clocked.now
    clocked.send("last", [{"t": START, "pump": "a", "level": 2}])
    clocked.send("last", [{"t": START, "pump": "b", "level": 3}])
    clocked.now += 10**9
    take(clocked.house, "last", "delete payload", 0)
    with pytest.raises(InputError, match="cannot be known"):
        clocked.answers(as_of=format_instant(first))
    clocked.now += 10**9
    assert clocked.answers(as_of=format_instant(clocked.now)) == clocked.answers()


def test_a_feed_whose_points_expire_and_a_time_to_come_are_refused(build: Callable[..., House]) -> None:
    clocked = Clocked(build)
    clocked.send("last", [{"t": START, "pump": "a", "level": 1}])
    with pytest.raises(InputError, match="has not come yet"):
        clocked.answers(as_of=format_instant(clocked.now + 10**12))
    text = clocked.house.texts.current(clocked.house.tenant, "sensors")
    assert text is not None
    expiring = text.text.replace("[rollups]", "[retention]\npoints = '400d'\n\n[rollups]")
    clocked.house.texts.apply(clocked.house.tenant, "sensors", expiring)
    clocked.house.book.refresh()
    with pytest.raises(InputError, match="expire"):
        clocked.answers(as_of=format_instant(clocked.now))
