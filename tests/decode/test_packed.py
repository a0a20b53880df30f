"""Packed numbers, scale and offset in JSON members."""

import base64
import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.decode.exactness import is_exact
from tidemill.errors import Fault
from tidemill.feeds.load import load_feed
from tidemill.feeds.packed import NUMBER_TYPES, packed_type


def decoder(field: str, kind: str = "points") -> Decoder:
    feed = f'name = "p"\ntime.format = "received"\nfields.v = {{ path = "$.v", {field} }}\nshape.kind = "{kind}"\n'
    return Decoder(load_feed(feed))


def values(field: str, *sent: object) -> list[float | None]:
    body = "\n".join(json.dumps({"v": one}) for one in sent).encode()
    batch = decoder(field).decode_batch([logged(1, body, "p", "ndjson")])
    assert batch.rejections.is_empty(), batch.rejections
    found: list[float | None] = batch.frame.sort("idx")["f.v"].to_list()
    return found


def faults(field: str, sent: object, kind: str = "points") -> tuple[Fault, ...]:
    return decoder(field, kind).check_payload(json.dumps({"v": sent}).encode(), "json", 0)


@pytest.mark.parametrize("name", NUMBER_TYPES)
def test_every_type_is_read_as_struct_reads_it(name: str) -> None:
    kind = packed_type(name)
    assert kind is not None
    letter = {"i": " bh i   q", "u": " BH I   Q", "f": "    f   d"}[kind.code[1]][kind.size]
    raw = bytes(range(60, 60 + kind.size))
    expected = struct.unpack(("<" if kind.code[0] == "<" else ">") + letter, raw)[0]
    if kind.integer and kind.size == 8:
        expected = expected >> 12 << 12  # 53 bits
        raw = struct.pack(("<" if kind.code[0] == "<" else ">") + letter, expected)
    sent = [list(raw), base64.b64encode(raw).decode()]
    assert values(f"type = '{name}'", *sent) == [expected] * 2
    assert values(f"type = '{name}', encoding = 'hex'", raw.hex()) == [expected]


def test_min_and_max_hold_for_the_scaled_value() -> None:
    field = "type = 'uint8', scale = 0.5, offset = -10, min = 0, max = 90"
    assert values(field, [20], [200]) == [0.0, 90.0]
    assert [fault.code for fault in faults(field, [19])] == ["out_of_range"]
    assert faults(field, [202])[0].message == "91.0 is above 90"


def test_a_plain_number_is_scaled_too() -> None:
    assert values("scale = 1.8, offset = 32, required = false", 100, None, 0.1) == [212.0, None, 0.1 * 1.8 + 32]
    assert [fault.code for fault in faults("scale = 1e300", 1e300)] == ["not_finite"]
    assert [fault.code for fault in faults("scale = 2, min = 3", 1)] == ["out_of_range"]


def test_an_integer_that_no_double_holds_is_not_rounded() -> None:
    assert values("type = 'uint64_le'", list((2**60).to_bytes(8, "little"))) == [float(2**60)]
    found = faults("type = 'int64_be'", list((-(2**53) - 1).to_bytes(8, "big", signed=True)))
    assert [(fault.path, fault.code) for fault in found] == [("$.v", "not_exact")]
    assert values("type = 'int64_be'", list((-(2**63)).to_bytes(8, "big", signed=True))) == [-(2.0**63)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_exact_says_what_a_double_can_hold(signed: list[int], unsigned: list[int]) -> None:
    assert is_exact(np.array(signed, ">i8")).tolist() == [int(float(number)) == number for number in signed]
    assert is_exact(np.array(unsigned, "<u8")).tolist() == [int(float(number)) == number for number in unsigned]


@pytest.mark.parametrize(
    ("field", "sent", "code", "message"),
    [
        ("type = 'int16_le'", [1], "invalid_value", "must be two bytes, not 1"),
        (
            "type = 'int8'",
            3,
            "wrong_type",
            "must be one byte: an array of 1 integer 0..255, or their base64, is a number",
        ),
        ("type = 'int16_le'", [1, 256], "out_of_range", "must be an integer 0..255, is 256"),
        ("type = 'int16_le'", [1, 2.5], "wrong_type", "must be an integer 0..255, is a number"),
        ("type = 'int16_le', encoding = 'hex'", "0x12", "invalid_value", "must be two bytes: in hexadecimal"),
        ("type = 'int16_le', encoding = 'hex'", [1, 2], "wrong_type", "must be two bytes: in hexadecimal, is an array"),
        ("type = 'int16_le', encoding = 'array'", "AAA=", "wrong_type", None),
        ("type = 'int16_le', encoding = 'base64'", "AAA", "invalid_value", "must be two bytes: as base64"),
        ("type = 'float32_be'", [0x7F, 0xC0, 0, 0], "not_finite", None),
    ],
)
def test_what_is_no_such_number_is_told(field: str, sent: object, code: str, message: str | None) -> None:
    found = faults(field, sent)
    assert [fault.code for fault in found] == [code]
    assert message is None or found[0].message == message


def test_an_array_of_packed_numbers_is_summarised() -> None:
    body = json.dumps({"v": base64.b64encode(struct.pack(">3h", 1, -2, 300)).decode()}).encode()
    frame = decoder("type = 'int16_be[]'", "summary").decode_batch([logged(1, body, "p")]).frame
    assert frame["f.v"].to_list() == [[1.0, -2.0, 300.0]]
    found = faults("type = 'int16_be[]', max = 5", [0, 1, 0, 9, 0, 2], "summary")
    assert [(fault.path, fault.code) for fault in found] == [("$.v[1]", "out_of_range")]
    assert [fault.code for fault in faults("type = 'int16_be[]'", [], "summary")] == ["empty"]
    assert [fault.code for fault in faults("type = 'int16_be[]'", [1, 2, 3], "summary")] == ["invalid_value"]


def test_nothing_is_lost_in_double_precision() -> None:
    assert values("type = 'float64_le'", list(struct.pack("<d", math.pi))) == [math.pi]
