"""The fast reader may refuse to be sure, but whatever it takes the strict reader takes too, and as the same."""

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode.json_texts import RECORDS, documents, lines
from tests.decode.strict_only import strict_reader
from tests.support.payloads import FEEDS as OF_RECIPES
from tests.support.payloads import FIX, logged
from tests.support.rounds import rounds
from tidemill.decode.batch import assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.decode.reader import PayloadReader
from tidemill.feeds.load import load_feed

PLANT = """
name = "plant"
time.path = "$.timestamp"
attributes.quality = { path = "$.tags", required = true }
attributes.method = { path = "$.x", max_length = 4 }
fields.power.path = "$.data"
"""
PACKED = """
name = "packed"
time = { path = "$.at", format = "unix_s" }
fields.short = { path = "$.short", type = "int16_be", scale = 0.1, offset = -5, min = -3000, required = false }
fields.long = { path = "$.long", type = "uint64_be", encoding = "array" }
fields.double = { path = "$.double", type = "float64_le", encoding = "hex", required = false }
fields.scaled = { path = "$.scaled", scale = 1e10, offset = 3, max = 1e200 }
"""
WAVES = """
name = "waves"
time = { path = "$.at", format = "unix_s" }
fields.wave = { path = "$.wave", type = "int16_le[]", scale = 0.5, max = 16000 }
shape.kind = "summary"
"""
SPELLED = """
name = "spelled"
time = { path = "$.at", format = "unix_s" }
[fields]
text = { path = "$.text", type = "text_number", decimal = ",", thousands = " ", null_texts = ["-"], required = false }
amount = { path = "$.amount", type = "text_number", unit_in_text = true, unit = "kWh", max = 1e6 }
switch = { path = "$.switch", type = "boolean", true_texts = ["on"], false_texts = ["off"] }
low = { path = "$.octets", type = "int64_be", encoding = "base64", at = 0, required = false, scale = 2 }
high = { path = "$.octets", type = "uint16_be", encoding = "base64", at = 8, bits = [4, 8] }
[fields.volts]
path = "$.reading.value"
unit = "V"
unit_path = "$.reading.unit"
exponent_path = "$.power"
min = -1e300
"""
FEEDS = {
    "spelled": load_feed(SPELLED),
    **OF_RECIPES,
    "plant": load_feed(PLANT),
    "packed": load_feed(PACKED),
    "waves": load_feed(WAVES),
}
NAMES = sorted(RECORDS)
DECODERS = {name: Decoder(FEEDS[name]) for name in NAMES}
STRICT = {name: strict_reader(FEEDS[name]) for name in NAMES}
PLANS = {name: compile_plan(FEEDS[name]) for name in NAMES}


def outcome(
    reader: PayloadReader, name: str, bodies: list[bytes], format: str
) -> tuple[pl.DataFrame, object, list[int]]:
    payloads = [logged(seq, body, name, format) for seq, body in enumerate(bodies)]
    reading = reader.read_payloads([(body, format) for body in bodies])
    batch = assemble_batch(PLANS[name], reading, payloads)
    tags = batch.identities["tags"].to_list()
    frame = batch.frame.with_columns(
        tags=pl.Series([str(tags[number]) for number in batch.frame["identity"]], dtype=pl.String)
    )
    frame = frame.drop("identity").sort("seq", "idx")
    if batch.registers is not None:
        keyed = batch.registers.with_columns(pair=pl.concat_str("field", pl.lit("="), "value")).sort(
            "seq", "idx", "field"
        )
        registers = keyed.group_by("seq", "idx", maintain_order=True).agg("pair")
        frame = frame.join(registers, on=["seq", "idx"], how="left")
    refused = batch.rejections.sort("seq", "idx").select("seq", "idx", pl.col("reasons").list.sort()).rows()
    return frame, refused, reading.counts


def agree(name: str, bodies: list[bytes], format: str) -> None:
    fast = outcome(DECODERS[name]._decoder._reader, name, bodies, format)
    strict = outcome(STRICT[name], name, bodies, format)
    assert fast[1:] == strict[1:]
    assert_frame_equal(fast[0], strict[0], check_exact=True)
    assert sum(fast[2]) == len(fast[0]) + len(fast[1])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=rounds(20, 50), deadline=None)
@given(data=st.data())
def test_fast_and_strict_agree_on_json(name: str, data: st.DataObject) -> None:
    inside = "data" if name == "meters" else None
    agree(name, data.draw(st.lists(documents(RECORDS[name], inside), min_size=1, max_size=4)), "json")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=rounds(12, 30), deadline=None)
@given(data=st.data())
def test_fast_and_strict_agree_on_lines(name: str, data: st.DataObject) -> None:
    agree(name, data.draw(st.lists(lines(RECORDS[name]), min_size=1, max_size=3)), "ndjson")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=rounds(20, 50), deadline=None)
@given(data=st.data())
def test_check_finds_a_fault_exactly_where_decoding_rejects(name: str, data: st.DataObject) -> None:
    body = data.draw(documents(RECORDS[name], "data" if name == "meters" else None))
    faults = DECODERS[name].check_payload(body, "json", 0)
    refused = outcome(STRICT[name], name, [body], "json")[1]
    assert bool(faults) == bool(refused)


@settings(max_examples=rounds(20, 50), deadline=None)
@given(body=st.binary(max_size=60))
@example(FIX + FIX)
@example(b'{"lat":1}{"lat":2}\n{"lat":\n3}')
@example(FIX.replace(b'"lat"', b'"lat" :1,"lat"'))
def test_no_bytes_raise_anything(body: bytes) -> None:
    for name in NAMES:
        for format in ("json", "ndjson"):
            agree(name, [body], format)
            assert DECODERS[name].record_texts(body, format).text(0) is not None


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_batch_split_in_any_way_gives_the_same_result(data: st.DataObject) -> None:
    bodies = data.draw(st.lists(documents(RECORDS["location"]), min_size=1, max_size=12))
    payloads = [logged(seq, body) for seq, body in enumerate(bodies)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bodies)), max_size=3)))
    parts = [payloads[a:b] for a, b in zip([0, *cuts], [*cuts, len(bodies)], strict=True)]
    decoder = DECODERS["location"]
    whole, split = decoder.decode_batch(payloads), [decoder.decode_batch(part) for part in parts if part]
    for name in ("rejections", "counts"):
        joined = pl.concat([getattr(batch, name) for batch in split])
        assert_frame_equal(getattr(whole, name).sort("seq"), joined.sort("seq"), check_row_order=False)
    joined = pl.concat([batch.frame.drop("identity") for batch in split])
    assert_frame_equal(whole.frame.drop("identity").sort("seq", "idx"), joined.sort("seq", "idx"))


def test_one_broken_line_among_many_is_the_only_one_rejected() -> None:
    many = [FIX] * 5000
    many[4321] = FIX.replace(b"40.701", b"140.701")
    batch = DECODERS["location"].decode_batch([logged(1, b"\n".join(many), format="ndjson")])
    assert batch.rejections.select("idx", "reasons").rows() == [(4321, ["out_of_range"])]
    assert np.array_equal(np.sort(batch.frame["idx"].to_numpy()), np.delete(np.arange(5000), 4321))
