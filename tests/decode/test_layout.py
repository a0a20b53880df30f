"""Binary records of a fixed layout: round trips of random layouts, sizes, faults, what the ledger keeps."""

import base64
import math
import struct
import time
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.support.payloads import RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.feeds.packed import NUMBER_TYPES

STATION = """
name = "station"

[input]
formats = ["{format}"]
on_fault = "{on_fault}"
layout = {{ record_bytes = 16, header_bytes = 6 }}

[time]
at = 0
type = "uint32_be"
format = "unix_s"

[tags]
site = {{ in = "header", at = 0, length = 4 }}
pump = {{ at = 4, type = "uint16_le" }}

[attributes]
quality = {{ at = 6, length = 2 }}
serial = {{ in = "header", at = 4, type = "hex", length = 2 }}

[fields]
level = {{ at = 8, type = "int16_be", scale = 0.1, offset = -5, max = 3000 }}
count = {{ at = 8, type = "int64_le" }}
"""
HEAD = b"N1\0\0\xab\xcd"


def station(format: str = "binary", on_fault: str = "refuse") -> Decoder:
    return Decoder(load_feed(STATION.format(format=format, on_fault=on_fault)))


def record(second: int = 1_700_000_000, pump: int = 7, quality: bytes = b"ok", rest: int = 5) -> bytes:
    return struct.pack(">I", second) + struct.pack("<H", pump) + quality.ljust(2, b"\0") + struct.pack("<q", rest)


def test_a_header_holds_for_each_record() -> None:
    body = HEAD + record() + record(second=1, pump=65535, quality=b"", rest=-1)
    batch = station().decode_batch([logged(4, body, "station", "binary")])
    assert batch.frame.select("seq", "idx", "received_ns", "wall_ns", "local").rows() == [
        (4, 0, RECEIVED_NS, 1_700_000_000 * 10**9, False),
        (4, 1, RECEIVED_NS, 10**9, False),
    ]
    assert batch.frame.select("a.quality", "a.serial", "f.level", "f.count").rows() == [
        ("ok", "abcd", 0x0500 * 0.1 - 5, 5.0),
        (None, "abcd", -1 * 0.1 - 5, -1.0),
    ]
    tags = [{one["key"]: one["value"] for one in row} for row in batch.identities["tags"].to_list()]
    assert [tags[number] for number in batch.frame["identity"]] == [
        {"site": "N1", "pump": "7"},
        {"site": "N1", "pump": "65535"},
    ]
    assert batch.counts.rows() == [(4, 2)]


def test_every_fault_of_a_record_is_named() -> None:
    good = HEAD + record()
    high = struct.pack(">h", 32_000) + b"\0" * 5 + b"\x40"
    bad = record(quality=b"\xff")[:8] + high
    faults = station().check_payload(good + bad + record(quality=b"a\n"), "binary", 0)
    assert [(fault.path, fault.code) for fault in faults] == [
        ("$[1].quality", "invalid_utf8"),
        ("$[1].level", "out_of_range"),
        ("$[1].count", "not_exact"),
        ("$[2].quality", "control_character"),
    ]
    assert faults[1].message == "3195.0 is above 3000"


def test_a_fault_of_the_header_is_one_of_each_record() -> None:
    body = b"\0\0\0\0\0\0" + record() * 2
    assert [(f.path, f.code) for f in station().check_payload(body, "binary", 0)] == [
        ("$[0].site", "empty"),
        ("$[1].site", "empty"),
    ]
    batch = station().decode_batch(
        [logged(1, body, "station", "binary"), logged(2, HEAD + record(), "station", "binary")]
    )
    assert batch.frame["seq"].to_list() == [2]
    assert batch.rejections.select("seq", "idx", "reasons").rows() == [(1, 0, ["empty"]), (1, 1, ["empty"])]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "empty_body", "there is nothing here; send records"),
        (
            b"abc",
            "wrong_size",
            "has 3 bytes, which is not a header of 6 and whole records of 16: it ends within the header",
        ),
        (
            HEAD + b"x" * 37,
            "wrong_size",
            "has 43 bytes, which is not a header of 6 and whole records of 16: 5 bytes are over",
        ),
        (HEAD, "empty", "holds no record"),
        (b'{"level": 3}', "wrong_size", None),
    ],
)
def test_a_payload_of_another_size_is_refused_with_a_sentence(body: bytes, code: str, message: str | None) -> None:
    [fault] = station().check_payload(body, "binary", 0)
    assert (fault.path, fault.code) == ("$", code)
    assert message is None or fault.message == message
    batch = station().decode_batch(
        [logged(1, body, "station", "binary"), logged(2, HEAD + record(), "station", "binary")]
    )
    assert batch.rejections.select("seq", "reasons").rows() == [(1, [code])]
    assert (batch.counts.rows(), batch.frame["seq"].to_list()) == ([(1, 1), (2, 1)], [2])


def test_a_source_may_have_nothing_but_a_header() -> None:
    assert station(on_fault="reject").check_payload(HEAD, "binary", 0) == ()
    assert [fault.code for fault in station(on_fault="reject").check_payload(b"", "binary", 0)] == ["empty_body"]


def test_text_envelopes_hold_the_same() -> None:
    body = HEAD + record() * 3
    plain = station().decode_batch([logged(1, body, "station", "binary")]).frame
    text = base64.encodebytes(body)
    assert station("base64").check_payload(text, "base64", 0) == ()
    assert_frame_equal(station("base64").decode_batch([logged(1, text, "station", "base64")]).frame, plain)
    text = b" ".join(body.hex().upper().encode()[n : n + 2] for n in range(0, 2 * len(body), 2)) + b"\r\n"
    assert_frame_equal(station("hex").decode_batch([logged(1, text, "station", "hex")]).frame, plain)
    assert station("hex").record_texts(text, "hex").text(2) == record().hex()
    for format, bad in (("hex", b"abc"), ("hex", b"xy"), ("base64", b"abc"), ("base64", b"a-_="), ("base64", b"\xff")):
        assert [fault.code for fault in station(format).check_payload(bad, format, 0)] == ["undecodable"]
        assert station(format).record_texts(bad, format).text(0) == bad.decode("utf-8", "replace")


def test_the_ledger_gets_the_bytes_of_a_record_in_hexadecimal() -> None:
    body = HEAD + record(1) + record(2)
    assert station().record_texts(body, "binary").text(1) == record(2).hex()
    assert station().record_texts(b"abc", "binary").text(0) == "616263"
    assert station().record_texts(bytes(100_001), "binary").text(0) == "00" * 32_766 + "…"


def test_the_time_of_a_faulty_record_is_kept() -> None:
    body = HEAD + record(5, quality=b"\xff")
    stamps = station().decode_batch([logged(3, body, "station", "binary")]).stamps
    assert stamps is not None
    assert stamps.rows(named=True) == [
        {"seq": 3, "idx": 0, "received_ns": RECEIVED_NS, "wall_ns": 5 * 10**9, "local": 0}
    ]


@pytest.mark.parametrize(
    ("kind", "unit", "sent", "ns"),
    [
        ("int64_le", "unix_ns", struct.pack("<q", -1), -1),
        ("uint64_be", "unix_ms", struct.pack(">Q", 1_700_000_000_123), 1_700_000_000_123_000_000),
        ("float64_le", "unix_s", struct.pack("<d", 1_700_000_000.1), 1_700_000_000_100_000_000),
        ("int64_le", "unix_s", struct.pack("<q", -(2**62)), None),
        ("uint64_le", "unix_ns", b"\xff" * 8, None),
        ("float64_be", "unix_s", struct.pack(">d", 1e300), None),
        ("float64_be", "unix_s", struct.pack(">d", math.nan), None),
    ],
)
def test_times_of_every_type_are_exact(kind: str, unit: str, sent: bytes, ns: int | None) -> None:
    feed = 'name = "t"\ninput = { formats = ["binary"], layout.record_bytes = 9 }\nfields.v = { at = 8, type = "int8" }'
    decoder = Decoder(load_feed(f'{feed}\ntime = {{ at = 0, type = "{kind}", format = "{unit}" }}\n'))
    batch = decoder.decode_batch([logged(1, sent + b"\1", "t", "binary")])
    assert batch.frame["wall_ns"].to_list() == ([] if ns is None else [ns])
    expected = ["not_finite"] if sent == struct.pack(">d", math.nan) else ["time_out_of_range"]
    assert batch.rejections["reasons"].to_list() == ([expected] if ns is None else [])
    assert [fault.code for fault in decoder.check_payload(sent + b"\1", "binary", 0)] == (
        [] if ns is not None else expected
    )


def test_the_time_of_receipt_stands_in() -> None:
    feed = 'name = "t"\ninput = { formats = ["binary"], layout.record_bytes = 2 }\ntime.format = "received"\n'
    decoder = Decoder(
        load_feed(feed + '[fields.wave]\nat = 0\ntype = "int8[]"\nlength = 2\n[shape]\nkind = "summary"\n')
    )
    frame = decoder.decode_batch([logged(1, b"\1\2\3\xff", "t", "binary")]).frame
    assert (frame["wall_ns"].to_list(), frame["f.wave"].to_list()) == ([RECEIVED_NS] * 2, [[1.0, 2.0], [3.0, -1.0]])


SIGNED = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "float32": "f", "float64": "d"}
LETTERS = SIGNED | {f"u{name}": letter.upper() for name, letter in SIGNED.items() if name[0] == "i"}


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, list[tuple[str, int, str]], int]:
    """A feed with fields of random types with gaps between them, what `struct` calls each, and a record's size."""
    at, text, parts = 4, "", []
    for n, kind in enumerate(draw(st.lists(st.sampled_from(sorted(NUMBER_TYPES)), min_size=1, max_size=6))):
        at += draw(st.integers(0, 3))
        letter = (">" if kind.endswith("be") else "<") + LETTERS[kind.split("_")[0]]
        parts.append((f"f{n}", at, letter))
        text += f'f{n} = {{ at = {at}, type = "{kind}" }}\n'
        at += struct.calcsize(letter)
    size = at + draw(st.integers(0, 3))
    head = f'name = "r"\ninput = {{ formats = ["binary"], layout.record_bytes = {size} }}\n'
    return f'{head}time = {{ at = 0, type = "uint32_le", format = "unix_s" }}\n[fields]\n{text}', parts, size


@settings(max_examples=60)
@given(st.data())
def test_random_layouts_read_what_struct_wrote(data: st.DataObject) -> None:
    text, parts, size = data.draw(layouts())
    decoder = Decoder(load_feed(text))
    seconds = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
    bodies, rows = [], []
    for second in seconds:
        raw = bytearray(data.draw(st.binary(min_size=size, max_size=size)))
        struct.pack_into("<I", raw, 0, second)
        bodies.append(bytes(raw))
        rows.append([struct.unpack_from(letter, raw, at)[0] for _, at, letter in parts])
    batch = decoder.decode_batch([logged(1, b"".join(bodies), "r", "binary")])
    good = [number for number, row in enumerate(rows) if all(math.isfinite(v) and int(float(v)) == int(v) for v in row)]
    assert batch.frame["idx"].to_list() == good
    assert batch.frame["wall_ns"].to_list() == [seconds[number] * 10**9 for number in good]
    for n, (name, _, _) in enumerate(parts):
        assert batch.frame[f"f.{name}"].to_list() == [float(rows[number][n]) for number in good]
    assert sorted(batch.rejections["idx"].to_list()) == sorted(set(range(len(rows))) - set(good))


TEXTS = """
name = "texts"
input = { formats = ["binary"], layout.record_bytes = 32 }
time.format = "received"
tags.long = { at = 0, length = 20, max_length = 12, required = false }
tags.number = { at = 20, type = "int16_be" }
tags.id = { at = 22, type = "hex", length = 9 }
fields.v = { at = 31, type = "uint8" }
"""


@given(st.lists(st.tuples(st.text(max_size=14), st.integers(-3, 3), st.binary(min_size=9, max_size=9)), min_size=1))
def test_texts_numbers_and_digits_are_tags(rows: list[tuple[str, int, bytes]]) -> None:
    raws = [text.encode()[:20].ljust(20, b"\0") + struct.pack(">h", n) + octets + b"\1" for text, n, octets in rows]
    batch = Decoder(load_feed(TEXTS)).decode_batch([logged(1, b"".join(raws), "texts", "binary")])
    tags = [{one["key"]: one["value"] for one in row} for row in batch.identities["tags"].to_list()]
    found = {index: tags[number] for index, number in batch.frame.select("idx", "identity").iter_rows()}
    for index, (raw, (_, n, octets)) in enumerate(zip(raws, rows, strict=True)):
        expected = {"number": str(n), "id": octets.hex()}
        try:
            text = raw[:20].rstrip(b"\0").decode()
        except UnicodeDecodeError:
            text = None
        if text is None or len(text) > 12 or any(letter < " " or letter == "\x7f" for letter in text):
            assert index not in found
        else:
            assert found[index] == expected | ({"long": text} if text else {})
    assert len(tags) == len({str(sorted(one.items())) for one in tags})


payloads = st.lists(
    st.binary(max_size=60)
    | st.lists(st.builds(record, st.integers(0, 9), st.integers(0, 3), st.binary(max_size=2))).map(
        lambda records: HEAD + b"".join(records)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60)
@given(payloads, st.lists(st.integers(0, 8), max_size=3), st.sampled_from(["binary", "base64", "hex"]))
def test_random_bytes_never_raise_and_a_batch_may_be_split(bodies: list[bytes], at: list[int], format: str) -> None:
    decoder = station(format)
    sent = [logged(seq, body, "station", format) for seq, body in enumerate(bodies)]
    cuts = sorted(min(cut, len(sent)) for cut in at)
    whole = decoder.decode_batch(sent)
    split = [decoder.decode_batch(sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    tagged = [keyed(batch.frame, batch.identities) for batch in [whole, *split]]
    assert_frame_equal(tagged[0].sort("seq", "idx"), pl.concat(tagged[1:]).sort("seq", "idx"))
    for name in ("rejections", "counts", "stamps"):
        joined = pl.concat([getattr(batch, name) for batch in split])
        assert_frame_equal(getattr(whole, name), joined, check_row_order=False)
    assert whole.counts["records"].sum() == len(whole.frame) + len(whole.rejections)
    refused = set(whole.rejections["seq"])
    assert [bool(decoder.check_payload(body, format, 0)) for body in bodies] == [
        seq in refused for seq in range(len(bodies))
    ]
    assert all(decoder.record_texts(body, format).text(0) is not None for body in bodies)


def keyed(frame: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    tags = identities["tags"].to_list()
    names = [str(tags[number]) for number in frame["identity"]]
    return frame.drop("identity").with_columns(pl.Series("tags", names, dtype=pl.String))


def test_a_million_records_are_read_in_well_under_a_second() -> None:
    records: Any = np.zeros(1_000_000, np.dtype([("s", ">u4"), ("p", "<u2"), ("q", "S2"), ("v", "<i8")]))
    records["s"], records["p"] = np.arange(1_000_000), np.arange(1_000_000) % 500
    payload = logged(1, HEAD + records.tobytes(), "station", "binary")
    decoder, started = station(), time.process_time()
    batch = decoder.decode_batch([payload])
    assert time.process_time() - started < 2  # 0.2 s on an idle machine
    assert (len(batch.frame), len(batch.identities)) == (1_000_000, 500)
