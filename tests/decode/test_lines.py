"""What is taken for NDJSON where nothing says so, and how lines that lost their ends are read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.decode.cut import cut_lines
from tidemill.decode.decoder import Decoder
from tidemill.decode.lines import looks_like_lines
from tidemill.feeds.load import load_feed

FEED = load_feed('name = "f"\ninput.on_fault = "reject"\ntime.path = "$.t"\nfields.v.path = "$.v"\n')
GOOD = b'{"t": "2026-01-04T00:00:00Z", "v": 1}'
LEAVES = (
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["", "}{", "\n{}"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3)


@given(VALUES, st.sampled_from([None, 0, 1, 4]), st.booleans())
def test_a_json_document_is_never_taken_for_lines(document: Any, indent: int | None, ascii: bool) -> None:
    assert not looks_like_lines(json.dumps(document, indent=indent, ensure_ascii=ascii).encode())


@pytest.mark.parametrize("text", ['{"a":\n{"x": 1}\n}', '{"a": [\n{"x": 1}\n,\n{"x": 2}\n]}', '[{"x": 1}\n,{"x": 1}]'])
def test_a_document_written_in_odd_lines_is_a_document(text: str) -> None:
    json.loads(text)
    assert not looks_like_lines(text.encode())


@given(st.lists(OBJECTS, min_size=2, max_size=6), st.data())
def test_lines_are_lines_whichever_of_them_is_broken(records: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = [json.dumps(record).encode() for record in records]
    broken = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=len(lines) // 2))
    for number in broken:
        lines[number] = data.draw(st.sampled_from([b'{"t": NaN}', b'{"t": 1', b"{t: 1}", b"ERROR", b'{"v": .5}']))
    assert looks_like_lines(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\n")


def test_lines_that_are_all_broken_are_lines() -> None:
    assert looks_like_lines(b'{"v": .5}\n{"v": .7}\n')
    assert not looks_like_lines(b"no\nJSON\n")


@given(st.lists(OBJECTS, min_size=2, max_size=6), st.sampled_from([b"", b" ", b"\r"]))
def test_objects_in_one_line_are_cut_apart(records: list[dict[str, Any]], between: bytes) -> None:
    body = between.join(json.dumps(record, ensure_ascii=False).encode() for record in records)
    cut = cut_lines(body)
    assert [json.loads(piece) for piece in cut.pieces(body, 0, len(cut))] == records
    assert looks_like_lines(body)


@pytest.mark.parametrize(
    "body", [b'{"a": "}{"}', b'{"a": "} {"}\n{"b": 1}', b'{"a": 1}{"b": 2}x', b'{"a":1}{"b":2}[1]']
)
def test_what_is_not_several_objects_stays_one_line(body: bytes) -> None:
    cut = cut_lines(body)
    assert cut.pieces(body, 0, len(cut)) == body.split(b"\n")


def test_joined_lines_are_records_of_their_own_and_so_is_what_the_ledger_keeps() -> None:
    body = GOOD + b'{"t": "2026-01-04T00:01:00Z", "v": NaN}' + GOOD.replace(b"00:00Z", b"02:00Z")
    decoder = Decoder(FEED)
    batch = decoder.decode_batch([logged(1, body, "f", "ndjson")])
    assert sorted(batch.frame["idx"]) == [0, 2]
    assert batch.rejections.select("idx", "reasons").rows() == [(1, ["not_finite"])]
    assert decoder.record_texts(body, "ndjson").text(1) == '{"t": "2026-01-04T00:01:00Z", "v": NaN}'


def test_a_document_with_something_behind_it_says_what_to_do() -> None:
    (fault,) = Decoder(FEED).check_payload(GOOD + b'{"t": ', "json", 0)
    assert "--data-binary" in fault.message
    (fault,) = Decoder(FEED).check_payload(GOOD + b"x", "json", 0)
    assert "--data-binary" not in fault.message
