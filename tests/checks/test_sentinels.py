"""`not_a_value`: numbers that a device sends where it has none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.judging import COLUMNS, broken, faults
from tests.support.payloads import logged
from tidemill.checks.trial import evaluate_check, try_check
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.rules.apply import apply_rules

HEAD = 'name = "p"\ntime.format = "received"\ninput.on_fault = "reject"\n'
RULE = '[[rules]]\ncheck = "not_a_value"\noptions = { values = [85, -127, 327.67] }\n'


def rejected(text: str, *records: object, rule: str = RULE) -> list[tuple[int, list[str]]]:
    definition = load_feed(HEAD + text + rule)
    batch = Decoder(definition).decode_batch([logged(1, json.dumps(records).encode(), "p")])
    checked = apply_rules(definition, batch)
    assert len(checked.frame) + len(checked.rejections) == len(records)
    return checked.rejections.sort("idx").select("idx", "reasons").rows()


def test_one_field_is_compared_with_the_values() -> None:
    options = {"field": "v", "values": [85, -127, 327.67]}
    values = [85.0, -127.0, 327.67, 84.94, 85.0000001, 0.0, None]
    assert broken("not_a_value", options, [{"f.v": value} for value in values]) == [
        *(True, True, True, False, False, False, None)
    ]


def test_zero_is_itself_only() -> None:
    records = [{"f.v": value} for value in (0.0, -0.0, 1e-300)]
    assert broken("not_a_value", {"field": "v", "values": [0]}, records) == [True, True, False]


@given(st.integers(-32768, 32767))
def test_scale_does_not_hide_a_value(raw: int) -> None:
    text = 'fields.v = { path = "$.v", scale = 0.01 }\n'
    assert bool(rejected(text, {"v": raw})) == (raw in (8500, -12700, 32767))


def test_a_value_in_another_unit_is_compared_as_it_is_stored() -> None:
    text = 'fields.v = { path = "$.v", from_unit = "degF", unit = "degC" }\n'
    assert rejected(text, {"v": 185}, {"v": 85}) == [(0, ["not_a_value"])]


def test_without_a_field_every_field_is_looked_at() -> None:
    text = 'fields.v.path = "$.v"\nfields.w = { path = "$.w", required = false }\n'
    assert rejected(text, {"v": 1}, {"v": 1, "w": 85}, {"v": -127, "w": 2}, {"v": 1, "w": 2}) == [
        (1, ["not_a_value"]),
        (2, ["not_a_value"]),
    ]


def test_without_a_field_every_register_is_looked_at() -> None:
    text = 'registers.except_keys = ["t"]\n'
    assert rejected(text, {"t": 85, "a": 1}, {"a": 1, "b": 85}, {"c": 327.67}, {"a": 5}) == [
        (1, ["not_a_value"]),
        (2, ["not_a_value"]),
    ]
    only_b = RULE.replace("values", 'field = "b", values')
    assert rejected(text, {"a": 85}, {"a": 1, "b": 85}, rule=only_b) == [(1, ["not_a_value"])]


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({"values": []}, "values", "at least one"),
        ({"values": [float("inf")]}, "values", "finite"),
        ({"field": "x", "values": [1]}, "field", "known: flow-rate, v, w"),
        ({"field": "v"}, None, "values"),
    ],
)
def test_faults_of_options(options: dict[str, object], option: str | None, words: str) -> None:
    named = faults("not_a_value", options)
    assert any(where == option and words in sentence for where, sentence in named), named


def test_it_can_be_evaluated_without_a_field() -> None:
    check, _ = try_check("not_a_value", {"values": [85]}, COLUMNS)
    assert check is not None
    assert not evaluate_check(check, COLUMNS)
    assert check.explain() == "a value is one that means: no value (85)"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{ field = 'v' }", "the option 'values' is missing"),
        ("{ field = 'v', values = ['85'] }", r"the option 'values\[0\]' must be a number, is a text"),
        ("{ field = 1, values = [85] }", "the option 'field' must be a text or nothing, is an integer"),
    ],
)
def test_options_at_fault_are_named_in_plain_words(options: str, words: str) -> None:
    definition = (
        f"name = 'a'\ntime.path = '$.t'\nfields.v.path = '$.v'\n[[rules]]\ncheck = 'not_a_value'\noptions = {options}\n"
    )
    with pytest.raises(FeedDefinitionError, match=words):
        load_feed(definition)
