"""Compiles a feed for decoding: the members of a record that are read, their order and their types.

A column is a member that becomes a column of the batch. Both readers, fast and strict, follow the same plan.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from tidemill.decode.given import Given, given_tags
from tidemill.decode.register_values import RegisterForm, register_plan
from tidemill.decode.text_numbers import TextForm, field_form
from tidemill.decode.time_formats import TimeFormats, TimeKind
from tidemill.decode.unit_converter import UnitConverter, unit_converter
from tidemill.feeds.definition import Feed, Field, NotExact
from tidemill.feeds.packed import Packed
from tidemill.feeds.paths import parse_path

_TEXTS: Final = ("text_number", "boolean")
_UNIT: Final[dict[str, Any]] = {"required": False, "max_length": 64, "aside": True}

Kind = Literal[
    "time_text",
    "time_number",
    "time_any",
    "offset",
    "zone",
    "tag",
    "attribute",
    "labels",
    "number",
    "numbers",
    "text_number",
    "boolean",
    "octets",
    "packed",
    "packed_list",
]


_PLAIN: Final[dict[str, Kind]] = {
    "number": "number",
    "numbers": "numbers",
    "text_number": "text_number",
    "boolean": "boolean",
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a record: its path, its type, and the name of its column in the batch. `min` and `max` hold for the
    value: the number times `scale` plus `offset`. `aside`: it is read for other columns only and is none of the
    batch. `text`: how its texts are written. `not_exact`: see [input]."""

    name: str
    keys: tuple[str, ...]
    kind: Kind
    required: bool
    min: float | None = None
    max: float | None = None
    max_length: int = 0
    scale: float = 1.0
    offset: float = 0.0
    packed: Packed | None = None
    encoding: str = "auto"
    bits: tuple[int, int] | None = None
    text: TextForm | None = None
    not_exact: NotExact = "reject"
    aside: bool = False

    @property
    def scaled(self) -> bool:
        """Whether the value differs from the number that was sent."""
        return self.scale != 1 or self.offset != 0


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is computed from members of a record: from the number or the bytes (beginning `at` a byte) of the
    column `source`, and from the unit, the factor and the power of ten in columns of their own; all by number. `linear`
    and `linear_of` give the factor and summand of a number without and with a unit (`linear` None: it must have a
    unit)."""

    column: Column
    source: int
    at: int | None = None
    unit: int | None = None
    factor: int | None = None
    exponent: int | None = None
    linear: tuple[float, float] | None = None
    linear_of: UnitConverter | None = None


class Node(msgspec.Struct):
    """The members that are read of one object: columns by key, and objects below it by key."""

    columns: dict[str, int] = {}
    nodes: dict[str, "Node"] = {}

    def every_key(self) -> Iterator[str]:
        """Every key that is read here or below."""
        yield from self.columns
        for key, node in self.nodes.items():
            yield key
            yield from node.every_key()

    def required(self, columns: tuple[Column, ...]) -> bool:
        """Whether this object is required, because a member below it is."""
        below = any(columns[number].required for number in self.columns.values())
        return below or any(node.required(columns) for node in self.nodes.values())


class DecodePlan(msgspec.Struct, frozen=True):
    """What is read of a record. `records` is where the records are in a JSON document; `except_keys` is None unless
    every other key is a register; `may_be_empty`: a payload without a record is no fault;
    `position_columns`: the columns of latitude and longitude that give local times their zone; `given`: the tags that
    stand in no record; `derived`: the columns that are computed, whose values follow those of `columns`; `registers`:
    how registers are read."""

    columns: tuple[Column, ...]
    root: Node
    records: tuple[str, ...]
    offset_required: bool
    offset_unit: str
    times: TimeFormats
    time_received: bool
    except_keys: frozenset[str] | None
    may_be_empty: bool
    position_columns: tuple[str, str] | None
    given: tuple[Given, ...] = ()
    derived: tuple[Derived, ...] = ()
    registers: RegisterForm | None = None

    def column_number(self, name: str) -> int | None:
        """The number of a column, or None."""
        return next((number for number, column in enumerate(self.columns) if column.name == name), None)


def compile_plan(feed: Feed) -> DecodePlan:
    """The plan of a feed that `load` returned (shape `samples` has none: `decode/samples.py`)."""
    times = TimeFormats(
        feed.time.formats,
        local_epoch=feed.time.epoch == "local",
        offset_required=feed.time.offset_required,
    )
    aside = AsideMembers(feed)
    columns = (*_columns(feed, times.kind), *aside.columns)
    first = len(columns) - len(aside.columns)
    root = Node()
    for number, column in enumerate(columns):
        node = root
        for key in column.keys[:-1]:
            node = node.nodes.setdefault(key, Node())
        node.columns[column.keys[-1]] = number
    return DecodePlan(
        columns=columns,
        root=root,
        records=parse_path(feed.input.records),
        offset_required=feed.time.offset_required,
        offset_unit=feed.time.offset_unit,
        times=times,
        time_received=feed.time.received,
        except_keys=None if feed.registers is None else frozenset(feed.registers.except_keys),
        may_be_empty=feed.input.on_fault == "reject" or feed.source is not None,
        position_columns=position_columns(feed),
        given=given_tags(feed),
        derived=tuple(aside.derived(first)),
        registers=None if feed.registers is None else register_plan(feed.registers, feed.input.not_exact),
    )


def _columns(feed: Feed, time_kind: TimeKind) -> Iterator[Column]:
    time = feed.time
    if time.path is not None:
        yield Column(name="time", keys=parse_path(time.path), kind=time_kind, required=True)
    if time.offset_path is not None:
        yield Column(name="offset", keys=parse_path(time.offset_path), kind="offset", required=False)
    if time.zone_path is not None:
        yield Column(name="zone", keys=parse_path(time.zone_path), kind="zone", required=False, max_length=64)
    for name, tag in feed.tags.items():
        if tag.value is not None:
            continue
        keys = parse_path(tag.path or "$")
        yield Column(name=f"t.{name}", keys=keys, kind="tag", required=tag.required, max_length=tag.max_length)
    for name, text in feed.attributes.items():
        keys = parse_path(text.path or "$")
        yield Column(name=f"a.{name}", keys=keys, kind="attribute", required=text.required, max_length=text.max_length)
    for name, field in feed.fields.items():
        if not is_derived(field):
            yield field_column(name, field, feed.input.not_exact)
    if feed.labels is not None:
        yield Column(name="labels", keys=parse_path(feed.labels.path), kind="labels", required=feed.labels.required)
    yield from _zone_position(feed)


def field_column(name: str, field: Field, not_exact: NotExact) -> Column:
    """The column of a field."""
    packed: Kind = "packed_list" if field.is_array else "packed"
    scale, offset = (1.0, 0.0) if is_derived(field) or field.type in _TEXTS else field.linear
    return Column(
        name=f"f.{name}",
        keys=() if field.path is None else parse_path(field.path),
        kind=_PLAIN[field.type] if field.packed is None else packed,
        required=field.required,
        min=field.min,
        max=field.max,
        scale=scale,
        offset=offset,
        packed=field.packed,
        encoding=field.encoding,
        bits=field.bits,
        text=field_form(field) if field.type in _TEXTS else None,
        not_exact=not_exact,
    )


def is_derived(field: Field) -> bool:
    """Whether a field of a JSON record is computed from a member that has other uses, or from several members."""
    of_bytes = field.path is not None and field.at is not None
    return of_bytes or bool(field.unit_path or field.scale_path or field.exponent_path)


class AsideMembers:
    """The members of records that are read only for derived columns, each path once, and these columns."""

    def __init__(self, feed: Feed) -> None:
        self._not_exact = feed.input.not_exact
        self._fields = {name: field for name, field in feed.fields.items() if is_derived(field)}
        self._numbers: dict[str, int] = {}
        self.columns: list[Column] = []
        for name, field in self._fields.items():
            self._add_source(name, field)
        for field in self._fields.values():
            if field.unit_path is not None:
                self._add(Column(name=field.unit_path, keys=parse_path(field.unit_path), kind="attribute", **_UNIT))
            for path in (field.scale_path, field.exponent_path):
                if path is not None:
                    self._add(Column(name=path, keys=parse_path(path), kind="number", required=False, aside=True))

    def derived(self, first: int) -> Iterator[Derived]:
        """The derived columns, where the first aside column has the number `first`."""

        def number(path: str | None) -> int | None:
            return None if path is None else first + self._numbers[path]

        for name, field in self._fields.items():
            source = number(field.path)
            assert source is not None
            scale, offset = field.linear
            column = msgspec.structs.replace(
                field_column(name, field, self._not_exact), scale=scale, offset=offset, keys=()
            )
            yield Derived(
                column=column,
                source=source,
                at=field.at,
                unit=number(field.unit_path),
                factor=number(field.scale_path),
                exponent=number(field.exponent_path),
                linear=(scale, offset) if field.from_unit or not field.unit_path else None,
                linear_of=unit_converter(field) if field.unit_path else None,
            )

    def _add_source(self, name: str, field: Field) -> None:
        column = field_column(name, field, self._not_exact)
        if field.at is not None:
            column = msgspec.structs.replace(column, kind="octets", packed=None, bits=None)
        self._add(msgspec.structs.replace(column, name=field.path or "$", min=None, max=None, aside=True))

    def _add(self, column: Column) -> None:
        known = self._numbers.get(column.name)
        if known is None:
            self._numbers[column.name] = len(self.columns)
            self.columns.append(column)
        elif column.required:
            self.columns[known] = msgspec.structs.replace(self.columns[known], required=True)


def _zone_position(feed: Feed) -> Iterator[Column]:
    """Latitude and longitude, where they are not fields already."""
    fields = {field.path for field in feed.fields.values()}
    for name, path, limit in zip(("p.lat", "p.long"), feed.time.zone_position or (), (90.0, 180.0), strict=False):
        if path not in fields:
            yield Column(name=name, keys=parse_path(path), kind="number", required=False, min=-limit, max=limit)


def position_columns(feed: Feed) -> tuple[str, str] | None:
    """The names of the columns that hold latitude and longitude for the zone, or None."""
    if feed.time.zone_position is None:
        return None
    fields = {field.path: f"f.{name}" for name, field in feed.fields.items()}
    latitude, longitude = feed.time.zone_position
    return fields.get(latitude, "p.lat"), fields.get(longitude, "p.long")
