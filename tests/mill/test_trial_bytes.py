"""Where the records of a payload are in its bytes, and what is at fault in them, in every format."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.decode.locate import Locator
from tidemill.decode.spans import COLUMNS, NOT_CUT
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.mill.trial import TriedPayload, try_payload
from tidemill.model.payload import Payload
from tidemill.model.time import parse_instant

NOW = parse_instant("2026-01-02T00:00:00Z")
TEXT = """
name = "pumps"
{input}
[time]
path = "$.time"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.in.bar"
[[rules]]
check = "range"
options = {{ field = "bar", max = 16 }}
[[rules]]
check = "one_of"
options = {{ tag = "pump", values = ["p1", "p2", "ü"] }}
"""
BINARY = """
name = "packed"
[input]
formats = ["{form}"]
on_fault = "reject"
layout = {{ record_bytes = 8, header_bytes = 2 }}
[time]
at = 0
type = "uint32_be"
format = "unix_s"
[tags.site]
at = 0
in = "header"
type = "uint16_be"
[fields.level]
at = 6
type = "int16_be"
[[rules]]
check = "range"
options = {{ field = "level", max = 16 }}
"""


def tried(text: str, body: bytes, form: str = "json") -> TriedPayload:
    return try_payload(load_feed(text), Payload("", "default", "pumps", 1, NOW, form, body, b""), range(1000))


def pumps(where: str = "", on_fault: str = "reject") -> str:
    return TEXT.format(input=f'[input]\non_fault = "{on_fault}"\n{where}')


def record(bar: Any, pump: Any = "p1", second: int = 0) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:{second:02}Z", "pump": pump, "in": {"bar": bar}}


GIVEN = [record(3), record(17.5, "p2", 1), record("x", "ü", 2), record(4, "p9", 3), {"pump": "p1"}]
WAYS: dict[str, tuple[str, str, bytes]] = {
    "list": ("", "json", json.dumps(GIVEN).encode()),
    "marked": ("", "json", b"\xef\xbb\xbf \n" + json.dumps(GIVEN, indent=1, ensure_ascii=False).encode() + b"\r\n"),
    "lines": (
        "",
        "ndjson",
        b"\r\n \n".join(json.dumps(each, ensure_ascii=False).encode() for each in GIVEN) + b" \r\n",
    ),
    "joined": ("", "ndjson", b"".join(json.dumps(each).encode() for each in GIVEN)),
    "inside": ('records = "$.data.rows"', "json", json.dumps({"note": [1], "data": {"rows": GIVEN}}).encode()),
    "keyed": (
        'records = "$.rows.*"',
        "json",
        json.dumps({"rows": {f"k.{n}": r for n, r in enumerate(GIVEN)}}).encode(),
    ),
    "groups": (
        'records = "$.groups[*].rows"',
        "json",
        json.dumps({"groups": [{"rows": GIVEN[:2]}, {"rows": []}, {"rows": GIVEN[2:]}]}).encode(),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_bytes_of_a_record_are_the_record(way: str) -> None:
    where, form, body = WAYS[way]
    answer = tried(pumps(where), body, form)
    assert [each.verdict for each in answer.records] == ["accepted", *["rejected"] * 4]
    for each, sent in zip(answer.records, GIVEN, strict=True):
        assert each.bytes is not None
        assert json.loads(body[each.bytes.start : each.bytes.end]) == sent
    shown = [
        [(mark.reason, json.loads(body[mark.start : mark.end])) for mark in each.at_fault] for each in answer.records
    ]
    assert shown[:4] == [[], [("outside_range", 17.5)], [("wrong_type", "x")], [("not_allowed", "p9")]]
    assert {reason for reason, _ in shown[4]} == {"missing"}
    assert all(lacking == GIVEN[4] for _, lacking in shown[4])


def test_a_single_record_is_the_payload_without_white_space() -> None:
    body = b"\n " + json.dumps(record(17)).encode() + b"\n"
    (answer,) = tried(pumps(), body).records
    assert answer.bytes is not None
    assert body[answer.bytes.start : answer.bytes.end] == body.strip()
    assert [(mark.path, body[mark.start : mark.end]) for mark in answer.at_fault] == [("$.in.bar", b"17")]


def test_a_payload_that_cannot_be_cut_says_so() -> None:
    answer = tried(pumps(), b'[{"time": 1,')
    assert answer.no_bytes == NOT_CUT
    assert [(each.index, each.bytes, each.reasons) for each in answer.records] == [(0, None, ["invalid_json"])]


def test_columns_have_parts_and_no_bytes() -> None:
    text = TEXT.format(input='[input]\non_fault = "reject"\ncolumns = "$.hourly"').replace("$.in.bar", "$.bar")
    columns = {"time": [record(0)["time"], record(0, second=1)["time"], "x"], "pump": "p1", "bar": [3, 17.5, 4]}
    body = json.dumps({"hourly": columns}).encode()
    answer = tried(text, body)
    assert answer.no_bytes == COLUMNS
    assert [each.bytes for each in answer.records] == [None] * 3
    marks = [
        [(mark.path, json.loads(body[mark.start : mark.end])) for mark in each.at_fault] for each in answer.records
    ]
    assert marks == [[], [("$.hourly.bar[1]", 17.5)], [("$.hourly.time[2]", "x")]]


@pytest.mark.parametrize("form", ["binary", "hex", "base64"])
def test_packed_bytes(form: str) -> None:
    rows = [(1_700_000_000, 3), (1_700_000_001, 17), (0xFFFFFFFF, 4)]
    whole = struct.pack(">H", 7) + b"".join(struct.pack(">IHh", time, 0, level) for time, level in rows)
    body = {"binary": whole, "hex": whole.hex(" ", 5).encode(), "base64": base64.encodebytes(whole)}[form]
    answer = tried(BINARY.format(form=form), body, form)
    assert [each.verdict for each in answer.records] == ["accepted", "rejected", "accepted"]
    for number, each in enumerate(answer.records):
        assert each.bytes is not None
        assert each.tags == {"site": "7"}
        piece, packed = body[each.bytes.start : each.bytes.end], whole[2 + 8 * number : 10 + 8 * number]
        if form == "binary":
            assert piece == packed
        elif form == "hex":
            assert bytes.fromhex(piece.decode()) == packed
        else:
            bare = b"".join(piece.split())
            assert bare in b"".join(body.split())
            assert len(bare) <= -(-(8 + 2) * 4 // 3)
    (mark,) = answer.records[1].at_fault
    assert mark.path == "$[1].level"
    if form == "binary":
        assert struct.unpack(">h", body[mark.start : mark.end]) == (17,)


def test_samples_are_their_values() -> None:
    body = b'{"name": "s", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1, 2.5, null]}'
    answer = tried(RECIPES["signals"], body)
    pieces = [body[each.bytes.start : each.bytes.end] for each in answer.records if each.bytes]
    assert pieces == [b"1", b"2.5", b"null"]
    assert [each.fields for each in answer.records] == [{"value": 1.0}, {"value": 2.5}, {"value": None}]


def test_a_refused_payload_rejects_every_record() -> None:
    body = json.dumps(GIVEN[:3]).encode()
    answer = tried(pumps(on_fault="refuse"), body)
    assert [fault.path for fault in answer.refused] == ["$[2].in.bar"]
    assert [each.reasons for each in answer.records] == [["payload_refused"], ["payload_refused"], ["wrong_type"]]
    assert (answer.accepted, answer.rejected) == (0, 3)
    assert [rule.verdict for rule in answer.records[1].rules] == ["broken", "passed"]


def test_a_rule_that_refuses_is_named_with_its_record() -> None:
    text = pumps().replace('check = "range"', 'check = "range"\naction = "refuse"')
    answer = tried(text, json.dumps(GIVEN[:2]).encode())
    assert [(fault.path, fault.code) for fault in answer.refused] == [("$[1]", "outside_range")]


KEYS = st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32), min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(VALUES, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_a_member_is_located_wherever_it_is(
    value: Any, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    steps: list[str | int] = []
    wanted = value
    while isinstance(wanted, dict | list) and wanted and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(list(wanted) if isinstance(wanted, dict) else list(range(len(wanted)))))
        steps.append(step)
        wanted = wanted[step]
    span = Locator(body).locate(0, steps)
    assert span is not None
    assert json.loads(body[span.start : span.end]) == wanted
    assert Locator(body).locate(0, [*steps, "no such key", 3]) is None


def test_a_locator_has_a_budget() -> None:
    body = b"[" + b'{"a": 1}, ' * 100_000 + b'{"a": 2}]'
    locator = Locator(body, budget=1000)
    assert locator.locate(0, [100_000, "a"]) is None
    assert locator.locate(0, [0, "a"]) is None  # it is used up
    span = Locator(body).locate(0, [100_000, "a"])
    assert span is not None
    assert body[span.start : span.end] == b"2"
