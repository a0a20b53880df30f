"""Values that a record says with several members, and several values in one member."""

import base64
import json
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode.strict_only import strict_reader
from tests.support.payloads import logged
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

HEAD = 'name = "p"\ntime.format = "received"\n'
ENERGY = f'{HEAD}fields.energy = {{ path = "$.value", unit = "kWh", unit_path = "$.unit" }}\n'
SUNSPEC = f"""{HEAD}
[fields.power]
path = "$.W"
exponent_path = "$.W_SF"
[fields.voltage]
path = "$.phase.V"
exponent_path = "$.phase.V_SF"
required = false
max = 500
[fields.other]
path = "$.phase.U"
exponent_path = "$.phase.V_SF"
required = false
"""
PAYLOAD = f"""{HEAD}
[fields.battery]
path = "$.up.payload"
type = "uint16_be"
encoding = "base64"
at = 0
scale = 0.001
[fields.temperature]
path = "$.up.payload"
type = "int16_be"
encoding = "base64"
at = 2
scale = 0.01
[fields.count]
path = "$.up.payload"
type = "uint64_le"
encoding = "base64"
at = 4
[fields.mode]
path = "$.up.payload"
type = "uint8"
encoding = "base64"
at = 12
bits = [4, 3]
"""


def decode(text: str, *records: Any) -> Batch:
    """What the fast reader makes of records, which must be what the strict one makes of them."""
    definition = load_feed(text)
    bodies = [json.dumps(record).encode() for record in records]
    payloads = [logged(seq, body, "p") for seq, body in enumerate(bodies)]
    batch = Decoder(definition).decode_batch(payloads)
    reading = strict_reader(definition).read_payloads([(body, "json") for body in bodies])
    strict = assemble_batch(compile_plan(definition), reading, payloads)
    assert_frame_equal(batch.frame.sort("seq"), strict.frame.sort("seq"), check_exact=True)
    assert_frame_equal(batch.rejections.sort("seq"), strict.rejections.sort("seq"))
    return batch


def column(batch: Batch, name: str) -> list[Any]:
    return batch.frame.sort("seq")[f"f.{name}"].to_list()


def reasons(batch: Batch) -> list[tuple[int, list[str], str]]:
    return batch.rejections.sort("seq").select("seq", "reasons", "detail").rows()


def test_each_record_says_its_unit() -> None:
    records = [{"value": 2, "unit": "MWh"}, {"value": 3600, "unit": "kJ"}, {"value": 7.5, "unit": "kWh"}]
    assert column(decode(ENERGY, *records), "energy") == [2000.0, 1.0, 7.5]


def test_an_unknown_unit_one_of_something_else_and_none_are_named() -> None:
    records = [{"value": 1, "unit": "gal"}, {"value": 1, "unit": "kW"}, {"value": 1}, {"value": 1, "unit": ""}]
    read = reasons(decode(ENERGY, *records))
    assert [codes for _, codes, _ in read] == [["unknown_unit"], ["unknown_unit"], ["missing"], ["empty"]]
    assert read[0][2].startswith("$.unit: there is no unit 'gal'")
    assert read[1][2] == "$.unit: 'kW' and 'kWh' do not measure the same"


def test_a_feed_may_say_the_unit_of_records_that_name_none() -> None:
    text = ENERGY.replace('unit = "kWh"', 'unit = "kWh", from_unit = "Wh", max = 10')
    batch = decode(text, {"value": 500}, {"value": 5, "unit": "kWh"}, {"value": 11, "unit": "kWh"})
    assert column(batch, "energy") == [0.5, 5.0]
    assert reasons(batch)[0][1:] == (["out_of_range"], "$.value: 11.0 is above 10")


def test_powers_of_ten_divide_where_they_are_negative() -> None:
    records = [
        {"W": 2301, "W_SF": -1, "phase": {"V": 2301, "V_SF": -1, "U": 2299}},
        {"W": 3, "W_SF": 3, "phase": {}},
        {"W": -5, "W_SF": 0},
    ]
    batch = decode(SUNSPEC, *records)
    assert column(batch, "power") == [230.1, 3000.0, -5.0]
    assert column(batch, "voltage") == [230.1, None, None]
    assert column(batch, "other") == [229.9, None, None]


def test_what_is_no_power_of_ten_is_a_fault() -> None:
    records = [{"W": 1, "W_SF": 0.5}, {"W": 1, "W_SF": 31}, {"W": 1}, {"W": 1, "W_SF": "x"}]
    read = reasons(decode(SUNSPEC, *records, {"W": 1, "W_SF": 0, "phase": {"V": 9, "V_SF": 2}}))
    codes = [["out_of_range"], ["out_of_range"], ["missing"], ["wrong_type"], ["out_of_range"]]
    assert [row[1] for row in read] == codes
    assert read[2][2] == "$.W_SF: is missing; it must be a power of ten for 'power'"


@pytest.mark.parametrize("power", ["NaN", "-Infinity", "-32768", "1e300", "0.5"])
def test_fields_may_share_what_is_no_power_of_ten(power: str) -> None:
    definition = load_feed(SUNSPEC)
    body = b'{"W": 1, "W_SF": %s, "phase": {"V": 1, "U": 2, "V_SF": %s}}' % (power.encode(), power.encode())
    places = {fault.path for fault in Decoder(definition).check_payload(body, "json", 0)}
    assert places == {"$.W_SF", "$.phase.V_SF"}


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-9, 9)), min_size=1, max_size=10))
def test_a_number_with_its_power_is_the_nearest_double(pairs: list[tuple[int, int]]) -> None:
    records = [{"W": number, "W_SF": power} for number, power in pairs]
    expected = [float(Fraction(number) * Fraction(10) ** power) for number, power in pairs]
    assert column(decode(SUNSPEC, *records), "power") == expected


def test_a_factor_in_the_record_comes_before_the_feeds_scale_and_unit() -> None:
    keys = 'scale_path = "$.f", scale = 10, offset = 5, unit = "K", from_unit = "degC"'
    text = f'{HEAD}fields.v = {{ path = "$.v", {keys} }}\n'
    assert column(decode(text, {"v": 3, "f": 0.5}), "v") == [3 * 0.5 * 10 + 5 + 273.15]


def test_arrays_have_a_unit_too() -> None:
    keys = 'type = "numbers", unit = "V", unit_path = "$.u"'
    text = f'{HEAD}fields.v = {{ path = "$.v", {keys} }}\nshape.kind = "summary"\n'
    batch = decode(text, {"v": [1, 2, 3], "u": "kV"}, {"v": [5], "u": "V"}, {"v": [5, 6], "u": "A"})
    assert column(batch, "v") == [[1000.0, 2000.0, 3000.0], [5.0]]
    assert reasons(batch)[0][1] == ["unknown_unit"]


def test_a_number_in_a_text_has_its_unit_beside_it() -> None:
    text = ENERGY.replace('"$.value"', '"$.value", type = "text_number", decimal = ","')
    batch = decode(text, {"value": "12,5", "unit": "Wh"}, {"value": "12.5", "unit": "Wh"})
    assert column(batch, "energy") == [0.0125]
    assert reasons(batch)[0][1] == ["not_a_number"]


def packed(battery: int, temperature: int, count: int, mode: int) -> dict[str, Any]:
    body = struct.pack(">Hh", battery, temperature) + struct.pack("<QB", count, mode)
    return {"up": {"payload": base64.b64encode(body).decode()}}


@given(
    st.lists(
        st.tuples(st.integers(0, 65535), st.integers(-32768, 32767), st.integers(0, 2**64 - 1), st.integers(0, 255)),
        min_size=1,
        max_size=8,
    )
)
def test_several_numbers_stand_in_the_bytes_of_one_member(rows: list[tuple[int, int, int, int]]) -> None:
    batch = decode(PAYLOAD, *(packed(*row) for row in rows))
    kept = [row for row in rows if int(float(row[2])) == row[2]]
    assert batch.rejections["reasons"].to_list() == [["not_exact"]] * (len(rows) - len(kept))
    assert column(batch, "battery") == [row[0] * 0.001 for row in kept]
    assert column(batch, "temperature") == [row[1] * 0.01 for row in kept]
    assert column(batch, "count") == [float(row[2]) for row in kept]
    assert column(batch, "mode") == [float(row[3] >> 4 & 7) for row in kept]


def test_too_few_bytes_and_none_are_faults() -> None:
    short = {"up": {"payload": base64.b64encode(b"abc").decode()}}
    read = reasons(decode(PAYLOAD, short, {"up": {"payload": "?"}}, {"up": {}}, {"up": {"payload": 5}}))
    assert [codes for _, codes, _ in read] == [["wrong_size"], ["invalid_value"], ["missing"], ["wrong_type"]]
    assert "has 3 bytes, and 'temperature' ends at byte 4" in read[0][2]


def test_bytes_may_be_an_array_and_bits_of_a_whole_member() -> None:
    text = f"""{HEAD}
fields.a = {{ path = "$.b", type = "uint8", at = 1, bits = [0, 4] }}
fields.b = {{ path = "$.b", type = "uint8", at = 1, bits = [4, 4] }}
fields.c = {{ path = "$.c", type = "uint16_be", bits = [8, 8], encoding = "hex" }}
"""
    batch = decode(text, {"b": [1, 0xA7], "c": "beef"})
    assert [column(batch, name) for name in "abc"] == [[7.0], [10.0], [0xBE]]


def test_bits_are_taken_in_a_binary_layout() -> None:
    definition = load_feed(
        f'{HEAD}input.formats = ["binary"]\ninput.layout.record_bytes = 2\n'
        'fields.a = { at = 0, type = "uint16_le", bits = [4, 8] }\nfields.b = { at = 0, type = "uint16_le" }\n'
    )
    batch = Decoder(definition).decode_batch([logged(1, b"\x34\x12", "p", "binary")])
    assert batch.frame.select("f.a", "f.b").rows() == [(0x23, 0x1234)]


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ('fields.v = { path = "$.v", unit_path = "$.u" }', "v.unit", "into which unit"),
        ('fields.v = { path = "$.v", unit_path = "$.u", unit = "widgets" }', "v.unit", "there is no unit"),
        ('fields.v = { path = "$.v", unit_path = "u", unit = "V" }', "v.unit_path", "is not a path"),
        ('fields.v = { path = "$.v", unit_path = "$.v", unit = "V" }', "v.unit_path", "overlaps"),
        ('fields.v = { path = "$.v", at = 2 }', "v.at", "packed type"),
        ('fields.v = { path = "$.v", at = -1, type = "uint8" }', "v.at", "counted from 0"),
        ('fields.v = { path = "$.v", type = "int8", bits = [0, 4] }', "v.bits", "unsigned"),
        ('fields.v = { path = "$.v", type = "uint8", bits = [4, 5] }', "v.bits", "bits 0 to 7"),
        (
            'fields.v = { path = "$.v", at = 0, type = "uint8" }\n'
            'fields.w = { path = "$.v", at = 1, type = "uint8", encoding = "hex" }',
            "w.path",
            "overlaps",
        ),
        (
            'fields.v = { path = "$.v", type = "text_number", unit_in_text = true, unit_path = "$.u", unit = "V" }',
            "v.unit_in_text",
            "not in both",
        ),
    ],
)
def test_faults_of_a_definition(fields: str, place: str, words: str) -> None:
    with pytest.raises(FeedDefinitionError) as caught:
        load_feed(f"{HEAD}{fields}\n")
    assert any(place in fault.path and words in fault.message for fault in caught.value.faults), caught.value.faults


@pytest.mark.parametrize(
    ("keys", "option"), [('type = "float32_le", at = 0', "at"), ('scale_path = "$.s"', "scale_path")]
)
def test_a_position_that_says_the_zone_is_no_computed_field(keys: str, option: str) -> None:
    time = 'time = { path = "$.t", offset = "optional", zone_position = ["$.lat", "$.long"] }'
    with pytest.raises(FeedDefinitionError) as caught:
        load_feed(f'name = "p"\n{time}\nfields.lat = {{ path = "$.lat", {keys} }}\n')
    assert [fault.path.rpartition(": ")[2] for fault in caught.value.faults] == [f"fields.lat.{option}"]
