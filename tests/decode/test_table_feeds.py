"""CSV, Arrow and Parquet of feeds whose definition says what their members are: a row is what the same JSON is."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.model.payload import LogEntry, Payload

TEXT = """
name = "pumps"
[input]
formats = ["json", "csv", "arrow", "parquet"]
on_fault = "reject"
[time]
path = "$.time"
format = ["iso8601", "unix_s"]
[tags.pump]
path = "$.pump"
[attributes.note]
path = "$.note"
required = false
[fields.pressure]
path = "$.pressure"
[fields.open]
path = "$.open"
type = "boolean"
required = false
"""
FEED = load_feed(TEXT)
WIDE = load_feed(
    'name = "wide"\n[input]\nformats = ["csv"]\n[input.csv]\nseparator = ";"\ndecimal = ","\n[time]\npath = "$.time"\n'
    '[registers]\nexcept_keys = ["time"]\n'
)


def decoded(feed: Any, body: bytes, format: str) -> Batch:
    return Decoder(feed).decode_batch([LogEntry(1, Payload("r", "t", feed.name, 1, 10**18, format, body, b""))])


def same(one: Batch, other: Batch) -> None:
    assert one.frame.sort("idx").equals(other.frame.sort("idx"))
    assert one.identities.equals(other.identities)
    assert one.rejections.sort("idx").drop("detail").equals(other.rejections.sort("idx").drop("detail"))
    assert one.counts.equals(other.counts)


def test_a_row_of_csv_is_a_record() -> None:
    body = b'time,pump,pressure,open,note\n2026-01-31T12:00:00Z,007,1.50,true,"a ""b"", c"\n1769860801,p2,2,,\n'
    records = [
        {"time": "2026-01-31T12:00:00Z", "pump": "007", "pressure": 1.5, "open": True, "note": 'a "b", c'},
        {"time": 1769860801, "pump": "p2", "pressure": 2},
    ]
    same(decoded(FEED, body, "csv"), decoded(FEED, json.dumps(records).encode(), "json"))


def test_a_row_at_fault_is_one_record() -> None:
    body = b"time,pump,pressure\n2026-01-31T12:00:00Z,p1,1.5\n2026-01-31T12:00:01Z,p1\n2026-01-31T12:00:02Z,p1,high\n"
    batch = decoded(FEED, body, "csv")
    assert batch.rejections.sort("idx")["reasons"].to_list() == [["wrong_type"], ["wrong_type"]]
    assert batch.rejections["detail"].str.contains("pressure").sum() == 1
    assert len(batch.frame) == 1
    assert (
        Decoder(FEED).record_texts(body, "csv").text(2)
        == '{"time":"2026-01-31T12:00:02Z","pump":"p1","pressure":"high"}'
    )


def test_thousands_of_meters_are_columns_side_by_side() -> None:
    names = [f"m{n}" for n in range(3000)]
    rows = "".join(f"2026-01-31T12:00:0{n}Z;" + ";".join(f"{n},{k % 10}" for k in range(3000)) + "\n" for n in range(3))
    batch = decoded(WIDE, ("time;" + ";".join(names) + "\n" + rows).encode(), "csv")
    assert batch.rejections.is_empty()
    assert batch.registers is not None
    assert len(batch.registers) == 9000
    assert batch.registers.filter(pl.col("field") == "m7")["value"].to_list() == [0.7, 1.7, 2.7]


@pytest.mark.parametrize(
    ("head", "word"),
    [(b"n" * 5000, "characters"), (b",".join(b"%d" % n + b"n" * 1000 for n in range(200)), "repeats")],
    ids=["a long name", "many names"],
)
def test_names_are_not_repeated_into_gigabytes(head: bytes, word: str) -> None:
    body = b"time," + head + b"\n" + (b"1," * (head.count(b",") + 1) + b"1\n") * 2000
    rejections = decoded(FEED, body, "csv").rejections
    assert rejections["reasons"].to_list() == [["undecodable"]]
    assert word in rejections["detail"][0]


def test_columns_may_be_declared() -> None:
    feed = load_feed(TEXT + '[input.csv]\ncolumns = ["time", "pump", "pressure"]\n')
    batch = decoded(feed, b"1769860800,p1,5\n1769860801,p1,6\n", "csv")
    assert batch.frame.sort("idx")["f.pressure"].to_list() == [5.0, 6.0]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=5),
            st.one_of(st.none(), st.floats(width=64), st.integers(-(1 << 60), 1 << 60)),
        ),
        max_size=8,
    )
)
def test_a_file_holds_what_the_same_json_holds(rows: list[tuple[str, Any]]) -> None:
    """Texts of any characters, numbers, nulls and NaN: Arrow and Parquet rows decode as JSON records do."""
    at = datetime(2026, 1, 31, tzinfo=UTC)
    numbers = [None if value is None else float(value) for _, value in rows]
    table = pl.DataFrame(
        {"time": [at] * len(rows), "pump": [text for text, _ in rows], "pressure": numbers},
        schema={"time": pl.Datetime("us", "UTC"), "pump": pl.String, "pressure": pl.Float64},
    )
    records = [
        {"time": "2026-01-31T00:00:00Z", "pump": text, "pressure": number}
        for (text, _), number in zip(rows, numbers, strict=True)
    ]
    expected = decoded(
        FEED, json.dumps(records).replace("-Infinity", "NaN").replace("Infinity", "NaN").encode(), "json"
    )
    for format, write in (("arrow", table.write_ipc_stream), ("parquet", table.write_parquet)):
        file = io.BytesIO()
        write(file)
        same(decoded(FEED, file.getvalue(), format), expected)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ('formats = ["json", "line_protocol"]', "open"),
        ('formats = ["json"]\ncsv = { separator = ";" }', "csv"),
        ('formats = ["csv"]\ncsv = { decimal = "," }', "separator"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(change: str, word: str) -> None:
    with pytest.raises(FeedDefinitionError, match=word):
        load_feed(TEXT.replace('formats = ["json", "csv", "arrow", "parquet"]', change))
