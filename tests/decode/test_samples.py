"""Series of samples: when each was, who it belongs to, and what is wrong with it."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.sample_times import Members, SampleBody, even_offsets
from tidemill.decode.samples import read_members_fast
from tidemill.decode.strict_samples import read_members_strict
from tidemill.model.time import NS_PER_S, format_instant, parse_instant

DECODER = Decoder(FEEDS["signals"])
START = "2026-01-01T00:00:00Z"
START_NS = parse_instant(START)


def body(**members: object) -> bytes:
    return json.dumps({"name": "pump-3", "start": START, "interval": "1s", "values": [1, 2, 3], **members}).encode()


def bare(**members: object) -> bytes:
    return json.dumps({"values": [1, 2, 3], **members}).encode()


def faults(payload: bytes) -> list[tuple[str, str]]:
    found = DECODER.check_payload(payload, "json", RECEIVED_NS)
    assert len(DECODER.decode_batch([logged(1, payload, "signals")]).rejections) == bool(found)
    return [(fault.path, fault.code) for fault in found]


def times(payload: bytes) -> list[int]:
    return DECODER.decode_batch([logged(1, payload, "signals")]).frame["wall_ns"].to_list()


def test_interval_and_rate_give_exact_times() -> None:
    micro = times(body(interval="39.0625us", values=[0] * 257))
    assert [micro[n] - START_NS for n in (1, 2, 256)] == [39_063, 78_125, 10_000_000]
    rate = times(body(interval=None, sample_rate_hz=44_100, values=[0] * 44_101))
    assert (rate[1] - START_NS, rate[-1] - START_NS) == (22_676, NS_PER_S)
    assert times(body(interval=None, sample_rate_hz=0.1))[1] - START_NS == 10 * NS_PER_S


@settings(deadline=None)
@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(1, 300))
def test_multiples_are_rounded_exactly(numerator: int, denominator: int, count: int) -> None:
    interval = Fraction(numerator, denominator)
    expected = [(2 * i * interval.numerator + interval.denominator) // (2 * interval.denominator) for i in range(count)]
    assert even_offsets(interval, count).tolist() == expected


def test_times_may_be_texts_or_numbers_in_any_order() -> None:
    texts = ["2026-01-01T00:00:02Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:01.5Z"]
    assert times(bare(times=texts)) == [START_NS + 2 * NS_PER_S, START_NS, START_NS + 1_500_000_000]
    assert times(bare(values=[1], times=["2026-01-01T00:00:00.5" + "0" * 60 + "Z"])) == [START_NS + 500_000_000]
    assert times(bare(times=[1, 2.5, 0], time_unit="ms")) == [1_000_000, 2_500_000, 0]


def test_without_a_start_the_series_starts_when_it_was_received() -> None:
    assert times(bare(interval="1s")) == [RECEIVED_NS, RECEIVED_NS + NS_PER_S, RECEIVED_NS + 2 * NS_PER_S]
    assert times(bare(values=[7])) == [RECEIVED_NS]


def test_missing_samples_stay_as_nulls() -> None:
    frame = DECODER.decode_batch([logged(1, body(values=[1, None, -0.5]), "signals")]).frame
    assert frame["f.value"].to_list() == [1.0, None, -0.5]
    assert frame["idx"].to_list() == [0, 1, 2]


def test_the_name_is_part_of_the_identity_and_nameless_series_never_mix() -> None:
    payloads = [
        logged(1, body(tags={"site": "a"}, unit="g", description="of a pump\nat the inlet"), "signals"),
        logged(2, bare(interval="1s"), "signals"),
        logged(3, bare(interval="1s"), "signals"),
    ]
    found = DECODER.decode_batch(payloads).identities
    tags = [{pair["key"]: pair["value"] for pair in pairs} for pairs in found["tags"].to_list()]
    assert tags == [{"name": "pump-3", "site": "a"}, {"receipt": payloads[1].payload.receipt},
                    {"receipt": payloads[2].payload.receipt}]  # fmt: skip
    assert found.select("name", "unit", "description").rows()[0] == ("pump-3", "g", "of a pump\nat the inlet")


def test_the_head_is_known_without_the_mill() -> None:
    payload = logged(1, body(values=[1, 2, 3, 4]), "signals").payload
    assert DECODER.check_payload(payload.body, "json", payload.received_ns) == ()
    head = DECODER.samples_head(payload)
    assert (head.count, head.start_ns, head.end_ns) == (4, START_NS, START_NS + 3 * NS_PER_S)
    assert DECODER.samples_head(payload) == head
    with pytest.raises(ValueError, match="not a series"):
        DECODER.samples_head(logged(1, b"{}", "signals").payload)
    with pytest.raises(ValueError, match="not of shape"):
        Decoder(FEEDS["location"]).samples_head(payload)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", [("$", "empty_body")]),
        (b"[]", [("$", "wrong_type")]),
        (b"{}", [("$.values", "missing"), ("$.interval", "missing")]),
        (body(values=[]), [("$.values", "empty")]),
        (body(values=None), [("$.values", "wrong_type")]),
        (body(values=[1, "x", True, [1]]), [(f"$.values[{n}]", "wrong_type") for n in (1, 2, 3)]),
        (
            b'{"interval": "1s", "values": [1, NaN, 1e999]}',
            [("$.values[1]", "not_finite"), ("$.values[2]", "not_finite")],
        ),
        (b'{"interval": "1s", "values": [1], "values": [2]}', [("$.values", "duplicate_key")]),
        (b'{"interval": "1s", "values": [1], "tags": {"a": "1", "a": "2"}}', [("$.tags.a", "duplicate_key")]),
        (bare(), [("$.interval", "missing")]),
        *((body(interval=text), [("$.interval", "invalid_value")]) for text in ("fast", "zz", "0s", "-1s", "")),
        (body(values=[1], interval="zz"), [("$.interval", "invalid_value")]),
        (body(interval=5), [("$.interval", "wrong_type")]),
        (body(interval="0.1ns"), [("$.interval", "out_of_range")]),
        (body(sample_rate_hz=5), [("$.sample_rate_hz", "conflict")]),
        (bare(sample_rate_hz=0), [("$.sample_rate_hz", "out_of_range")]),
        (bare(sample_rate_hz=-1), [("$.sample_rate_hz", "out_of_range")]),
        (body(start="2026-01-01 00:00:00"), [("$.start", "time_no_offset")]),
        (body(start="soon"), [("$.start", "time_invalid")]),
        (body(start=5), [("$.time_unit", "missing")]),
        (body(start="2262-04-11T23:47:15Z"), [("$.start", "time_out_of_range")]),
        (body(times=[1, 2, 3], time_unit="s"), [("$.start", "conflict"), ("$.interval", "conflict")]),
        (bare(times=[1, 2], time_unit="s"), [("$.times", "unequal_length")]),
        (bare(times=[], time_unit="s"), [("$.times", "unequal_length")]),
        (bare(times=[1, 2, 3]), [("$.time_unit", "missing")]),
        (bare(times=[1, 2, 3], time_unit="h"), [("$.time_unit", "invalid_value")]),
        (body(time_unit="h"), [("$.time_unit", "invalid_value")]),
        (bare(times=[1, "x", 3], time_unit="s"), [("$.times", "wrong_type")]),
        (bare(times=[3, 1, 3], time_unit="s"), [("$.times[2]", "duplicate_time")]),
        (
            bare(times=[START, "x", "2026-01-01T00:00:00"]),
            [("$.times[1]", "time_invalid"), ("$.times[2]", "time_no_offset")],
        ),
        (bare(times=[1, 2, 1e300], time_unit="s"), [("$.times[2]", "time_out_of_range")]),
        (body(name=""), [("$.name", "empty")]),
        (body(name="a\x00"), [("$.name", "control_character")]),
        (body(name="n" * 257), [("$.name", "too_long")]),
        (body(tags={"a": 1}), [("$.tags.a", "wrong_type")]),
        (body(tags={"a": ""}), [("$.tags.a", "empty")]),
        (body(tags={"name": "other"}), [("$.tags.name", "conflict")]),
        (body(tags={"receipt": "r"}), [("$.tags.receipt", "conflict")]),
        (body(tags={f"t{n}": "x" for n in range(33)}), [("$.tags", "out_of_range")]),
        (body(values=[1.0] * 1_000_001), [("$.values", "too_many_records")]),
    ],
)
def test_faults_are_named(payload: bytes, expected: list[tuple[str, str]]) -> None:
    assert faults(payload) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            b'{"name":5,"unit":7,"tags":[],"start":"x","interval":"q","values":["a",null]}',
            {"name": "wrong_type", "unit": "wrong_type", "tags": "wrong_type", "values[0]": "wrong_type",
             "start": "time_invalid", "interval": "invalid_value"},
        ),
        (
            b'{"values":["x"],"interval":"zz","start":"nope"}',
            {"values[0]": "wrong_type", "interval": "invalid_value", "start": "time_invalid"},
        ),
        (
            b'{"values":[],"name":"","start":"2026-01-01T00:00:00","interval":7,"sample_rate_hz":0,"time_unit":"h"}',
            {"values": "empty", "name": "empty", "start": "time_no_offset", "interval": "wrong_type",
             "sample_rate_hz": "conflict", "time_unit": "invalid_value"},
        ),
        (
            b'{"values":[1,true,3],"times":["2026-01-01T00:00:00Z","2026-01-01T00:00:00Z"],"start":5}',
            {"values[1]": "wrong_type", "times": "unequal_length", "times[1]": "duplicate_time", "start": "conflict"},
        ),
        (b'{"values":null,"times":5,"tags":{"a":""}}',
         {"values": "wrong_type", "times": "wrong_type", "tags.a": "empty"}),
        (b'{"values":[1,2],"times":[1,"x"],"time_unit":7}', {"times": "wrong_type", "time_unit": "wrong_type"}),
        (b'{"values":5,"start":5,"interval":"1s"}', {"values": "wrong_type", "time_unit": "missing"}),
    ],
)  # fmt: skip
def test_every_fault_is_named_at_once(payload: bytes, expected: dict[str, str]) -> None:
    assert sorted(faults(payload)) == sorted((f"$.{path}", code) for path, code in expected.items())


def test_a_request_may_hold_a_million_samples_and_the_message_says_so() -> None:
    (fault,) = DECODER.check_payload(body(values=[0] * 1_000_001), "json", RECEIVED_NS)
    assert (fault.path, fault.code) == ("$.values", "too_many_records")
    assert "1000001 samples are more than the 1000000 that one request may hold" in fault.message


members = st.fixed_dictionaries(
    {"values": st.lists(st.none() | st.floats(-1e9, 1e9) | st.integers(), max_size=4)},
    optional={
        "name": st.text(max_size=3) | st.none(),
        "unit": st.text(max_size=2),
        "description": st.text(max_size=3) | st.integers(),
        "tags": st.dictionaries(st.text(max_size=2), st.text(max_size=2) | st.integers(), max_size=2) | st.none(),
        "start": st.sampled_from([START, "", 5, 1.5, True, None]),
        "interval": st.sampled_from(["1s", "", 5, None]),
        "sample_rate_hz": st.sampled_from([10, 0.5, "x", None]),
        "times": st.lists(st.sampled_from([START, 1, 2.5, None, "values", '"times":[']), max_size=3) | st.none(),
        "time_unit": st.sampled_from(["s", "", None, 1]),
        "other": st.sampled_from(["values", {"values": [1]}, '"values": [', ["x", 1]]),
    },
)


@settings(max_examples=200, deadline=None)
@given(members, st.booleans())
def test_the_fast_and_the_strict_reader_agree(given_members: dict[str, object], ascii_only: bool) -> None:
    payload = json.dumps(given_members, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    fast, found = read_members_fast(payload, 16), FaultCollector()
    members = read_members_strict(payload, 16, found)
    if fast is not None:
        assert found.count == 0
        assert members is not None
        assert not members.faulty
        assert same_column(fast, members)
        for name in set(SampleBody.__struct_fields__) - {"values"}:
            assert (getattr(fast.body, name) or None) == (getattr(members.body, name) or None)


def same_column(fast: Members, strict: Members) -> bool:
    assert fast.column is not None
    return np.array_equal(fast.column, np.array(strict.body.values, np.float64), equal_nan=True)


LONG = ", ".join(str(n / 7) if n % 5 else "null" for n in range(20_000))
ODD_ARRAYS = {
    "long": LONG,
    "spaced": f"\n {LONG} \t",
    "blank": " \n ",
    "comma first": "," + LONG,
    "comma last": LONG + ",",
    "two commas": f"{LONG},,{LONG}",
    "two far commas": f"{LONG},{' ' * 40_000},{LONG}",
    "text": f'{LONG}, "1", {LONG}',
    "text with a bracket": f'{LONG}, "]", {LONG}',
    "text with the key": f'{LONG}, "values", {LONG}',
    "array": f"{LONG}, [1], {LONG}",
    "object": LONG + ', {"a": 1}',
    "true": f"{LONG}, true, {LONG}",
    "NaN": f"{LONG}, NaN, {LONG}",
    "too large": f"{LONG}, 1e999, {LONG}",
    "leading zero": f"{LONG}, 01, {LONG}",
    "comment": f"{LONG}, /* 1 */ 2",
    "DEL": LONG + ", \x7f1",
}


@pytest.mark.parametrize("items", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
@pytest.mark.parametrize(
    "frame",
    [
        '{"interval": "1s", "values": [@]}',
        '{"values" :\n[@], "interval": "1s", "times": null}',
        '{"interval": "1s", "name": "values", "values": [@]}',
        '{"interval": "1s", "other": {"values": [@]}, "values": [1]}',
        '{"interval": "1s", "other": {"values": [@]}, "v\\u0061lues": []}',
        '{"interval": "1s", "tags": {"values": [@]}, "values": []}',
    ],
)
def test_long_arrays_are_read_in_pieces_as_they_are_read_whole(frame: str, items: str) -> None:
    payload = frame.replace("@", items).encode()
    fast, found = read_members_fast(payload, 16), FaultCollector()
    strict = read_members_strict(payload, 16, found)
    if fast is not None:
        assert found.count == 0
        assert strict is not None
        assert same_column(fast, strict)
    elif frame.endswith('"values": [@]}') and '"name"' not in frame:
        assert found.count, "without a fault it is read fast"


def test_a_million_samples_end_on_the_nanosecond() -> None:
    values = np.linspace(-1, 1, 1_000_000)
    payload = body(interval="39.0625us", values=values.tolist())
    assert DECODER.check_payload(payload, "json", RECEIVED_NS) == ()
    frame = DECODER.decode_batch([logged(1, payload, "signals")]).frame
    assert frame["wall_ns"][-1] == START_NS + 39_062_460_938  # 999,999 * 39,062.5 ns, halves up
    assert np.array_equal(frame["f.value"].to_numpy(), values)
    assert format_instant(frame["wall_ns"][-1]) == "2026-01-01T00:00:39.062460938Z"
