"""Numbers and booleans in texts: what the feed declares is read, exactly as Python's Decimal reads it, and nothing
else."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.strict_only import strict_reader
from tests.support.payloads import logged
from tidemill.decode.batch import assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.errors import Fault, FeedDefinitionError
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed

PLAIN = 'type = "text_number"'
CONTINENTAL = 'type = "text_number", decimal = ",", thousands = " "'
WITH_UNIT = 'type = "text_number", unit_in_text = true, unit = "kWh"'
SWITCH = 'type = "boolean", true_texts = ["on"], false_texts = ["off"]'


def feed(options: str) -> Feed:
    return load_feed(f'name = "p"\ntime.format = "received"\nfields.v = {{ path = "$.v", {options} }}\n')


def values(options: str, *sent: object) -> list[float | None]:
    """What the fast reader makes of texts, which must be what the strict one makes of them."""
    definition = feed(options)
    body = json.dumps([{"v": one} for one in sent]).encode()
    batch = Decoder(definition).decode_batch([logged(1, body, "p")])
    assert batch.rejections.is_empty(), batch.rejections["detail"].to_list()
    plan = compile_plan(definition)
    strict = assemble_batch(plan, strict_reader(definition).read_payloads([(body, "json")]), [logged(1, body, "p")])
    assert strict.frame.sort("idx")["f.v"].to_list() == batch.frame.sort("idx")["f.v"].to_list()
    read: list[float | None] = batch.frame.sort("idx")["f.v"].to_list()
    return read


def faults(options: str, sent: object) -> tuple[Fault, ...]:
    return Decoder(feed(options)).check_payload(json.dumps({"v": sent}).encode(), "json", 0)


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None, min_value=-(10**15), max_value=10**15)


@given(st.lists(decimals | st.floats(-1e15, 1e15) | st.integers(-(2**53), 2**53), min_size=1, max_size=20))
def test_a_text_is_the_double_nearest_to_the_decimal_in_it(numbers: list[Any]) -> None:
    assert values(PLAIN, *map(str, numbers)) == [float(Decimal(str(number))) for number in numbers]
    assert values(PLAIN, *(f" {number}\t" for number in numbers)) == [float(Decimal(str(number))) for number in numbers]


@given(st.lists(st.decimals(-(10**12), 10**12, places=3), min_size=1, max_size=20))
def test_a_declared_comma_and_blanks_are_read_as_they_are_printed(numbers: list[Decimal]) -> None:
    written = [f"{number:,}".replace(",", " ").replace(".", ",") for number in numbers]
    expected = [float(number) for number in numbers]
    assert values(CONTINENTAL, *written) == expected
    assert values(CONTINENTAL, *(text.replace(" ", "\u202f").replace("-", "\u2212") for text in written)) == expected
    assert values('type = "text_number", thousands = ","', *map("{:,}".format, numbers)) == expected


@given(st.integers(-(10**40), 10**40))
def test_an_integer_is_read_exactly_or_said(number: int) -> None:
    exact = int(float(number)) == number
    for sent in (str(number), number):
        assert [fault.code for fault in faults(PLAIN, sent)] == ([] if exact else ["not_exact"])
    if exact:
        assert values(PLAIN, str(number), number) == [float(number)] * 2


def test_what_stands_in_texts_of_the_world() -> None:
    assert values(PLAIN, "00317.3988", "+5", ".5", "5.", "1e3", "1E-3", 7, -0.25) == [
        *(317.3988, 5.0, 0.5, 5.0, 1000.0, 0.001, 7.0, -0.25)
    ]
    assert values(CONTINENTAL, "1 234,5", "1\u00a0234 567", "12,5", "1234", 3.5) == [1234.5, 1234567.0, 12.5, 1234, 3.5]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *(
            (PLAIN, text)
            for text in ("3N7.3990", "", " ", "12,5", "1 234", "nan", "Infinity", "1_000", "0x1F", "--5", "5 kWh")
        ),
        *((PLAIN, text) for text in ("\u0661\u0662", "1e", "e5", ".", "1.2.3", "5\x00")),
        *((CONTINENTAL, text) for text in ("1.5", "1 23", "12 34,5", "1 2345", "1  234", "1,234,5")),
        *(('type = "text_number", decimal = ",", thousands = "."', text) for text in ("1.5", "1.23,4")),
    ],
)
def test_a_text_that_is_no_such_number_is_shown(options: str, text: str) -> None:
    (fault,) = faults(options, text)
    assert (fault.path, fault.code) == ("$.v", "not_a_number")
    assert f"is the text '{text}'" in fault.message


@pytest.mark.parametrize(
    ("options", "sent", "code"),
    [
        (PLAIN, True, "wrong_type"),
        (PLAIN, [1], "wrong_type"),
        (PLAIN, None, "wrong_type"),
        (PLAIN, "1e999", "not_finite"),
        (f"{PLAIN}, max = 5", "6", "out_of_range"),
        (f"{PLAIN}, max = 5", 6, "out_of_range"),
        (f'{PLAIN}, null_texts = ["-"]', "-", "not_a_number"),
        (SWITCH, "maybe", "invalid_value"),
        (SWITCH, 2, "invalid_value"),
        (SWITCH, {}, "wrong_type"),
    ],
)
def test_every_other_fault_keeps_its_code(options: str, sent: object, code: str) -> None:
    assert [fault.code for fault in faults(options, sent)] == [code]


def test_a_unit_behind_the_number_is_converted() -> None:
    assert values(WITH_UNIT, "12.5kWh", "3600 kJ", "2 MWh", "7", 8) == pytest.approx([12.5, 1, 2000, 7, 8])
    celsius = 'type = "text_number", unit_in_text = true, unit = "degC", from_unit = "degF", max = 50'
    assert values(celsius, "23.5 °C", "14 °F", "300 K", "32", 32) == pytest.approx([23.5, -10, 26.85, 0, 0])
    assert [fault.code for fault in faults(celsius, "51 °C")] == ["out_of_range"]


@pytest.mark.parametrize("text", ["5 furlongs", "5 kW", "5 degC", "5 kWh/", "5 5"])
def test_a_unit_that_is_unknown_or_of_something_else_is_named(text: str) -> None:
    (fault,) = faults(WITH_UNIT, text)
    assert fault.code == "unknown_unit"
    assert f"'{text.removeprefix('5 ')}'" in fault.message
    assert f"in the text '{text}'" in fault.message


def test_booleans_are_one_and_zero() -> None:
    assert values(SWITCH, True, False, "on", "OFF ", 1, 0, 1.0) == [1, 0, 1, 0, 1, 0, 1]
    assert values('type = "boolean", required = false', True, None) == [1, None]


def test_texts_may_stand_for_null() -> None:
    options = 'type = "text_number", required = false, null_texts = ["-", "unavailable"]'
    assert values(options, "5", "-", " unavailable", None) == [5.0, None, None, None]
    assert values(f'{SWITCH}, required = false, null_texts = ["unknown"]', "unknown", "on") == [None, 1.0]


def test_scale_applies_to_numbers_in_texts() -> None:
    assert values(f"{PLAIN}, scale = 0.5, offset = 1", "3", 3, "-1") == [2.5, 2.5, 0.5]


def test_one_bad_text_among_many_is_the_only_one_rejected() -> None:
    body = json.dumps([{"v": str(n / 8) if n != 700 else "?"} for n in range(1000)]).encode()
    batch = Decoder(feed(PLAIN)).decode_batch([logged(1, body, "p")])
    assert batch.rejections.select("idx", "reasons").rows() == [(700, ["not_a_number"])]
    assert math.fsum(batch.frame["f.v"].to_list()) == math.fsum(n / 8 for n in range(1000) if n != 700)


@pytest.mark.parametrize(
    ("options", "place", "words"),
    [
        ('decimal = ","', "v.decimal", "is for type = 'text_number'"),
        ('type = "text_number", true_texts = ["on"]', "v.true_texts", "is for type = 'boolean'"),
        ('type = "text_number", thousands = "."', "v.thousands", "they differ"),
        ('type = "text_number", unit_in_text = true', "v.unit", "into which unit"),
        ('type = "text_number", unit_in_text = true, unit = "widgets"', "v.unit", "there is no unit 'widgets'"),
        ('type = "boolean", scale = 2', "v.scale", "1 or 0"),
        ('type = "boolean", true_texts = ["On"], false_texts = ["on"]', "v.true_texts", "'on' means two things"),
        ('type = "boolean", true_texts = [" "]', "v.true_texts", "empty text"),
        ('type = "text-number"', "v.type", "did you mean 'text_number'?"),
    ],
)
def test_faults_of_a_definition(options: str, place: str, words: str) -> None:
    with pytest.raises(FeedDefinitionError) as caught:
        feed(options)
    assert any(place in fault.path and words in fault.message for fault in caught.value.faults), caught.value.faults
