"""The rejection ledger: filters, pages that hold still, counts, and records as they were."""

import msgspec
import polars as pl
import pytest

from tests.query.conftest import Writer, times
from tests.query.support import asked, ns, queries
from tidemill.query.rejections import PAGE_PARAMETERS, SUMMARY_PARAMETERS, Rejection, Winner, json_or_text
from tidemill.store.client import Store


def listed(store: Store, **given: str) -> list[Rejection]:
    return queries(store).rejections.page("default", asked(PAGE_PARAMETERS, **given)).items


def places(found: list[Rejection]) -> list[tuple[str, int]]:
    return [(item.receipt, item.index) for item in found]


def test_a_rejection_tells_the_whole_story(store: Store, writer: Writer) -> None:
    writer.rejection(7, 2, "telemetry", ["too_old", "internal"])
    assert msgspec.json.decode(msgspec.json.encode(listed(store)[0])) == {
        "feed": "telemetry",
        "receipt": "r7",
        "index": 2,
        "received_at": "2026-01-02T03:04:05.000000007Z",
        "time": "2026-01-01T00:00:00Z",
        "reasons": ["too_old", "internal"],
        "detail": "because",
        "record": {"a": 1.5},
        "rules_version": 3,
        "winner": None,
    }


def test_a_duplicate_names_its_winner(store: Store, writer: Writer) -> None:
    writer.payload(3, "location")
    writer.rejection(9, 0, "location", ["duplicate"], winner_seq=3, winner_idx=4)
    writer.rejection(9, 1, "location", ["duplicate"], winner_seq=2, winner_idx=0)
    assert [item.winner for item in listed(store)] == [Winner(None, 0), Winner("r3", 4)]


def test_a_record_without_a_time_has_none(store: Store, writer: Writer) -> None:
    writer.rejection(7, 0, "x", ["no_time"], time=pl.Series([None], dtype=pl.Datetime("ns", "UTC")))
    assert listed(store)[0].time is None


def test_newest_first_and_pages_hold_still_while_more_arrives(store: Store, writer: Writer) -> None:
    for seq in (1, 2, 3):
        for idx in (0, 1):
            writer.rejection(seq, idx, "telemetry", ["too_old"])
    areas = queries(store).rejections
    first = areas.page("default", asked(PAGE_PARAMETERS, limit="4"))
    writer.rejection(4, 0, "telemetry", ["too_old"])
    assert first.next is not None
    second = areas.page("default", asked(PAGE_PARAMETERS, limit="4", cursor=first.next))
    assert places(first.items + second.items) == [(f"r{seq}", idx) for seq in (3, 2, 1) for idx in (1, 0)]
    assert second.next is None


def test_filters(store: Store, writer: Writer) -> None:
    writer.rejection(1, 0, "telemetry", ["too_old", "suspect"], received_at=times([ns("2026-02-01T00:00:00Z")]))
    writer.rejection(2, 0, "telemetry", ["suspect"], received_at=times([ns("2026-02-02T00:00:00Z")]))
    writer.rejection(3, 0, "location", ["duplicate"], received_at=times([ns("2026-02-03T00:00:00Z")]))
    Writer(store, "elsewhere").rejection(4, 0, "telemetry", ["suspect"])
    assert places(listed(store)) == [("r3", 0), ("r2", 0), ("r1", 0)]
    assert places(listed(store, feed="telemetry")) == [("r2", 0), ("r1", 0)]
    assert places(listed(store, reason="suspect", feed="telemetry")) == [("r2", 0), ("r1", 0)]
    assert places(listed(store, reason="too_old")) == [("r1", 0)]
    assert places(listed(store, receipt="r3")) == [("r3", 0)]
    assert places(listed(store, start="2026-02-02", end="2026-02-03")) == [("r2", 0)]
    assert places(listed(store, reason="' OR 1=1")) == []


def test_summary_counts_each_reason(store: Store, writer: Writer) -> None:
    writer.rejection(1, 0, "telemetry", ["too_old", "suspect"])
    writer.rejection(1, 0, "telemetry", ["too_old", "suspect"])
    writer.rejection(2, 0, "telemetry", ["suspect"])
    writer.rejection(3, 0, "location", ["duplicate"])
    summary = queries(store).rejections.summary
    found = summary("default", asked(SUMMARY_PARAMETERS))
    assert (found.total, found.by_feed) == (3, {"telemetry": 2, "location": 1})
    assert found.by_reason == {"too_old": 1, "suspect": 2, "duplicate": 1}
    assert summary("default", asked(SUMMARY_PARAMETERS, feed="location")).by_reason == {"duplicate": 1}
    nothing = summary("elsewhere", asked(SUMMARY_PARAMETERS))
    assert (nothing.total, nothing.by_reason, nothing.by_feed) == (0, {}, {})


@pytest.mark.parametrize("text", ["{broken", "", "\ud7ff text", "[" * 100_000, "NaN", '"\\ud800"'])
def test_a_record_that_is_no_json_is_a_text(text: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(json_or_text(text))) == text


@pytest.mark.parametrize("text", ['{"a":1.50,"a":2}', "123456789012345678901234567890", '"x"', "null", "[1e400]"])
def test_a_record_that_is_json_is_spelled_as_it_came(text: str) -> None:
    assert msgspec.json.encode(json_or_text(text)).decode() in (text, msgspec.json.encode(text).decode())
