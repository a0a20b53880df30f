"""CSV, Arrow, Parquet and NDJSON of open feeds: the same records whatever the format, and what is refused."""

import csv
import io
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.test_open_lines import DECODER, decoded, faults, rows
from tidemill.decode.declared_size import arrow_size, parquet_size
from tidemill.decode.table_files import csv_table

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLE = pl.DataFrame(
    {
        "time": [START + timedelta(seconds=n) for n in range(3)],
        "name": ["cpu", "cpu", "mem"],
        "host": ["a", None, "b"],
        "usage": [1.5, None, 3.0],
        "cores": [4, 8, None],
    },
    schema_overrides={"time": pl.Datetime("us", "UTC")},
)
CSV = (
    "time,name,host,usage,cores\n2026-01-31T12:00:00Z,cpu,a,1.5,4\n"
    "2026-01-31T12:00:01Z,cpu,,,8\n2026-01-31T12:00:02Z,mem,b,3.0,\n"
)
NDJSON = """{"name":"cpu","tags":{"host":"a"},"fields":{"usage":1.5,"cores":4},"time":"2026-01-31T12:00:00Z"}
{"name":"cpu","fields":{"usage":null,"cores":8},"time":1769860801000000000}
{"name":"mem","tags":{"host":"b"},"fields":{"usage":3.0},"time":"2026-01-31T12:00:02Z"}
"""
LINES = """cpu,host=a usage=1.5,cores=4i 1769860800000000000
cpu cores=8i 1769860801000000000
mem,host=b usage=3.0 1769860802000000000
"""


def arrow(table: pl.DataFrame, **options: Any) -> bytes:
    stream = io.BytesIO()
    table.write_ipc_stream(stream, **options)
    return stream.getvalue()


def parquet(table: pl.DataFrame, **options: Any) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "body"),
    [
        ("csv;tags=host", CSV.encode()),
        ("csv;tags=host", ("\ufeff" + CSV.replace("\n", "\r\n")).encode()),
        ("csv;tags=host&separator=%3B&decimal=%2C", CSV.replace(",", ";").replace(".", ",").encode()),
        ("csv;tags=host", CSV.replace(",a,", ',"a",').encode()),
        ("arrow", arrow(TABLE)),
        ("arrow", arrow(TABLE, compression="zstd")),
        ("parquet", parquet(TABLE)),
        ("parquet", parquet(TABLE, compression="snappy")),
        ("ndjson", NDJSON.encode()),
        ("ndjson", ("[" + ",".join(NDJSON.splitlines()) + "]").encode()),
    ],
)
def test_every_format_makes_the_same_records(format: str, body: bytes) -> None:
    assert rows(decoded(body, format)) == rows(decoded(LINES.encode()))
    assert not faults(decoded(body, format))


def test_a_row_without_a_number_is_at_fault() -> None:
    assert faults(decoded(b"time,a,b\n1,,\n2,3,\n", "csv")) == {0: ("missing",)}
    nulls = pl.DataFrame({"time": [1, 2], "a": [None, 1.5]})
    assert faults(decoded(arrow(nulls), "arrow")) == faults(decoded(parquet(nulls), "parquet")) == {0: ("missing",)}


def test_a_column_may_have_any_name() -> None:
    batch = decoded(b"time,#,##,a\n1,x,,2\n", "csv;tags=%23%2C%23%23")
    assert rows(batch) == [(1, 0, (("#", "x"),), 1, "a", 2.0)]


def test_a_row_at_fault_is_named_and_the_others_are_stored() -> None:
    body = b"time,host,v\n1,a,1\n2,b,x\n3,c\n4,d,nan\nsoon,e,5\n\n7,f,7\n"
    batch = decoded(body, "csv;tags=host&precision=s")
    assert faults(batch) == {
        1: ("not_a_number",),
        2: ("unequal_length",),
        3: ("not_finite",),
        4: ("time_invalid",),
    }
    assert {row[3] // 10**9 for row in rows(batch)} == {1, 7}
    assert batch.counts["records"].to_list() == [6]
    assert {detail.partition(":")[0] for detail in batch.rejections["detail"]} == {
        "line 3",
        "line 4",
        "line 5",
        "line 6",
    }


@pytest.mark.parametrize(
    ("format", "body", "code", "word"),
    [
        ("csv", b"host,v\na,1\n", "missing", "time"),
        ("csv;tags=hosts", b"time,host,v\n1,a,1\n", "missing", "hosts"),
        ("csv", b"time\n1\n", "missing", "field"),
        ("csv", b"", "empty_body", "CSV"),
        ("csv;tags=host%2Chost", b"time,host,a\n1,x,2\n", "conflict", "twice"),
        ("csv;tags=name", b"time,name,a\n1,x,2\n", "conflict", "name"),
        ("csv", b"time,a,a\n1,2,3\n", "duplicate_key", "'a'"),
        ("csv", b'time,a\n1,"2\n3,4\n', "undecodable", "quote"),
        ("csv", ",".join(f"c{n}" for n in range(10_001)).encode() + b"\n1\n", "too_many_members", "columns"),
        ("csv", b"time,v\n1,\xff\n", "invalid_utf8", "utf-8"),
        ("arrow", b"\xff\xff\xff\xff\x10\x00", "undecodable", "cut off"),
        ("arrow", arrow(TABLE)[:-40], "undecodable", ""),
        ("parquet", parquet(TABLE)[:-10], "undecodable", "cut off"),
        ("parquet", b"PAR1" + b"\x00" * 40 + b"\x10\x00\x00\x00PAR1", "undecodable", "footer"),
        ("arrow", arrow(TABLE.with_columns(pl.col("time").dt.replace_time_zone(None))), "", "zone"),
        ("parquet", parquet(TABLE.with_columns(odd=pl.lit([1, 2]))), "wrong_type", "odd"),
        ("ndjson", b"[1,", "invalid_json", ""),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(format: str, body: bytes, code: str, word: str) -> None:
    check = DECODER.check_open(body, format)
    if code:
        assert [fault.code for fault in check.refused] == [code]
        assert word in check.refused[0].message
        assert faults(decoded(body, format)) == {0: (code,)}
    else:  # each row
        assert check.rejected == check.records == 3
        assert word in check.faults[0][1].message


def test_quotes_hide_separators_and_line_feeds_and_nothing_else() -> None:
    body = b'time,"host",v\n1,"a,\nb",1\n2,"c"\n\n3,"d,""e""","3"\n4,f"g",4\n'
    batch = decoded(body, "csv;tags=host&precision=s")
    assert [(row[1], row[2], row[5]) for row in rows(batch)] == [(3, (("host", 'd,"e"'),), 3.0)]
    assert faults(batch) == {0: ("control_character",), 1: ("unequal_length",), 4: ("unequal_length",)}
    texts = DECODER.record_texts(body, "csv")
    assert [texts.text(n) for n in range(5)] == ['1,"a,\nb",1', '2,"c"', "", '3,"d,""e""","3"', '4,f"g",4']


@given(st.lists(st.lists(st.sampled_from(["", "a", "a,b", "a\nb", 'a"b', '"', "\n", " "]), max_size=4), max_size=5))
def test_what_a_writer_of_csv_wrote_is_read(table: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["a", "b"], *table])
    read = csv_table(written.getvalue().encode(), ",", None)
    assert [list(row) for row in read.table.iter_rows()] == [
        [text or None for text in row] for row in table if len(row) == 2
    ]
    assert read.rows.tolist() == [number for number, row in enumerate(table) if len(row) == 2]
    assert [number for number, _ in read.ragged] == [n for n, row in enumerate(table) if row and len(row) != 2]


def test_a_small_file_that_unpacks_to_a_lot_is_refused_before_it_is_unpacked() -> None:
    zeros = pl.DataFrame(
        {
            "time": pl.int_range(1_000_000, eager=True),
            **{f"v{n}": pl.repeat(0, 1_000_000, eager=True) for n in range(40)},
        }
    )
    for format, body, size_of in (
        ("parquet", parquet(zeros, compression="zstd"), parquet_size),
        ("arrow", arrow(zeros, compression="zstd"), arrow_size),
    ):
        assert len(body) < 8 << 20
        assert size_of(body)[1] > 256 << 20
        assert [fault.code for fault in DECODER.check_open(body, format).refused] == ["too_long"]
    long = pl.DataFrame({"time": pl.int_range(1_100_000, eager=True), "v": pl.repeat(0.0, 1_100_000, eager=True)})
    assert [fault.code for fault in DECODER.check_open(parquet(long), "parquet").refused] == ["too_many_records"]


@pytest.mark.parametrize("cut", [1, 4, 5, 100, 700])
def test_broken_headers_never_raise(cut: int) -> None:
    for format, body in (("parquet", parquet(TABLE)), ("arrow", arrow(TABLE, compression="lz4"))):
        for at in range(0, len(body), 97):
            broken = body[:at] + struct.pack("<Q", 0xFFFFFFFFFFFFFFFF)[:4] + body[at + 4 :]
            DECODER.check_open(broken[: len(broken) - cut], format)
            DECODER.check_open(broken, format)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ("{}", "wrong_type"),
        ('{"fields":{}}', "missing"),
        ('{"fields":{"a":"x"}}', "missing"),
        ('{"fields":{"a":1},"tag":{}}', "wrong_type"),
        ('{"fields":{"a":1},"tags":{"_measurement":"x"}}', "conflict"),
        ('{"fields":{"a":1},"time":"2026-01-31T12:00:00"}', "time_invalid"),
        ('{"fields":{"a":1},"time":1e30}', "time_out_of_range"),
        ('{"fields":{"a":1},"time":1e300}', "time_out_of_range"),
        ('{"fields":{"a":1,"a":2}}', "duplicate_key"),
        ('{"fields":{"a":1},"fields":{"b":2}}', "duplicate_key"),
        ('{"fields":{"a":1,"\\u0061":2},"tags":{}}', "duplicate_key"),
        ('{"fields":{"a":1},"name":"' + "m" * 1025 + '"}', "too_long"),
        ('{"fields":{"a":NaN}}', "invalid_json"),
        ("{", "invalid_json"),
    ],
)
def test_a_json_record_at_fault_is_named(record: str, code: str) -> None:
    batch = decoded(f'{{"fields":{{"a":1}}}}\n{record}\n'.encode(), "ndjson")
    assert faults(batch) == {1: (code,)}
    assert len(rows(batch)) == 1


def test_a_row_of_a_file_is_shown_as_json_and_a_line_as_it_came() -> None:
    assert DECODER.record_texts(parquet(TABLE), "parquet").text(2).startswith('{"time":"2026-01-31T12:00:02')
    assert DECODER.record_texts(CSV.encode(), "csv;tags=host").text(1) == "2026-01-31T12:00:01Z,cpu,,,8"
    blank = DECODER.record_texts(b"\n\n" + NDJSON.encode(), "ndjson")
    assert (blank.text(0), blank.text(2)) == ("", NDJSON.splitlines()[0])
    assert rows(decoded(b"\n\n" + NDJSON.encode(), "ndjson"))[0][1] == 2
    span = DECODER.record_spans(LINES.encode(), "line_protocol").span(1)
    assert span is not None
    assert LINES.encode()[span.start : span.end] == b"cpu cores=8i 1769860801000000000"
