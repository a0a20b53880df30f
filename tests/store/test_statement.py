"""Where a statement ends and its data begins."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.store.engine.statement import Statement, split_statement


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"SELECT 1", Statement(b"SELECT 1")),
        (b"SELECT 1 FORMAT JSON", Statement(b"SELECT 1 FORMAT JSON", output_format="JSON")),
        (b"SELECT 1 format CSV\n;", Statement(b"SELECT 1 format CSV\n;", output_format="CSV")),
        (b"SELECT 1 FORMAT CSV SETTINGS a=1", Statement(b"SELECT 1 FORMAT CSV SETTINGS a=1", output_format="CSV")),
        (b"SELECT 'FORMAT JSON'", Statement(b"SELECT 'FORMAT JSON'")),
        (b"INSERT INTO t FORMAT Native\n\x00\n", Statement(b"INSERT INTO t ", insert_format="Native", data=b"\x00\n")),
        (b"insert into t (a) format CSV 1,2", Statement(b"insert into t (a) ", insert_format="CSV", data=b"1,2")),
        (b"/* x */INSERT INTO t FORMAT CSV;\r\n1", Statement(b"/* x */INSERT INTO t ", insert_format="CSV", data=b"1")),
        (
            b"INSERT INTO t (`FORMAT x`, b) SETTINGS a = 'FORMAT y' FORMAT TSV\n\n1",
            Statement(
                b"INSERT INTO t (`FORMAT x`, b) ",
                settings=b"SETTINGS a = 'FORMAT y' ",
                insert_format="TSV",
                data=b"\n1",
            ),
        ),
        (
            b"INSERT INTO settings.format (settings) FORMAT CSV\n1",
            Statement(b"INSERT INTO settings.format (settings) ", insert_format="CSV", data=b"1"),
        ),
        (b"INSERT INTO t FORMAT Native", Statement(b"INSERT INTO t ", insert_format="Native")),
        (
            b"INSERT INTO format (x) FORMAT CSV\n1",
            Statement(b"INSERT INTO format (x) ", insert_format="CSV", data=b"1"),
        ),
        (b"INSERT INTO t VALUES (1, 'FORMAT x y')", Statement(b"INSERT INTO t VALUES (1, 'FORMAT x y')")),
        (b"INSERT INTO t SELECT 1", Statement(b"INSERT INTO t SELECT 1")),
        (b"INSERT INTO t SELECT input FROM s", Statement(b"INSERT INTO t SELECT input FROM s")),
        (
            b"INSERT INTO t (a) SETTINGS b = 1 SELECT * FROM input('a Int8') WHERE a > 1 FORMAT CSV\n7",
            Statement(
                b"INSERT INTO t (a) SETTINGS b = 1 SELECT * FROM input('a Int8') WHERE a > 1 ",
                insert_format="CSV",
                data=b"7",
                input_span=(47, 53),
            ),
        ),
        (
            b"INSERT INTO t WITH 1 AS b SELECT a + b FROM (SELECT a FROM Input ('a Int8')) FORMAT Native\n\x00",
            Statement(
                b"INSERT INTO t WITH 1 AS b SELECT a + b FROM (SELECT a FROM Input ('a Int8')) ",
                insert_format="Native",
                data=b"\x00",
                input_span=(59, 66),
            ),
        ),
    ],
)
def test_statement_is_split_from_its_data(source: bytes, expected: Statement) -> None:
    assert split_statement(source) == expected


@given(st.binary(max_size=200))
def test_data_is_never_touched(data: bytes) -> None:
    assert split_statement(b"INSERT INTO t (k) FORMAT RowBinary\n" + data).data == data


@given(st.text(alphabet="INSERTOFMAT '\"`\\/*-#()\n;x", max_size=80))
def test_any_text_is_taken(text: str) -> None:
    split_statement(text.encode())
    split_statement(b"INSERT INTO t " + text.encode())


@pytest.mark.parametrize("piece", [b"/*", b"'", b'\\"', b"`", b"'\\", b"--", b"(", b"FORMAT ", b" "])
def test_time_grows_with_length_only(piece: bytes) -> None:
    started = time.process_time()
    split_statement(b"INSERT INTO t " + piece * 100_000)
    assert time.process_time() - started < 2
