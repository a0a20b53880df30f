"""The rejection ledger: filters, pages that hold still, counts, and records as they were."""

import csv
import io
import json

import msgspec
import polars as pl
import pytest

from tests.query.conftest import Writer, ids, times
from tests.query.support import asked, ns, queries, whole
from tidemill.errors import InputError
from tidemill.query.record_texts import json_or_text
from tidemill.query.rejection_parameters import RejectionsQuery, RejectionSummaryQuery
from tidemill.query.rejections import Rejection, Winner
from tidemill.store.client import Store
from tidemill.store.fenced import FencedStore


def listed(store: Store, **given: str) -> list[Rejection]:
    return queries(store).rejections.list_rejections("default", asked(RejectionsQuery, **given)).items


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
        "record_text": None,
        "values": {},
        "tags": {},
        "rules_version": 3,
        "series": [],
        "winner": None,
        "recovered_by": None,
        "recovered_at": None,
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
    first = areas.list_rejections("default", asked(RejectionsQuery, limit="4"))
    writer.rejection(4, 0, "telemetry", ["too_old"])
    assert first.next is not None
    second = areas.list_rejections("default", asked(RejectionsQuery, limit="4", cursor=first.next))
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
    found = summary("default", asked(RejectionSummaryQuery))
    assert (found.total, found.by_feed) == (3, {"telemetry": 2, "location": 1})
    assert found.by_reason == {"too_old": 1, "suspect": 2, "duplicate": 1}
    assert summary("default", asked(RejectionSummaryQuery, feed="location")).by_reason == {"duplicate": 1}
    nothing = summary("elsewhere", asked(RejectionSummaryQuery))
    assert (nothing.total, nothing.by_reason, nothing.by_feed) == (0, {}, {})


def test_recovered_records_are_shown_when_asked_for(store: Store, writer: Writer) -> None:
    mine, other = writer.series("location", "lat", {"user_id": "a1"}), writer.series("location", "lat")
    recovered = {"recovered_by": "p1", "recovered_at": times([ns("2026-01-09T00:00:00Z")])}
    writer.rejection(1, 0, "location", ["duplicate"], series=ids(mine, other))
    writer.rejection(2, 0, "location", ["duplicate"], series=ids(mine))
    writer.rejection(2, 0, "location", ["duplicate"], series=ids(mine), version=1, **recovered)
    writer.rejection(3, 0, "location", ["duplicate"], series=ids(other))
    summary = queries(store).rejections.summary
    for given, expected in (
        ({}, ["r3", "r1"]),
        ({"recovered": "with"}, ["r3", "r2", "r1"]),
        ({"recovered": "only"}, ["r2"]),
        ({"series": mine}, ["r1"]),
        ({"series": mine, "recovered": "with"}, ["r2", "r1"]),
    ):
        assert [item.receipt for item in listed(store, **given)] == expected
        assert summary("default", asked(RejectionSummaryQuery, **given)).total == len(expected)
    (item,) = listed(store, recovered="only")
    assert (item.recovered_by, item.recovered_at, item.series) == ("p1", "2026-01-09T00:00:00Z", [mine])


def test_a_recovered_record_is_not_counted_in_its_payload_again(store: Store, writer: Writer) -> None:
    writer.payload(2, "location", accepted=1, rejected=2)
    writer.rejection(2, 0, "location", ["duplicate"])
    writer.rejection(2, 1, "location", ["duplicate"], recovered_by="p1")
    settled = store.rows("mill_rejections", tenant="default", feed="location", seqs=[2])
    assert [row["idx"] for row in settled] == [0]
    FencedStore(store, 0).command("mill_restate", tenant="default", feed="location", seqs=[2], version=9)
    receipt = queries(store).receipts.receipt("default", "r2")
    assert (receipt.accepted, receipt.rejected, receipt.reasons) == (2, 1, {"duplicate": 1})


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", ' =HYPERLINK("http://x")', '"=1"', "'=1", " \t +1"]
FORMULAS += ["＝1", "－1"]  # full width: taken as their plain twins by some
PLAIN = ['{"v": -1}', "a=1", "1-2", "", "it's", 'naïve, "quoted"\nand more']


def exported(store: Store, kind: str, **given: str) -> tuple[bytes, str | None]:
    page = queries(store).rejections.answer_rejections("default", asked(RejectionsQuery, **given), kind)
    return whole(page), page.next


def test_no_cell_of_a_csv_is_a_formula(store: Store, writer: Writer) -> None:
    for place, text in enumerate(FORMULAS + PLAIN):
        writer.rejection(1, place, "telemetry", ["=cmd|'/c calc'!A1"], detail=text, record=text)
    body, _ = exported(store, "csv")
    rows = sorted(csv.DictReader(io.StringIO(body.decode(), newline="")), key=lambda row: int(row["index"]))
    expected = ["'" + text for text in FORMULAS] + PLAIN
    assert [row["record"] for row in rows] == [row["detail"] for row in rows] == expected
    assert {row["reasons"] for row in rows} == {"'=cmd|'/c calc'!A1"}
    assert {row["rules_version"] for row in rows} == {"3"}
    first = csv.reader(io.StringIO(body.decode(), newline=""))
    assert next(first)[:5] == ["feed", "receipt", "index", "received_at", "time"]
    assert body.splitlines()[-1].count(b',"') < 14  # numbers are no texts


def test_an_export_is_the_whole_selection_newest_first(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", {"user_id": "a1"})
    writer.payload(1, "location")
    for seq in (1, 2, 3):
        facts = {"series": ids(series), "winner_seq": 1, "winner_idx": 4} if seq == 3 else {}
        writer.rejection(seq, 0, "location" if seq > 1 else "telemetry", ["duplicate"], **facts)
    Writer(store, "elsewhere").rejection(4, 0, "location", ["duplicate"])
    lines = [json.loads(line) for line in exported(store, "ndjson")[0].splitlines()]
    assert [line["receipt"] for line in lines] == ["r3", "r2", "r1"]
    assert lines[0] == {
        "feed": "location",
        "receipt": "r3",
        "index": 0,
        "received_at": "2026-01-02T03:04:05.000000003Z",
        "time": "2026-01-01T00:00:00Z",
        "reasons": ["duplicate"],
        "detail": "because",
        "record": '{"a": 1.50}',
        "rules_version": 3,
        "series": [series],
        "winner_receipt": "r1",
        "winner_index": 4,
        "recovered_by": None,
        "recovered_at": None,
    }
    assert (lines[1]["winner_receipt"], lines[1]["winner_index"]) == (None, None)
    table = pl.read_parquet(io.BytesIO(exported(store, "parquet", feed="location")[0]))
    assert table["receipt"].to_list() == ["r3", "r2"]
    assert table.schema["received_at"] == pl.Datetime("ns", "UTC")
    assert (table["series"].to_list(), table["winner_index"].to_list()) == ([[series], []], [4, None])
    assert exported(store, "ndjson", reason="too_old") == (b"", None)


def test_what_is_behind_the_limit_of_an_export_can_be_asked_for(store: Store, writer: Writer) -> None:
    for seq in (1, 2, 3):
        writer.rejection(seq, 0, "telemetry", ["too_old"])
    first, following = exported(store, "ndjson", limit="2")
    assert following is not None
    second, end = exported(store, "ndjson", limit="2", cursor=following)
    assert [json.loads(line)["receipt"] for line in (first + second).splitlines()] == ["r3", "r2", "r1"]
    assert end is None
    assert exported(store, "ndjson", limit="3")[1] is None
    with pytest.raises(InputError, match="at most 1000"):
        listed(store, limit="1001")


@pytest.mark.parametrize(
    ("header", "kind"),
    [("", "json"), ("*/*", "json"), ("text/csv", "csv"), ("application/x-ndjson;q=1, text/csv", "ndjson"),
     ("text/html, Application/vnd.apache.parquet", "parquet"), ("application/json, text/csv", "json"), ("???", "json")],
)  # fmt: skip
def test_the_format_is_negotiated(header: str, kind: str) -> None:
    assert asked(RejectionsQuery).answer_format(header) == kind
    assert asked(RejectionsQuery, format="csv").answer_format(header) == "csv"


@pytest.mark.parametrize("text", ["{broken", "", "\ud7ff text", "[" * 100_000, "NaN", '"\\ud800"'])
def test_a_record_that_is_no_json_is_a_text(text: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(json_or_text(text))) == text


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ('{"a": NaN, "b": 1}', {"a": "NaN", "b": 1}),
        ("[-Infinity, Infinity]", ["-Infinity", "Infinity"]),
        ("[1e400]", ["1e400"]),
    ],
)
def test_numbers_that_json_does_not_have_are_texts(text: str, record: object) -> None:
    assert json_or_text(text) == record


@pytest.mark.parametrize("text", ['{"a":1.50,"a":2}', "123456789012345678901234567890", '"x"', "null"])
def test_a_record_that_is_json_is_spelled_as_it_came(text: str) -> None:
    assert msgspec.json.encode(json_or_text(text)).decode() in (text, msgspec.json.encode(text).decode())
