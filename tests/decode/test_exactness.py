"""Integers that no double holds: rejected, flagged or rounded, in every format and type, and never changed silently."""

import json
import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, logged
from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import shape_points

FORMS = {
    "number": ('time.format = "received"\nfields.v.path = "$.v"\n', lambda n: {"v": n}),
    "scaled": ('time.format = "received"\nfields.v = { path = "$.v", scale = 2 }\n', lambda n: {"v": n}),
    "text": ('time.format = "received"\nfields.v = { path = "$.v", type = "text_number" }\n', lambda n: {"v": str(n)}),
    "numbers": (
        'time.format = "received"\nfields.v = { path = "$.v", type = "numbers" }\nshape.kind = "summary"\n',
        lambda n: {"v": [1, n]},
    ),
    "beside": (
        'time.format = "received"\nfields.v = { path = "$.v", exponent_path = "$.e" }\n',
        lambda n: {"v": n, "e": 0},
    ),
    "registers": ('time.format = "received"\nregisters.except_keys = ["t"]\n', lambda n: {"v": n, "w": 1}),
    "register_text": (
        'time.format = "received"\nregisters = { except_keys = ["t"], number_texts = true }\n',
        lambda n: {"v": str(n), "w": 1},
    ),
    "samples": ('input.formats = ["json"]\nshape.kind = "samples"\n', lambda n: {"interval": "1s", "values": [1, n]}),
}
BYTES = {
    "packed": 'time.format = "received"\nfields.v = { path = "$.v", type = "int64_be", encoding = "array" }\n',
    "part": 'time.format = "received"\nfields.v = { path = "$.v", type = "int64_be", encoding = "array", at = 0 }\n',
}
LAYOUT = """
input.formats = ["binary"]
input.layout.record_bytes = 8
time.format = "received"
fields.v = { at = 0, type = "int64_be" }
"""


def decoded(form: str, policy: str, *numbers: int) -> Batch:
    text, write = FORMS.get(form, (BYTES.get(form, LAYOUT), None))
    definition = load_feed(f'name = "p"\ninput.not_exact = "{policy}"\n{text}')
    bodies: list[tuple[bytes, str]] = []
    for number in numbers:
        octets = struct.pack(">q", max(-(2**63), min(number, 2**63 - 1)))
        if form == "layout":
            bodies.append((octets, "binary"))
        else:
            record: Any = write(number) if write else {"v": list(octets)}
            bodies.append((json.dumps(record).encode(), "json"))
    batch = Decoder(definition).decode_batch([logged(seq, *one) for seq, one in enumerate(_named(bodies))])
    if form != "samples":
        shape_points(definition, "t", apply_rules(definition, batch), batch)
    return batch


def _named(bodies: list[tuple[bytes, str]]) -> list[tuple[bytes, str, str]]:
    return [(body, "p", format) for body, format in bodies]


EVERY = [*FORMS, *BYTES, "layout"]
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(2**53 - 3, 2**53 + 3)


@pytest.mark.parametrize("form", EVERY)
@settings(max_examples=30)
@given(numbers=st.lists(integers, min_size=1, max_size=6))
def test_exactly_the_integers_that_a_double_holds_are_taken(form: str, numbers: list[int]) -> None:
    lost = [seq for seq, number in enumerate(numbers) if int(float(number)) != number]
    rejected = decoded(form, "reject", *numbers)
    assert sorted(rejected.rejections["seq"]) == lost
    assert set(rejected.rejections["reasons"].explode()) <= {"not_exact"}
    assert rejected.marks is None
    flagged = decoded(form, "flag", *numbers)
    assert flagged.rejections.is_empty()
    assert ([] if flagged.marks is None else sorted(flagged.marks["seq"])) == lost
    rounded = decoded(form, "round", *numbers)
    assert rounded.rejections.is_empty()
    assert rounded.marks is None
    assert _values(rounded).equals(_values(flagged))


def _values(batch: Batch) -> pl.Series:
    if batch.registers is not None:
        return batch.registers.sort("seq", "field")["value"]
    frame = batch.frame.sort("seq", "idx")
    return frame[next(name for name in frame.columns if name.startswith("f."))]


@pytest.mark.parametrize("form", EVERY)
def test_the_fault_shows_the_digits_and_where(form: str) -> None:
    batch = decoded(form, "reject", 2**53 + 1)
    assert batch.rejections["reasons"].to_list() == [["not_exact"]]
    detail = batch.rejections["detail"][0]
    assert "9007199254740993 is an integer that a double cannot hold exactly" in detail


def test_numbers_with_decimals_or_an_exponent_are_the_nearest_double() -> None:
    definition = load_feed('name = "p"\ntime.format = "received"\nfields.v.path = "$.v"\n')
    body = b'[{"v":1e23},{"v":9007199254740993.5},{"v":0.1},{"v":1.152921504606847e18}]'
    batch = Decoder(definition).decode_batch([logged(1, body, "p")])
    assert batch.frame.sort("idx")["f.v"].to_list() == [1e23, 9007199254740994.0, 0.1, 2.0**60]


def test_the_marks_of_rules_come_after() -> None:
    text = 'name = "p"\ninput.not_exact = "flag"\ntime.format = "received"\nfields.v.path = "$.v"\n'
    rule = '[[rules]]\ncheck = "range"\naction = "flag"\noptions = { field = "v", max = 10 }\n'
    definition = load_feed(text + rule)
    batch = Decoder(definition).decode_batch([logged(1, b'[{"v":9007199254740993},{"v":11},{"v":1}]', "p")])
    points = shape_points(definition, "t", apply_rules(definition, batch), batch).points.sort("idx")
    assert points["marks"].to_list() == [["not_exact", "outside_range"], ["outside_range"], None]


def test_contracts_that_take_every_finite_number_flag_it() -> None:
    body = b'{"time_stamp":"2019-05-01T06:00:00-04:00","data":[9007199254740993,1]}'
    batch = Decoder(FEEDS["dropzone"]).decode_batch([logged(1, body, "dropzone")])
    assert batch.rejections.is_empty()
    assert batch.marks is not None
    assert batch.marks.rows() == [(1, 0, "not_exact")]


def test_an_epoch_keeps_its_digits_beside_values_that_are_exact() -> None:
    definition = load_feed('name = "p"\ntime = { path = "$.t", format = "unix_ns" }\nregisters.except_keys = ["t"]\n')
    body = b'[{"t":1499816949527975237,"v":1},{"t":1499816949527975238,"v":2,"x":"y"}]'
    batch = Decoder(definition).decode_batch([logged(1, body, "p")])
    assert batch.frame.sort("idx")["wall_ns"].to_list() == [1499816949527975237, 1499816949527975238]


def test_an_unknown_policy_is_a_fault() -> None:
    with pytest.raises(FeedDefinitionError, match="did you mean 'reject'"):
        load_feed('name = "p"\ninput.not_exact = "rejekt"\ntime.format = "received"\nfields.v.path = "$.v"\n')
