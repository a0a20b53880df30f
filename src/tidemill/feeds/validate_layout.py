"""Validates [input.layout] and the members of binary records: types that bytes can have, bytes within the record."""

from collections.abc import Iterator
from typing import Any, Final

from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed
from tidemill.feeds.key_lines import Key
from tidemill.feeds.members import Field, Tag
from tidemill.feeds.packed import NUMBER_TYPES, packed_type
from tidemill.feeds.time_policy import UNIX
from tidemill.feeds.validate_values import PLAIN_TYPES

MAX_RECORD_BYTES: Final = 64 << 10
_TEXT_TYPES: Final = ("text", "hex")
_INTEGERS: Final = tuple(name for name in NUMBER_TYPES if not name.startswith("float"))
_TIMES: Final = (*_INTEGERS, "float64_le", "float64_be")


def record_members(feed: Feed) -> Iterator[tuple[Key, Any]]:
    """The keys and the definitions of a feed's tags, attributes and fields."""
    for table, members in (("tags", feed.tags), ("attributes", feed.attributes), ("fields", feed.fields)):
        for name, member in members.items():
            yield (table, name), member


def layout_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of an [input.layout] and of the members of its records."""
    layout = feed.input.layout
    assert layout is not None
    if not 1 <= layout.record_bytes <= MAX_RECORD_BYTES:
        yield DefinitionFault(
            ("input", "layout", "record_bytes"), "out_of_range", f"a record has 1 to {MAX_RECORD_BYTES} bytes"
        )
    if not 0 <= layout.header_bytes <= MAX_RECORD_BYTES:
        yield DefinitionFault(
            ("input", "layout", "header_bytes"), "out_of_range", f"a header has 0 to {MAX_RECORD_BYTES} bytes"
        )
    for table, given in (("registers", feed.registers), ("labels", feed.labels)):
        if given is not None:
            yield DefinitionFault((table,), "conflict", "binary records have none; leave this out")
    yield from _time_faults(feed)
    for key, member in record_members(feed):
        if isinstance(member, Tag) and member.value is not None:
            continue
        if isinstance(member, Field):
            yield from _binary_field_faults(feed, key, member)
        else:
            yield from _binary_text_faults(feed, key, member)


def _time_faults(feed: Feed) -> Iterator[DefinitionFault]:
    time = feed.time
    if time.received:
        for name in ("at", "type"):
            if getattr(time, name) is not None:
                yield DefinitionFault(("time", name), "conflict", "format 'received' takes no place in a record")
        return
    if len(time.formats) != 1 or time.formats[0] not in UNIX:
        message = "the time of a binary record is a number: unix_s, unix_ms, unix_us or unix_ns"
        yield DefinitionFault(("time", "format"), "conflict", message)
    kind = packed_type(time.type or "")
    if time.type is None:
        yield DefinitionFault(("time", "type"), "missing", f"say what the time is: one of {', '.join(_TIMES)}")
    elif time.type not in _TIMES:
        message = f"'{time.type[:60]}' is no type of a time{did_you_mean(time.type, _TIMES)}"
        yield DefinitionFault(("time", "type"), "unknown_type", message)
    yield from _extent_faults(feed, ("time",), time, kind.size if kind else 1)


def _binary_field_faults(feed: Feed, key: Key, field: Field) -> Iterator[DefinitionFault]:
    kind = field.packed
    if kind is None:
        if field.type in PLAIN_TYPES:
            message = "a number of a binary record has a packed type, such as int16_le or float32_be"
            yield DefinitionFault((*key, "type"), "conflict", message)
        return
    if field.encoding != "auto":
        yield DefinitionFault((*key, "encoding"), "conflict", "binary records are bytes; an encoding is for JSON")
    yield from _length_faults(key, field.length, wanted=kind.array, what=f"how many numbers there are ({field.type})")
    yield from _extent_faults(feed, key, field, kind.size * ((field.length or 1) if kind.array else 1))


def _binary_text_faults(feed: Feed, key: Key, member: Any) -> Iterator[DefinitionFault]:
    if member.type not in _TEXT_TYPES and member.type not in _INTEGERS:
        message = f"'{member.type[:60]}' is no type of a text{did_you_mean(member.type, (*_TEXT_TYPES, *_INTEGERS))}"
        yield DefinitionFault((*key, "type"), "unknown_type", message)
        return
    of_bytes = member.type in _TEXT_TYPES
    yield from _length_faults(key, member.length, wanted=of_bytes, what=f"how many bytes there are ({member.type})")
    if member.type == "hex" and member.length is not None and 2 * member.length > member.max_length:
        message = f"{member.length} bytes are {2 * member.length} digits, more than max_length allows"
        yield DefinitionFault((*key, "max_length"), "conflict", message)
    kind = packed_type(member.type)
    yield from _extent_faults(feed, key, member, kind.size if kind else member.length or 1)


def _length_faults(key: Key, length: int | None, *, wanted: bool, what: str) -> Iterator[DefinitionFault]:
    if wanted and length is None:
        yield DefinitionFault((*key, "length"), "missing", f"'length' is missing: {what}")
    elif not wanted and length is not None:
        yield DefinitionFault((*key, "length"), "conflict", "the type says how long it is; leave 'length' out")
    elif length is not None and not 1 <= length <= MAX_RECORD_BYTES:
        yield DefinitionFault((*key, "length"), "out_of_range", f"a length is 1 to {MAX_RECORD_BYTES}")


def _extent_faults(feed: Feed, key: Key, member: Any, size: int) -> Iterator[DefinitionFault]:
    """Faults of where the `size` bytes of a member are in a record or its header."""
    layout = feed.input.layout
    assert layout is not None
    if member.path is not None:
        yield DefinitionFault(
            (*key, "path"), "conflict", "a path is for JSON; a binary record has a place: at = <byte>"
        )
    if member.at is None:
        yield DefinitionFault((*key, "at"), "missing", "'at' is missing: the byte where it begins, counted from 0")
        return
    available = layout.header_bytes if member.in_ == "header" else layout.record_bytes
    if member.at < 0:
        yield DefinitionFault((*key, "at"), "out_of_range", "bytes are counted from 0")
    elif member.at + size > available:
        message = f"ends at byte {member.at + size}, but a {member.in_} has {available}"
        yield DefinitionFault((*key, "at"), "out_of_range", message)
