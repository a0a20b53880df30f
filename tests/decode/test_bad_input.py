"""What bad input gets: every fault with its path and code, and never an exception."""

import json

import pytest

from tests.support.payloads import FEEDS, FIX, RECEIVED_NS, logged
from tidemill.decode.codes import FAULT_CODES
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.model.payload import MAX_RECORDS

DECODERS = {name: Decoder(feed) for name, feed in FEEDS.items()}


def found(body: bytes, feed: str = "location", format: str = "json") -> list[tuple[str, str]]:
    faults = DECODERS[feed].check_payload(body, format, RECEIVED_NS)
    assert {fault.code for fault in faults} <= FAULT_CODES.keys()
    batch = DECODERS[feed].decode_batch([logged(1, body, feed, format)])
    assert bool(faults) == bool(len(batch.rejections))
    assert batch.counts["records"].sum() == len(batch.frame) + len(batch.rejections)
    return [(fault.path, fault.code) for fault in faults]


def fix(**changes: object) -> bytes:
    return json.dumps({**json.loads(FIX), **changes}).encode()


def raw(key: str, literal: bytes) -> bytes:
    """A fix with a literal that `json.dumps` would not write."""
    return fix(**{key: "@"}).replace(b'"@"', literal)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \r\n\t", "empty_body"),
        (b"\xef\xbb\xbf", "empty_body"),
        (b"{", "invalid_json"),
        (FIX + b" x", "invalid_json"),
        (FIX + FIX, "invalid_json"),
        (b"\x00" + FIX, "invalid_json"),
        (b"'a'", "invalid_json"),
        (b"nul", "invalid_json"),
        (b"\xff\xfe{\x00}\x00", "invalid_utf8"),
        (FIX.replace(b"a1", b"\xff"), "invalid_utf8"),
        (FIX.replace(b"a1", b"\xed\xa0\x80"), "invalid_utf8"),
        (b"[" * 10_000, "too_deep"),
        (b"[" * 10_000 + b"]" * 10_000, "too_deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
        (FIX[:-1] + b', "x": ' + b"[" * 16 + b"]" * 16 + b"}", "too_deep"),
        (b"5", "wrong_type"),
        (b"null", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b"[]", "empty"),
        (b"\xef\xbb\xbf[ \n ]", "empty"),
    ],
)
def test_a_body_that_is_no_document_is_one_fault_of_the_whole(body: bytes, code: str) -> None:
    assert found(body) == [("$", code)]


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        (raw("lat", b"NaN"), "$.lat", "not_finite"),
        (raw("lat", b"-Infinity"), "$.lat", "not_finite"),
        (raw("speed", b"1e999"), "$.speed", "not_finite"),
        (raw("speed", b"9" * 5000), "$.speed", "not_finite"),
        (raw("extra", b"NaN"), "$.extra", "not_finite"),
        (fix(speed="1.4"), "$.speed", "wrong_type"),
        (fix(speed=True), "$.speed", "wrong_type"),
        (fix(speed=None), "$.speed", "wrong_type"),
        (fix(speed=[1]), "$.speed", "wrong_type"),
        (fix(user_id=7), "$.user_id", "wrong_type"),
        (fix(user_id=""), "$.user_id", "empty"),
        (fix(user_id="u" * 257), "$.user_id", "too_long"),
        (fix(user_id="a\x00b"), "$.user_id", "control_character"),
        (fix(user_id="a\nb"), "$.user_id", "control_character"),
        (fix(user_id="a\x7fb"), "$.user_id", "control_character"),
        (raw("user_id", b'"\x7f"'), "$.user_id", "control_character"),
        (raw("user_id", b'"\\ud800"'), "$.user_id", "lone_surrogate"),
        (raw("user_id", b'"\\udc00\\ud800"'), "$.user_id", "lone_surrogate"),
        (fix(lat=90.0001), "$.lat", "out_of_range"),
        (fix(long=-180.1), "$.long", "out_of_range"),
        (fix(accuracy=-1), "$.accuracy", "out_of_range"),
        (FIX[:-1] + b', "lat": 1}', "$.lat", "duplicate_key"),
        (FIX[:-1] + b', "l\\u0061t": 1}', "$.lat", "duplicate_key"),
        (FIX[:-1] + b', "lat" : 1}', "$.lat", "duplicate_key"),
        (fix(timestamp=1_483_275_912), "$.timestamp", "wrong_type"),
        (fix(timestamp="yesterday"), "$.timestamp", "time_invalid"),
        (fix(timestamp="2017-01-01T24:00:00"), "$.timestamp", "time_invalid"),
        (fix(timestamp="2016-12-31T23:59:60Z"), "$.timestamp", "time_invalid"),
        (fix(timestamp="2017-02-29 00:00:00"), "$.timestamp", "time_invalid"),
        (fix(timestamp="0000-01-01T00:00:00Z"), "$.timestamp", "time_invalid"),
        (fix(timestamp="10000-01-01T00:00:00Z"), "$.timestamp", "time_invalid"),
        (fix(timestamp="2017-01-01T00:00:00+24:00"), "$.timestamp", "time_invalid"),
        (fix(timestamp="2017-01-01T00:00:00.Z"), "$.timestamp", "time_invalid"),
        (fix(timestamp="２０１７-01-01T00:00:00Z"), "$.timestamp", "time_invalid"),
        (fix(timestamp="0001-01-01T00:00:00Z"), "$.timestamp", "time_out_of_range"),
        (fix(timestamp="9999-12-31T23:59:59Z"), "$.timestamp", "time_out_of_range"),
        (fix(timestamp="1899-12-31T23:59:59Z"), "$.timestamp", "time_out_of_range"),
        (fix(timestamp="2262-04-11T23:47:16.854775808Z"), "$.timestamp", "time_out_of_range"),
    ],
)
def test_a_member_at_fault_is_named(body: bytes, path: str, code: str) -> None:
    assert found(body) == [(path, code)]


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + FIX,
        b"\n " + FIX + b"\r\n",
        fix(extra={"lat": 1, "deep": [[[1]]]}),
        raw("extra", b'{"a": 1, "a": 2}'),
        raw("extra", b"1e999"),
        raw("accuracy", b"9223372036854775808"),
        raw("accuracy", b"1" * 300),
        raw("accuracy", b"-0"),
        raw("accuracy", b"1e-999"),
        fix(user_id="Zürich"),
        raw("user_id", b'"Z\\u00fcrich \\ud83d\\ude00 a\\/b"'),
        fix(user_id="lat"),
        fix(user_id="u" * 256),
        fix(lat=-90, long=180),
        fix(timestamp="2017-01-01T13:05:12.123456789123+14:00"),
        fix(timestamp="2017-01-01T13:05:12-00:00"),
        fix(timestamp="2024-02-29 00:00:00"),
        fix(timestamp="1900-01-01 00:00:00"),
        FIX[:-1] + b', "x": ' + b"[" * 15 + b"]" * 15 + b"}",
        fix(extra="[[[[[[[[[[[[[[[[[[[[[[[[["),
    ],
)
def test_what_is_odd_but_right_is_taken(body: bytes) -> None:
    assert found(body) == []


def test_integers_of_any_size_are_taken_as_the_nearest_double() -> None:
    literals = [b"9007199254740993", b"9223372036854775808", b"18446744073709551617", b"1" * 300]
    batch = DECODERS["location"].decode_batch([logged(n, raw("speed", text)) for n, text in enumerate(literals)])
    assert batch.frame["f.speed"].to_list() == [float(text) for text in literals]


def test_every_fault_of_every_record_is_named_in_order() -> None:
    body = b"[" + fix(lat=91, user_id="") + b"," + FIX + b"," + b"{}" + b"]"
    assert found(body) == [
        ("$[0].user_id", "empty"),
        ("$[0].lat", "out_of_range"),
        *((f"$[2].{key}", "missing") for key in ("timestamp", "user_id", "lat", "long", "accuracy", "speed")),
    ]


def test_a_hundred_faults_are_named_and_the_rest_counted() -> None:
    values = json.dumps({"time_stamp": "2019-05-01T06:00:00-04:00", "data": ["x"] * 1000}).encode()
    faults = DECODERS["dropzone"].check_payload(values, "json", 0)
    assert [fault.path for fault in faults[:100]] == [f"$.data[{n}]" for n in range(100)]
    assert (len(faults), faults[100].code, faults[100].message) == (101, "more_faults", "900 more faults")


def test_in_lines_only_the_line_at_fault_is_rejected() -> None:
    body = b"\n".join([FIX, b"", b"{broken", FIX, b"[1]", FIX.replace(b"a1", b"\xff")])
    assert found(body, format="ndjson") == [
        ("$[1]", "invalid_json"),
        ("$[3]", "wrong_type"),
        ("$[4]", "invalid_utf8"),
    ]


def test_two_records_in_a_line_are_no_line_of_ndjson() -> None:
    assert found(FIX + FIX + b"\n" + FIX, format="ndjson") == [("$[0]", "invalid_json")]


def test_a_format_that_the_feed_does_not_take_is_a_fault() -> None:
    assert found(FIX, format="csv") == [("$", "unknown_format")]
    assert found(b'{"values":[1]}', feed="signals", format="ndjson") == [("$", "unknown_format")]


def test_more_records_than_a_payload_may_hold_are_refused_as_a_whole() -> None:
    assert found(b"[" + b"{}," * MAX_RECORDS + b"{}]") == [("$", "too_many_records")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"time_stamp": "2019-05-01T06:00:00", "data": [1]}', [("$.time_stamp", "time_no_offset")]),
        (b'{"time_stamp": "2019-05-01T06:00:00Z", "data": []}', [("$.data", "empty")]),
        (b'{"time_stamp": "2019-05-01T06:00:00Z"}', [("$.data", "missing")]),
        (b'{"time_stamp": "2019-05-01T06:00:00Z", "data": 5}', [("$.data", "wrong_type")]),
        (b'{"time_stamp": "2019-05-01T06:00:00Z", "data": [1, null, true, "2", 1e999]}',
         [*((f"$.data[{n}]", "wrong_type") for n in (1, 2, 3)), ("$.data[4]", "not_finite")]),
        (b'[{"time_stamp": "2019-05-01T06:00:00Z", "data": [1]}, {"time_stamp": 5, "data": [NaN]}]',
         [("$[1].time_stamp", "wrong_type"), ("$[1].data[0]", "not_finite")]),
    ],
)  # fmt: skip
def test_dropzone_names_the_item(body: bytes, expected: list[tuple[str, str]]) -> None:
    assert found(body, "dropzone") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"[0,0,128,63]", []),
        (b'"AACAPw=="', []),
        (b'"AACAPw"', [("$.value", "invalid_value")]),
        (b'"AACA"', [("$.value", "invalid_value")]),
        (b"[0,0,128]", [("$.value", "invalid_value")]),
        (b"[0,0,256,-1]", [("$.value[2]", "out_of_range"), ("$.value[3]", "out_of_range")]),
        (b"[0,0,128.0,true]", [("$.value[2]", "wrong_type"), ("$.value[3]", "wrong_type")]),
        (b"[0,0,192,127]", [("$.value", "not_finite")]),
        (b"[1,0,128,127]", [("$.value", "not_finite")]),
        (b"[0,0,128,255]", [("$.value", "not_finite")]),
        (b"1.5", [("$.value", "wrong_type")]),
    ],
)
def test_telemetry_values_are_four_bytes(value: bytes, expected: list[tuple[str, str]]) -> None:
    assert found(b'{"time": 1700000000, "value": ' + value + b', "tags": []}', "telemetry") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": []}', []),
        (b'{"data": {}}', [("$.data.timestamp", "missing"), ("$.data.measurement", "missing"),
                           ("$.data.tags", "missing"), ("$.data", "missing")]),
        (b"{}", [("$.data", "missing")]),
        (b"[]", [("$", "wrong_type")]),
        (b'{"data": [], "data": []}', [("$.data", "duplicate_key")]),
        (b'{"data": [], "x": NaN}', [("$.x", "not_finite")]),
    ],
)  # fmt: skip
def test_records_inside_a_document(body: bytes, expected: list[tuple[str, str]]) -> None:
    assert found(body, "meters") == expected


@pytest.mark.parametrize("body", [b"", b"\n\n", b" \r\n \n"])
def test_lines_that_are_all_blank_are_an_empty_body(body: bytes) -> None:
    assert found(body, format="ndjson") == [("$", "empty_body")]


def test_a_feed_that_rejects_or_polls_may_get_no_record() -> None:
    assert found(b'{"data": []}', "meters") == []
    assert found(b"[]", "telemetry") == []
    decoded = DECODERS["meters"].decode_batch([logged(1, b'{"data": []}', "meters")])
    assert decoded.counts.rows() == [(1, 0)]
    polling = RECIPES["location"] + '\n[source]\nurl = "http://127.0.0.1:1/"\nevery = "1s"\n'
    assert Decoder(load_feed(polling)).check_payload(b"[]", "json", RECEIVED_NS) == ()


def messages(body: bytes, feed: str = "location", format: str = "json") -> list[str]:
    return [fault.message for fault in DECODERS[feed].check_payload(body, format, RECEIVED_NS)]


LOCAL = "a time such as 2017-01-01 13:05:12 (local) or 2017-01-01T13:05:12+01:00"
RFC3339 = "an RFC 3339 time such as 2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("feed", "body", "message"),
    [
        ("location", fix(timestamp="now"), f"'now' is not {LOCAL}"),
        ("location", fix(timestamp=5), f"must be {LOCAL}, is a number"),
        ("location", raw("timestamp", b"null"), f"must be {LOCAL}, is null"),
        ("dropzone", b'{"time_stamp": "now", "data": [1]}', f"'now' is not {RFC3339}"),
        ("dropzone", b'{"data": [1]}', f"is missing; it must be {RFC3339}"),
        (
            "telemetry",
            b'{"time": "now", "value": [0,0,0,0]}',
            "must be a number, the seconds since 1970-01-01T00:00:00Z, is a text",
        ),
    ],
)
def test_a_time_that_is_none_is_told_what_the_feed_wants(feed: str, body: bytes, message: str) -> None:
    assert messages(body, feed) == [message]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{broken\n" + FIX, ["line 1, column 2"]),
        (FIX + b"\n{broken\n" + FIX + b"\n{'a'}", ["line 2, column 2", "line 4, column 2"]),
        (b"\xef\xbb\xbf\n\r\n" + FIX + b"\n \n {broken", ["line 5, column 3"]),
        (b"\n".join([FIX] * 1000) + b"\n\n{broken", ["line 1002, column 2"]),
        (FIX + b"\n" + FIX.replace(b"a1", b"\xff"), [f"line 2, byte {FIX.index(b'a1') + 1}"]),
    ],
)
def test_a_broken_line_is_named_by_its_number(body: bytes, where: list[str]) -> None:
    found = messages(body, format="ndjson")
    assert [message.rsplit(" at ", 1)[1] for message in found] == where


def test_a_place_in_a_document_is_counted_from_its_first_byte() -> None:
    (message,) = messages(b'\n\n  {"lat": 1,\n "long" 2}')
    assert message.endswith("at line 4, column 9")
    assert messages(FIX + FIX) == [
        f"not JSON: the document ends and something follows it at line 1, column {len(FIX) + 1}"
        "; send lines with --data-binary: curl -d takes their ends out"
    ]
