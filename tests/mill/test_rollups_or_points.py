"""Windows from rollups are those from points, whatever came late, replaced others, was deleted or replayed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.properties import installed
from tests.mill.test_history import PHASES
from tests.support.rounds import rounds
from tidemill.model.deletion import Deletion
from tidemill.model.ids import format_series
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.parameters import read_query
from tidemill.query.planner import WindowPlanner
from tidemill.query.queries import Queries
from tidemill.query.series_rows import Description
from tidemill.query.window_frames import window_frame

START = 1_767_225_600  # 2026-01-01 in UTC, on the begin of windows of every length here
FEED = """name = "sensors"
duplicates = "{policy}"

[time]
path = "$.t"
format = "unix_s"

[tags.pump]
path = "$.pump"

[fields.level]
path = "$.level"

[rollups]
every = "1m"
aggregates = ["mean", "min", "max", "sum", "count"]
{rules}"""
RULE = """
[[rules]]
check = "range"
action = "reject"
options = {{ field = "level", max = {most} }}
"""
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "t": st.integers(START - 130, START + 400),
            "pump": st.sampled_from(["a", "b"]),
            "level": st.integers(-400, 400).map(lambda n: n / 8),
        }
    ),
    min_size=1,
    max_size=12,
)
STEPS = st.one_of(
    st.tuples(st.just("send"), RECORDS),
    st.tuples(st.just("replay"), st.integers(-20, 40)),
    st.tuples(st.just("delete range"), st.tuples(st.integers(-130, 400), st.integers(1, 200))),
    st.tuples(st.just("delete payload"), st.integers(0, 5)),
    st.tuples(st.just("delete series"), st.integers(0, 1)),
)


def version(house: House, policy: str, most: int | None = None) -> int:
    rules = "" if most is None else RULE.format(most=most)
    return installed(house, "sensors", FEED.format(policy=policy, rules=rules))


def take(house: House, policy: str, kind: str, what: Any) -> None:
    """One step of a history, applied."""
    if kind == "send":
        house.send("sensors", what, feed_version=version(house, policy))
        house.work()
    elif kind == "replay":
        house.replay("sensors", version(house, policy, what))
        house.work_replays()
    elif kind == "delete range":
        begin = (START + what[0]) * 10**9
        house.ask(Deletion(kind="range", feed="sensors", start_ns=begin, end_ns=begin + what[1] * 10**9))
        house.work()
    elif kind == "delete payload":
        receipts = [entry.payload.receipt for entry in house.entries() if entry.payload.format == "json"]
        if what < len(receipts):
            house.ask(Deletion(kind="payload", feed="sensors", receipt=receipts[what]))
            house.work()
    else:
        known = [row["series"] for row in house.all("series") if not row["deleted"]]
        if what < len(known):
            house.ask(Deletion(kind="series", feed="sensors", series=format_series(known[what])))
            house.work()


def check_both_ways(house: House, given_: dict[str, str]) -> None:
    """The answer that the planner chooses from rollups is that of the points."""
    queries = Queries(house.store, house.log, house.book)
    query = read_query(
        [("feed", "sensors"), ("every", "1m"), ("agg", "mean,min,max,sum,count"), *given_.items()], ManyPointsQuery
    )
    [*rows] = house.store.rows(
        "series_chosen",
        tenant=house.tenant,
        hidden=[],
        series=[],
        feed="sensors",
        field="",
        name="",
        tag_keys=[],
        tag_values=[],
        limit=10,
    )
    series = [Description(**row) for row in rows]
    if not series:
        return
    assert WindowPlanner(house.book).rollup_seconds(house.tenant, series, query, query.every) == 60
    ways = [
        window_frame(house.store, house.tenant, series, query, query.every, limit=1000, rollup_s=rollup_s)[0]
        for rollup_s in (60, 0)
    ]
    assert ways[0].equals(ways[1]), ways
    answer = json.loads(queries.many_points.read_many(house.tenant, query, house.clock()).body)
    assert (answer["source"], answer["points_read"]) == ("rollups", 0)
    assert answer["windows"] == ways[1]["ns"].n_unique()


@settings(max_examples=rounds(3, 100), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(policy=st.sampled_from(["first", "last"]), steps=st.lists(STEPS, min_size=1, max_size=5))
def test_rollups_answer_what_points_answer(
    build: Callable[..., House], policy: str, steps: list[tuple[str, Any]]
) -> None:
    house = build()
    version(house, policy)
    for kind, what in steps:
        take(house, policy, kind, what)
        check_both_ways(house, {})
    check_both_ways(house, {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:04:00Z"})
    check_both_ways(house, {"start": "2025-12-31T23:59:00Z", "end": "2026-01-01T00:04:00Z", "fill": "previous"})


@pytest.mark.parametrize(
    "given_",
    [
        {"every": "2m"},
        {"every": "1m", "agg": "mean,last"},
        {"every": "1m", "tz": "Asia/Kolkata"},
        {"every": "1m", "start": "2026-01-01T00:00:30Z"},
        {"every": "1m", "end": "2026-01-01T00:00:30Z"},
        {"every": "1m", "closed": "right"},
        {"every": "1m", "quality": "good"},
        {"every": "1m", "evidence": "true"},
        {"agg": "mean"},
    ],
)
def test_points_answer_what_rollups_cannot(house: House, given_: dict[str, str]) -> None:
    version(house, "last")
    house.send("sensors", [{"t": START + n, "pump": "a", "level": n} for n in range(0, 300, 7)])
    house.work()
    queries = Queries(house.store, house.log, house.book)
    query = read_query([("feed", "sensors"), *given_.items()], ManyPointsQuery)
    answer = json.loads(queries.many_points.read_many(house.tenant, query, house.clock()).body)
    assert answer["source"] == "points"
    assert answer["points_read"] > 0


def test_a_version_that_kept_other_rollups_or_let_points_expire_is_answered_from_points(house: House) -> None:
    text = FEED.format(policy="last", rules="")
    for other in (text.replace("[rollups]", "[retention]\npoints = '400d'\n\n[rollups]"), text.replace('"1m"', '"5m"')):
        installed(house, "sensors", other)
        installed(house, "sensors", text)
        house.send("sensors", [{"t": START, "pump": "a", "level": 1}])
        house.work()
        query = read_query([("feed", "sensors"), ("every", "1m")], ManyPointsQuery)
        found = Queries(house.store, house.log, house.book).many_points.read_many(house.tenant, query, house.clock())
        assert json.loads(found.body)["source"] == "points"
