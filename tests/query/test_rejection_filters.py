"""The ledger by the records' own times, by several reasons and by tags; its counts in windows and by facets."""

import json
from collections import Counter
from typing import Any

import polars as pl
import pytest

from tests.query.conftest import Writer, ids
from tests.query.support import asked, book, ns, queries
from tidemill.errors import InputError, LimitError
from tidemill.query.rejection_parameters import RejectionsQuery, RejectionSummaryQuery
from tidemill.query.rejections import RejectionSummary
from tidemill.store.client import Store

PUMPS = """name = "pumps"
[time]
path = "$.time"
[tags.pump]
path = "$.pump"
[tags.site]
path = "$.at.site"
type = "integer"
required = false
[fields.bar]
path = "$.bar"
"""
NOON = ns("2026-03-29T00:00:00Z")
MINUTE = 60 * 10**9


def place(item: Any) -> tuple[str, int]:
    return item.receipt, item.index


def listed(store: Store, given: list[tuple[str, str]]) -> list[tuple[str, int]]:
    from tidemill.query.parameters import read_query

    rejections = queries(store, book=book(pumps=PUMPS)).rejections
    return [place(item) for item in rejections.list_rejections("default", read_query(given, RejectionsQuery)).items]


def summary(store: Store, **given: str) -> RejectionSummary:
    rejections = queries(store, book=book(pumps=PUMPS)).rejections
    return rejections.summary("default", asked(RejectionSummaryQuery, **given))


def test_by_the_times_of_the_records(store: Store, writer: Writer) -> None:
    for minute in range(4):
        writer.rejection(7, minute, "pumps", ["outside_range"], time=NOON + minute * MINUTE)
    writer.rejection(7, 4, "pumps", ["missing"], time=None)
    span = [("time_start", "2026-03-29T00:01:00Z"), ("time_end", "2026-03-29T00:03:00Z")]
    assert listed(store, span) == [("r7", 2), ("r7", 1)]
    assert len(listed(store, [])) == 5
    with pytest.raises(InputError) as raised:
        listed(store, [span[0], ("time_end", "2026-03-29T00:00:00Z")])
    assert [fault.path for fault in raised.value.faults] == ["$query.time_start"]


def test_by_any_of_several_reasons(store: Store, writer: Writer) -> None:
    for index, reasons in enumerate((["a", "b"], ["b"], ["c"], ["a"])):
        writer.rejection(7, index, "pumps", reasons)
    assert listed(store, [("reason", "a"), ("reason", "c")]) == [("r7", 3), ("r7", 2), ("r7", 0)]
    with pytest.raises(InputError, match="more than 50 times"):
        listed(store, [("reason", f"r{number}") for number in range(51)])


def test_by_tags_of_known_series_and_by_what_the_record_says(store: Store, writer: Writer) -> None:
    known = writer.series("pumps", "bar", {"pump": "p1", "site": "4"})
    writer.rejection(7, 0, "pumps", ["outside_range"], series=ids(known), record='{"pump": "written otherwise"}')
    writer.rejection(7, 1, "pumps", ["missing"], record='{"pump": "p1", "at": {"site": 4}}')
    writer.rejection(7, 2, "pumps", ["missing"], record='{"pump": "p2", "at": {"site": "4"}}')
    writer.rejection(7, 3, "pumps", ["missing"], record="no JSON p1")
    writer.rejection(7, 4, "telemetry", ["missing"], record='{"pump": "p1"}')
    assert listed(store, [("tag.pump", "p1")]) == [("r7", 1), ("r7", 0)]
    assert listed(store, [("tag.site", "4"), ("tag.pump", "p2")]) == [("r7", 2)]
    assert listed(store, [("tag.site", "4")]) == [("r7", 2), ("r7", 1), ("r7", 0)]
    assert listed(store, [("tag.nothing", "4")]) == []
    counted = summary(store, by="feed,reason,tag.pump,tag.site").facets
    assert {facet: {item.value: item.count for item in items} for facet, items in counted.items()} == {
        "feed": {"pumps": 4, "telemetry": 1},
        "reason": {"missing": 4, "outside_range": 1},
        "tag.pump": {"p1": 2, "p2": 1},
        "tag.site": {"4": 3},
    }


@pytest.mark.parametrize(("every", "tz"), [("15m", "UTC"), ("1h", "Europe/Zurich"), ("1d", "Europe/Zurich")])
def test_windows_add_up_on_the_clock_of_the_zone(store: Store, writer: Writer, every: str, tz: str) -> None:
    begin = ns("2026-03-28T22:00:00Z")  # clocks go forward at 01:00Z on the 29th
    for number in range(60):
        writer.rejection(number, 0, "pumps", ["a", "b"][: 1 + number % 2], time=begin + number * 23 * MINUTE)
    writer.rejection(99, 0, "pumps", ["a"], time=None)
    counted = summary(store, every=every, tz=tz, windows_of="time")
    assert counted.windows is not None
    assert (counted.every, sum(window.total for window in counted.windows)) == (every, 60)
    assert sum((Counter(window.by_reason) for window in counted.windows), Counter()) == {"a": 60, "b": 30}
    times = [ns(window.time) for window in counted.windows]
    assert times == sorted(set(times))
    if every == "1d":
        assert [window.time for window in counted.windows] == [
            "2026-03-28T00:00:00+01:00",
            "2026-03-29T00:00:00+01:00",
        ]


def test_more_windows_than_an_answer_holds_are_refused(store: Store, writer: Writer) -> None:
    record = json.dumps({"pump": "p1"})
    writer.write(
        "rejections", 10_001, feed="pumps", seq=1, receipt="r1", record=record, reasons=["a"],
        idx=pl.int_range(10_001), time=NOON + pl.int_range(10_001) * 10**9,
    )  # fmt: skip
    with pytest.raises(LimitError, match="10,000 windows"):
        summary(store, every="1s", windows_of="time")
    assert summary(store, every="1s").windows is not None
    assert len(summary(store, every="1m", windows_of="time").windows or ()) == 167


@pytest.mark.parametrize("by", ["feeds", "tag.", "feed,,reason", ",".join(["feed"] * 11)])
def test_a_facet_that_is_none_is_named(store: Store, by: str) -> None:
    with pytest.raises(InputError) as raised:
        summary(store, by=by)
    assert raised.value.faults[0].path.startswith("$query.by")


def test_values_and_tags_are_read_each_by_itself(store: Store, writer: Writer) -> None:
    written = [
        '{"time": "x", "pump": "p1", "bar": 17.5, "at": {"site": 4}}',
        '{"time": "2026-01-01T00:00:00Z",\n "pump": 7, "bar": 1e3}',
        '{"pump": "p2", "bar": "high"}',
        '{"pump": "p3", "bar": 3',
        "",
    ]
    for index, record in enumerate(written):
        writer.rejection(7, index, "pumps", ["any"], record=record)
    writer.rejection(8, 0, "removed", ["any"], record=written[0])
    page = queries(store, book=book(pumps=PUMPS)).rejections.list_rejections("default", asked(RejectionsQuery))
    assert [(item.values, item.tags) for item in reversed(page.items)] == [
        ({"bar": 17.5}, {"pump": "p1", "site": "4"}),
        ({"bar": 1000.0}, {}),
        ({}, {"pump": "p2"}),
        ({}, {}),
        ({}, {}),
        ({}, {}),
    ]


def test_values_beyond_the_bounds_of_the_contract_are_read(store: Store, writer: Writer) -> None:
    definition = f"{PUMPS}min = 0\nmax = 16\nscale = 0.5\n"
    writer.rejection(7, 0, "pumps", ["out_of_range"], record='{"bar": 200}')
    page = queries(store, book=book(pumps=definition)).rejections.list_rejections("default", asked(RejectionsQuery))
    assert page.items[0].values == {"bar": 100.0}


@pytest.mark.parametrize(
    ("feed", "record", "values"),
    [
        ("telemetry", '{"time": 1, "value": [0, 0, 128, 63], "tags": ["system"]}', {"value": 1.0}),
        ("meters", '{"timestamp": "x", "tags": {"muid": "m1"}, "0100011D00FF": 0.25}', {"0100011D00FF": 0.25}),
        ("dropzone", '{"time_stamp": "x", "data": [1, 2]}', {}),
        ("signals", "0.5", {"value": 0.5}),
        ("location", '{"lat": 91, "long": 7, "accuracy": "bad"}', {"lat": 91.0, "long": 7.0}),
    ],
)
def test_values_of_the_recipes(store: Store, writer: Writer, feed: str, record: str, values: dict[str, float]) -> None:
    writer.rejection(7, 0, feed, ["any"], record=record)
    page = queries(store).rejections.list_rejections("default", asked(RejectionsQuery))
    assert page.items[0].values == values
