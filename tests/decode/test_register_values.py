"""What stands among registers and is no number: passed over with a mark, kept as an attribute, or a fault."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.strict_only import strict_reader
from tests.support.payloads import logged
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.feeds.load import load_feed
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import Shaped, shape_points

HEAD = 'name = "p"\ntime = { path = "$.t", format = "unix_s" }\ntags.meter.path = "$.m"\n'
OTHERS = (
    st.none() | st.booleans() | st.text("ab \x7f", max_size=3) | st.just("x" * 300) | st.just([1]) | st.just({"k": 1})
)
VALUES = st.floats(-1e6, 1e6) | st.integers(-(2**60), 2**60) | st.sampled_from(["5", "1,5", "-2.5e3", "1e999"]) | OTHERS


def decode(options: str, *registers: dict[str, Any], policy: str = "reject") -> tuple[Batch, Shaped]:
    text = f'{HEAD}input.not_exact = "{policy}"\nregisters = {{ except_keys = ["t", "m"]{options} }}\n'
    definition = load_feed(text)
    bodies = [json.dumps({"t": seq, "m": "m1", **record}).encode() for seq, record in enumerate(registers)]
    payloads = [logged(seq, body, "p") for seq, body in enumerate(bodies)]
    batch = Decoder(definition).decode_batch(payloads)
    reading = strict_reader(definition).read_payloads([(body, "json") for body in bodies])
    strict = assemble_batch(compile_plan(definition), reading, payloads)
    assert described(batch) == described(strict)
    return batch, shape_points(definition, "t", apply_rules(definition, batch), batch)


def described(batch: Batch) -> tuple[Any, ...]:
    frames = batch.registers, batch.marks, batch.texts, batch.rejections.drop("detail")
    return tuple(None if frame is None else sorted(map(str, frame.rows())) for frame in frames)


def points(shaped: Shaped) -> list[tuple[Any, ...]]:
    rows = shaped.points.sort("seq", "field").select("field", "value", "attributes", "marks").rows()
    return [(field, value, {p["key"]: p["value"] for p in pairs or ()}, marks) for field, value, pairs, marks in rows]


@pytest.mark.parametrize(
    "options",
    [
        *("", ', texts = "attribute"', ', texts = "reject"', ", booleans = true"),
        *(', number_texts = true, decimal = ","', ', texts = "attribute", number_texts = true, booleans = true'),
    ],
)
@pytest.mark.parametrize("policy", ["reject", "flag"])
@settings(max_examples=15)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=5))
def test_fast_and_strict_agree(options: str, policy: str, records: list[dict[str, Any]]) -> None:
    decode(options, *records, policy=policy)


def test_a_text_is_passed_over_and_the_points_of_its_record_say_so() -> None:
    batch, shaped = decode("", {"1.8.0": 10432.1, "96.1.0": "0901454d48"}, {"1.8.0": 10433})
    assert points(shaped) == [("1.8.0", 10432.1, {}, ["register_no_number"]), ("1.8.0", 10433.0, {}, None)]
    assert batch.rejections.is_empty()


def test_a_text_may_be_kept_as_an_attribute() -> None:
    _, shaped = decode(', texts = "attribute"', {"a": 1, "serial": "x7", "on": True, "list": [1]}, {"a": 2})
    assert points(shaped) == [("a", 1.0, {"on": "true", "serial": "x7"}, ["register_no_number"]), ("a", 2.0, {}, None)]


def test_a_text_may_be_a_fault() -> None:
    batch, _ = decode(', texts = "reject"', {"a": 1, "b": "x"}, {"a": 1})
    assert batch.rejections.select("seq", "reasons", "detail").rows() == [
        (0, ["wrong_type"], "$.b: must be a number, is a text")
    ]


def test_a_record_without_any_number_is_a_fault() -> None:
    batch, _ = decode("", {"a": "x", "b": True}, {}, {"a": None, "b": "x"}, {"a": None})
    assert batch.rejections.sort("seq")["reasons"].to_list() == [["wrong_type"], ["missing"], ["wrong_type"]]


def test_numbers_in_texts_and_booleans_can_be_registers() -> None:
    batch, _ = decode(", number_texts = true, booleans = true", {"a": "10432.1", "b": True, "c": "n/a"})
    assert batch.registers is not None
    assert sorted(batch.registers.select("field", "value").rows()) == [("a", 10432.1), ("b", 1.0)]
    assert batch.marks is not None
    batch, _ = decode(", number_texts = true", {"a": "n/a"})
    assert batch.rejections["reasons"].to_list() == [["not_a_number"]]
    assert "is the text 'n/a'" in batch.rejections["detail"][0]
