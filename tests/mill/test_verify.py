"""A store to which everything happened verifies clean; whatever is broken in it is named, and nothing else."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from tests.mill.house import NOW_NS, House
from tests.mill.test_retention import Clocks, retention
from tests.mill.test_worker import fix
from tests.mill.verifying import prove, verify
from tidemill.decode.decoder import Decoder
from tidemill.errors import Fault, NotFoundError
from tidemill.feeds import formats
from tidemill.log.sqlite.high_water import HighWaterMark
from tidemill.mill.verify.kinds import MEANINGS
from tidemill.mill.verify.report import MAX_SHOWN
from tidemill.mill.verify.scope import check_feed, check_tenant
from tidemill.model.deletion import Deletion
from tidemill.model.payload import EntryKind
from tidemill.model.verification import VerifyReport
from tidemill.store.client import Store, StoreAddress
from tidemill.store.queries import query

NOW_S = NOW_NS // 10**9
Build = Callable[..., House]


def point(value: float, *tags: str, age: int = 0) -> dict[str, Any]:
    raw = base64.b64encode(struct.pack("<f", value)).decode()
    return {"time": NOW_S - age, "value": raw, "tags": tags}


def heap(second: int, *numbers: float) -> dict[str, Any]:
    return {"time_stamp": f"2019-05-01T06:00:{second:02}Z", "data": numbers}


def signal(name: str, *values: float) -> dict[str, Any]:
    return {"name": name, "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": values}


def reading(day: int, value: float) -> dict[str, Any]:
    tags = {"muid": "m1", "quality": "measured"}
    return {
        "measurement": "energy",
        "timestamp": f"2023-02-{day:02}T00:00:00.000Z",
        "tags": tags,
        "0100011D00FF": value,
    }


def test_a_store_to_which_everything_happened_adds_up(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    decode = Decoder.decode_batch

    def fragile(self: Decoder, payloads: Any) -> Any:
        if any(b"POISON" in entry.payload.body for entry in payloads):
            raise RuntimeError("a fault of ours")
        return decode(self, payloads)

    with monkeypatch.context() as patched:
        patched.setattr(Decoder, "decode_batch", fragile)
        house.send("location", [fix(1), fix(1, speed=2.0), fix(2), fix(75)])
        house.send("location", fix(3, "POISON"))
        house.send("location", fix(2, speed=3.0))
        house.send("dropzone", [heap(0, 1.0, 2.0), heap(1, 5.0)])
        house.send("dropzone", heap(0, 3.0, 4.5))
        house.send("telemetry", [point(1.0), point(2.0, "system"), point(3.0, age=9999), point(4.0)])
        house.send("telemetry", point(5.0))
        house.send("meters", {"data": [reading(1, 0.5), reading(2, 0.25), reading(1, 0.75)]})
        faults = (Fault("$[1].data", "missing", "is missing"),)
        house.send(
            "dropzone", [heap(2, 1.0), {"time_stamp": "2019-05-01T06:00:03Z"}], kind=EntryKind.REFUSED, faults=faults
        )
        house.send("dropzone", b"nonsense", kind=EntryKind.REFUSED, faults=(Fault("$", "malformed", "is no JSON"),))
        for name in ("kept", "gone", "cut"):
            house.send("signals", signal(name, 1.0, 2.0, -0.0, 4.0))
        house.work()
    prove(house)

    ids = {row["name"]: row["series"] for row in house.all("series")}
    house.delete(ids["gone"])
    start = 1_767_225_600 * 10**9
    house.ask(
        Deletion(kind="series", feed="signals", series=f"{ids['cut']:016x}", start_ns=start, end_ns=start + 2 * 10**9)
    )
    receipts = {row["seq"]: row["receipt"] for row in house.all("payloads")}
    house.ask(Deletion(kind="payload", feed="telemetry", receipt=receipts[7]))
    house.send("signals", signal("gone", 8.0))
    house.work()
    prove(house)
    house.mill._retention.run_due()
    prove(house)

    text = house.texts.current(house.tenant, "telemetry").text.replace("1h", "9h")  # type: ignore[union-attr]
    version = house.texts.apply(house.tenant, "telemetry", text).version
    assert house.replay("telemetry", version).result.newly_accepted_total == 1  # type: ignore[union-attr]
    assert prove(house).totals.recovered == 1

    job = retention(house, clocks)
    job.run_due()
    clocks.pass_days(7.5)
    job.run_due()
    house.send("location", fix(40), received_ns=clocks.now())
    house.work()
    report = prove(house)
    assert report.notes == []
    assert report.totals.sealed > 0
    assert report.totals.replaced == 5
    assert report.totals.records == report.totals.accepted + report.totals.rejected
    house.send("location", fix(50), received_ns=clocks.now())
    assert prove(house).totals.waiting == 1


# What is broken, by the SQL that breaks it, and what must be said of the payload then. Each has a payload of its own.
OF = "WHERE tenant = {tenant:String} AND seq = {seq:UInt64}"
PAYLOAD = (
    "INSERT INTO payloads SELECT * REPLACE (version + 1 AS version, %s) FROM (SELECT * FROM payloads FINAL " + OF + ")"
)
POINT = "INSERT INTO points SELECT * REPLACE (%s) FROM (SELECT * FROM points FINAL " + OF + ")"
REJECTION = (
    "INSERT INTO rejections (tenant, feed, seq, idx, receipt, reasons)"
    " SELECT tenant, feed, seq, %d, receipt, ['spike'] FROM payloads FINAL " + OF
)
BREAKS: dict[str, tuple[str, set[str]]] = {
    "a point is removed": ("DELETE FROM points " + OF, {"point_missing"}),
    "a value is changed": (POINT % "value + 1e-9 AS value", {"point_differs"}),
    "a point moves to another series": (POINT % "series + 1 AS series", {"point_stranger"}),
    "a rejection is removed": (
        "DELETE FROM rejections " + OF,
        {"receipt_rejected", "receipt_reasons", "point_missing"},
    ),
    "an accepted record is rejected": (
        REJECTION % 0,
        {"receipt_rejected", "receipt_reasons", "point_rejected"},
    ),
    "a record that is not there is rejected": (
        REJECTION % 7,
        {"receipt_rejected", "receipt_reasons", "record_unknown"},
    ),
    "more is accepted": (PAYLOAD % "toUInt32(accepted + 1) AS accepted", {"receipt_sum"}),
    "other reasons": (PAYLOAD % "map('spike', toUInt32(1)) AS reasons", {"receipt_reasons"}),
    "other null values": (PAYLOAD % "toNullable(toUInt32(7)) AS nulls", {"receipt_nulls"}),
    "another first time": (
        PAYLOAD % "toNullable(first_time - toIntervalSecond(1)) AS first_time",
        {"receipt_nulls"},
    ),
    "the body is cut": (
        PAYLOAD % "substring(body, 1, length(body) - 1) AS body",
        {"payload_bytes", "record_unaccounted", "point_stranger"},
    ),
    "another hash": (PAYLOAD % "unhex(repeat('07', 32)) AS sha256", {"payload_bytes", "log_differs"}),
    "a state that is none": (
        PAYLOAD % "'lost' AS state",
        {"payload_state", "receipt_accepted", "point_stranger"},
    ),
    "deleted by nobody": (PAYLOAD % "'deleted' AS state, '' AS body", {"payload_state", "point_stranger"}),
    "deleted with its bytes": (PAYLOAD % "'deleted' AS state", {"payload_state", "payload_bytes", "point_stranger"}),
    "a version of the feed that is not there": (
        PAYLOAD % "toUInt32(99) AS feed_version",
        {"payload_unreadable", "point_stranger"},
    ),
    "the payload is gone": ("DELETE FROM payloads " + OF, {"log_unapplied", "point_orphan", "rejection_orphan"}),
    "two at one place": (
        "INSERT INTO payloads SELECT * REPLACE ('z' AS receipt) FROM (SELECT * FROM payloads FINAL " + OF + ")",
        {"payload_doubled"},
    ),
    "refused and accepted": (
        PAYLOAD % "'refused' AS state",
        {"receipt_accepted", "point_stranger"},
    ),
    "a replaced value is changed": (
        "INSERT INTO replaced SELECT * REPLACE (value + 1 AS value) FROM (SELECT * FROM replaced FINAL " + OF + ")",
        {"point_differs"},
    ),
    "a replaced value is gone": ("DELETE FROM replaced " + OF, {"point_missing"}),
    "the payload of a replaced value is gone": ("DELETE FROM payloads " + OF, {"log_unapplied", "replaced_orphan"}),
    "the log's bytes are damaged": ("UPDATE entries SET body = x'00' WHERE seq = ?", {"log_damaged"}),
    "the log has another feed": ("UPDATE entries SET feed = 'meters', seal = NULL WHERE seq = ?", {"log_differs"}),
}  # fmt: skip
WINDOWS = {
    "rollup_differs": "INSERT INTO rollups SELECT * REPLACE (mean + 1e-6 AS mean, version + 1 AS version)"
    " FROM (SELECT * FROM rollups FINAL WHERE tenant = {tenant:String} AND series = {series:UInt64})",
    "rollup_missing": "DELETE FROM rollups WHERE tenant = {tenant:String} AND series = {series:UInt64}",
    "rollup_empty": "INSERT INTO rollups SELECT * REPLACE (addHours(window, 1) AS window)"
    " FROM (SELECT * FROM rollups FINAL WHERE tenant = {tenant:String} AND series = {series:UInt64})",
}


@pytest.fixture(scope="module")
def broken(
    engine: StoreAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, dict[str, int], dict[str, int], VerifyReport]]:
    """A house with a payload for each break: (it, the payloads, the series of the windows, what is found)."""
    house = House(tmp_path_factory.mktemp("broken"), engine, "broken")
    places = {}
    for number, (name, (_, codes)) in enumerate(BREAKS.items()):
        if "replaced" in name:
            places[name] = house.offset(house.send("dropzone", heap(number, float(number))))
            house.send("dropzone", heap(number, 100.0))
            continue
        rejected = "rejection_orphan" in codes or name == "a rejection is removed"
        body = [point(float(number)), point(0.5, "system")] if rejected else [point(float(number))]
        places[name] = house.offset(house.send("telemetry", body))
    for number, code in enumerate(WINDOWS):
        house.send("location", fix(number, code))
    house.work()
    prove(house)
    windows = {row["tags"]["user_id"]: row["series"] for row in house.all("series") if row["field"] == "speed"}
    _break(house, places, windows)
    yield house, places, windows, verify(house)
    house.close()


def _break(house: House, places: dict[str, int], windows: dict[str, int]) -> None:
    statements = {name: sql for name, (sql, _) in BREAKS.items() if not sql.startswith("UPDATE")}
    store = Store(house.store.address, queries={name: query(name, sql) for name, sql in (statements | WINDOWS).items()})
    for name in statements:
        store.command(name, tenant=house.tenant, seq=places[name])
    for name in WINDOWS:
        store.command(name, tenant=house.tenant, series=windows[name])
    store.close()
    connection = apsw.Connection(str(house.folder / "log" / "log.sqlite"))
    for name, (sql, _) in BREAKS.items():
        if sql.startswith("UPDATE"):
            connection.execute(sql, (places[name],))
    connection.close()
    mark = HighWaterMark(house.folder / "log" / "log.high-water")
    mark.note(house.offset(10**6))
    mark.close()


OF_FILES = {"catalog_damaged", "table_damaged", "part_detached"}  # see test_verify_files.py
Broken = tuple[House, dict[str, int], dict[str, int], VerifyReport]


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(broken: Broken, name: str) -> None:
    _, places, _, report = broken
    found = {finding.code for finding in report.findings if finding.seq == places[name]}
    assert found == BREAKS[name][1]


@pytest.mark.parametrize("code", WINDOWS)
def test_a_broken_rollup_is_named(broken: Broken, code: str) -> None:
    _, _, windows, report = broken
    found = [finding.code for finding in report.findings if f"{windows[code]:016x}" in finding.what]
    assert found == [code]


def test_nothing_else_is_named(broken: Broken) -> None:
    _, places, _, report = broken
    rest = [one for one in report.findings if one.seq not in places.values()]
    assert sorted(one.code for one in rest) == ["log_short", *sorted(WINDOWS)]
    assert not report.adds_up
    assert set(report.counts) <= MEANINGS.keys()
    assert report.counts == {code: sum(one.code == code for one in report.findings) for code in report.counts}


def test_every_kind_is_broken_once(broken: Broken) -> None:
    assert broken[3].counts.keys() == MEANINGS.keys() - OF_FILES


def test_the_size_of_pages_does_not_matter(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.mill.verify.verifier.PAGE", 7)
    small = verify(broken[0])
    assert small.counts == broken[3].counts
    assert small.totals == broken[3].totals


def test_a_scope_leaves_out_the_rest(broken: Broken) -> None:
    house, places, _, _ = broken
    of_feed = verify(house, feed="dropzone")
    assert {one.feed for one in of_feed.findings} <= {"dropzone", ""}
    assert {one.seq for one in of_feed.findings} & set(places.values()) == {
        places[name] for name in BREAKS if "replaced" in name
    }
    assert verify(house, since_ns=NOW_NS + 1).counts == {"log_short": 1}


def test_a_value_that_is_applied_again_beside_its_successor_leaves_its_trace(build: Build) -> None:
    house = build()
    for value in (1.0, 2.0, 3.0):
        house.send("dropzone", heap(0, value))
    first, second, third = house.entries()
    house.apply([[first, second]])
    house.new_mill()
    house.apply([[second, third]])  # the mill was killed before it saved its place, and more had come meanwhile
    assert prove(house).totals.replaced == 8


def test_a_replay_after_a_deletion_counts_deleted_rejections_still(build: Build) -> None:
    house = build()
    house.send("location", [fix(1), fix(1, speed=2.0), fix(2, "b2")])
    house.work()
    house.ask(Deletion(kind="range", feed="location", tags={"user_id": "a1"}))
    house.work()
    prove(house)
    assert house.replay("location", 1, start_ns=0).state == "done"
    assert prove(house).totals.rejected == 1


def test_findings_of_a_kind_are_listed_up_to_a_bound_and_counted_beyond(build: Build) -> None:
    house = build()
    house.send("signals", signal("long", *map(float, range(MAX_SHOWN + 50))))
    house.work()
    gone = Store(house.store.address, queries={"gone": query("gone", "DELETE FROM points " + OF)})
    gone.command("gone", tenant=house.tenant, seq=house.offset(1))
    gone.close()
    report = verify(house)
    assert (len(report.findings), report.counts) == (MAX_SHOWN, {"point_missing": MAX_SHOWN + 50})
    assert json.loads(json.dumps(report.findings[0].what)).startswith("record 0, series ")


PAIRS = """name = "tanks"
[input]
formats = ["json", "key-value"]
[time]
path = "$.t"
format = "unix_s"
[fields.level]
path = "$.level"
[rollups]
every = "1h"
"""


def test_payloads_whose_decoder_is_not_installed_are_left_out_and_noted(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build()
    house.texts.apply(house.tenant, "tanks", PAIRS)
    with monkeypatch.context() as installed:
        installed.setattr(formats, "plugin_decoders", lambda: {"key-value": object()})
        house.send("tanks", [{"t": NOW_S, "level": 1.0}, {"t": NOW_S + 60, "level": "full"}])
        house.send("tanks", {"t": "soon"}, kind=EntryKind.REFUSED, faults=(Fault("$.t", "wrong_type", "is no number"),))
        house.send("telemetry", point(1.0))
        house.work()
        assert prove(house).notes == []
        assert prove(house).totals.payloads == 3
    report = prove(house)
    assert report.notes == ["decoder 'key-value' of feed 'tanks' is not installed: 2 payloads not checked"]
    assert report.totals.payloads == 1
    assert verify(house, feed="telemetry").notes == []


def test_a_feed_or_tenant_that_nobody_knows_is_an_error(build: Build) -> None:
    house = build()
    house.send("telemetry", point(1.0))
    house.work()
    check_feed(house.store, house.book, [house.tenant], "telemetry")
    check_feed(house.store, house.book, [house.tenant], "")
    with pytest.raises(NotFoundError, match="there is no feed 'nope' to verify"):
        check_feed(house.store, house.book, [house.tenant], "nope")
    assert check_tenant(house.store, [], house.tenant) == [house.tenant]
    assert {house.tenant, "empty"} <= set(check_tenant(house.store, ["empty"], ""))
    with pytest.raises(NotFoundError, match="there is no tenant 'nobody' to verify"):
        check_tenant(house.store, ["empty"], "nobody")
