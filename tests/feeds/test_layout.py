"""What is said of formats, types, places and scales that do not fit."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

BINARY = """name = "b"
[input]
formats = ["binary"]
layout = { record_bytes = 12, header_bytes = 4 }
[time]
at = 0
type = "uint32_be"
format = "unix_s"
[tags.site]
at = 4
length = 4
[fields.level]
at = 8
type = "int16_le"
"""
JSON = """name = "j"
[time]
path = "$.at"
[fields.level]
path = "$.level"
"""


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(FeedDefinitionError) as raised:
        load_feed(text)
    return [(fault.path, fault.code) for fault in raised.value.faults]


def message(text: str) -> str:
    with pytest.raises(FeedDefinitionError) as raised:
        load_feed(text)
    return " ".join(fault.message for fault in raised.value.faults)


def test_a_layout_is_a_feed() -> None:
    feed = load_feed(BINARY)
    assert feed.fields["level"].packed is not None
    in_header = load_feed(BINARY.replace("[time]\n", '[time]\nin = "header"\n'))
    assert (feed.time.in_, in_header.time.in_) == ("record", "header")


@pytest.mark.parametrize(
    ("was", "now", "place", "code"),
    [
        ("at = 8", "at = 11", "13: fields.level.at", "out_of_range"),
        ("at = 8", "at = -1", "13: fields.level.at", "out_of_range"),
        ("at = 8", "path = '$.x'", "13: fields.level.path", "conflict"),
        ("at = 8", "", "12: fields.level.at", "missing"),
        ("at = 8", "in = 'header'\nat = 3", "14: fields.level.at", "out_of_range"),
        ("at = 8", "in = 'tail'\nat = 3", "13: fields.level.in", "wrong_type"),
        ("at = 8", "at = 8\nlength = 2", "14: fields.level.length", "conflict"),
        ("at = 8", "at = 8\nencoding = 'hex'", "14: fields.level.encoding", "conflict"),
        ("at = 8", "at = 8\nscale = 0", "14: fields.level.scale", "out_of_range"),
        ("at = 8", "at = 8\noffset = inf", "14: fields.level.offset", "out_of_range"),
        ("int16_le", "int16", "14: fields.level.type", "unknown_type"),
        ("int16_le", "number", "14: fields.level.type", "conflict"),
        ("int16_le", "int16_le[]", "12: fields.level.length", "missing"),
        ("int16_le", "int16_le[]", "14: fields.level.type", "conflict"),
        ("length = 4", "", "9: tags.site.length", "missing"),
        ("length = 4", "length = 0", "11: tags.site.length", "out_of_range"),
        ("length = 4", "length = 4\ntype = 'float32_le'", "12: tags.site.type", "unknown_type"),
        ("length = 4", "length = 4\ntype = 'uint16_le'", "11: tags.site.length", "conflict"),
        ("length = 4", "length = 4\ntype = 'hex'\nmax_length = 7", "13: tags.site.max_length", "conflict"),
        ('type = "uint32_be"', "", "5: time.type", "missing"),
        ('"uint32_be"', '"float32_be"', "7: time.type", "unknown_type"),
        ('format = "unix_s"', "", "5: time.format", "conflict"),
        ('format = "unix_s"', 'format = "received"', "6: time.at", "conflict"),
        ('format = "unix_s"', 'format = "unix_s"\nzone = "UTC"', "9: time.zone", "conflict"),
        ('"binary"]', '"json"]', "4: input.layout", "conflict"),
        ('"binary"]', '"binary", "json"]', "3: input.formats", "conflict"),
        ('"binary"]', '"binry"]', "3: input.formats", "unknown_format"),
        ("record_bytes = 12", "record_bytes = 0", "4: input.layout.record_bytes", "out_of_range"),
        ("header_bytes = 4", "header_bytes = -1", "4: input.layout.header_bytes", "out_of_range"),
        ("layout =", "records = '$.data'\nlayout =", "4: input.records", "conflict"),
        ("[tags.site]", "[labels]\npath = '$.x'\n[tags.site]", "9: labels", "conflict"),
    ],
)
def test_a_fault_of_a_layout_is_found_and_placed(was: str, now: str, place: str, code: str) -> None:
    assert was in BINARY
    assert (f"feed.toml:{place}", code) in faults(BINARY.replace(was, now))


@pytest.mark.parametrize(
    ("added", "place", "code"),
    [
        ("at = 3", "6: fields.level.at", "conflict"),
        ("length = 3", "6: fields.level.length", "conflict"),
        ("encoding = 'hex'", "6: fields.level.encoding", "conflict"),
        ("scale = nan", "6: fields.level.scale", "out_of_range"),
        ("type = 'uint8[]'", "6: fields.level.type", "conflict"),
        ("[tags.x]\npath = '$.x'\ntype = 'hex'", "8: tags.x.type", "conflict"),
        ("[input]\nformats = ['hex']", "6: input.layout", "missing"),
        ("[input]\nformats = []", "7: input.formats", "empty"),
    ],
)
def test_a_fault_of_a_member_is_found_and_placed(added: str, place: str, code: str) -> None:
    assert (f"feed.toml:{place}", code) in faults(f"{JSON}{added}\n")


def test_hints_name_the_type_and_the_format_that_were_meant() -> None:
    assert "did you mean 'int16_le'?" in message(BINARY.replace("int16_le", "int16le"))
    assert "did you mean 'binary'?" in message(BINARY.replace('"binary"', '"binry"'))
    assert "ends at byte 13, but a record has 12" in message(BINARY.replace("at = 8", "at = 11"))
