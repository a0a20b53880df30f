"""Compiles a feed for decoding: the members of a record that are read, their order and their types.

A column is a member that becomes a column of the batch. Both readers, fast and strict, follow the same plan.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from tidemill.decode.feed_columns import AsideMembers, Column, Derived, Kind, feed_columns, position_columns
from tidemill.decode.given import Given, given_tags
from tidemill.decode.register_values import RegisterForm, register_plan
from tidemill.decode.time_formats import TimeFormats
from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import KEY, KEY_NAME, Path, below, in_record, levels_up, parse_path
from tidemill.feeds.steps import STEP_UNITS_NS, parse_step
from tidemill.model.spans import Span

# What the first record of a list says for all of them, where the feed has a step.
_OF_BEGIN: Final = frozenset({"time_text", "time_number", "time_any", "offset", "zone", "step", "rate"})


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
    columns = tuple(column for column in feed_columns(feed, times.kind) if wanted(column.kind))
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
