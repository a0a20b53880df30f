"""Ranges, payloads and feeds are deleted: gone for good, in every table, whatever is applied again; the rest stays."""

import json
from typing import Any

import msgspec
import pytest

from tests.mill.house import House
from tests.mill.test_crash import SIGKILLED, Build, run
from tests.mill.test_retention import Clocks, retention
from tests.mill.test_worker import fix
from tidemill.errors import StoreUnavailableError
from tidemill.model.deletion import Deletion
from tidemill.model.ids import format_series
from tidemill.model.offset import seq_of
from tidemill.model.time import parse_instant
from tidemill.store.client import Store
from tidemill.store.queries import query

AT = "2019-05-01T06:00:0{}Z"
MORE = {
    "receipts": "SELECT kind, selector, points, records, payloads, payloads_kept, erased_at FROM deletions FINAL"
    " WHERE tenant = {tenant:String} AND toUnixTimestamp64Nano(applied_at) > 0 ORDER BY seq",
    "changes": "SELECT seq, series, every_s, time, old, new, old_count, new_count, why FROM changes FINAL"
    " WHERE tenant = {tenant:String} ORDER BY ALL",
}


def more(house: House, name: str) -> list[dict[str, Any]]:
    store = Store(house.store.address, queries={name: query(name, MORE[name])})
    try:
        return store.rows(name, tenant=house.tenant)
    finally:
        store.close()


def receipt(house: House) -> dict[str, Any]:
    row = more(house, "receipts")[-1]
    return row | {"selector": json.loads(row["selector"])}


def counts(house: House) -> tuple[int, int, int, int]:
    row = receipt(house)
    return row["points"], row["records"], row["payloads"], row["payloads_kept"]


def delete(house: House, kind: Any, feed: str, **selector: Any) -> None:
    house.ask(Deletion(kind=kind, feed=feed, **selector))
    house.work()


def dropped(house: House, second: int, *data: float) -> int:
    return house.send("dropzone", {"time_stamp": AT.format(second), "data": list(data)})


def receipts(house: House) -> dict[int, str]:
    return {seq_of(entry.seq): entry.payload.receipt for entry in house.entries()}


def applied_again(house: House) -> dict[str, Any]:
    """Everything, after the whole log was applied again, one by one and together."""
    house.new_mill()
    house.apply([[entry] for entry in house.entries()])
    house.apply([house.entries()])
    return house.everything("restated", "changes")


def state(house: House) -> dict[str, Any]:
    return house.everything("restated", "changes")


def test_a_range_of_a_series_goes_and_its_payload_stays(house: House) -> None:
    sent = {"name": "pump", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1.0, 2.0, 3.0, 4.0]}
    house.send("signals", sent)
    house.work()
    [series] = [row["series"] for row in house.all("series")]
    start = parse_instant("2026-01-01T00:00:01Z")
    delete(house, "range", "signals", series=format_series(series), start_ns=start, end_ns=start + 2 * 10**9)
    assert list(house.values("value").values()) == [1.0, 4.0]
    assert counts(house) == (2, 2, 0, 1)
    told = [(row["old"], row["new"], row["why"]) for row in more(house, "changes")]
    assert told == [(None, None, "deleted")] * 2
    before = state(house)
    assert applied_again(house) == before
    house.send("signals", sent | {"values": [9.0, 8.0]})
    house.work()
    assert list(house.values("value").values()) == [9.0, 8.0, 4.0], "what is sent later is not concerned"
    rest = {"series": format_series(series), "start_ns": start - 10**9, "end_ns": None}
    delete(house, "range", "signals", **rest)
    assert house.all("points") == []
    assert counts(house) == (3, 4, 1, 1), "the value that was replaced is a record, too"
    assert [row["state"] for row in house.all("payloads") if row["body"] == ""] == ["deleted"]


def test_a_person_goes_and_the_others_stay(house: House) -> None:
    house.send("location", fix(1, speed=1.0))
    house.send("location", fix(1, speed=2.0))  # a duplicate
    house.send("location", [fix(2), fix(2, "b2", speed=5.0)])
    house.send("location", fix(3, "b2", speed=7.0))
    house.work()
    delete(house, "range", "location", tags={"user_id": "a1"})
    assert counts(house) == (8, 3, 2, 1)
    alive = {row["series"] for row in house.all("series") if row["tags"] == {"user_id": "b2"}}
    assert {row["series"] for row in house.all("points")} == alive
    assert {row["series"] for row in house.all("rollups")} == alive
    assert {row["series"] for row in house.all("series") if not row["deleted"]} == alive
    assert house.all("rejections") == []
    states = {row["seq"]: (row["state"], bool(row["body"])) for row in house.all("payloads")}
    assert [states[n] for n in (1, 2, 3, 4)] == [("deleted", False)] * 2 + [("applied", True)] * 2
    windows = [row for row in more(house, "changes") if row["every_s"]]
    assert {(row["old"], row["new"], row["new_count"], row["why"]) for row in windows} == {(None, None, 0, "deleted")}
    before = state(house)
    assert applied_again(house) == before


def test_a_range_of_a_feed_recomputes_the_windows_that_it_cuts(house: House) -> None:
    for second, speed in ((1, 1.0), (2, 2.0), (3, 6.0)):
        house.send("location", fix(second, speed=speed))
    house.work()
    delete(house, "range", "location", start_ns=parse_instant("2017-01-01T18:05:02Z"))
    assert sorted(row["mean"] for row in house.all("rollups"))[1] == 1.0
    assert {row["count"] for row in house.all("rollups")} == {1}
    assert None not in {row["restated_at"] for row in house.all("restated")}
    speeds = [row for row in more(house, "changes") if row["every_s"] and row["new"] == 1.0]
    assert [(row["old"], row["old_count"], row["new_count"]) for row in speeds] == [(None, 3, 1)]
    assert sorted(row["state"] for row in house.all("payloads")) == ["applied", "applied", "deleted", "deleted"]
    before = state(house)
    assert applied_again(house) == before


def test_what_a_deleted_payload_replaced_stays_replaced(house: House) -> None:
    dropped(house, 1, 1.0)
    second = dropped(house, 1, 2.0)
    dropped(house, 2, 9.0)
    house.work()
    delete(house, "payload", "dropzone", receipt=receipts(house)[second])
    assert list(house.values("mean").values()) == [9.0]
    assert counts(house)[1:] == (1, 1, 0)
    assert {row["seq"] for row in house.all("replaced")} == {1}
    assert {row["by_seq"] for row in house.all("replaced")} == {second}
    before = state(house)
    assert applied_again(house) == before
    dropped(house, 1, 3.0)
    house.work()
    assert list(house.values("mean").values()) == [3.0, 9.0]


def test_what_lost_to_a_deleted_payload_stays_rejected(house: House) -> None:
    first = house.send("location", fix(1, speed=1.0))
    house.send("location", fix(1, speed=2.0))
    house.work()
    delete(house, "payload", "location", receipt=receipts(house)[first])
    assert house.all("points") == []
    assert [(row["seq"], row["winner_seq"]) for row in house.all("rejections")] == [(2, first)]
    assert house.all("rollups") == []
    before = state(house)
    assert applied_again(house) == before


def test_a_refused_payload_loses_its_bytes_and_its_ledger(house: House) -> None:
    bad = house.send("dropzone", {"time_stamp": AT.format(1), "data": ["x"]})
    house.work()
    assert house.all("rejections")
    delete(house, "payload", "dropzone", receipt=receipts(house)[bad])
    assert house.all("rejections") == []
    [row] = [row for row in house.all("payloads") if row["seq"] == bad]
    assert (row["state"], row["body"], row["faults"], row["rejected"]) == ("deleted", "", "", 1)
    assert row["sha256"] and applied_again(house)["rejections"] == []


def test_a_feed_goes_whole_and_begins_anew(house: House) -> None:
    house.send("location", [fix(1), fix(1), fix(2, "b2")])
    dropped(house, 1, 1.0)
    house.work()
    delete(house, "feed", "location")
    assert counts(house) == (8, 3, 1, 0)
    house.mill._retention.run_due()
    assert house.all("rejections") == house.all("rollups") == []
    assert {row["seq"] for row in house.all("points")} == {2}
    assert all(row["deleted"] for row in house.all("series") if row["feed"] == "location")
    before = state(house)
    assert applied_again(house) == before
    house.send("location", fix(1, speed=4.0))
    house.work()
    assert 4.0 in house.values("speed").values()


def test_a_replay_brings_nothing_back(house: House) -> None:
    house.send("location", [fix(1), fix(1, speed=2.0), fix(2, "b2")])
    house.work()
    delete(house, "range", "location", tags={"user_id": "a1"})
    before = state(house)
    done = house.replay("location", 1, start_ns=0)
    assert done.state == "done", done.error
    after = state(house)
    assert after["points"] == before["points"]
    assert after["rollups"] == before["rollups"]


def test_sealed_windows_are_emptied_where_the_range_holds_them_whole(build: Build) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    house.send("location", fix(1), received_ns=clocks.now())
    house.send("location", fix(1) | {"timestamp": "2017-01-01 13:06:10"}, received_ns=clocks.now())
    house.send("location", fix(1, "b2"), received_ns=clocks.now())
    house.work()
    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(8)
    job.run_due()
    assert house.all("points") == []
    cut = parse_instant("2017-01-01T18:06:30Z")
    delete(house, "range", "location", tags={"user_id": "a1"}, end_ns=cut)
    persons = {row["series"] for row in house.all("series") if row["tags"] == {"user_id": "a1"}}
    assert {(row["window"], row["sealed"]) for row in house.all("rollups") if row["series"] in persons} == {
        (parse_instant("2017-01-01T18:06:00Z"), True)
    }, "the window that the range cuts is final"
    states = [(row["state"], bool(row["body"])) for row in sorted(house.all("payloads"), key=lambda row: row["seq"])]
    assert states[:2] == [("deleted", False)] * 2, "of records past retention the bytes are all that was left"
    assert counts(house)[1:] == (2, 2, 0)
    before = state(house)
    assert applied_again(house) == before


def crowd(house: House) -> House:
    house.send("location", [fix(1), fix(1, speed=2.0), fix(2, "b2")])
    house.send("location", fix(3))
    house.work()
    house.ask(Deletion(kind="range", feed="location", tags={"user_id": "a1"}))
    return house


def comparable(house: House) -> Any:
    """What a house holds, without the ids that differ from house to house."""
    series = {row["series"]: (row["field"], sorted(row["tags"].items())) for row in house.all("series")}
    return (
        sorted((series[row["series"]], row["time"]) for row in house.all("points")),
        sorted((series[row["series"]], row["count"]) for row in house.all("rollups")),
        counts(house),
        house.all("rejections"),
        sorted((row["seq"], row["state"], row["body"]) for row in house.all("payloads") if row["seq"] < 3),
        sorted(msgspec.json.encode([r["old"], r["new"], r["why"], r["every_s"]]) for r in more(house, "changes")),
    )


def test_a_deletion_that_is_cut_short_anywhere_is_made_good(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, killed = crowd(build()), crowd(build())
    calm.work()
    wanted = comparable(calm)
    assert run(killed, "deletion.in_between").returncode == SIGKILLED
    assert run(killed).returncode == 0
    assert comparable(killed) == wanted
    cut = crowd(build())

    def end(name: str) -> None:
        if name == "deletion.tombstones_written":
            raise StoreUnavailableError("cut short")

    monkeypatch.setattr("tidemill.mill.deletion.reach", end)
    with pytest.raises(StoreUnavailableError):
        cut.work()
    monkeypatch.undo()
    cut.new_mill()
    cut.work()
    assert comparable(cut) == wanted


def test_an_entry_that_the_log_erased_leaves_a_payload_without_bytes_in_a_store_made_anew(house: House) -> None:
    one = dropped(house, 1, 1.0)
    dropped(house, 2, 2.0)
    house.log.erase([house.offset(one)], upto_offset=house.offset(one))
    house.work()
    states = [(row["state"], row["body"] == "") for row in sorted(house.all("payloads"), key=lambda row: row["seq"])]
    assert states == [("deleted", True), ("applied", False)]
    assert list(house.values("mean").values()) == [2.0]
