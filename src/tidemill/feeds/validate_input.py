"""Validates [input] and the members of records beyond their types: formats and types must be known, and members have
either paths (JSON and plug-ins) or bytes in a layout (binary), never both."""

import math
import re
from collections.abc import Iterator
from typing import Final

from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Csv, Feed, Registers
from tidemill.feeds.formats import JSON_FORMATS, LAYOUT_FORMATS, OPEN_FORMATS, TABLE_FORMATS, known_formats
from tidemill.feeds.key_lines import Key
from tidemill.feeds.members import Field, Tag
from tidemill.feeds.packed import ARRAY, NUMBER_TYPES
from tidemill.feeds.validate_layout import layout_faults, record_members
from tidemill.feeds.validate_values import PLAIN_TYPES

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SIZE: Final = "record_bytes, the size of a record in bytes"


def input_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of a feed's formats, types, paths, layout and scales."""
    yield from _format_faults(feed)
    yield from _open_faults(feed)
    yield from _fixed_tag_faults(feed)
    for name, field in feed.fields.items():
        yield from _field_faults(("fields", name), field)
    if feed.input.layout is None:
        yield from _json_member_faults(feed)
    else:
        yield from layout_faults(feed)


def _format_faults(feed: Feed) -> Iterator[DefinitionFault]:
    given, key = feed.input.formats, ("input", "formats")
    if not given:
        yield DefinitionFault(key, "empty", "name at least one format")
    unknown = [name for name in given if name not in known_formats()]
    for name in unknown:
        yield DefinitionFault(
            key, "unknown_format", f"unknown format '{name[:60]}'{did_you_mean(name, known_formats())}"
        )
    layouts = [name for name in given if name in LAYOUT_FORMATS]
    if layouts and len(given) > 1:
        yield DefinitionFault(key, "conflict", f"'{layouts[0]}' stands alone: its payloads cannot be told from others")
    if layouts and feed.input.layout is None:
        yield DefinitionFault(("input", "layout"), "missing", f"'{layouts[0]}' needs [input.layout] with {_SIZE}")
    if feed.input.layout is not None and not layouts and not unknown:
        message = f"a layout is for the formats {', '.join(LAYOUT_FORMATS)}; leave it out"
        yield DefinitionFault(("input", "layout"), "conflict", message)
    if feed.input.records != "$" and any(name not in JSON_FORMATS for name in given):
        yield DefinitionFault(("input", "records"), "conflict", "'records' is for JSON documents; leave it out")


def _open_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of an open feed, whose records bring names, tags and fields; and of formats that only such feeds take."""
    if not feed.input.open:
        if "line_protocol" in feed.input.formats:
            message = "'line_protocol' is for open feeds: set [input] open = true"
            yield DefinitionFault(("input", "formats"), "conflict", message)
        if feed.input.csv != Csv() and "csv" not in feed.input.formats:
            yield DefinitionFault(("input", "csv"), "conflict", "this is for the format csv; leave it out")
        if feed.input.csv.separator == feed.input.csv.decimal:
            message = "a decimal comma needs another separator, such as ;"
            yield DefinitionFault(("input", "csv", "separator"), "conflict", message)
        if feed.input.columns is not None and set(feed.input.formats) & set(TABLE_FORMATS):
            yield DefinitionFault(("input", "columns"), "conflict", "'columns' is for JSON documents; leave it out")
        return
    for name in feed.input.formats:
        if name not in OPEN_FORMATS:
            message = f"an open feed takes {', '.join(OPEN_FORMATS)}, not '{name[:60]}'"
            yield DefinitionFault(("input", "formats"), "conflict", message)
    for table, given in (("tags", feed.tags), ("attributes", feed.attributes), ("labels", feed.labels)):
        if given:
            yield DefinitionFault((table,), "conflict", "records of an open feed bring their own; leave this out")
    if feed.registers != Registers():
        message = "an open feed has [registers] without options: every field of a record is one"
        yield DefinitionFault(("registers",), "conflict", message)
    for option, value in (
        ("on_fault", "reject"),
        ("records", "$"),
        ("columns", None),
        ("layout", None),
        ("csv", Csv()),
    ):
        if getattr(feed.input, option) != value:
            message = f"an open feed has {option} = {value!r}" if option == "on_fault" else "leave this out"
            yield DefinitionFault(("input", option), "conflict", message)
    if feed.shape.kind != "points" or feed.source is not None:
        table = "shape" if feed.source is None else "source"
        yield DefinitionFault((table,), "conflict", "an open feed has none; leave this out")
    if feed.time.formats != ("rfc3339",) or feed.time.zoned or feed.time.steps or feed.time.shift is not None:
        message = "the times of an open feed are instants: [time] has path = '$.time', format = 'rfc3339' and no more"
        yield DefinitionFault(("time",), "conflict", message)


def _fixed_tag_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of tags with a `value`: they are in no record, so nothing may say where in a record they are."""
    for name, tag in feed.tags.items():
        if tag.value is None:
            continue
        if not tag.value:
            yield DefinitionFault(
                ("tags", name, "value"), "empty", "a tag is a text; leave the tag out, or write its value"
            )
        elif control := _CONTROL.search(tag.value):
            message = f"holds the control character U+{ord(control[0]):04X}, which no tag of a record may hold"
            yield DefinitionFault(("tags", name, "value"), "control_character", message)
        elif len(tag.value) > tag.max_length and "{" not in tag.value:
            message = f"has {len(tag.value)} characters, at most {tag.max_length} are allowed"
            yield DefinitionFault(("tags", name, "value"), "too_long", message)
        for other, default in (("path", None), ("at", None), ("length", None), ("in_", "record"), ("type", "text")):
            if getattr(tag, other) != default:
                message = "a tag with a value stands in no record; leave this out"
                yield DefinitionFault(("tags", name, other.rstrip("_")), "conflict", message)


def _field_faults(key: Key, field: Field) -> Iterator[DefinitionFault]:
    kind = field.packed
    if kind is None and field.type not in PLAIN_TYPES:
        known = (*PLAIN_TYPES, *NUMBER_TYPES, *(name + ARRAY for name in NUMBER_TYPES))
        message = f"unknown type '{field.type[:60]}'{did_you_mean(field.type, known)}"
        yield DefinitionFault((*key, "type"), "unknown_type", message)
    if kind is None and field.encoding != "auto":
        yield DefinitionFault((*key, "encoding"), "conflict", "an encoding is for packed types such as int16_le")
    if not math.isfinite(field.scale) or field.scale == 0:
        yield DefinitionFault((*key, "scale"), "out_of_range", "the scale is a finite number other than 0")
    if not math.isfinite(field.offset):
        yield DefinitionFault((*key, "offset"), "out_of_range", "the offset is a finite number")


def _json_member_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of members of JSON records: each needs a path, and nothing that is for layouts."""
    if any(name in LAYOUT_FORMATS for name in feed.input.formats):
        return  # the layout is missing: `_format_faults` yields that fault
    for key, member in record_members(feed):
        if isinstance(member, Tag) and member.value is not None:
            continue
        if member.at is not None and not isinstance(member, Field):
            yield DefinitionFault(
                (*key, "at"), "conflict", "'at' is for binary records with an [input.layout]; give a path"
            )
        elif member.path is None:
            yield DefinitionFault((*key, "path"), "missing", "'path' is missing")
        if member.length is not None:
            yield DefinitionFault((*key, "length"), "conflict", "'length' is for binary records with an [input.layout]")
        if not isinstance(member, Field) and member.type not in ("text", "integer"):
            message = "in JSON the type is text or integer; other types are for binary records"
            yield DefinitionFault((*key, "type"), "conflict", message)
    for name in ("at", "type"):
        if getattr(feed.time, name) is not None:
            yield DefinitionFault(("time", name), "conflict", f"'{name}' is for binary records with an [input.layout]")
