"""Validates what a feed says of values as they are written: numbers and booleans in texts, units and factors in the
record, bytes in a JSON member, texts among registers."""

from collections.abc import Iterator
from typing import Final

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed, Field
from tidemill.feeds.key_lines import Key
from tidemill.feeds.packed import Packed
from tidemill.model.units import readings

PLAIN_TYPES: Final = ("number", "numbers", "text_number", "boolean")
_PATHS: Final = ("unit_path", "scale_path", "exponent_path")
_TEXT_OPTIONS: Final = ("decimal", "thousands", "unit_in_text")
_TRUTH_OPTIONS: Final = ("true_texts", "false_texts")
_DEFAULTS: Final = {name: getattr(Field(), name) for name in Field.__struct_fields__}
_MAX_AT: Final = 64 << 10


def member_paths(feed: Feed) -> Iterator[tuple[Key, str | None]]:
    """The keys and the paths of members that say the unit or a factor of a field."""
    for name, field in feed.fields.items():
        for option in _PATHS:
            yield ("fields", name, option), getattr(field, option)


def shared_uses(feed: Feed) -> dict[Key, str]:
    """The keys of paths that several fields may name, each with what the member is used for."""
    uses: dict[Key, str] = {}
    for name, field in feed.fields.items():
        if field.at is not None:
            uses["fields", name, "path"] = f"bytes {field.encoding}"
        for option in _PATHS:
            uses["fields", name, option] = "unit" if option == "unit_path" else "factor"
    return uses


def value_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of how values are written."""
    for name, field in feed.fields.items():
        key: Key = ("fields", name)
        yield from _text_faults(key, field)
        yield from _beside_faults(feed, key, field)
        yield from _unit_faults(key, field)
        yield from _bits_faults(key, field, field.packed)
        if feed.input.layout is None and field.at is not None:
            yield from _bytes_faults(key, field, field.packed)
    registers = feed.registers
    if registers is not None:
        yield from _sign_faults(("registers",), registers.decimal, registers.thousands)
        if not registers.number_texts and (registers.decimal != "." or registers.thousands is not None):
            message = "this is for numbers in texts: set number_texts = true, or leave it out"
            yield DefinitionFault(("registers", "number_texts"), "conflict", message)


def _text_faults(key: Key, field: Field) -> Iterator[DefinitionFault]:
    """Faults of options of texts: each is for one type, and no text means two things."""
    wanted = {"text_number": (*_TEXT_OPTIONS, "null_texts"), "boolean": (*_TRUTH_OPTIONS, "null_texts")}
    for option in (*_TEXT_OPTIONS, *_TRUTH_OPTIONS, "null_texts"):
        if option not in wanted.get(field.type, ()) and getattr(field, option) != _DEFAULTS[option]:
            kinds = [kind for kind, options in wanted.items() if option in options]
            message = f"'{option}' is for type = {' or '.join(repr(kind) for kind in kinds)}"
            yield DefinitionFault((*key, option), "conflict", message)
    yield from _sign_faults(key, field.decimal, field.thousands)
    if field.unit_in_text and field.unit is None:
        yield DefinitionFault((*key, "unit"), "missing", "say into which unit values are converted")
    if field.type == "boolean":
        for option in ("scale", "offset", "from_unit", "min", "max", *_PATHS):
            if getattr(field, option) != _DEFAULTS[option]:
                yield DefinitionFault((*key, option), "conflict", "a boolean is 1 or 0; leave this out")
    true, false = ({text.strip().casefold() for text in texts} for texts in (field.true_texts, field.false_texts))
    nulls = {text.strip() for text in field.null_texts}
    for text in sorted((true & false) | ({null for null in nulls if null.casefold() in true | false})):
        yield DefinitionFault((*key, "true_texts"), "conflict", f"'{text[:40]}' means two things")
    if "" in true | false:
        yield DefinitionFault((*key, "true_texts"), "empty", "an empty text is neither true nor false; see null_texts")


def _sign_faults(key: Key, decimal: str, thousands: str | None) -> Iterator[DefinitionFault]:
    if decimal == thousands:
        message = f"'{decimal}' is the decimal sign and the sign between thousands; they differ"
        yield DefinitionFault((*key, "thousands"), "conflict", message)


def _beside_faults(feed: Feed, key: Key, field: Field) -> Iterator[DefinitionFault]:
    """Faults of members that say a field's unit or factor."""
    given = [option for option in _PATHS if getattr(field, option) is not None]
    if given and feed.input.layout is not None:
        yield DefinitionFault((*key, given[0]), "conflict", "a path is for JSON; binary records have none")
    computed = given or (["at"] if field.at is not None else [])
    if computed and field.path is not None and field.path in (feed.time.zone_position or ()):
        message = "a position that says the zone is in degrees, as it stands"
        yield DefinitionFault((*key, computed[0]), "conflict", message)
    if field.unit_path is None:
        return
    if field.unit_in_text:
        message = "the unit stands in the text or in a member of its own, not in both"
        yield DefinitionFault((*key, "unit_in_text"), "conflict", message)
    if field.unit is None:
        yield DefinitionFault((*key, "unit"), "missing", "say into which unit values are converted")


def _unit_faults(key: Key, field: Field) -> Iterator[DefinitionFault]:
    """The fault of a `unit` that nothing can be converted to, where records name units."""
    if (field.unit_in_text or field.unit_path is not None) and field.unit is not None and field.from_unit is None:
        try:
            readings(field.unit)
        except ValueError as error:
            yield DefinitionFault((*key, "unit"), "unknown_unit", str(error))


def _bits_faults(key: Key, field: Field, kind: Packed | None) -> Iterator[DefinitionFault]:
    if field.bits is None:
        return
    low, count = field.bits
    if kind is None or kind.code[1] != "u" or kind.array:
        message = "bits are taken from one unsigned integer, such as uint8 or uint16_be"
        yield DefinitionFault((*key, "bits"), "conflict", message)
    elif low < 0 or count < 1 or low + count > 8 * kind.size or count == 64:
        message = f"bits = [lowest, how many]: a {field.type} has the bits 0 to {8 * kind.size - 1}"
        yield DefinitionFault((*key, "bits"), "out_of_range", message)


def _bytes_faults(key: Key, field: Field, kind: Packed | None) -> Iterator[DefinitionFault]:
    """Faults of a number at some byte of a JSON member."""
    assert field.at is not None
    if kind is None:
        message = "at a byte of a member begins a number of a packed type, such as int16_be; name its type"
        yield DefinitionFault((*key, "at"), "conflict", message)
    elif kind.array:
        message = "at a byte of a member begins one number; an array of them is a whole member"
        yield DefinitionFault((*key, "type"), "conflict", message)
    if not 0 <= field.at <= _MAX_AT:
        yield DefinitionFault((*key, "at"), "out_of_range", f"bytes are counted from 0, up to {_MAX_AT}")
    if field.in_ != "record":
        yield DefinitionFault((*key, "in"), "conflict", "'in' is for binary records with an [input.layout]")
