"""Columns, arrays and keys are told from lists of objects, so that no nonsense is drafted for them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.sources.structure import first_odd_shape


def shape(document):
    found = first_odd_shape(json.dumps(document).encode())
    return found and (found.kind, found.path)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"lat": 5, "hours": {"time": ["2026-01-01T00:00", "2026-01-01T01:00"], "t": [1, None]}},
            ("columns", "$.hours"),
        ),
        ({"x": [1.5, 2.5], "when": [1_700_000_000, 1_700_000_060]}, ("columns", "$")),
        ({"points": [[1_700_000_000, 5], [1_700_000_060, 6]]}, ("arrays", "$.points")),
        ([["2026-01-01", 5], ["2026-01-02", 6]], ("arrays", "$")),
        ({"watts": {"2026-01-01 05:00:00": 1, "2026-01-01 06:00:00": 2}}, ("keys", "$.watts")),
        ({"s": {n: {"temp": 1, "hum": 2} for n in ("attic", "cellar", "hall")}}, ("keys", "$.s")),
        ({"time": "2026-01-01T00:00:00Z", "value": 5}, None),
        ([{"time": "2026-01-01T00:00:00Z", "values": [1, 2, 3]}], None),
        ({"a": [1, 2], "b": [3, 4]}, None),
        ({"status": {"power": 5, "on": True, "uptime": 7}, "id": 3}, None),
        ({"pairs": [[1], [2]], "none": [], "deep": [[{"a": 1}], [{"a": 2}]]}, None),
    ],
)
def test_each_shape_is_known(document, expected):
    assert shape(document) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": NaN}', b"[" * 100_000, b"\xff", b"7"])
def test_anything_else_is_none(body):
    assert first_odd_shape(body) is None


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part))
)
def test_no_document_is_too_odd(document):
    found = first_odd_shape(json.dumps(document).encode())
    assert found is None or found.sentence.startswith(f"At {found.path} the answer has ")
