"""Validates the shapes of payloads that are no plain list of records: parallel arrays ([input] columns), steps from one
record to the next ([time] step), and records that name their field ([registers] name_path)."""

from collections.abc import Iterator
from typing import Final

from tidemill.feeds.convert import DefinitionFault, did_you_mean
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.feeds.packed import NUMBER_TYPES, packed_type
from tidemill.feeds.steps import parse_step

_HEADER_TYPES: Final = (("step_at", "step_type"), ("rate_at", "rate_type"))


def shape_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of a feed's columns, steps and records that name their field."""
    yield from _columns_faults(feed)
    yield from _long_format_faults(feed)
    if feed.shape.kind != "samples":
        yield from _step_faults(feed)


def _columns_faults(feed: Feed) -> Iterator[DefinitionFault]:
    key = ("input", "columns")
    if feed.input.columns is None:
        return
    if feed.input.records != "$":
        yield DefinitionFault(key, "conflict", "records are in a list or in columns; leave 'records' or 'columns' out")
    if "json" not in feed.input.formats or any(name not in JSON_FORMATS for name in feed.input.formats):
        yield DefinitionFault(key, "conflict", "columns are of JSON documents; leave 'formats' out, or take json")
    if feed.shape.kind == "samples":
        yield DefinitionFault(key, "conflict", "samples have columns of their own; leave this out")


def _long_format_faults(feed: Feed) -> Iterator[DefinitionFault]:
    registers = feed.registers
    if registers is None:
        return
    for name, other in (("name_path", "value_path"), ("value_path", "name_path")):
        if getattr(registers, name) is None and getattr(registers, other) is not None:
            message = f"'{name}' is missing: a record that names its field has a name and a value"
            yield DefinitionFault(("registers", name), "missing", message)
    if registers.of_long_format and registers.except_keys:
        message = "a record has one field that it names, or every other key is a field; leave one of them out"
        yield DefinitionFault(("registers", "except_keys"), "conflict", message)


def _step_faults(feed: Feed) -> Iterator[DefinitionFault]:
    time = feed.time
    steps = time.steps
    if len(steps) > 1:
        yield DefinitionFault(("time", steps[1]), "conflict", f"one way to say the step, not {' and '.join(steps)}")
    if steps and time.received:
        yield DefinitionFault(("time", steps[0]), "conflict", "the time of receipt is that of every record")
        return
    if steps and time.fold == "by_order":
        message = "with a step the records have no local times of their own; take another policy"
        yield DefinitionFault(("time", "fold"), "conflict", message)
    if time.step is not None:
        try:
            parse_step(time.step)
        except ValueError as error:
            yield DefinitionFault(("time", "step"), "bad_duration", str(error))
    if time.step_unit is not None and time.step_path is None and time.step_at is None:
        message = "it is the unit of the number at step_path or step_at; name that, too"
        yield DefinitionFault(("time", "step_unit"), "conflict", message)
    yield from _place_faults(feed)


def _place_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of where a step is: at a path in JSON, at a byte of the header of a binary payload."""
    time, layout = feed.time, feed.input.layout
    if layout is None:
        for name in ("step_at", "step_type", "rate_at", "rate_type"):
            if getattr(time, name) is not None:
                message = f"'{name}' is for binary records with an [input.layout]; give a path"
                yield DefinitionFault(("time", name), "conflict", message)
        return
    for name in ("step_path", "rate_path"):
        if getattr(time, name) is not None:
            yield DefinitionFault(("time", name), "conflict", "a path is for JSON; a binary header has bytes")
    if time.steps and time.in_ != "header":
        message = "with a step the time is that of the first record: it is in = 'header'"
        yield DefinitionFault(("time", "in"), "conflict", message)
    if time.step_at is not None and time.step_unit is None:
        yield DefinitionFault(("time", "step_unit"), "missing", "say in which unit the step is counted, such as ms")
    for at, kind in _HEADER_TYPES:
        yield from _number_faults(feed, at, kind, layout.header_bytes)


def _number_faults(feed: Feed, at_key: str, key: str, available: int) -> Iterator[DefinitionFault]:
    """Faults of a number in the header: its type, and that its bytes are in the header."""
    at, kind = getattr(feed.time, at_key), getattr(feed.time, key)
    if at is None:
        if kind is not None:
            message = f"it is the type of the number at {at_key}; name that, too"
            yield DefinitionFault(("time", key), "conflict", message)
        return
    packed = packed_type(kind or "")
    if packed is None or packed.array:
        known = f"one of {', '.join(NUMBER_TYPES)}" if kind is None else f"no type{did_you_mean(kind, NUMBER_TYPES)}"
        message = f"say what the number is: {known}" if kind is None else f"'{kind[:60]}' is {known}"
        yield DefinitionFault(("time", key), "missing" if kind is None else "unknown_type", message)
    elif at < 0:
        yield DefinitionFault(("time", at_key), "out_of_range", "bytes are counted from 0")
    elif at + packed.size > available:
        message = f"ends at byte {at + packed.size}, but a header has {available}"
        yield DefinitionFault(("time", at_key), "out_of_range", message)
