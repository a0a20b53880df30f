"""The evidence of windows and the reasons of gaps: nothing is said that the store and the log do not show."""

import random
from typing import Any

import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, EmptyLog, asked, book, document, ns, queries
from tidemill.errors import InputError
from tidemill.model.payload import LogEntry, Payload
from tidemill.query.gaps import WHY
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.store.client import Store

HOUR = 3600 * SECOND
NOW = ns("2026-06-01T00:00:00Z")
PUSHED = """name = "pumps"

[time]
path = "$.time"

[tags.pump]
path = "$.pump"

[fields.pressure]
path = "$.pressure"

[rollups]
every = "1h"
interval = "15m"
late_after = "30m"
"""
POLLED = PUSHED + '\n[source]\nkind = "http"\nurl = "http://127.0.0.1:9/readings"\nevery = "15m"\n'


def ask(store: Store, text: str = PUSHED, log: Any = None, now: int = NOW, **given: str) -> Any:
    query = asked(ManyPointsQuery, **{"feed": "pumps", "every": "1h", "evidence": "true"} | given)
    found = queries(store, log, book=book(pumps=text)).many_points.read_many("default", query, now)
    return document(found)


def reasons(found: Any) -> list[tuple[str, str, str]]:
    return [(gap["start"][11:16], gap["end"][11:16], gap["why"]) for gap in found["gaps"]]


@pytest.fixture
def pump(writer: Writer) -> str:
    """A pump with a point each quarter of an hour from 0:00 to 2:00 and from 5:00 to 8:00."""
    key = writer.series("pumps", "pressure", {"pump": "p1"})
    at = [START + n * HOUR // 4 for n in range(32) if not 8 <= n < 20]
    writer.points(key, at, [1.0] * len(at))
    return key


def test_a_gap_without_a_trace_was_never_received(store: Store, pump: str) -> None:
    found = ask(store)
    assert found["time"][0] == "2026-01-01T00:00:00Z"
    assert len(found["time"]) == 8
    assert found["series"][0]["evidence"] | {"late": None} == {
        "n": [4, 4, 0, 0, 0, 4, 4, 4],
        "expected": [4.0] * 8,
        "rejected": [0] * 8,
        "late": None,
        "flagged": [0] * 8,
        "restated": [0] * 8,
    }
    assert reasons(found) == [("02:00", "05:00", "never_received")]
    assert found["gaps"][0]["series"] == pump


def test_each_reason_is_of_what_happened_there(store: Store, pump: str, writer: Writer) -> None:
    number = [int(pump, 16)]
    writer.rejection(3, 0, "pumps", ["outside_range"], series=number, time=START + 2 * HOUR + 60 * SECOND)
    writer.rejection(3, 1, "pumps", ["outside_range"], series=number, time=START, recovered_by="r9")
    writer.change(pump, START + 3 * HOUR, 1.0, None, "deleted", feed="pumps")
    writer.points(pump, [START + 4 * HOUR], [None], seq=2)
    found = ask(store, agg="mean")
    assert reasons(found) == [
        ("02:00", "03:00", "all_rejected"), ("03:00", "04:00", "deleted"), ("04:00", "05:00", "null_values")
    ]  # fmt: skip
    assert found["series"][0]["evidence"]["rejected"] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert found["series"][0]["evidence"]["restated"] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert list(found["series"][0]["columns"]) == ["mean"]
    writer.write("rollups", series=number[0], every_s=3600, window=START + 2 * HOUR, count=4, sealed=True, version=1)
    assert reasons(ask(store))[0] == ("02:00", "03:00", "sealed")


def test_late_and_flagged_points_are_counted(store: Store, pump: str, writer: Writer) -> None:
    received = ns("2026-01-02T03:04:05Z")
    day = [received - received % HOUR - HOUR + n * HOUR // 4 for n in range(8)]
    writer.points(pump, day, [1.0] * 8, seq=4, marks=["suspect"])
    found = ask(store, start="2026-01-02T02:00:00Z", end="2026-01-02T04:00:00Z")["series"][0]["evidence"]
    assert found["late"] == [0, 0], "at 3:04 the half hour after the end of the first window was not over"
    assert found["flagged"] == [4, 4]
    first_day = ask(store, end="2026-01-01T08:00:00Z")["series"][0]["evidence"]
    assert first_day["late"] == first_day["n"], "received a day later"


@pytest.mark.parametrize(
    "results,why",
    [
        (["empty", "unchanged"], "source_empty"),
        (["timeout", "refused"], "not_reached"),
        (["data", "truncated"], "never_received"),
        (["data", "timeout"], "unknown"),
        (["empty", "timeout"], "unknown"),
        ([], "unknown"),
    ],
)
def test_a_source_is_judged_by_its_polls_in_the_gap(
    store: Store, pump: str, writer: Writer, results: list[str], why: str
) -> None:
    for n, result in enumerate(results):
        for hour in range(2, 5):
            writer.write("polls", feed="pumps", item="", started_at=START + hour * HOUR + n, result=result)
    assert reasons(ask(store, POLLED)) == [("02:00", "05:00", why)]


def test_what_could_hide_a_record_makes_a_reason_unknown(store: Store, pump: str, writer: Writer) -> None:
    waiting = Payload("r8", "default", "pumps", 1, NOW, "json", b"{}", bytes(32))
    assert reasons(ask(store, log=EmptyLog(LogEntry(8, waiting)))) == [("02:00", "05:00", "unknown")]
    assert reasons(ask(store, PUSHED + '\n[retention]\npoints = "90d"\n')) == [("02:00", "05:00", "unknown")]
    writer.payload(5, "pumps", accepted=4, nulls=1, first_time=START + 3 * HOUR, last_time=START + 3 * HOUR)
    assert reasons(ask(store)) == [("02:00", "05:00", "unknown")]
    assert reasons(ask(store, start="2026-01-01", end="2026-01-01T03:00:00Z")) == [("02:00", "03:00", "never_received")]
    writer.rejection(6, 0, "pumps", ["time_missing"], time=None)
    assert reasons(ask(store, start="2026-01-01", end="2026-01-01T03:00:00Z")) == [("02:00", "03:00", "unknown")]


def test_a_deletion_that_covers_a_gap_is_no_proof_of_points_there(store: Store, pump: str, writer: Writer) -> None:
    selector = {"feed": "pumps", "start": "2026-01-01T03:00:00Z", "end": "2026-01-01T04:00:00Z"}
    writer.deletion(9, "range", selector, feed="pumps")
    assert reasons(ask(store)) == [
        ("02:00", "03:00", "never_received"), ("03:00", "04:00", "unknown"), ("04:00", "05:00", "never_received")
    ]  # fmt: skip


def test_a_gap_ends_now_and_short_windows_between_points_are_none(store: Store, pump: str) -> None:
    fine = ask(store, every="5m", end="2026-01-01T02:00:00Z")
    assert fine["gaps"] == [], "a window of 5 minutes without a point is due to the interval of 15"
    assert reasons(ask(store, every="5m", end="2026-01-01T06:00:00Z")) == [("01:50", "05:00", "never_received")]
    future = ask(store, now=ns("2026-01-01T09:30:00Z"), start="2026-01-01T06:00:00Z", end="2026-01-02")
    assert reasons(future) == [("08:00", "09:30", "never_received")]
    assert future["series"][0]["evidence"]["expected"] == [4.0] * 18


def test_gaps_of_many_windows_are_those_of_plain_python(store: Store, writer: Writer) -> None:
    rng = random.Random(11)
    key = writer.series("pumps", "pressure", {"pump": "p1"})
    quarters = sorted(rng.sample(range(400), 150))
    writer.points(key, [START + n * HOUR // 4 for n in quarters], [1.0] * len(quarters))
    found = ask(store, start="2026-01-01T00:00:00Z", end="2026-01-05T04:00:00Z")
    full = {n // 4 for n in quarters}
    empty = sorted(set(range(100)) - full)
    starts = [n for n in empty if n - 1 not in empty]
    ends = [n + 1 for n in empty if n + 1 not in empty]
    got = [((ns(gap["start"]) - START) // HOUR, (ns(gap["end"]) - START) // HOUR) for gap in found["gaps"]]
    assert got == list(zip(starts, ends, strict=True))


def test_evidence_is_refused_where_it_would_mislead(store: Store, pump: str) -> None:
    for given in ({"quality": "good"}, {"marked": "suspect"}, {"shape": "rows"}, {"format": "csv"}):
        with pytest.raises(InputError) as refused:
            ask(store, **given)
        assert {fault.path for fault in refused.value.faults} == {"$query.evidence"}, given
    assert len(set(WHY)) == 8


@pytest.mark.parametrize("interval", ["", 'interval = "15m"\n'])
def test_what_is_expected_is_learnt_from_the_last_thousand_points(store: Store, writer: Writer, interval: str) -> None:
    """Every minute first, then every ten seconds: of windows of any length, and of a range that ends before."""
    key = writer.series("pumps", "pressure", {"pump": "p1"})
    slow, fast = (
        [START + n * 60 * SECOND for n in range(600)],
        [START + 10 * HOUR + n * 10 * SECOND for n in range(1500)],
    )
    writer.points(key, slow + fast, [1.0] * 2100)
    text = PUSHED.replace('interval = "15m"\n', interval)
    for every, end, apart in (("5m", "", 10), ("6h", "", 10), ("1h", "2026-01-01T10:00:00Z", 60)):
        found = ask(store, text, every=every, **({"start": "2026-01-01T00:00:00Z", "end": end} if end else {}))
        seconds = {"5m": 300, "6h": 21600, "1h": 3600}[every]
        assert found["series"][0]["evidence"]["expected"][1] == round(seconds / (900 if interval else apart), 6), every


def test_only_current_points_are_flagged_or_late(store: Store, writer: Writer) -> None:
    """A late and flagged point that another one replaced counts no more, although its row is still there."""
    key = writer.series("pumps", "pressure", {"pump": "p1"})
    writer.points(key, [START, START + HOUR], [1.0, 2.0], marks=["steep"])
    writer.points(key, [START], [3.0], seq=2)
    evidence = ask(store)["series"][0]["evidence"]
    assert (evidence["flagged"], evidence["late"]) == ([0, 1], [1, 1])
