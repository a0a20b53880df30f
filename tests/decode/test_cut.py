"""Where records are cut: exactly where each begins and ends, whatever is in it, by every reader in the same places."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidemill.decode.cut import Cut, cut_document, cut_lines
from tidemill.decode.fault_collector import FaultCollector
from tidemill.model.payload import MAX_RECORDS

DEPTH = 16
white = st.sampled_from([b"", b"", b" ", b"\n", b"\r\n\t "])
numbers = [b"NaN", b"-Infinity", b"0", b"-1.5e300", b"1e999", b"9" * 5000]
texts = [
    b'""',
    b'"\\ud800"',
    b'"]"',
    b'"\\\\"',
    b'"\\"{"',
    '"ü\U0001f600"'.encode(),
    b'"[,"',
    b'"data"',
    b'"\\u0064ata"',
]
scalars = st.sampled_from([*numbers, *texts, b"true", b"null", b"[]", b"{}"])
keys = st.sampled_from([b'"data"', b'"a"', b'"\\u0064ata"', '"ü"'.encode(), b'"\\ud800"', b'"}"', b'"items"'])


def arrays(items: Any) -> Any:
    return st.lists(st.tuples(white, items, white), max_size=4).map(
        lambda parts: b"[" + b",".join(b"".join(part) for part in parts) + b"]"
    )


def objects(items: Any) -> Any:
    members = st.lists(st.tuples(white, keys, white, st.just(b":"), white, items, white), max_size=4)
    return members.map(lambda parts: b"{" + b",".join(b"".join(part) for part in parts) + b"}")


values = st.recursive(scalars, lambda items: arrays(items) | objects(items), max_leaves=8)
good = values.filter(lambda value: b"NaN" not in value and b"Infinity" not in value)


def pieces(body: bytes, records: tuple[str, ...] = ()) -> list[bytes] | list[tuple[str, str]]:
    """The records, or the faults of a document that has none."""
    faults = FaultCollector()
    cut = cut_document(body, records, DEPTH, faults)
    return [(fault.path, fault.code) for fault in faults.all()] if cut is None else cut.pieces(body, 0, len(cut))


@given(records=st.lists(values, max_size=6), around=st.lists(white, min_size=14, max_size=14))
def test_the_items_of_an_array_are_cut_exactly(records: list[bytes], around: list[bytes]) -> None:
    inside = b",".join(around[n] + record + around[n + 6] for n, record in enumerate(records))
    assert pieces(around[12] + b"[" + around[13] + inside + b"]" + around[12]) == records


@given(records=st.lists(values, max_size=4), before=good, after=good, key=keys, space=white)
@example(records=[b"{}"], before=b"1", after=b'"a\\/b"', key=b'"note"', space=b"")
@example(records=[b"{}"], before=b'{"data":{"items":[1,2]}}', after=b'{"items":[3]}', key=b'"a"', space=b" ")
def test_records_in_a_document_are_cut_exactly(
    records: list[bytes], before: bytes, after: bytes, key: bytes, space: bytes
) -> None:
    array_of = b"[" + (space + b"," + space).join(records) + b"]"
    inner = b'{"count":%b,%b"\\u0069tems"%b:%b%b%b}' % (before, space, space, space, array_of, space)
    if json.loads(key) == "data":
        assert pieces(b'{%b:%b,"data":%b}' % (key, before, inner), ("data", "items")) == [("$.data", "duplicate_key")]
    else:
        body = b'%b{%b:%b,"d\\u0061ta":%b,"z":%b}' % (space, key, before, inner, after)
        assert pieces(body, ("data", "items")) == records


@given(value=values, data=st.data())
def test_what_is_cut_is_what_a_plain_parser_reads(value: bytes, data: st.DataObject) -> None:
    """Over any bytes near JSON: the same items, or no records where the plain parser finds no JSON."""
    at = data.draw(st.integers(0, len(value)))
    body = (
        b"[" + value[:at] + data.draw(st.sampled_from([b"", b",", b"]", b'"', b"\\", b"x", b"{"])) + value[at:] + b"]"
    )
    found = pieces(body)
    try:
        expected = json.loads(body.decode(), parse_int=len, parse_float=len)
    except UnicodeDecodeError:  # between the bytes of one character
        assert found == [("$", "invalid_utf8")]
    except json.JSONDecodeError:
        assert found == [("$", "invalid_json")]
    else:
        read = [json.loads(piece, parse_int=len, parse_float=len) for piece in found]
        assert json.dumps(read) == json.dumps(expected)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"data":5}', ("$.data", "wrong_type")),
        (b"[1]", ("$", "wrong_type")),
        (b"{}", ("$.data", "missing")),
        (b'{"data":{}}', ("$.data.items", "missing")),
        (b'{"data":{"items":[]},"data":{"items":[]}}', ("$.data", "duplicate_key")),
        (b'{"data":{"items":[],"it\\u0065ms":[]}}', ("$.data.items", "duplicate_key")),
        (b'{"data":{"items":[1]},"other":[{"x":NaN}]}', ("$.other[0].x", "not_finite")),
        (b'{"data":{"items":[1]}', ("$", "invalid_json")),
        (b'{"data":{"items":[1}}', ("$", "invalid_json")),
        (b'{"data":{"items":[1]}}x', ("$", "invalid_json")),
        (b'{"data":{"items":[1]},}', ("$", "invalid_json")),
        (b'{"data" {"items":[1]}}', ("$", "invalid_json")),
        (b'{"data":{"items":[1]},"z":"\xff"}', ("$", "invalid_utf8")),
        (b'{"data":{"items":[' + b"[" * DEPTH + b"]" * DEPTH + b"]}}", ("$", "too_deep")),
        (b" \n", ("$", "empty_body")),
    ],
)
def test_a_document_without_records_says_why(body: bytes, fault: tuple[str, str]) -> None:
    assert pieces(body, ("data", "items")) == [fault]


def test_a_fault_says_where_the_document_stops_being_json() -> None:
    faults = FaultCollector()
    assert cut_document('[1,\n "ü", x]'.encode(), (), DEPTH, faults) is None
    assert faults.all()[0].message == "not JSON: Expecting value at line 2, column 7"


def test_one_record_stands_alone_where_there_is_no_array() -> None:
    body = b' {"data": {"items": {"a": 1} }}'
    cut = cut_document(body, ("data", "items"), DEPTH, FaultCollector())
    assert cut == Cut(array("q", [20]), array("q", [28]), listed=False)
    assert cut.pieces(body, 0, 1) == [b'{"a": 1}']


def test_cutting_ends_after_one_record_more_than_a_payload_may_hold() -> None:
    assert len(cut_lines(b"0\n" * (MAX_RECORDS + 10))) == MAX_RECORDS + 1


@given(lines=st.lists(st.sampled_from([b"", b" \t", b"\r", b"{}", b' {"a":\xff', b"x\r", b"\xef\xbb\xbf"]), max_size=9))
def test_lines_that_are_not_blank_are_the_records(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    cut = cut_lines(body)
    assert cut.pieces(body, 0, len(cut)) == [line for line in lines if line.strip(b" \t\r\n")]
