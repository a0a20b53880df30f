"""The story of one instant: every event in order, and a verdict that tells apart what is easily confused."""

import re
from typing import Any

import msgspec
import polars as pl
import pytest

from tests.query.conftest import Writer, ids, times
from tests.query.support import SECOND, EmptyLog, asked, book, ns, queries
from tests.support.payloads import logged
from tidemill.errors import InputError, NotFoundError
from tidemill.model.ids import format_series, series_id
from tidemill.model.time import format_instant
from tidemill.query.why import STATES, WhyQuery
from tidemill.query.why_events import EVENTS
from tidemill.store.client import Store

T = "2026-01-01T00:00:30Z"
RECEIVED = ns("2026-01-02T03:04:05Z")
A1 = {"user_id": "a1"}
OTHERS = ("' OR 1=1", "a1\\", "{x:String}")


def tell(store: Store, *waiting: Any, options: dict[str, Any] | None = None, **given: str) -> Any:
    areas = queries(store, EmptyLog(*waiting), **(options or {}))
    story = areas.why.why("default", asked(WhyQuery, **{"time": T, **given}))
    found = msgspec.json.decode(msgspec.json.encode(story))
    known = [event["at"] for event in found["events"] if event["at"]]
    assert known == sorted(known, key=ns)
    assert {event["event"] for event in found["events"]} <= EVENTS.keys()
    assert found["verdict"]["state"] in STATES
    return found


def codes(story: Any) -> list[str]:
    return [event["event"] for event in story["events"]]


def at(story: Any, code: str) -> Any:
    return next(event for event in story["events"] if event["event"] == code)


def test_a_value_that_replaced_another_tells_both(store: Store, writer: Writer) -> None:
    series = writer.series("meters", "0100", {"muid": "m"})
    for seq in (5, 9):
        writer.payload(seq, "meters")
    writer.points(series, [ns(T)], [60.5], seq=9, marks=["spike"], flags=[1])
    writer.replaced(series, ns(T), 7.25, seq=5, by_seq=9)
    writer.change(series, ns(T), 7.25, 60.5, "replaced")
    story = tell(store, series=series)
    assert codes(story) == [
        "received", "accepted", "received", "accepted", "flagged", "local_time", "replaced", "changed",
    ]  # fmt: skip
    assert at(story, "accepted")["facts"] == {"receipt": "r5", "index": 0, "value": 7.25}
    assert at(story, "replaced")["text"] == "7.25 was replaced by 60.5 of record 0 of payload r9."
    assert at(story, "received")["links"] == {"receipt": "/v1/receipts/r5", "payload": "/v1/receipts/r5/payload"}
    assert story["verdict"] == {
        "state": "stands",
        "value": 60.5,
        "sentence": f"60.5 stands at {T}, from record 0 of payload r9; it replaced 1 earlier; it is flagged spike.",
    }
    assert (story["around"]["points"], story["previous"], story["next"]) == ([], None, None)
    assert story["links"]["lineage"] == f"/v1/series/{series}/lineage?time={T}"


def test_a_duplicate_contest_is_told_from_both_sides(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", A1)
    for seq in (4, 6):
        writer.payload(seq, "location")
    writer.points(series, [ns(T)], [47.0], seq=4, first_wins=True)
    facts = {"time": times([ns(T)]), "series": ids(series), "winner_seq": 4, "winner_idx": 0}
    writer.rejection(6, 2, "location", ["duplicate"], **facts)
    begin = ns("2026-01-01T00:00:00Z")
    writer.rollup(series, begin, 47.0, 3)
    writer.change(series, begin, 40.0, 47.0, "late", every_s=pl.lit(60, pl.UInt32))
    writer.change(series, begin, 1.0, 2.0, "replaced")  # of another instant of the window
    story = tell(store, feed="location", field="lat", tag__user_id="a1")
    expected = ["received", "accepted", "window_touched", "received", "rejected", "duplicate_lost", "duplicate_won"]
    expected += ["window_restated"]
    assert at(story, "window_touched")["text"].endswith("counts it; it now has 3 points, mean 47.")
    assert codes(story) == expected
    assert at(story, "duplicate_lost")["text"].startswith("Record 2 of payload r6 lost as a duplicate against record 0")
    assert at(story, "rejected")["facts"]["reasons"] == ["duplicate"]
    assert "submitted first" in at(story, "rejected")["text"]
    assert (story["series"], story["verdict"]["value"]) == (series, 47.0)


def test_a_rejected_record_is_no_silence(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.payload(6, "telemetry")
    writer.rejection(6, 1, "telemetry", ["too_old", "suspect"], time=times([ns(T)]), series=ids(series))
    writer.rejection(7, 0, "telemetry", ["too_old"], time=times([ns(T) + 1]), series=ids(series))
    story = tell(store, series=series)
    assert codes(story) == ["received", "rejected"]
    assert at(story, "rejected")["facts"]["record"] == {"a": 1.5}
    assert story["verdict"]["state"] == "rejected"
    assert "record 1 of payload r6 was rejected (suspect, too_old)" in story["verdict"]["sentence"]
    assert story["around"]["rejected_nearby"]["by_reason"] == {"suspect": 1, "too_old": 2}


def test_a_record_of_nobody_knows_which_series_is_possibly_it(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", A1)
    for seq, user in ((6, "a1"), (7, "b2")):
        writer.rejection(seq, 0, "location", ["not_a_number"], time=times([ns(T)]), record=f'{{"user_id": "{user}"}}')
    story = tell(store, series=series)
    assert codes(story) == ["possibly_rejected"]
    assert at(story, "possibly_rejected")["facts"]["receipt"] == "r6"
    assert story["verdict"]["state"] == "possibly_rejected"


def test_a_series_that_never_was_can_have_rejected_records(store: Store, writer: Writer) -> None:
    given = {"feed": "location", "tag__user_id": "a1"}
    never = tell(store, **given, field="lat")
    assert (never["series"], never["verdict"]["state"]) == (format_series(series_id("default", "location", A1, "lat")),
                                                            "never_received")  # fmt: skip
    writer.rejection(6, 0, "location", ["outside_range"], time=times([ns(T)]), series=ids(never["series"]))
    assert tell(store, **given, field="lat")["verdict"]["state"] == "rejected"
    assert tell(store, **given)["series"] is None
    assert "has no series of field 'lat', user_id 'a1' yet" in never["verdict"]["sentence"]
    with pytest.raises(InputError, match="no field 'nope'; it has lat, long"):
        tell(store, **given, field="nope")
    with pytest.raises(InputError, match="no tag 'usr'; it has user_id"):
        tell(store, feed="location", tag__usr="a1", field="lat")
    assert "series" not in never["links"]


def test_recovered_and_replayed_are_told(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.payload(6, "telemetry", replay="p1")
    at_ns = ns("2026-01-03T00:00:00Z")
    facts = {"time": times([ns(T)]), "series": ids(series), "recovered_by": "p1", "recovered_at": times([at_ns])}
    writer.rejection(6, 1, "telemetry", ["too_old"], **facts)
    assert tell(store, series=series)["verdict"]["state"] == "expired"
    writer.points(series, [ns(T)], [1.0], seq=6, idx=1)
    story = tell(store, series=series)
    assert codes(story) == ["received", "rejected", "replayed", "recovered", "accepted"]
    assert at(story, "recovered")["at"] == at(story, "replayed")["at"] == "2026-01-03T00:00:00Z"
    assert story["verdict"]["state"] == "stands"


def test_what_a_replay_did_is_told_when_it_did_it(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.payload(6, "telemetry", replay="p2")
    first, second = "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"
    facts = {"time": times([ns(T)]), "series": ids(series), "recovered_by": "p1", "recovered_at": times([ns(first)])}
    writer.rejection(6, 1, "telemetry", ["outside_range"], detail="outside_range: value is outside 0 to 10", **facts)
    writer.points(series, [ns(T)], [1.0], seq=6, idx=1)
    story = tell(store, series=series)
    assert codes(story) == ["received", "rejected", "replayed", "recovered", "accepted", "replayed"]
    assert at(story, "rejected")["text"] == (
        "Record 1 of payload r6 was rejected as outside_range: value is outside 0 to 10."
    )
    assert (at(story, "accepted")["at"], at(story, "replayed")["at"]) == (first, first)
    assert "version" not in at(story, "accepted")["text"]  # the replay that judged it last has no time
    assert story["events"][-1]["at"] is None
    assert story["events"][-1]["text"].endswith("it is under version 3 now.")
    changed = {"replay": pl.lit("p2"), "changed_at": times([ns(second)])}
    writer.change(series, ns(T), 1.0, 2.0, "replay", **changed)
    story = tell(store, series=series)
    expected = ["received", "rejected", "replayed", "recovered", "replayed", "accepted", "changed"]
    assert codes(story) == expected
    assert (at(story, "accepted")["at"], at(story, "changed")["at"]) == (second, second)
    assert at(story, "changed")["text"] == "The published value changed from 1 to 2 by replay p2."


def test_a_record_that_a_replay_took_away_was_rejected_then(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.payload(6, "telemetry", replay="p1")
    second = "2026-01-04T00:00:00Z"
    writer.change(series, ns(T), 1.0, None, "replay", replay=pl.lit("p1"), changed_at=times([ns(second)]))
    writer.rejection(6, 0, "telemetry", ["too_old"], time=times([ns(T)]), series=ids(series))
    story = tell(store, series=series)
    assert codes(story) == ["received", "replayed", "rejected", "changed"]
    assert at(story, "rejected")["at"] == second


def test_a_value_that_was_deleted_is_withheld_and_not_none(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.change(series, ns(T), None, None, "deleted")
    text = at(tell(store, series=series), "changed")["text"]
    assert "withheld" in text and "no value" not in text


def test_what_was_deleted_is_not_shown_again(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value", deleted_seq=7, deleted=True)
    writer.points(series, [ns(T)], [123.5], seq=6)
    writer.deletion(7, "series", {"series": series})
    story = tell(store, series=series)
    assert (codes(story), story["verdict"]["state"]) == (["deleted"], "deleted")
    assert "123.5" not in msgspec.json.encode(story).decode()
    pending = writer.series("location", "lat", A1)
    writer.points(pending, [ns(T)], [123.5], seq=8)
    hidden = tell(store, series=pending, options={"hidden": lambda tenant: {int(pending, 16)}})
    assert (codes(hidden), hidden["verdict"]["state"]) == (["deleting"], "deleted")
    assert "123.5" not in msgspec.json.encode(hidden).decode()


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({"feed": "telemetry", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:31Z"}, True),
        ({"feed": "telemetry", "start": T}, True),
        ({"feed": "telemetry", "end": T}, False),
        ({"feed": "location"}, False),
        ({"feed": "telemetry", "tags": {"id": "other"}}, False),
        ({"series": "0" * 16}, False),
        ({}, False),
    ],
)
def test_a_deletion_concerns_what_it_names(
    store: Store, writer: Writer, selector: dict[str, Any], covered: bool
) -> None:
    series = writer.series("telemetry", "value")
    writer.deletion(7, "range", selector)
    state = tell(store, series=series)["verdict"]["state"]
    assert state == ("deleted" if covered else "never_received")


def test_a_sealed_window_is_past_retention(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", A1)
    writer.rollup(series, ns("2026-01-01T00:00:00Z"), 47.0, 3, sealed=pl.lit(True))
    story = tell(store, series=series)
    assert (codes(story), story["verdict"]["state"]) == (["window_sealed"], "expired")


def test_what_waits_in_the_log_is_not_lost(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", A1)
    entries = [logged(3, b"{}"), logged(4, b"{}"), logged(5, b"{}", feed="dropzone")]
    story = tell(store, *entries, series=series, options={"applied": lambda tenant: (3,)})
    assert at(story, "waiting")["facts"] == {"count": 1}
    assert story["verdict"]["state"] == "waiting"


def poll(writer: Writer, at: str, result: str, status: int, detail: str = "", *, item: str = "") -> None:
    row = {
        "tenant": [writer.tenant],
        "feed": ["telemetry"],
        "item": [item],
        "started_at": times([ns(at)]),
        "result": [result],
        "status": pl.Series([status], dtype=pl.UInt16),
        "detail": [detail],
    }
    writer.insert("polls", pl.DataFrame(row))


def test_nothing_had_and_not_reached_are_told_apart(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    writer.points(series, [ns(T) - 10**9, ns(T) + 2 * 10**9], [1.0, 2.0])
    (before,) = tell(store, series=series)["around"]["source"] or [None]
    assert before is None
    poll(writer, "2026-01-01T00:00:10Z", "empty", 404)
    poll(writer, "2026-01-01T00:00:40Z", "data", 200)
    poll(Writer(store, "elsewhere"), "2026-01-01T00:00:20Z", "data", 200)
    story = tell(store, series=series)
    (source,) = story["around"]["source"]
    assert (source["state"], source["since"]) == ("had_nothing", None)
    assert source["first_after"]["started_at"] == "2026-01-01T00:00:40Z"
    assert [story["around"][side]["value"] for side in ("before", "after")] == [1.0, 2.0]
    assert story["around"]["rejected_nearby"]["interval_s"] == 3
    assert story["verdict"]["state"] == "never_received"
    poll(writer, "2026-01-01T00:00:20Z", "refused", 0, "connection refused")
    poll(writer, "2026-01-01T00:00:29Z", "refused", 0, "connection refused")
    (source,) = tell(store, series=series)["around"]["source"]
    assert (source["state"], source["since"]) == ("not_reached", "2026-01-01T00:00:10Z")
    assert "connection refused" in source["sentence"]
    poll(writer, "2026-01-01T00:00:29.5Z", "unexpected", 200, "$.rows: is missing")
    (source,) = tell(store, series=series)["around"]["source"]
    assert source["state"] == "unusable" and "(unexpected: $.rows: is missing)" in source["sentence"]
    poll(writer, "2026-01-01T00:00:30Z", "garbage", 200, "it is HTML")
    assert tell(store, series=series)["around"]["source"][0]["state"] == "unusable"


def test_each_item_of_a_source_has_its_polls_also_one_that_was_polled_later_only(store: Store, writer: Writer) -> None:
    series = writer.series("telemetry", "value")
    for at_text, result, item in (
        ("2026-01-01T00:00:10Z", "data", "a"),
        ("2026-01-01T00:00:15Z", "refused", "a"),
        ("2026-01-01T00:00:15Z", "refused", "a"),  # written twice
        ("2026-01-01T00:00:20Z", "refused", "a"),
        ("2026-01-01T00:00:50Z", "data", "b"),
        ("2026-01-01T00:00:40Z", "empty", "b"),
        (T, "data", "c"),
    ):
        poll(writer, at_text, result, 0, item=item)
    first, second, third = tell(store, series=series)["around"]["source"]
    assert (first["item"], first["state"], first["since"]) == ("a", "not_reached", "2026-01-01T00:00:10Z")
    assert (first["last_before"]["started_at"], first["first_after"]) == ("2026-01-01T00:00:20Z", None)
    assert (second["item"], second["state"], second["last_before"]) == ("b", "not_polled", None)
    assert (second["first_after"]["started_at"], second["first_after"]["result"]) == ("2026-01-01T00:00:40Z", "empty")
    assert (third["item"], third["state"], third["last_before"]["started_at"]) == ("c", "had_data", T)


def test_the_nearest_point_is_the_newest_version_of_the_first_that_share_an_instant(
    store: Store, writer: Writer
) -> None:
    series = writer.series("telemetry", "value")
    writer.points(series, [ns(T) - 9, ns(T) - 5, ns(T) - 5], [1.0, 3.0, 2.0], seq=3, ordinals=[1, 2, 1])
    writer.points(series, [ns(T) - 5], [4.0], seq=7, ordinals=[1])
    writer.points(series, [ns(T) + 5, ns(T) + 5, ns(T) + 9], [6.0, 5.0, 1.0], seq=3, ordinals=[2, 1, 1])
    around = tell(store, series=series)["around"]
    assert [around[side]["value"] for side in ("before", "after")] == [4.0, 5.0]


def test_questions_that_fit_several_series_list_them(store: Store, writer: Writer) -> None:
    known = [writer.series("location", field, {"user_id": user}) for field in ("lat", "long") for user in ("a1", "b2")]
    with pytest.raises(InputError, match="4 series fit") as caught:
        tell(store, feed="location")
    assert {re.findall("[0-9a-f]{16}", fault.message)[0] for fault in caught.value.faults} == set(known)
    with pytest.raises(InputError, match="say which series"):
        tell(store, field="lat")
    for text in OTHERS:
        assert tell(store, feed="location", field="lat", tag__user_id=text)["verdict"]["state"] == "never_received"


def test_another_tenants_things_never_were(store: Store, writer: Writer) -> None:
    theirs = Writer(store, "elsewhere")
    series = theirs.series("location", "lat", A1)
    theirs.points(series, [ns(T)], [1.0])
    theirs.rejection(6, 0, "location", ["outside_range"], time=times([ns(T)]), series=ids(series))
    with pytest.raises(NotFoundError, match="no series"):
        tell(store, series=series)
    mine = tell(store, feed="location", field="lat", tag__user_id="a1")
    assert (codes(mine), mine["verdict"]["state"]) == ([], "never_received")
    with pytest.raises(NotFoundError, match="no feed"):
        tell(store, feed="forgotten")


def test_a_feed_that_is_gone_still_has_its_story(store: Store, writer: Writer) -> None:
    series = writer.series("forgotten", "v")
    writer.payload(6, "forgotten")
    writer.points(series, [ns(T)], [1.0], seq=6)
    assert tell(store, series=series, options={"book": book()})["verdict"]["state"] == "stands"


def test_steps_lead_over_points_and_rejected_records(store: Store, writer: Writer) -> None:
    series = writer.series("location", "lat", A1)
    begin = ns(T)
    writer.points(series, [begin + step * SECOND for step in (-3, 0, 2)], [1.0, 2.0, 3.0], marks=["spike"])
    writer.points(series, [begin - 3 * SECOND], [1.5], seq=2)  # it replaced the first
    for index, step in enumerate((-1, 1, 5)):
        time = begin + step * SECOND
        writer.rejection(9, index, "location", ["out_of_range"], series=ids(series), time=time)
    writer.rejection(9, 3, "location", ["out_of_range"], time=begin + SECOND // 2)  # of no known series
    story, walked = tell(store, series=series), []
    assert [(point["value"], point["marks"]) for point in story["around"]["points"]] == [(1.5, []), (3.0, ["spike"])]
    while story["previous"]:
        story = tell(store, series=series, time=story["previous"]["time"])
    assert story["time"] == format_instant(begin - 3 * SECOND)
    while (step := story["next"]) is not None:
        walked.append((step["kind"], (ns(step["time"]) - begin) // SECOND, step["value"], step["receipt"]))
        story = tell(store, series=series, time=step["time"])
    assert walked == [
        ("rejection", -1, None, "r9"),
        ("point", 0, 2.0, None),
        ("rejection", 1, None, "r9"),
        ("point", 2, 3.0, None),
        ("rejection", 5, None, "r9"),
    ]
