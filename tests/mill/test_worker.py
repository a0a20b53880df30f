"""From the log to rows: every recipe through the real engine, and what becomes of each payload."""

import base64
import json
import struct
from collections.abc import Callable

from tests.mill.house import NOW_NS, House
from tidemill.decode.decoder import Decoder
from tidemill.model.payload import EntryKind
from tidemill.model.time import parse_instant

MINUTE = parse_instant("2017-01-01T18:05:00Z")


def fix(second: int, user: str = "a1", **other: object) -> dict[str, object]:
    """A fix in New York: 13:05 local time is 18:05 UTC."""
    return {
        "timestamp": f"2017-01-01 13:05:{second:02}",
        "lat": 40.701,
        "long": -73.916,
        "accuracy": 11.3,
        "speed": 1.0,
        "user_id": user,
    } | other


def outcomes(house: House) -> list[tuple[str, int, int, dict[str, int]]]:
    rows = sorted(house.all("payloads"), key=lambda row: row["seq"])
    return [(row["state"], row["accepted"], row["rejected"], row["reasons"]) for row in rows]


def test_a_fix_becomes_points_series_and_a_rollup(house: House) -> None:
    seq = house.send("location", fix(12))
    assert house.work() == 1
    assert house.values("speed") == {MINUTE + 12 * 10**9: 1.0}
    assert {row["field"] for row in house.all("series")} == {"lat", "long", "accuracy", "speed"}
    means = {row["mean"]: row["count"] for row in house.all("rollups")}
    assert means == {40.701: 1, -73.916: 1, 11.3: 1, 1.0: 1}
    assert outcomes(house) == [("applied", 1, 0, {})]
    assert house.applied == seq
    assert house.ours.receive() == house.offset(seq)


def test_the_bytes_are_kept_as_they_came(house: House) -> None:
    body = b' {"timestamp":"2017-01-01 13:05:12","lat":1,"long":2,"accuracy":3,"speed":4,"user_id":"\xc3\xa9"}\r\n'
    house.send("location", body)
    house.work()
    [row] = house.all("payloads")
    assert bytes.fromhex(row["body"]) == body
    assert row["sha256"].lower() == house.entries()[0].payload.sha256.hex()


def test_the_first_of_two_fixes_stays_and_the_other_is_a_duplicate(house: House) -> None:
    winner = house.send("location", fix(12, speed=1.0))
    loser = house.send("location", fix(12, speed=9.0))
    house.work()
    [row] = house.all("rejections")
    assert (row["seq"], row["reasons"], row["winner_seq"]) == (loser, ["duplicate"], winner)
    assert json.loads(row["record"])["speed"] == 9.0
    assert list(house.values("speed").values()) == [1.0]
    assert outcomes(house) == [("applied", 1, 0, {}), ("applied", 0, 1, {"duplicate": 1})]


def test_a_duplicate_of_an_earlier_batch_is_found_in_the_store(house: House) -> None:
    winner = house.send("location", fix(12, speed=1.0))
    house.work()
    house.new_mill()
    house.send("location", fix(12, speed=9.0))
    house.work()
    [row] = house.all("rejections")
    assert row["winner_seq"] == winner
    assert list(house.values("speed").values()) == [1.0]


def test_live_data_needs_no_look_up(house: House) -> None:
    for second in range(3):
        house.send("location", fix(second))
        house.work()
    assert house.mill.status.lookups == 0
    house.send("location", fix(0))
    house.work()
    assert house.mill.status.lookups == 1


def test_a_late_fix_changes_its_minute(house: House) -> None:
    for second, speed in ((10, 1.0), (30, 2.0), (20, 6.0)):
        house.send("location", fix(second, speed=speed))
        house.work()
    [row] = [row for row in house.all("rollups") if row["max"] == 6.0]
    assert (row["mean"], row["count"], row["window"]) == (3.0, 3, MINUTE)


def test_the_mean_of_a_rollup_is_within_its_extremes(house: House) -> None:
    for second, speed in ((1, 1.4), (2, 1.4), (3, 1.4)):
        house.send("location", fix(second, speed=speed))
    house.send("location", fix(4, "other", speed=1e16))
    house.send("location", [fix(second, "other", speed=1.0) for second in range(5, 9)])
    house.work()
    for row in house.all("rollups"):
        assert row["min"] <= row["mean"] <= row["max"], row
    [row] = [row for row in house.all("rollups") if row["max"] == 1.4]
    assert (row["mean"], row["count"]) == (1.4, 3)
    [row] = [row for row in house.all("rollups") if row["max"] == 1e16]
    assert row["sum"] == 1e16 + 4, "small ones are not lost beside a large one"


def test_a_file_sent_again_replaces_its_whole_row_also_by_the_same(house: House) -> None:
    def send(values: list[float], stamp: str = "2019-05-01T06:00:00-04:00") -> int:
        seq = house.send("dropzone", {"time_stamp": stamp, "data": values})
        house.work()
        return seq

    first = send([1.0, 3.0])
    again = send([1.0, 3.0], "2019-05-01T10:00:00Z")
    last = send([2.0, 4.0])
    assert list(house.values("mean").values()) == [3.0]
    gone = [(row["seq"], row["by_seq"], row["value"]) for row in house.all("replaced")]
    assert len(gone) == 8, "every submission is a link of the chain, with all four of its values"
    assert {link[:2] for link in gone} == {(first, again), (again, last)}
    assert gone.count((again, last, 2.0)) == 2, "mean and count"
    assert {row["seq"] for row in house.all("points")} == {last}


def test_telemetry_carries_every_reason(house: House) -> None:
    def point(age_s: int, tags: list[str]) -> dict[str, object]:
        value = base64.b64encode(struct.pack("<f", 1.5)).decode()
        return {"time": NOW_NS // 10**9 - age_s, "value": value, "tags": tags}

    for body in (point(5, []), point(4000, ["system", "suspect"]), point(5, []), point(7, ["suspect"])):
        house.send("telemetry", body)
    house.work()
    assert len(house.all("points")) == 2, "a feed that keeps all keeps two at one second"
    assert outcomes(house)[1] == ("applied", 0, 1, {"too_old": 1, "internal": 1, "suspect": 1})
    assert outcomes(house)[3] == ("applied", 0, 1, {"suspect": 1})


def refused(house: House, feed: str, body: object) -> int:
    """Send what the feed's own check refuses; its seq."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    faults = Decoder(house.book.current(house.tenant, feed)).check_payload(raw, "json", NOW_NS)
    assert faults
    return house.send(feed, raw, kind=EntryKind.REFUSED, faults=faults)


def test_every_record_of_a_refused_payload_is_in_the_ledger(house: House) -> None:
    good = {"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1]}
    broken = {"data": [1] * 17 + ["x"]}
    refused(house, "dropzone", [good, broken, good, {**good, "data": []}])
    refused(house, "dropzone", b"\xff\x00")
    refused(house, "dropzone", broken)
    house.work()
    rows = sorted(house.all("rejections"), key=lambda row: (row["seq"], row["idx"]))
    ten = parse_instant("2019-05-01T10:00:00Z")
    assert [
        (row["idx"], sorted(row["reasons"]), row["time"]) for row in rows if row["seq"] == 1 and row["idx"] % 2 == 0
    ] == [
        (0, ["payload_refused"], ten),
        (2, ["payload_refused"], ten),
    ]
    assert [
        (row["seq"], row["idx"], sorted(row["reasons"])) for row in rows if row["reasons"] != ["payload_refused"]
    ] == [
        (1, 1, ["missing", "wrong_type"]),
        (1, 3, ["empty"]),
        (2, 0, ["invalid_utf8"]),
        (3, 0, ["missing", "wrong_type"]),
    ]
    assert json.loads(rows[2]["record"]) == good
    assert outcomes(house) == [
        ("refused", 0, 4, {"missing": 1, "wrong_type": 1, "empty": 1, "payload_refused": 2}),
        ("refused", 0, 1, {"invalid_utf8": 1}),
        ("refused", 0, 1, {"missing": 1, "wrong_type": 1}),
    ]
    [first, second, _] = sorted(house.all("payloads"), key=lambda row: row["seq"])
    assert json.loads(first["faults"])[0]["path"] in ("$[1].data[17]", "$[1].time_stamp")
    assert bytes.fromhex(second["body"]) == b"\xff\x00"


def test_refused_records_beyond_the_named_faults_carry_their_own_reasons_too(house: House) -> None:
    good = {"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1]}
    refused(house, "dropzone", [good] + [{**good, "data": []} for _ in range(150)])
    house.work()
    assert outcomes(house) == [("refused", 0, 151, {"empty": 150, "payload_refused": 1})]


def test_a_refused_series_is_one_record(house: House) -> None:
    refused(house, "signals", {"start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, "x", "y"]})
    house.work()
    assert outcomes(house) == [("refused", 0, 1, {"wrong_type": 1})]


def test_meters_read_twice_are_stored_once(house: House) -> None:
    def record(hour: int, value: float) -> dict[str, object]:
        stamp = f"2023-02-01T{hour:02}:00:00.000Z"
        return {
            "measurement": "energy",
            "timestamp": stamp,
            "tags": {"muid": "m", "quality": "measured"},
            "0100011D00FF": value,
            "0100021D00FF": 0.5,
        }

    for _ in range(2):
        house.send("meters", {"data": [record(hour, float(hour)) for hour in range(24)]})
        house.work()
    assert len(house.all("points")) == 48
    assert {row["by_seq"] for row in house.all("replaced")} == {2}, "every record that was accepted leaves a trace"
    assert len(house.all("replaced")) == 48
    house.send("meters", {"data": [record(3, 30.0)]})
    house.work()
    assert sorted(row["value"] for row in house.all("replaced") if row["by_seq"] == 3) == [0.5, 3.0]
    assert {(one, two) for _, one, two, _ in outcomes(house)} == {(24, 0), (1, 0)}


def test_a_series_of_many_samples_is_stored_whole(house: House) -> None:
    body = {"name": "pump", "start": "2026-01-01T00:00:00Z", "interval": "39.0625us", "values": list(range(50_000))}
    house.send("signals", body)
    house.work()
    assert len(house.values("value")) == 50_000


def test_payloads_of_many_feeds_share_a_batch(house: House) -> None:
    house.send("location", fix(1))
    house.send("dropzone", {"time_stamp": "2019-05-01T06:00:00Z", "data": [1]})
    house.send("location", b"nonsense")
    house.work()
    assert house.mill.status.batches == 1
    assert outcomes(house) == [
        ("applied", 1, 0, {}),
        ("applied", 1, 0, {}),
        ("applied", 0, 1, {"invalid_json": 1}),
    ]


def test_tenants_do_not_meet(build: Callable[..., House]) -> None:
    one, other = build(), build()
    one.send("location", fix(12, speed=1.0))
    one.work()
    other.send("location", fix(12, speed=2.0))
    other.work()
    assert list(other.values("speed").values()) == [2.0]
    assert other.all("rejections") == []
