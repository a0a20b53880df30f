"""Parallel arrays: read whole or record by record they are the records that the same data make as a list of objects."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.support.payloads import logged
from tidemill.decode.columns import ColumnsReader
from tidemill.decode.decoder import Decoder
from tidemill.decode.fast import FastReader
from tidemill.decode.plan import compile_plan
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed

MEMBERS = """
time = { path = "$.time", format = ["rfc3339", "unix_ms"] }
tags.site = { path = "$.site", required = false }
attributes.quality = { path = "$.about.quality", max_length = 5 }
fields.level = { path = "$.level", max = 100 }
fields.flow = { path = "$.flow", required = false, scale = 0.5 }
fields.raw = { path = "$.raw", type = "int16_le", required = false }
"""
REGISTERS = """
time = { path = "$.time", format = "unix_s" }
registers.except_keys = ["time", "site", "about", "unread"]
tags.site.path = "$.site"
"""


def feed(members: str, source: str) -> Feed:
    return load_feed(f'name = "f"\ninput = {{ {source}, on_fault = "reject" }}\n{members}')


def reads(given: Feed, body: bytes) -> bool:
    """Whether whole arrays are read, without an object a record."""
    plan = compile_plan(given)
    return ColumnsReader(plan, FastReader(plan, 16), 16).read_document(body) is not None


def outcome(given: Feed, body: bytes) -> tuple[pl.DataFrame, list[Any], list[int]]:
    batch = Decoder(given).decode_batch([logged(1, body, "f")])
    tags = [str(sorted(pair.items()) for pair in tags) for tags in batch.identities["tags"].to_list()]
    shown = {str(number): str(tags) for number, tags in enumerate(batch.identities["tags"].to_list())}
    assert len(tags) == len(shown)
    frame = batch.frame.with_columns(tags=pl.col("identity").cast(pl.String).replace_strict(shown, default=None))
    if batch.registers is not None:
        pairs = batch.registers.with_columns(pl.concat_str("field", pl.lit("="), "value").alias("pair"))
        grouped = pairs.sort("pair").group_by("seq", "idx").agg("pair")
        frame = frame.join(grouped, on=["seq", "idx"], how="left")
    rejected = batch.rejections.sort("idx").select("idx", pl.col("reasons").list.sort()).rows()
    return frame.drop("identity").sort("idx"), rejected, batch.counts["records"].to_list()


ARRAYS = {
    "time": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00", 1_767_225_600_000, None, "x", True]),
    "site": st.sampled_from(["a", "b", None, "", 4]),
    "level": st.sampled_from([1, 2.5, None, 101, "7", float("nan"), 1e300]),
    "flow": st.sampled_from([1, None, -2.5, float("inf"), [1], {}]),
    "raw": st.sampled_from([None, "AQA=", [1, 2], [1], "%"]),
    "quality": st.sampled_from(["good", None, "too long", "\n"]),
}
GOOD = {
    "time": st.sampled_from(["2026-01-01T00:00:00Z", 1_767_225_600_000]),
    "site": st.sampled_from(["a", "b", None]),
    "level": st.sampled_from([1, 2.5, None]),
    "flow": st.sampled_from([1, None, -2.5]),
    "raw": st.sampled_from([None, "AQA=", [1, 2]]),
    "quality": st.sampled_from(["good", None]),
}


@st.composite
def arrays(draw: st.DrawFn, kinds: dict[str, st.SearchStrategy[Any]]) -> dict[str, list[Any]]:
    count = draw(st.integers(1, 12))
    whole = {name: draw(st.lists(values, min_size=count, max_size=count)) for name, values in kinds.items()}
    for name in draw(st.sets(st.sampled_from(["site", "flow", "raw", "quality"]))):
        del whole[name]
    return whole


def as_object(member: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name != "quality"} | (
        {"about": {"quality": member["quality"]}} if "quality" in member else {}
    )


def both(whole: dict[str, list[Any]], path: str) -> tuple[bytes, bytes, list[int]]:
    """The data as columns at a path and as a list of records, and the items that are records."""
    count = len(whole["time"])
    records = [as_object({name: values[n] for name, values in whole.items()}) for n in range(count)]
    fields = [name for name in ("level", "flow", "raw") if name in whole]
    known = [n for n in range(count) if any(whole[name][n] is not None for name in fields)]
    inner: dict[str, Any] = as_object(whole)
    document = inner if path == "$" else {"units": {"time": "iso", "level": "m"}, "hourly": inner}
    return json.dumps(document).encode(), json.dumps([records[n] for n in known]).encode(), known


@pytest.mark.parametrize("path", ["$", "$.hourly"])
@settings(max_examples=60)
@given(data=st.data())
def test_columns_are_the_records_of_the_same_data(path: str, data: st.DataObject) -> None:
    whole = data.draw(arrays(ARRAYS))
    columns, records, known = both(whole, path)
    frame, rejected, counts = outcome(feed(MEMBERS, f'columns = "{path}"'), columns)
    other, refused, others = outcome(feed(MEMBERS, 'records = "$"'), records)
    assert counts == others == [len(known)]
    assert rejected == [(known[index], reasons) for index, reasons in refused]
    items = np.array(known, np.uint32)[other["idx"].to_numpy()] if known else other["idx"]
    assert_frame_equal(frame, other.with_columns(idx=pl.Series(items, dtype=pl.UInt32)), check_exact=True)


@settings(max_examples=40)
@given(whole=arrays(GOOD))
def test_arrays_without_fault_are_read_whole(whole: dict[str, list[Any]]) -> None:
    columns, _, known = both(whole, "$.hourly")
    given = feed(MEMBERS, 'columns = "$.hourly"')
    if all(whole["level"][n] is not None for n in known):
        assert reads(given, columns)
    assert not reads(given, columns.replace(b'"level"', b'"level": [], "level"'))


def columns_of(**members: Any) -> bytes:
    return json.dumps({"hourly": members}).encode()


TIMES = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]


@pytest.mark.parametrize(
    ("body", "path", "code", "words"),
    [
        (columns_of(time=TIMES, level=[1, 2]), "$.hourly.level", "unequal_length", "2 items, and $.hourly.time has 3"),
        (columns_of(time=TIMES, level=[1, 2, "x"]), "$.hourly.level[2]", "wrong_type", "must be a number"),
        (columns_of(time=TIMES, level=7), "$.hourly.level", "wrong_type", "an item for each record, is a number"),
        (columns_of(time=TIMES), "$.hourly.level", "missing", "must be an array"),
        (columns_of(time=TIMES, level=[1, 2, 3], site=4), "$.hourly.site", "wrong_type", "must be a text"),
        (columns_of(time=TIMES, level=[1, 2, 3], about=[]), "$.hourly.about", "wrong_type", "must be an object"),
        (columns_of(time="x", level=3), "$.hourly.time", "wrong_type", "must be an array"),
        (columns_of(), "$.hourly.time", "missing", "must be an array"),
        (b'{"hourly": []}', "$.hourly", "wrong_type", "object of arrays, is an array"),
        (b'{"hourly": {"time": [1], "time": [2], "level": [1]}}', "$.hourly.time", "duplicate_key", "twice"),
        (b'{"daily": {}}', "$.hourly", "missing", "object of arrays"),
        (b'{"hourly": {"time": [1}}', "$", "invalid_json", "line 1, column 23"),
        (b"[1, 2]", "$", "wrong_type", "must be an object"),
        (b'{"hourly": {}}\n{"hourly": {}}', "$", "unknown_format", "one JSON document"),
        (b" ", "$", "empty_body", "nothing here"),
        (columns_of(time=[], level=[]), "$", "empty", "no record"),
    ],
)
def test_a_fault_names_its_place(body: bytes, path: str, code: str, words: str) -> None:
    given = load_feed(f'name = "f"\ninput.columns = "$.hourly"\n{MEMBERS}')
    form = "ndjson" if b"}\n{" in body else "json"
    faults = Decoder(given).check_payload(body, form, 0)
    assert (faults[0].path, faults[0].code) == (path, code)
    assert words in faults[0].message


def test_a_record_at_fault_is_in_the_ledger_as_its_own_items() -> None:
    body = (
        b'{"hourly": {"time": ["2026-01-01T00:00:00Z", 5.0], "about": {"quality": ["\\u0067", "x"]}, "level": [NaN, 3]'
    )
    body += b"}}"
    decoder = Decoder(feed(MEMBERS, 'columns = "$.hourly"'))
    batch = decoder.decode_batch([logged(1, body, "f")])
    assert batch.rejections.select("idx", "reasons").rows() == [(0, ["not_finite"])]
    text = decoder.record_texts(body, "json").text(0)
    assert text == '{"time": "2026-01-01T00:00:00Z", "about": {"quality": "\\u0067"}, "level": NaN}'


def test_what_the_ledger_keeps_of_a_record_is_bounded_however_long_its_keys_are() -> None:
    members = {f"{'k' * 250}{n}": [1, "x", 3] for n in range(40)}
    body = json.dumps({"time": [1, 2, 3], "site": "a", **members}).encode()
    decoder = Decoder(feed(REGISTERS, 'columns = "$"'))
    batch = decoder.decode_batch([logged(1, body, "f")])
    assert batch.rejections["idx"].to_list() == [1]
    assert 900 < len(decoder.record_texts(body, "json").text(1).encode()) <= 1024


def test_other_arrays_are_registers_and_null_is_no_reading() -> None:
    body = {"time": [1, 2, 3], "site": "s1", "a": [1, None, 3], "b": [None, None, 9], "unread": [[], {}, "x", 1]}
    given = feed(REGISTERS, 'columns = "$"')
    sent = json.dumps(body).encode()
    assert reads(given, sent)
    batch = Decoder(given).decode_batch([logged(1, sent, "f")])
    assert batch.registers is not None
    assert sorted(batch.registers.select("idx", "field", "value").rows()) == [(0, "a", 1), (2, "a", 3), (2, "b", 9)]
    assert batch.counts["records"].to_list() == [2], "an item without any register is no record"
    (fault,) = Decoder(given).check_payload(json.dumps({**body, "c": 4}).encode(), "json", 0)
    assert (fault.path, "except_keys" in fault.message) == ("$.c", True)


def test_items_without_a_value_are_records_where_no_field_is_required() -> None:
    given = feed(MEMBERS.replace("max = 100", "required = false"), 'columns = "$.hourly"')
    batch = Decoder(given).decode_batch([logged(1, columns_of(time=TIMES, level=[1, None, None]), "f")])
    assert batch.frame.sort("idx")["f.level"].to_list() == [1, None, None]
    assert batch.counts["records"].to_list() == [3]


def test_one_item_at_fault_among_many_is_the_only_one_rejected() -> None:
    values: list[Any] = [1.5] * 20_000
    values[12_345] = "x"
    body = columns_of(time=[1_767_225_600_000 + n for n in range(20_000)], level=values)
    batch = Decoder(feed(MEMBERS, 'columns = "$.hourly"')).decode_batch([logged(1, body, "f")])
    assert batch.rejections.select("idx", "detail").rows() == [
        (12_345, "$.hourly.level[12345]: must be a number, is a text")
    ]
    assert batch.frame.height == 19_999
