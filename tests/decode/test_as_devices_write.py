"""How devices and APIs write steps, bytes and missing values, and what the faults of other texts say."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.steps import parse_sent_step, parse_step
from tidemill.model.spans import Span
from tidemill.rules.time import resolve_times

RECEIVED = 'name = "f"\ninput.on_fault = "reject"\ntime.format = "received"\n'


def batch_of(definition: str, document: object) -> Batch:
    return Decoder(load_feed(definition)).decode_batch([logged(1, json.dumps(document).encode(), "f", "json")])


def detail_of(definition: str, document: object) -> str:
    return str(batch_of(definition, document).rejections["detail"][0])


@pytest.mark.parametrize(
    ("iso", "plain"),
    [
        ("PT15M", "15m"),
        ("PT60M", "1h"),
        ("PT1H30M", "90m"),
        ("PT0.5S", "500ms"),
        ("PT1,25S", "1250ms"),
        ("PT3600S", "1h"),
    ],
)
def test_a_step_may_be_a_duration_of_iso_8601(iso: str, plain: str) -> None:
    assert parse_step(iso) == parse_step(plain)


def test_days_and_months_of_iso_8601_are_of_the_calendar() -> None:
    assert parse_step("P1D") == parse_step("1d") == Span(days=1)
    assert parse_step("P1W") == Span(days=7)
    assert parse_step("P1M") == Span(months=1)  # a month; `PT1M` is a minute
    assert parse_step("P1Y") == Span(months=12)


@given(hours=st.integers(0, 999), minutes=st.integers(0, 999), seconds=st.integers(1, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = (hours * 3600 + minutes * 60 + seconds) * 10**9
    assert parse_step(f"PT{hours}H{minutes}M{seconds}S") == Fraction(total)


@pytest.mark.parametrize("text", ["P", "PT", "P1H", "PT1D", "P1DT1H", "PT0S", "-PT1H", "pt15m", "PT1M1H", "P-1D"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than zero"):
        parse_step(text)


def test_a_list_says_its_step_by_iso_8601() -> None:
    definition = (
        'name = "f"\ninput.records = "$.p"\ntime = { path = "$^.t", step_path = "$^.r" }\nfields.v.path = "$.v"'
    )
    batch = batch_of(definition, {"t": "2026-03-28T23:00Z", "r": "PT60M", "p": [{"v": 1}, {"v": 2}]})
    first, second = resolve_times(load_feed(definition), batch.frame).sort("idx")["time"].to_list()
    assert second - first == 3600 * 10**9


@pytest.mark.parametrize("text", ["P1D", "1d", "P1W", "P1M"])
def test_a_sent_step_of_the_calendar_is_no_fixed_length_of_local_times(text: str) -> None:
    definition = (
        'name = "f"\ninput.on_fault = "reject"\ninput.records = "$.p"\nfields.v.path = "$.v"\n'
        'time = { path = "$^.t", step_path = "$^.r", zone = "Europe/Paris", offset = "optional" }'
    )
    sent = {"t": "2026-03-28", "r": text, "p": [{"v": 1}, {"v": 2}, {"v": 3}]}
    assert "has a length that depends on the date; say it in the feed: [time] step = " in detail_of(definition, sent)
    assert batch_of(definition, sent | {"r": "PT24H"}).rejections.is_empty()


def test_a_sent_step_of_days_counts_24_hours_where_times_have_an_offset() -> None:
    assert parse_sent_step("P1D", local=False) == parse_sent_step("PT24H", local=True) == 86_400 * 10**9
    with pytest.raises(ValueError, match="depends on the date"):
        parse_sent_step("P1M", local=False)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("hex", "43 66 80 00"), ("hex", "4366\n8000"), ("base64", "Q2aA\r\nAA=="), ("hex", "43668000")],
)
def test_white_space_between_bytes_is_passed_over(encoding: str, text: str) -> None:
    definition = f'{RECEIVED}fields.v = {{ path = "$.v", type = "float32_be", encoding = "{encoding}" }}'
    assert batch_of(definition, {"v": text}).frame["f.v"].to_list() == [230.5]


@pytest.mark.parametrize("text", ["NaN", "+Inf", "unavailable", "N/A", ""])
def test_a_text_that_often_stands_for_nothing_leads_to_null_texts(text: str) -> None:
    definition = f'{RECEIVED}fields.v = {{ path = "$.v", type = "text_number" }}'
    assert "if it stands for no value, add it to null_texts" in detail_of(definition, {"v": text})
    assert "null_texts" not in detail_of(definition, {"v": "12x"})


def test_lists_in_a_list_lead_to_the_path_that_reads_them() -> None:
    assert "for lists in a list end [input] records with [*]" in detail_of(
        f'{RECEIVED}fields.v.path = "$.v"', [[{"v": 1}]]
    )


def test_a_time_without_an_offset_leads_to_a_zone() -> None:
    detail = detail_of(
        'name = "f"\ninput.on_fault = "reject"\ntime.path = "$.t"\nfields.v.path = "$.v"', {"t": "2026-01-01", "v": 1}
    )
    assert "or give [time] a zone (zone = 'Europe/Zurich', offset = 'optional')" in detail


def test_an_offset_beside_the_time_needs_no_zone() -> None:
    start = 'name = "f"\nfields.v.path = "$.v"\ntime = { path = "$.t", offset_path = "$.o"'
    load_feed(start + " }")
    with pytest.raises(FeedDefinitionError, match="leave offset = 'optional' out"):
        load_feed(start + ', offset = "optional" }')


def test_levels_are_counted_in_good_grammar() -> None:
    definition = f'{RECEIVED}input.records = "$.a.b.*"\nfields.v.path = "$.v"\ntags.x.path = "$^^^^.x"'
    with pytest.raises(FeedDefinitionError, match=r"there are only 2 levels"):
        load_feed(definition)


def test_a_number_in_a_text_leads_to_the_type_that_reads_it() -> None:
    plain, long = (
        f'{RECEIVED}fields.v.path = "$.v"',
        f'{RECEIVED}registers = {{ name_path = "$.n", value_path = "$.v" }}',
    )
    assert detail_of(plain, {"v": "-12.5"}).endswith("is a text; for numbers in texts write type = 'text_number'")
    assert detail_of(plain, {"v": "12 V"}).endswith("must be a number, is a text")
    assert detail_of(long, {"n": "a", "v": "12"}).endswith("for numbers in texts write [registers] number_texts = true")
