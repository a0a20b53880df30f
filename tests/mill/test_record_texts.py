"""What the ledger keeps of rejected records: each its own bytes, and never more than twice the payload in all."""

import base64
import struct
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode.strict_only import strict_reader, strictly
from tests.support import worst_bodies as worst
from tests.support.payloads import logged
from tests.support.worst_bodies import GOOD, WORST
from tidemill.decode.codes import FAULT_CODES
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.decode.texts import MAX_RECORD_TEXT
from tidemill.feeds.load import load_feed
from tidemill.feeds.open_feed import open_feed_text
from tidemill.mill import ledger

HEX = worst.BINARY.replace('"binary"', '"hex"')
LONGS = worst.COUNTED.replace('path = "$.value"', 'path = "$.value"\ntype = "uint64_be"')
DIGITS = worst.COUNTED.replace('path = "$.value"', 'path = "$.value"\ntype = "text_number"')
UNITS = DIGITS + 'unit_in_text = true\nunit = "kWh"\n'
STRICTLY = worst.PLAIN.replace('"reject"', '"refuse"')
OPEN = open_feed_text("f")
DECODERS = {text: Decoder(load_feed(text)) for text in (*worst.FEEDS, HEX, LONGS, DIGITS, UNITS, STRICTLY, OPEN)}


class Sent(NamedTuple):
    feed: str
    format: str
    body: bytes


def plain(old: bytes, new: bytes) -> bytes:
    return GOOD.replace(old, new)


# Records at fault, each with the code that it gives.
RECORDS = {
    "missing": b"{}",
    "wrong_type": b"0",
    "empty": plain(b'"a"', b'""'),
    "too_long": plain(b'"a"', b'"%b"' % (b"a" * 300)),
    "duplicate_key": plain(b'"value"', b'"value":1,"val\\u0075e"'),
    "lone_surrogate": plain(b'"a"', b'"\\ud800"'),
    "control_character": plain(b'"a"', b'"\\n"'),
    "not_finite": plain(b"1.5", b"NaN"),
    "out_of_range": plain(b"1.5", b"1e9"),
    "time_invalid": plain(b"2024", b"x"),
    "time_no_offset": plain(b"00Z", b"00"),
    "time_out_of_range": plain(b"2024", b"1800"),
}
BINARY = struct.pack(">IHHd", 1_700_000_000, 7, 0, 1.5)
SERIES = b'{"values":[1,2],"time_unit":"s","times":%b}'
# Payloads at fault as a whole, or of feeds of other kinds.
PAYLOADS = {
    "empty_body": Sent(worst.PLAIN, "json", b" "),
    "invalid_utf8": Sent(worst.PLAIN, "json", b'["\xff"]'),
    "invalid_json": Sent(worst.PLAIN, "json", b"[nul]"),
    "too_deep": Sent(worst.PLAIN, "json", b"[" * 20 + b"]" * 20),
    "too_many_records": Sent(worst.PLAIN, "ndjson", b"0\n" * 1_100_000),
    "unknown_format": Sent(worst.SERIES, "ndjson", b"{}\n{}"),
    "empty": Sent(STRICTLY, "json", b"[]"),
    "invalid_value": Sent(worst.SERIES, "json", SERIES.replace(b'"s"', b'"h"') % b"[1,2]"),
    "not_exact": Sent(LONGS, "json", b'{"id":"a","time":1,"value":"%b"}' % base64.b64encode(b"\x7f" + b"\xff" * 7)),
    "not_a_number": Sent(DIGITS, "json", b'{"id":"a","time":1,"value":"%b"}' % (b"x" * 5000)),
    "unknown_unit": Sent(UNITS, "json", b'{"id":"a","time":1,"value":"5 %b"}' % (b"x" * 300)),
    "undecodable": Sent(HEX, "hex", b"0g"),
    "wrong_size": Sent(worst.BINARY, "binary", b"abc"),
    "duplicate_time": Sent(worst.SERIES, "json", SERIES % b"[1,1]"),
    "unequal_length": Sent(worst.SERIES, "json", SERIES % b"[1]"),
    "invalid_line": Sent(OPEN, "line_protocol", b"m,=a v=1"),
    "too_many_members": Sent(OPEN, "line_protocol", b"m,%b v=1" % b",".join(b"t%d=1" % n for n in range(2_000))),
    "conflict": Sent(worst.SERIES, "json", SERIES.replace(b"{", b'{"interval":"1s",') % b"[1,2]"),
}
# Ways in which records come, some of them in documents that the fast reader does not cut, or nobody.
WAYS = {
    "array": (worst.PLAIN, "json", b"[%b]"),
    "white": (worst.PLAIN, "json", b"\xef\xbb\xbf \n[ %b\n]\r\n"),
    "lines": (worst.PLAIN, "ndjson", b"\n%b\r\n"),
    "path": (worst.LISTED, "json", b'{"data":{"items":[%b]}}'),
    "backslash": (worst.LISTED, "json", b'{"data":{"items":[%b]},"note":"a\\/b"}'),
    "escaped_path": (worst.LISTED, "json", b'{"d\\u0061ta":{"n":{"items":[1]},"it\\u0065ms":[%b]}}'),
    "cut_off": (worst.PLAIN, "json", b"[%b"),
    "no_utf8": (worst.PLAIN, "json", b'[%b,"\xff"]'),
    "followed": (worst.PLAIN, "json", b"[%b] x"),
    "nan_beside": (worst.LISTED, "json", b'{"data":{"items":[%b]},"note":NaN}'),
    "path_twice": (worst.LISTED, "json", b'{"data":{"items":[%b]},"data":1}'),
    "too_deep": (worst.PLAIN, "json", b"[%b," + b"[" * 20 + b"]" * 20 + b"]"),
}
CUT = ("array", "white", "lines", "path", "backslash", "escaped_path")


def rows(sent: Sent) -> pl.DataFrame:
    """The rows of the ledger of a payload, by index."""
    decoder = DECODERS[sent.feed]
    entry = logged(1, sent.body, "f", sent.format)
    rejections = ledger.concat_rejections([decoder.decode_batch([entry]).rejections])
    texts = decoder.record_texts(sent.body, sent.format)
    records = [texts.text(index) for index in rejections["idx"]]
    return ledger.rejection_rows(rejections, "default", "f", ledger.payload_origins([entry]), records)


def bounded(sent: Sent, frame: pl.DataFrame) -> None:
    records, details = frame["record"].str.len_bytes(), frame["detail"].str.len_bytes()
    assert records.sum() + details.sum() <= 2 * len(sent.body) + 1024 * frame.height
    assert (records <= MAX_RECORD_TEXT).all()
    assert (details <= 1024).all()


def test_every_code_is_tried() -> None:
    assert RECORDS.keys() | PAYLOADS.keys() == FAULT_CODES.keys() - {"more_faults"}


@pytest.mark.parametrize("code", sorted(PAYLOADS))
def test_a_payload_at_fault_as_a_whole_is_kept_once(code: str) -> None:
    found = rows(PAYLOADS[code])
    assert found["idx"].to_list() == [0]
    assert found["reasons"].to_list() == [[code]]
    bounded(PAYLOADS[code], found)


@pytest.mark.parametrize("way", sorted(WAYS))
@settings(max_examples=60)
@given(codes=st.lists(st.sampled_from(["", "", *sorted(RECORDS)]), min_size=1, max_size=40))
@example(codes=sorted(RECORDS) * 20)
@example(codes=["not_finite"] * 300)
@example(codes=["missing"] * 300)
def test_a_rejected_record_is_its_own_bytes_at_its_own_index(way: str, codes: list[str]) -> None:
    feed, format, around = WAYS[way]
    pieces = [RECORDS.get(code, GOOD) for code in codes]
    sent = Sent(feed, format, around.replace(b"%b", (b"\n" if way == "lines" else b" ,\t").join(pieces)))
    found = rows(sent)
    bounded(sent, found)
    if way not in CUT:
        assert found["idx"].to_list() == [0]
        return
    expected = [(n, [code], piece.decode()) for n, (code, piece) in enumerate(zip(codes, pieces, strict=True)) if code]
    names = found.with_columns(pl.col("reasons").list.head(1))
    assert names.select("idx", "reasons", "record").rows() == expected


@pytest.mark.parametrize("name", sorted(WORST))
def test_the_worst_bodies_are_kept_within_bounds(name: str) -> None:
    body = WORST[name](30_000)
    sent = Sent(body.feed, body.format, body.body)
    found = rows(sent)
    bounded(sent, found)
    if load_feed(sent.feed).shape.kind == "points" and sent.format in ("json", "ndjson"):
        feed = load_feed(sent.feed)
        reader = strictly(feed) if compile_plan(feed).nested else strict_reader(feed)
        strict = reader.read_payloads([(sent.body, sent.format)]).rejected.frame().sort("idx")
        assert_frame_equal(strict.select("idx", "reasons"), found.select("idx", "reasons"))


def test_a_long_record_is_cut_and_its_detail_says_so() -> None:
    record = b'{"id":"%b"}' % ("ü" * 50_000).encode()
    (row,) = rows(Sent(worst.PLAIN, "json", b"[" + record + b"]")).to_dicts()
    assert row["record"] == record.decode()[: len(row["record"]) - 1] + "…"
    assert MAX_RECORD_TEXT - 8 < len(row["record"].encode()) <= MAX_RECORD_TEXT
    assert row["detail"].endswith("the record is longer than the 65536 bytes of it that are kept here")


def test_records_of_a_payload_that_cannot_be_cut_refer_to_it() -> None:
    entry = logged(1, b"[1, nul]", "f")
    texts = DECODERS[worst.PLAIN].record_texts(entry.payload.body, "json")
    known = pl.DataFrame({"seq": [1, 1], "idx": [0, 1], "detail": ["a", "b"]})
    records = [texts.text(0), texts.text(1)]
    found = ledger.rejection_rows(
        ledger.concat_rejections([known]), "default", "f", ledger.payload_origins([entry]), records
    )
    assert found.select("record", "detail").rows() == [
        ("[1, nul]", "a"),
        ("", "b; the payload cannot be cut into records: its bytes are kept with its receipt"),
    ]


def test_samples_but_for_the_first_are_their_values() -> None:
    body = b'\xef\xbb\xbf{"note": [7], "values": [1.50, null ,3], "interval": "1s"}'
    texts = DECODERS[worst.SERIES].record_texts(body, "json")
    assert [texts.text(n) for n in range(4)] == [body[3:].decode(), "null", "3", ""]


def test_the_faults_that_a_detail_leaves_out_are_counted() -> None:
    (row,) = rows(Sent(worst.PLAIN, "json", b'[{"labels":[%b]}]' % b",".join([b"0"] * 500))).to_dicts()
    assert row["reasons"] == ["missing", "wrong_type"]
    assert row["detail"].endswith("$[0].labels[6]: must be a text, is a number; 493 more faults")
    wide = '[{"%s": NaN}]' % ("\U0001f600" * 200)
    (row,) = rows(Sent(worst.PLAIN, "json", wide.encode())).to_dicts()
    assert row["detail"].endswith("; 1 more fault")
