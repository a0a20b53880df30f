"""The columns of a feed's records: each member that is read becomes one, and those that are computed from several.

Both readers, fast and strict, follow them; `plan.py` says how they are read.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from tidemill.decode.text_numbers import TextForm, field_form, register_form
from tidemill.decode.time_formats import TimeKind
from tidemill.decode.unit_converter import UnitConverter, unit_converter
from tidemill.feeds.definition import Attribute, Feed, Field, NotExact, Registers, Tag
from tidemill.feeds.packed import Packed
from tidemill.feeds.paths import Path, parse_path, path_text

_TEXTS: Final = ("text_number", "boolean")
_BESIDE: Final[dict[str, Any]] = {"required": False, "aside": True, "beside": True}

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
    "register_name",
    "register_value",
    "step",
    "rate",
]

MAX_REGISTER_NAME: Final = 256


_PLAIN: Final[dict[str, Kind]] = {
    "number": "number",
    "numbers": "numbers",
    "text_number": "text_number",
    "boolean": "boolean",
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a record, or of what is around it: its path, its type, and the name of its column in the batch. `min`
    and `max` hold for the value: the number times `scale` plus `offset`. `aside`: it is read for other columns only and
    is none of the batch; `beside`: it says only how another is read. `text`: how its texts are written. `not_exact`:
    see [input]. `integer`: it may be an integer, whose decimal digits are its text."""

    name: str
    keys: Path
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
    integer: bool = False
    beside: bool = False

    def path_in(self, record: str) -> str:
        """The path of the member in the record at a path."""
        return record + path_text(self.keys)[1:]

    @property
    def scaled(self) -> bool:
        """Whether the value differs from the number that was sent."""
        return self.scale != 1 or self.offset != 0

    @property
    def of_field(self) -> bool:
        """Whether it has the value of a field, or what this is computed from."""
        return self.name.startswith("f.") or (self.aside and not self.beside)


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


def feed_columns(feed: Feed, time_kind: TimeKind) -> Iterator[Column]:
    """The columns of members that become columns of the batch themselves; not those of `AsideMembers`."""
    time = feed.time
    if time.path is not None:
        yield Column(name="time", keys=parse_path(time.path), kind=time_kind, required=True)
    if time.offset_path is not None:
        yield Column(name="offset", keys=parse_path(time.offset_path), kind="offset", required=False)
    if time.zone_path is not None:
        yield Column(name="zone", keys=parse_path(time.zone_path), kind="zone", required=False, max_length=64)
    if time.step_path is not None:
        yield Column(name="step", keys=parse_path(time.step_path), kind="step", required=True)
    if time.rate_path is not None:
        yield Column(name="rate", keys=parse_path(time.rate_path), kind="rate", required=True)
    for name, tag in feed.tags.items():
        if tag.value is not None:
            continue
        keys = parse_path(tag.path or "$")
        yield _text_column(f"t.{name}", keys, "tag", tag)
    for name, text in feed.attributes.items():
        keys = parse_path(text.path or "$")
        yield _text_column(f"a.{name}", keys, "attribute", text)
    for name, field in feed.fields.items():
        if not is_derived(field):
            yield field_column(name, field, feed.input.not_exact)
    if feed.registers is not None and feed.registers.of_long_format:
        yield from _long_format(feed.registers, feed.input.not_exact)
    if feed.labels is not None:
        yield Column(name="labels", keys=parse_path(feed.labels.path), kind="labels", required=feed.labels.required)
    yield from _zone_position(feed)


def _text_column(name: str, keys: Path, kind: Kind, text: Tag | Attribute) -> Column:
    integer = text.type == "integer"
    return Column(name=name, keys=keys, kind=kind, required=text.required, max_length=text.max_length, integer=integer)


def _long_format(registers: Registers, not_exact: NotExact) -> Iterator[Column]:
    """The columns of a record that names its field."""
    keys, value = parse_path(registers.name_path or "$"), parse_path(registers.value_path or "$")
    yield Column(name="register", keys=keys, kind="register_name", required=True, max_length=MAX_REGISTER_NAME)
    form = register_form(registers)
    kind: Kind = "register_value" if form is None else "text_number"
    yield Column(name="value", keys=value, kind=kind, required=False, text=form, not_exact=not_exact)


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

    def __init__(self, feed: Feed | None) -> None:
        self._not_exact: NotExact = "reject" if feed is None else feed.input.not_exact
        fields = {} if feed is None else feed.fields
        self._fields = {name: field for name, field in fields.items() if is_derived(field)}
        self._numbers: dict[str, int] = {}
        self.columns: list[Column] = []
        for name, field in self._fields.items():
            self._add_source(name, field)
        for field in self._fields.values():
            if field.unit_path is not None:
                self._add(
                    Column(
                        name=field.unit_path,
                        keys=parse_path(field.unit_path),
                        kind="attribute",
                        max_length=64,
                        **_BESIDE,
                    )
                )
            for path in (field.scale_path, field.exponent_path):
                if path is not None:
                    self._add(Column(name=path, keys=parse_path(path), kind="number", **_BESIDE))

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
