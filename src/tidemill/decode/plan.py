"""Compiles a feed for decoding: the members of a record that are read, their order and their types.

A column is a member that becomes a column of the batch. Both readers, fast and strict, follow the same plan.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec

from tidemill.decode.given import Given, given_tags
from tidemill.decode.register_values import RegisterForm, register_plan
from tidemill.decode.text_numbers import TextForm, field_form, register_form
from tidemill.decode.time_formats import TimeFormats, TimeKind
from tidemill.decode.unit_converter import UnitConverter, unit_converter
from tidemill.feeds.definition import Attribute, Feed, Field, NotExact, Registers, Tag
from tidemill.feeds.packed import Packed
from tidemill.feeds.paths import KEY, KEY_NAME, Path, below, in_record, levels_up, parse_path
from tidemill.feeds.steps import STEP_UNITS_NS, parse_step
from tidemill.model.spans import Span

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
    "register_name",
    "register_value",
    "step",
    "rate",
]

MAX_REGISTER_NAME: Final = 256
# What the first record of a list says for all of them, where the feed has a step.
_OF_BEGIN: Final = frozenset({"time_text", "time_number", "time_any", "offset", "zone", "step", "rate"})


_PLAIN: Final[dict[str, Kind]] = {
    "number": "number",
    "numbers": "numbers",
    "text_number": "text_number",
    "boolean": "boolean",
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a record, or of what is around it: its path, its type, and the name of its column in the batch. `min`
    and `max` hold for the value: the number times `scale` plus `offset`. `aside`: it is read for other columns only and
    is none of the batch. `text`: how its texts are written. `not_exact`: see [input]. `integer`: it may be an integer,
    whose decimal digits are its text."""

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

    @property
    def scaled(self) -> bool:
        """Whether the value differs from the number that was sent."""
        return self.scale != 1 or self.offset != 0

    @property
    def of_field(self) -> bool:
        """Whether it has the value of a field, or what this is computed from."""
        return self.name.startswith("f.") or (self.aside and self.kind != "attribute")


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
    """What is read of one value: columns by key, and objects and arrays below it by key. Keys are those of an object,
    or the numbers of an array's items, if it `is_array`. `value`: the column that the value itself is; then there are
    no keys."""

    columns: dict[str | int, int] = {}
    nodes: dict[str | int, "Node"] = {}
    value: int | None = None
    is_array: bool = False

    def every_key(self) -> Iterator[str]:
        """Every key of an object that is read here or below."""
        yield from (key for key in (*self.columns, *self.nodes) if isinstance(key, str))
        for node in self.nodes.values():
            yield from node.every_key()

    def required(self, columns: tuple[Column, ...]) -> bool:
        """Whether this object is required, because a member below it is."""
        below = any(columns[number].required for number in self.columns.values())
        return below or any(node.required(columns) for node in self.nodes.values())


class OuterPart(msgspec.Struct, frozen=True):
    """What is read of one level above the records, or of a key: the `columns` by their numbers, and the `root` to read
    them by. `ups`: how many levels above, 0 for the key of the record itself; `of_key`: the key under which the value
    of the level stands, as the member `~`."""

    ups: int
    of_key: bool
    columns: tuple[int, ...]
    root: Node


class DecodePlan(msgspec.Struct, frozen=True):
    """What is read of a record: `root` of the record itself, `outer` around it. `records` is where the records are in a
    JSON document; `except_keys` is None unless every other key is a register; `may_be_empty`: a payload without a
    record is no fault; `position_columns`: the columns of latitude and longitude that give local times their zone;
    `given`: the tags that stand in no record; `derived`: the columns that are computed, whose values follow those of
    `columns`; `registers`: how registers are read. `columnar`: `records` is the path of an object of parallel arrays.
    `begin`: what is read of the first record of a list to know the times of them all; None where each record has its
    time."""

    columns: tuple[Column, ...]
    root: Node
    records: Path
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
    outer: tuple[OuterPart, ...] = ()
    columnar: bool = False
    begin: "BeginPlan | None" = None

    @property
    def nested(self) -> bool:
        """Whether records are cut out of the document before they are read (`nested.py`), since they are in groups or
        something around them is read."""
        return not self.columnar and (bool(self.outer) or not all(isinstance(step, str) for step in self.records))

    @property
    def times_elsewhere(self) -> bool:
        """Whether no record is asked for its own time: it has that of its receipt, or one that is counted in steps."""
        return self.time_received or self.begin is not None

    @property
    def of_long_format(self) -> bool:
        """Whether each record has one register, which it names."""
        return self.column_number("register") is not None

    def column_number(self, name: str) -> int | None:
        """The number of a column, or None."""
        return next((number for number, column in enumerate(self.columns) if column.name == name), None)


class BeginPlan(msgspec.Struct, frozen=True):
    """How the first record of a list gives the times of all: `plan` reads its time and step; the step is `step`, or in
    a column of `plan` a number of `unit_ns` (None: a text) or a rate in Hz."""

    plan: DecodePlan
    step: Fraction | Span | None
    unit_ns: int | None


def compile_plan(feed: Feed) -> DecodePlan:
    """The plan of a feed that `load` returned (shape `samples` has none: `decode/samples.py`)."""
    if not feed.time.steps:
        return _compile(feed, lambda kind: True)
    time = feed.time
    step = None if time.step is None else parse_step(time.step)
    unit_ns = None if time.step_unit is None else STEP_UNITS_NS[time.step_unit]
    first = msgspec.structs.replace(_compile(feed, _OF_BEGIN.__contains__), except_keys=None, registers=None)
    begin = BeginPlan(first, step, unit_ns)
    return _compile(feed, lambda kind: kind not in _OF_BEGIN, begin)


def _compile(feed: Feed, wanted: Callable[[Kind], bool], begin: BeginPlan | None = None) -> DecodePlan:
    """The plan of the columns whose kind is `wanted`."""
    times = TimeFormats(
        feed.time.formats,
        local_epoch=feed.time.epoch == "local",
        offset_required=feed.time.offset_required,
    )
    aside = AsideMembers(feed if wanted("number") else None)
    columns = tuple(column for column in _columns(feed, times.kind) if wanted(column.kind))
    first = len(columns)
    columns += tuple(aside.columns)
    return DecodePlan(
        columns=columns,
        root=read_tree({n: column.keys for n, column in enumerate(columns) if in_record(column.keys)}),
        records=parse_path(feed.input.root),
        offset_required=feed.time.offset_required,
        offset_unit=feed.time.offset_unit,
        times=times,
        time_received=feed.time.received,
        except_keys=_except_keys(feed),
        may_be_empty=feed.input.on_fault == "reject" or feed.source is not None,
        position_columns=position_columns(feed),
        given=given_tags(feed),
        derived=tuple(aside.derived(first)),
        registers=None if feed.registers is None else register_plan(feed.registers, feed.input.not_exact),
        outer=tuple(_outer_parts(columns)),
        columnar=feed.input.columns is not None,
        begin=begin,
    )


def _except_keys(feed: Feed) -> frozenset[str] | None:
    registers = feed.registers
    return None if registers is None or registers.of_long_format else frozenset(registers.except_keys)


def read_tree(paths: Mapping[int, Path]) -> Node:
    """The tree by which columns are read, given the path of each by its number; a key `~` is a member."""
    root = Node()
    for number, path in paths.items():
        node, keys = root, [step if isinstance(step, str | int) else KEY_NAME for step in path]
        if not keys:
            root.value = number
            continue
        for key in keys[:-1]:
            node.is_array = isinstance(key, int)
            node = node.nodes.setdefault(key, Node())
        node.is_array = isinstance(keys[-1], int)
        node.columns[keys[-1]] = number
    return root


def _outer_parts(columns: Sequence[Column]) -> Iterator[OuterPart]:
    parts: dict[tuple[int, bool], dict[int, Path]] = {}
    for number, column in enumerate(columns):
        if not in_record(column.keys):
            part = parts.setdefault((levels_up(column.keys), KEY in column.keys), {})
            part[number] = below(column.keys)
    for (ups, of_key), paths in parts.items():
        yield OuterPart(ups, of_key, tuple(paths), read_tree(paths))


def _columns(feed: Feed, time_kind: TimeKind) -> Iterator[Column]:
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
