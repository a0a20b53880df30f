"""What the batch holds of records that are right."""

import json
import struct

import polars as pl

from tests.support.payloads import FEEDS, FIX, logged
from tidemill.decode.decoder import Decoder
from tidemill.decode.times import INSTANT, WALL

DECODERS = {name: Decoder(feed) for name, feed in FEEDS.items()}
METER = {
    "measurement": "energy",
    "timestamp": "2023-02-01T00:00:00.000Z",
    "tags": {"muid": "m1", "quality": "measured"},
}


def test_rows_carry_payload_index_receipt_time_and_identity() -> None:
    bodies = [FIX, b"[" + FIX + b"," + FIX.replace(b"a1", b"b2") + b"]"]
    batch = DECODERS["location"].decode_batch(
        [logged(7 + n, body, received_ns=100 + n) for n, body in enumerate(bodies)]
    )
    frame = batch.frame.sort("seq", "idx")
    assert frame.select("seq", "idx", "received_ns").rows() == [(7, 0, 100), (8, 0, 101), (8, 1, 101)]
    tags = batch.identities["tags"].to_list()
    assert [tags[n] for n in frame["identity"]] == [[{"key": "user_id", "value": who}] for who in ("a1", "a1", "b2")]
    assert set(frame["local"]) == {WALL}
    assert batch.counts.rows() == [(7, 1), (8, 2)]


def test_an_empty_batch_has_every_column() -> None:
    full = DECODERS["location"].decode_batch([logged(1, FIX)])
    empty = DECODERS["location"].decode_batch([])
    assert empty.frame.schema == full.frame.schema
    assert empty.identities.schema == full.identities.schema
    assert (empty.frame.height, empty.counts.height, empty.rejections.height) == (0, 0, 0)


def test_registers_differ_from_record_to_record() -> None:
    records = [
        {**METER, "0100011D00FF": 0.25, "0100021D00FF": 4},
        {**METER, "tags": {"muid": "m2"}, "0100021D00FF": 1e3, "0100011D00FF": None},
    ]
    batch = DECODERS["meters"].decode_batch([logged(1, json.dumps({"data": records}).encode(), "meters")])
    assert batch.registers is not None
    assert sorted(batch.registers.rows()) == [
        (1, 0, "0100011D00FF", 0.25),
        (1, 0, "0100021D00FF", 4.0),
        (1, 1, "0100021D00FF", 1000.0),
    ]
    assert [len(tags) for tags in batch.identities["tags"].to_list()] == [2, 2]


def test_attributes_are_columns_and_no_part_of_the_identity() -> None:
    qualities: list[dict[str, str | None]] = [{"quality": "estimated"}, {"quality": "measured"}, {"quality": None}, {}]
    records = [{**METER, "tags": {"muid": "m1", **quality}, "r": 1} for quality in qualities]
    batch = DECODERS["meters"].decode_batch([logged(1, json.dumps({"data": records}).encode(), "meters")])
    assert batch.frame.sort("idx")["a.quality"].to_list() == ["estimated", "measured", None, None]
    assert batch.identities.height == 1
    bad = [{**METER, "tags": {"muid": "m1", "quality": quality}, "r": 1} for quality in ("", 3, "x" * 257, "a\n")]
    faults = DECODERS["meters"].check_payload(json.dumps({"data": bad}).encode(), "json", 0)
    assert [fault.code for fault in faults] == ["empty", "wrong_type", "too_long", "control_character"]
    assert {fault.path.split("]", 1)[1] for fault in faults} == {".tags.quality"}


def test_a_register_that_is_no_number_is_named() -> None:
    records = [{**METER, "0100011D00FF": 1}, {**METER, "0100011D00FF": "x"}, {**METER, "0100011D00FF": True}, METER]
    faults = DECODERS["meters"].check_payload(json.dumps({"data": records}).encode(), "json", 0)
    assert [(fault.path, fault.code) for fault in faults] == [
        ("$.data[1].0100011D00FF", "wrong_type"),
        ("$.data[2].0100011D00FF", "wrong_type"),
        ("$.data[3]", "missing"),
    ]


def test_every_record_may_bring_registers_of_its_own() -> None:
    records = [{**METER, f"r{n}": n} for n in range(3000)]
    batch = DECODERS["meters"].decode_batch([logged(1, json.dumps({"data": records}).encode(), "meters")])
    assert batch.registers is not None
    assert batch.registers.sort("idx")["field"].to_list() == [f"r{n}" for n in range(3000)]


def test_float32_is_widened_exactly() -> None:
    octets = list(struct.pack("<f", 0.1))
    body = json.dumps({"time": 1_700_000_000.25, "value": octets, "tags": ["a", "b"]}).encode()
    frame = DECODERS["telemetry"].decode_batch([logged(1, body, "telemetry")]).frame
    assert frame["f.value"].to_list() == [struct.unpack("<f", bytes(octets))[0]]
    assert frame["wall_ns"].to_list() == [1_700_000_000_250_000_000]
    assert frame["labels"].to_list() == [["a", "b"]]
    assert set(frame["local"]) == {INSTANT}


def test_labels_may_be_missing_or_null() -> None:
    bodies = [b'{"time": 1, "value": [0,0,0,0]}', b'{"time": 1, "value": [0,0,0,0], "tags": null}']
    batch = DECODERS["telemetry"].decode_batch([logged(n, body, "telemetry") for n, body in enumerate(bodies)])
    assert batch.frame["labels"].to_list() == [None, None]


def test_the_ledger_gets_the_record_itself() -> None:
    decoder = DECODERS["location"]
    other = FIX.replace(b"a1", b"b2")
    assert decoder.record_texts(FIX, "json").text(0) == FIX.decode()
    assert decoder.record_texts(b"[" + FIX + b" , " + other + b"]", "json").text(1) == other.decode()
    assert decoder.record_texts(FIX + b"\n\n" + other + b"\n", "ndjson").text(1) == other.decode()
    assert DECODERS["meters"].record_texts(b'{"data": [1, {"a": 2}]}', "json").text(1) == '{"a": 2}'


def test_the_ledger_gets_the_bytes_as_text_where_there_is_no_record() -> None:
    decoder = DECODERS["location"]
    assert decoder.record_texts(b"\xff{", "json").text(0) == "\ufffd{"
    assert decoder.record_texts(b"", "json").text(0) == ""
    long = decoder.record_texts(b"x" * 100_000, "json")
    assert (long.text(0), long.text(3)) == ("x" * 65_533 + "…", "")


def test_results_do_not_depend_on_company() -> None:
    bodies = [FIX, b"{", FIX.replace(b"40.7", b"140.7"), b"[" + FIX + b"]", FIX.replace(b"a1", b"\\u0041")] * 40
    payloads = [logged(n, body) for n, body in enumerate(bodies)]
    together = DECODERS["location"].decode_batch(payloads)
    alone = [DECODERS["location"].decode_batch([payload]) for payload in payloads]
    rows = pl.concat([batch.frame.drop("identity") for batch in alone]).sort("seq", "idx").rows()
    assert together.frame.drop("identity").sort("seq", "idx").rows() == rows
    refused = pl.concat([batch.rejections for batch in alone]).sort("seq").rows()
    assert together.rejections.sort("seq").rows() == refused


def stamps(feed: str, body: object) -> list[dict[str, object]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = DECODERS[feed].decode_batch([logged(3, raw, feed)]).stamps
    assert found is not None
    return found.drop("seq", "received_ns").to_dicts()


def test_the_time_of_a_faulty_record_is_kept_where_it_can_be_read() -> None:
    point = {"time": 1.5, "value": "x"}
    assert stamps("telemetry", [{**point, "time": "x"}, point]) == [
        {"idx": 1, "wall_ns": 1_500_000_000, "local": INSTANT}
    ]
    assert stamps("telemetry", b'{"time": 1, "time": 2, "value": "x"}') == []
    assert stamps("telemetry", b"{") == []
    assert stamps("telemetry", b"[5]") == []
    fix = {**json.loads(FIX), "speed": "fast", "timestamp": "1970-01-01 00:00:01", "lat": 91}
    [found] = stamps("location", fix)
    assert found == {"idx": 0, "wall_ns": 1_000_000_000, "local": WALL, "f.lat": None, "f.long": -73.916}
    assert stamps("location", b"[" + FIX + b"]") == []
