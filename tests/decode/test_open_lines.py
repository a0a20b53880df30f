"""Line protocol of open feeds: what a line is, which faults name it, and that the fast and the exact reader agree."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.open.exact_lines import read_exactly
from tidemill.decode.open.line_protocol import SMALL
from tidemill.decode.open.records import OpenRecords
from tidemill.decode.open.regular_lines import read_regular
from tidemill.feeds.load import load_feed
from tidemill.feeds.open_feed import open_feed_text
from tidemill.model.payload import LogEntry, Payload
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import shape_points

FEED = load_feed(open_feed_text("points"))
DECODER = Decoder(FEED)
NOW = 1_800_000_000_000_000_000


def entry(body: bytes, format: str = "line_protocol", seq: int = 1) -> LogEntry:
    return LogEntry(seq, Payload("r", "t", "points", 1, NOW, format, body, b""))


def decoded(body: bytes, format: str = "line_protocol") -> Batch:
    return DECODER.decode_batch([entry(body, format)])


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    """(payload, index, tags, time, field, value) of every value, sorted."""
    tags = [tuple((pair["key"], pair["value"]) for pair in pairs) for pairs in batch.identities["tags"].to_list()]
    assert batch.registers is not None
    joined = batch.registers.join(batch.frame, on=["seq", "idx"])
    assert len(joined) == len(batch.registers)
    columns = joined.select("seq", "idx", "identity", "wall_ns", "field", "value").iter_rows()
    return sorted((seq, idx, tags[identity], wall, field, value) for seq, idx, identity, wall, field, value in columns)


def faults(batch: Batch) -> dict[int, tuple[str, ...]]:
    return {row["idx"]: tuple(row["reasons"]) for row in batch.rejections.iter_rows(named=True)}


def test_a_line_is_a_record_with_its_name_tags_fields_and_time() -> None:
    batch = decoded(b"cpu,host=a,region=eu usage=1.5,idle=2i,up=t 1700000000000000000\n")
    tags = (("_measurement", "cpu"), ("host", "a"), ("region", "eu"))
    assert rows(batch) == [
        (1, 0, tags, 1_700_000_000_000_000_000, "idle", 2.0),
        (1, 0, tags, 1_700_000_000_000_000_000, "up", 1.0),
        (1, 0, tags, 1_700_000_000_000_000_000, "usage", 1.5),
    ]


def test_escapes_quotes_and_comments_are_those_of_the_format() -> None:
    body = b'my\\ cpu,ho\\=st=a\\,b x\\ y=1,note="a, b=\\"c\\"\nsecond line" 5\n# a comment\n\n  m f=2u\n'
    batch = decoded(body)
    assert rows(batch) == [
        (1, 0, (("_measurement", "my cpu"), ("ho=st", "a,b")), 5, "x y", 1.0),
        (1, 4, (("_measurement", "m"),), NOW, "f", 2.0),
    ]
    assert batch.texts is not None
    assert batch.texts.row(0) == (1, 0, "note", 'a, b="c"\nsecond line')
    assert batch.counts["records"].to_list() == [2]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("bad", "invalid_line"),
        ("m,host= f=1", "invalid_line"),
        ("m,=a f=1", "invalid_line"),
        ("m,host f=1", "invalid_line"),
        ("m,,host=a f=1", "invalid_line"),
        (",host=a f=1", "missing"),
        ("m f=", "invalid_line"),
        ("m f", "invalid_line"),
        ('m f="open', "invalid_line"),
        ("m f=text", "not_a_number"),
        ("m f=1_000", "not_a_number"),
        ("m f=nan", "not_a_number"),
        ("m f=1e999", "not_finite"),
        ("m f=9223372036854775808i", "out_of_range"),
        ("m f=-1u", "out_of_range"),
        ("m f=1,f=2", "duplicate_key"),
        ("m,a=1,a=2 f=1", "duplicate_key"),
        ("m,_measurement=x f=1", "conflict"),
        ("m f=1 1.5", "time_invalid"),
        ("m f=1 yesterday", "time_invalid"),
        ("m f=1 -9223372036854775808", "time_out_of_range"),
        ('m f="only a text"', "missing"),
        ("m\x01 f=1", "control_character"),
        ("\x00m f=1", "control_character"),
        ("m,host=a\x0b f=1", "control_character"),
        ("m f=\t1", "not_a_number"),
        ("m f=" + "1" * 1025, "too_long"),
        ("m" * 1025 + " f=1", "too_long"),
        ("m," + ",".join(f"t{n}=a" for n in range(257)) + " f=1", "too_many_members"),
        ("m " + ",".join(f"f{n}=1" for n in range(4097)), "too_many_members"),
    ],
)
def test_a_line_at_fault_is_named_and_the_others_are_stored(line: str, code: str) -> None:
    batch = decoded(f"ok f=1 1\n{line}\nok f=2 2".encode())
    assert faults(batch) == {1: (code,)}
    assert batch.rejections["detail"][0].startswith("line 2: ")
    assert [row[-1] for row in rows(batch)] == [1.0, 2.0]
    check = DECODER.check_open(f"ok f=1 1\n{line}\nok f=2 2".encode(), "line_protocol")
    assert (check.records, check.rejected, [index for index, _ in check.faults]) == (3, 1, [1])


def test_bytes_that_are_not_utf8_are_a_fault_of_their_line() -> None:
    assert faults(decoded(b"ok f=1\nm,host=\xff f=1\n")) == {1: ("invalid_utf8",)}


def test_an_integer_that_no_double_holds_is_kept_as_the_nearest_and_marked() -> None:
    body = b"m f=9007199254740993i 1\n" * 200 + b"m f=9007199254740992i 1\n" * 200
    assert len(body) > SMALL
    batch = decoded(body)
    assert batch.marks is not None
    assert sorted(batch.marks["idx"].to_list()) == list(range(200))
    points = shape_points(FEED, "t", apply_rules(FEED, batch), batch).points
    assert points.filter(points["marks"].is_not_null()).height == 200


def test_a_precision_in_the_format_is_the_unit_of_times() -> None:
    assert rows(decoded(b"m f=1 1700000000", "line_protocol;precision=s"))[0][3] == 1_700_000_000_000_000_000


def test_regular_lines_are_read_as_columns() -> None:
    body = b"".join(b"cpu,host=h%d a=%d.5,b=%di %d\n" % (n % 7, n, n, n) for n in range(500))
    chunk = read_regular(body, None, 1)
    assert chunk is not None
    assert (len(chunk.tags), len(chunk.fields), len(chunk.indexes)) == (7, 2, 500)


NAMES = st.sampled_from(
    ["a", "b", "host", "x y", "ü", "k=v", "c,d", "a\x0b", "\ufeffa", 'q"t', "e\\f", "#h", "1", "time"]
)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64).map(repr),
    st.integers(-(1 << 64), 1 << 64).map(lambda n: f"{n}i"),
    st.sampled_from(
        ["1", "+1", "-1.5", ".5", "5.", "1e5", "1E-400", "1e400", "inf", "nan", "t", "False", "tr", "7u", "-7u"]
    ),
    st.sampled_from(
        [
            '"text"',
            '"a b"',
            '"x=1,y"',
            '"q\\"q"',
            "",
            " ",
            "0x1",
            "1 2",
            "1i2",
            "9007199254740993i",
            "\t1",
            "1\x0b",
            "1" * 1025,
        ]
    ),
)
TIMES = st.sampled_from(["", " 1", " 1700000000000000000", " -5", " x", " 99999999999999999999", "  3", " 1 ", " 01"])
PIECES = st.tuples(
    NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=2), st.lists(st.tuples(NAMES, NUMBERS), max_size=3), TIMES
)
ODD = st.sampled_from(["", "# comment", "m", "m f=1\r", "\tm f=1", "m  f=1", 'm f="a', "m,a=b,c f=1", " "])


def written(pieces: Any) -> str:
    name, tags, fields, time = pieces
    escaped = [f",{key.replace(' ', chr(92) + ' ')}={value.replace(' ', chr(92) + ' ')}" for key, value in tags]
    return f"{name}{''.join(escaped)} {','.join(f'{key}={value}' for key, value in fields)}{time}"


@given(st.lists(st.one_of(PIECES.map(written), ODD), min_size=1, max_size=6), st.integers(1, 40))
def test_the_fast_and_the_exact_reader_agree(lines: list[str], times: int) -> None:
    """Whatever lines: read as one payload, and one by one by the exact reader, the records and the faults are equal."""
    body = "\n".join(lines * times).encode()
    padded = body if len(body) > SMALL else body + b"\n" + b"\n".join([b"pad,host=a f=1.5 1"] * (SMALL // 18))
    fast = decoded(padded)
    exact = OpenRecords()
    payload = exact.payload(0)
    payload.count += read_exactly(padded.removeprefix(b"\xef\xbb\xbf"), 0, 1, payload)
    slow = exact.batch([entry(padded)], [payload.count])
    assert faults(fast) == faults(slow), lines
    assert rows(fast) == rows(slow)
    assert fast.counts.equals(slow.counts)
    assert (fast.marks is None) == (slow.marks is None)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_split_payloads_are_one_payload(sizes: list[int]) -> None:
    lines = [f"m,host=h{n % 3} f={n}.25,g={n}i {n}" for n in range(sum(sizes) + 1)]
    cuts = np.cumsum([1, *sizes]).tolist()
    parts = ["\n".join(lines[first:last]) for first, last in zip([0, *cuts[:-1]], cuts, strict=True)]
    whole = {row[2:] for row in rows(decoded("\n".join(lines).encode()))}
    entries = [entry(part.encode() or b"#", seq=number + 1) for number, part in enumerate(parts)]
    assert {row[2:] for row in rows(DECODER.decode_batch(entries))} == whole
