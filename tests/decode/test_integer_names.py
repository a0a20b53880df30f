"""Tags and attributes that are integers in JSON: the numbers of devices, sensors and partitions."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode.strict_only import strict_reader
from tests.support.payloads import logged
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

HEAD = 'name = "p"\ntime.format = "received"\nfields.v.path = "$.v"\n'
FLAT = f"""{HEAD}
tags.sensor = {{ path = "$.sensor", type = "integer", max_length = 20 }}
attributes.port = {{ path = "$.port", type = "integer" }}
"""
AROUND = HEAD + 'input.records = "$.r"\ntags.sensor = { path = "$^.sensor", type = "integer" }\n'
COLUMNS = HEAD + 'input.columns = "$.c"\ntags.sensor = { path = "$.sensor", type = "integer" }\n'


def batch_of(definition: str, body: bytes, *, strict: bool = False) -> Batch:
    feed = load_feed(definition)
    reader = strict_reader(feed) if strict else Decoder(feed)._decoder._reader
    reading = reader.read_payloads([(body, "json")])
    return assemble_batch(compile_plan(feed), reading, [logged(0, body, "p", "json")])


def sensors(batch: Batch) -> list[str]:
    tags = batch.identities["tags"].to_list()
    return [tags[number][0]["value"] for number in batch.frame.sort("seq", "idx")["identity"]]


@pytest.mark.parametrize(
    ("definition", "document", "expected"),
    [
        (FLAT, [{"v": 1, "sensor": 7, "port": 502}, {"v": 2, "sensor": "7"}, {"v": 3, "sensor": 0}], ["7", "7", "0"]),
        (FLAT, [{"v": 1, "sensor": -9223372036854775808}, {"v": 2, "sensor": 2**64}], [str(-(2**63)), str(2**64)]),
        (AROUND, {"sensor": 12, "r": [{"v": 1}, {"v": 2}]}, ["12", "12"]),
        (COLUMNS, {"c": {"sensor": [1, "b"], "v": [1, 2]}}, ["1", "b"]),
        (COLUMNS, {"c": {"sensor": 3, "v": [1, 2]}}, ["3", "3"]),
    ],
)
def test_an_integer_is_its_digits_and_a_text_is_itself(definition: str, document: object, expected: list[str]) -> None:
    assert sensors(batch_of(definition, json.dumps(document).encode())) == expected


NAMES = st.one_of(
    st.integers(),
    st.text(max_size=22),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from([10**20, 10**400, "a:b"]),
)


@given(names=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4))
@example(names=[(10**20, 1), (0, 0)])
@example(names=[(7, "a:b"), ("7:1", 0)])
def test_fast_and_strict_agree_on_integers(names: list[tuple[object, object]]) -> None:
    body = json.dumps([{"v": n, "sensor": a, "port": b} for n, (a, b) in enumerate(names)]).encode()
    fast, strict = batch_of(FLAT, body), batch_of(FLAT, body, strict=True)
    assert_frame_equal(fast.frame.drop("identity"), strict.frame.drop("identity"), check_exact=True)
    assert sensors(fast) == sensors(strict)
    assert fast.rejections["detail"].to_list() == strict.rejections["detail"].to_list()


@pytest.mark.parametrize(
    ("sensor", "message"),
    [
        (True, "must be a text, is true"),
        (7.0, "must be a text, is a number"),
        (10**20, "has 21 characters, at most 20"),
    ],
)
def test_what_is_no_integer_or_too_long_is_rejected(sensor: object, message: str) -> None:
    rejected = batch_of(FLAT, json.dumps([{"v": 1, "sensor": sensor}]).encode()).rejections
    assert message in rejected["detail"][0]


def test_a_text_tag_that_gets_an_integer_says_how_to_take_it() -> None:
    definition = HEAD + 'tags.sensor.path = "$.sensor"\n'
    rejected = batch_of(definition, b'{"v": 1, "sensor": 7}').rejections
    assert "$.sensor: must be a text, is a number; for an integer give it type = 'integer'" in rejected["detail"][0]


def test_other_types_are_for_binary_records() -> None:
    with pytest.raises(FeedDefinitionError, match="in JSON the type is text or integer"):
        load_feed(HEAD + 'tags.sensor = { path = "$.sensor", type = "uint8" }\n')
