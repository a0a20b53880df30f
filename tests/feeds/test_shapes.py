"""What a definition may say of columns, steps and records that name their field; each fault is named with its line."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

PLANT = """\
name = "plant"
input = { INPUT }
time = { path = "$.at", TIME }
fields.v.path = "$.v"
"""
PACKED = """\
name = "plant"
input = { formats = ["hex"], layout = { header_bytes = 16, record_bytes = 2 } }
time = { at = 0, type = "uint32_be", format = "unix_s", TIME }
fields.v = { at = 0, type = "int16_be" }
"""
LONG = 'name = "plant"\ntime.path = "$.at"\nregisters = { REGISTERS }\n'


def faults(text: str) -> list[tuple[str, str]]:
    try:
        load_feed(text, source="f")
    except FeedDefinitionError as error:
        return sorted((fault.path.split(": ")[1], fault.code) for fault in error.faults)
    return []


def plant(source: str = "", time: str = "") -> list[tuple[str, str]]:
    return faults(PLANT.replace("INPUT", source).replace(", TIME", f", {time}" if time else ""))


def packed(time: str) -> list[tuple[str, str]]:
    return faults(PACKED.replace("TIME", time))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('columns = "$.hourly"', []),
        ('columns = "$"', []),
        ('columns = "$.hourly", records = "$.data"', [("input.columns", "conflict")]),
        ('columns = "hourly"', [("input.columns", "bad_path")]),
        ('columns = "$.hourly", formats = ["ndjson"]', [("input.columns", "conflict")]),
    ],
)
def test_columns_are_of_json_documents(source: str, expected: list[tuple[str, str]]) -> None:
    assert plant(source) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('step = "15m"', []),
        ('step = "1mo"', []),
        ('step = "0.1us"', []),
        ('step_path = "$.every"', []),
        ('step_path = "$.every", step_unit = "ms"', []),
        ('rate_path = "$.hz"', []),
        ('step = "0s"', [("time.step", "bad_duration")]),
        ('step = "0.1ns"', [("time.step", "bad_duration")]),
        ('step = "often"', [("time.step", "bad_duration")]),
        ('step = "15m", rate_path = "$.hz"', [("time.rate_path", "conflict")]),
        ('step = "15m", step_unit = "s"', [("time.step_unit", "conflict")]),
        ('step_path = "$.every", step_unit = "y"', [("time.step_unit", "wrong_type")]),
        ('rate_path = "$.v"', [("fields.v.path", "bad_path")]),
        ('step = "15m", fold = "by_order", offset = "optional", zone = "UTC"', [("time.fold", "conflict")]),
        ('step_at = 3, step_type = "uint16_be"', [("time.step_at", "conflict"), ("time.step_type", "conflict")]),
    ],
)
def test_one_way_says_the_step(time: str, expected: list[tuple[str, str]]) -> None:
    assert plant("", time) == expected


def test_the_time_of_receipt_takes_no_step() -> None:
    text = 'name = "f"\ntime = { format = "received", step = "1s" }\nfields.v.path = "$.v"\n'
    assert faults(text) == [("time.step", "conflict")]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('in = "header", step = "1s"', []),
        ('in = "header", rate_at = 12, rate_type = "float32_le"', []),
        ('in = "header", step_at = 12, step_type = "uint16_le", step_unit = "ms"', []),
        ('step = "1s"', [("time.at", "out_of_range"), ("time.in", "conflict")]),
        ('in = "header", rate_at = 13, rate_type = "float32_le"', [("time.rate_at", "out_of_range")]),
        ('in = "header", rate_at = -1, rate_type = "float32_le"', [("time.rate_at", "out_of_range")]),
        ('in = "header", rate_at = 4', [("time.rate_type", "missing")]),
        ('in = "header", rate_at = 4, rate_type = "float"', [("time.rate_type", "unknown_type")]),
        ('in = "header", rate_at = 4, rate_type = "int8[]"', [("time.rate_type", "unknown_type")]),
        ('in = "header", step_at = 4, step_type = "uint8"', [("time.step_unit", "missing")]),
        ('in = "header", rate_type = "uint8"', [("time.rate_type", "conflict")]),
        ('in = "header", rate_path = "$.hz"', [("time.rate_path", "conflict")]),
    ],
)
def test_a_binary_step_is_in_the_header(time: str, expected: list[tuple[str, str]]) -> None:
    assert packed(time) == expected


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        ('name_path = "$.channel", value_path = "$.value"', []),
        ('name_path = "$.channel"', [("registers.value_path", "missing")]),
        ('value_path = "$.value"', [("registers.name_path", "missing")]),
        ('name_path = "$.at", value_path = "$.value"', [("registers.name_path", "bad_path")]),
        ('name_path = "$.n", value_path = "$.v", except_keys = ["at"]', [("registers.except_keys", "conflict")]),
        ("", [("registers.except_keys", "conflict")]),
    ],
)
def test_a_record_has_a_name_and_a_value(registers: str, expected: list[tuple[str, str]]) -> None:
    assert faults(LONG.replace("REGISTERS", registers)) == expected
