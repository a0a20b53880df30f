"""Records in groups, under keys, and with what is above them: both readers agree, and every record is accounted for."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode import nested_texts as texts
from tests.decode.strict_only import strictly
from tests.support.payloads import logged
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.json_decoder import JsonDecoder
from tidemill.decode.plan import compile_plan
from tidemill.feeds.load import load_feed

FEEDS = {
    feed.name: feed
    for feed in map(
        load_feed,
        (texts.ENVELOPE, texts.GROUPS, texts.KEYED, texts.RATES, texts.LISTS, texts.PAIRS, texts.REGISTERS),
    )
}
NAMES = sorted(FEEDS)
PLANS = {name: compile_plan(FEEDS[name]) for name in NAMES}
DECODERS = {name: Decoder(FEEDS[name]) for name in NAMES}
STRICT = {name: strictly(FEEDS[name]) for name in NAMES}


def batch_of(name: str, bodies: list[bytes], *, strict: bool = False) -> Batch:
    payloads = [logged(seq, body, name) for seq, body in enumerate(bodies)]
    if not strict:
        return DECODERS[name].decode_batch(payloads)
    return assemble_batch(PLANS[name], STRICT[name].read_payloads([(body, "json") for body in bodies]), payloads)


def rows(batch: Batch) -> pl.DataFrame:
    tags = batch.identities["tags"].to_list()
    frame = batch.frame.with_columns(
        tags=pl.Series([str(tags[number]) for number in batch.frame["identity"]], dtype=pl.String)
    )
    frame = frame.drop("identity").sort("seq", "idx")
    if batch.registers is None:
        return frame
    pairs = batch.registers.with_columns(pair=pl.concat_str("field", pl.lit("="), "value")).sort("seq", "idx", "field")
    return frame.join(pairs.group_by("seq", "idx", maintain_order=True).agg("pair"), on=["seq", "idx"], how="left")


def agree(name: str, bodies: list[bytes]) -> Batch:
    fast, strict = batch_of(name, bodies), batch_of(name, bodies, strict=True)
    assert_frame_equal(rows(fast), rows(strict), check_exact=True)
    sorted_rejections = [batch.rejections.sort("seq", "idx") for batch in (fast, strict)]
    assert_frame_equal(*sorted_rejections)
    assert fast.counts.rows() == strict.counts.rows()
    for seq, records in fast.counts.rows():
        here = [*fast.frame.filter(seq=seq)["idx"], *fast.rejections.filter(seq=seq)["idx"]]
        assert sorted(here) == list(range(records))
    return fast


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(data=st.data())
def test_fast_and_strict_agree_on_every_shape(name: str, data: st.DataObject) -> None:
    faulty = data.draw(st.booleans())
    agree(name, data.draw(st.lists(texts.document(name, faulty), min_size=1, max_size=3)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_check_names_a_fault_exactly_where_decoding_rejects(name: str, data: st.DataObject) -> None:
    body = data.draw(texts.document(name, faulty=True))
    assert bool(DECODERS[name].check_payload(body, "json", 0)) == bool(batch_of(name, [body]).rejections.height)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_the_ledger_has_the_bytes_of_each_rejected_record(name: str, data: st.DataObject) -> None:
    """Each text is a part of the payload that its own path leads to, and all of them together are not longer."""
    body = data.draw(texts.document(name, faulty=True))
    kept = DECODERS[name].record_texts(body, "json")
    records = [kept.text(index) for index in batch_of(name, [body]).rejections["idx"]]
    assert sum(map(len, records)) <= len(body)
    assert all(record.encode() in body for record in records)


@settings(max_examples=40)
@given(body=st.binary(max_size=40))
@example(b'{"readings":[')
@example(b'{"data":{"result":[{"values":[[1,2],]}]}}')
@example(b'{"rates":{"a":{"b":1},}}')
@example(b'{"rates":{"a" {"b":1}}}')
@example(b"[0,]")
@example(b'{"rooms":{"a":[{"points":[1}]}}')
def test_no_bytes_raise_anything(body: bytes) -> None:
    for name in NAMES:
        agree(name, [body])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_many_groups_in_one_payload_and_in_many_give_the_same(name: str, data: st.DataObject) -> None:
    """Blocks, halves and the whole: payloads that are read together or alone."""
    bodies = data.draw(st.lists(texts.document(name, faulty=data.draw(st.booleans())), min_size=2, max_size=8))
    together = rows(batch_of(name, bodies)).drop("seq")
    alone = pl.concat([rows(batch_of(name, [body])).drop("seq") for body in bodies])
    assert_frame_equal(together, alone)


def test_one_fault_among_many_is_the_only_one_rejected() -> None:
    groups = [
        {"metric": {"job": f"j{n % 7}"}, "values": [["2024-01-01T00:00:00Z", k] for k in range(n % 5)]}
        for n in range(2000)
    ]
    groups[1234]["values"][2][1] = "x"  # type: ignore[index]
    groups[777]["metric"] = {}
    body = json.dumps({"zone": "UTC", "data": {"kind": "m", "result": groups}}).encode()
    batch = agree("groups", [body])
    before = np.cumsum([0] + [n % 5 for n in range(2000)])
    lost = [*range(before[777], before[778]), before[1234] + 2]
    assert batch.rejections.sort("idx")["idx"].to_list() == lost
    assert batch.frame.height + len(lost) == before[-1]
    details = batch.rejections.sort("idx")["detail"].to_list()
    assert details[0] == "$.data.result[777].metric.job: is missing; it must be a text"
    assert details[-1] == "$.data.result[1234].values[2][1]: must be a number, is a text"


FAULTS = {
    "envelope": (
        b'{"device":7,"readings":[{"t":"2024-01-01T00:00:00Z","v":1},{"t":1,"v":1}]}',
        ["$.device", "$.readings[1].t"],
    ),
    "groups": (
        b'{"zone":"UTC","data":{"result":[{"values":[]},{"metric":{"job":"a"},"values":[["2024-01-01T00:00:00Z","x"]]},5,'
        b'{"metric":{"job":"a"}}]}}',
        ["$.data.result[1].values[0][1]", "$.data.result[2]", "$.data.result[3].values"],
    ),
    "keyed": (
        b'{"site":"a","offset":3600,"days":{"2024-01-01":{"v":"x"},"1.1.24":{"v":1}}}',
        ["$.days['2024-01-01'].v", "$.days['1.1.24']~"],
    ),
    "rates": (
        b'{"base":"EUR","rates":{"x":{"USD":1},"2024-01-01":{"USD":"a","SEK":1,"SEK":2},"y":[]}}',
        ["$.rates.x~", "$.rates['2024-01-01'].USD", "$.rates['2024-01-01'].SEK", "$.rates.y"],
    ),
    "lists": (
        b'{"rooms":{"a b":[{"meter":"m","points":[{"t":"2024-01-01T00:00:00Z"}]},'
        b'{"points":[{"t":"2024-01-01T00:00:00Z","v":1}]}]}}',
        ["$.rooms['a b'][0].points[0].v", "$.rooms['a b'][1].meter"],
    ),
    "pairs": (b'["x",[[1,2],[3],4]]', ["$[1][1][1]", "$[1][2]"]),
    "registers": (b'{"meters":{"m":{"t":"2024-01-01T00:00:00Z","1-0:1.8.0":"x"}}}', ["$.meters.m['1-0:1.8.0']"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_has_its_full_path(name: str) -> None:
    body, paths = FAULTS[name]
    assert [fault.path for fault in DECODERS[name].check_payload(body, "json", 0)] == paths
    agree(name, [body])


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"data":{"result":{}}}', ("$.data.result", "wrong_type")),
        (b'{"data":[]}', ("$.data", "wrong_type")),
        (b'{"data":{}}', ("$.data.result", "missing")),
        (b'{"data":{"kind":"a","kind":"b","result":[]}}', ("$.data.kind", "duplicate_key")),
        (b'{"data":{"result":[]},"x":NaN}', ("$.x", "not_finite")),
        (b'{"data":{"result":[]}', ("$", "invalid_json")),
    ],
)
def test_a_document_without_groups_says_why(body: bytes, fault: tuple[str, str]) -> None:
    assert [(fault.path, fault.code) for fault in DECODERS["groups"].check_payload(body, "json", 0)] == [fault]


def test_a_group_without_records_is_passed_over() -> None:
    body = (
        b'{"zone":"UTC","data":{"result":[{"values":[]},{"metric":{"job":"a"},"values":[["2024-01-01T00:00:00Z",1]]}]}}'
    )
    batch = agree("groups", [body])
    assert batch.counts["records"].to_list() == [1]
    assert batch.frame["f.value"].to_list() == [1.0]


def test_lines_are_not_taken_where_records_are_inside_a_document() -> None:
    (fault,) = DECODERS["keyed"].check_payload(b"{}\n{}", "ndjson", 0)
    assert (fault.code, "send JSON, not NDJSON" in fault.message) == ("unknown_format", True)
    assert DECODERS["keyed"].record_texts(b"{}\n{}", "ndjson").text(0) == "{}\n{}"


def test_what_is_above_is_not_repeated_beyond_a_bound() -> None:
    feed = load_feed(texts.ENVELOPE.replace("max_length = 3", "max_length = 4096"))
    decoder = Decoder(feed)
    point = b'{"t":"2024-01-01T00:00:00Z","v":1}'
    body = b'{"device":"d","labels":[%b],"readings":[%b]}' % (b",".join([b'"a"'] * 250_000), b",".join([point] * 100))
    (fault,) = decoder.check_payload(body, "json", 0)
    assert (fault.code, "64 MiB" in fault.message) == ("too_many_records", True)
    body = body.replace(b",".join([point] * 100), b",".join([point] * 10))
    assert decoder.check_payload(body, "json", 0) == ()


def test_array_records_are_read_in_columns() -> None:
    """Of plain feeds, too: `[[1, 2], ...]` and lines of arrays."""
    decoder = Decoder(load_feed('name="p"\ntime={path="$[1]",format="unix_s"}\nfields.v.path="$[0]"'))
    inner = decoder._decoder
    assert isinstance(inner, JsonDecoder)
    assert inner._reader._fast.read_payloads([b"[[1,2],[3,4]]"], lines=False) is not None
    assert inner._reader._fast.read_payloads([b"[1,2]\n[3,4]"], lines=True) is not None
    for body, format in ((b"[[1,2],[3,4,null]]", "json"), (b"[1,2]\n[3,4]", "ndjson")):
        assert decoder.decode_batch([logged(1, body, "p", format)]).frame["f.v"].to_list() == [1.0, 3.0]
