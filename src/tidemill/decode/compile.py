"""Compiles a plan for msgspec: a struct for the record, functions that get its columns, and the keys whose occurrences
are counted to exclude duplicate keys."""

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tidemill.decode.exactness import certain_bounds
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan, Node
from tidemill.feeds.packed import Packed
from tidemill.feeds.paths import Path

# RFC 3339 texts that are certainly valid (29 February and the edges of the range are left to the strict reader).
CERTAIN_TIME: Final = (
    r"\A(?:190[1-9]|19[1-9]\d|2[01]\d\d|22[0-5]\d)-"
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
).replace(r"\d", "[0-9]")

# Integers that stand for texts; others are left to the strict reader.
_INTEGER: Final = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

Getter = Callable[[Any], Any]


def compile_record(plan: DecodePlan, *, certain_time: bool) -> Any:
    """The type of a record: a struct, or that of its only column. With `certain_time` a time that is not certainly
    valid fails to decode."""
    if plan.root.value is None:
        return _struct(plan.root, plan, certain_time)
    column = plan.columns[plan.root.value]
    kind = column_type(column, plan, certain_time)
    return kind if column.required else kind | None


def _struct(node: Node, plan: DecodePlan, certain_time: bool) -> type[msgspec.Struct]:
    fields: list[Any] = []
    rename: dict[str, str] = {}
    members: list[tuple[str | int, Any, bool]] = [
        (key, column_type(plan.columns[number], plan, certain_time), plan.columns[number].required)
        for key, number in node.columns.items()
    ]
    members += [
        (key, _struct(below, plan, certain_time), below.required(plan.columns)) for key, below in node.nodes.items()
    ]
    if node.is_array:
        return _array_struct(node, members)
    for key, kind, required in sorted(members, key=lambda member: not member[2]):
        name = _attribute(node, key)
        rename[name] = str(key)
        fields.append((name, kind) if required else (name, kind | None | UnsetType, UNSET))
    return msgspec.defstruct("Record", fields, rename=rename, gc=False)


def _array_struct(node: Node, members: Sequence[tuple[str | int, Any, bool]]) -> type[msgspec.Struct]:
    """The struct of an array: every item up to the last that is read; those after it may be missing. An item that is
    not required may be null, also in front of one that is."""
    by_item = {int(item): (kind, required) for item, kind, required in members}
    sure = max((item for item, (_, required) in by_item.items() if required), default=-1)
    fields: list[Any] = []
    for item in range(max(by_item) + 1):
        kind, required = by_item.get(item, (msgspec.Raw, True))
        name = _attribute(node, item) if item in by_item else f"r{item}"
        if item <= sure:
            fields.append((name, kind if required else kind | None))
        else:
            fields.append((name, kind | None | UnsetType, UNSET))
    return msgspec.defstruct("Record", fields, array_like=True, gc=False)


def _attribute(node: Node, key: str | int) -> str:
    """A valid attribute name for any key."""
    return f"m{[*node.columns, *node.nodes].index(key)}"


def column_type(column: Column, plan: DecodePlan, certain_time: bool) -> Any:
    """The type of a member for msgspec; null is no part of it. `certain_time`: as in `compile_struct`."""
    if column.kind == "time_text":
        ending = r"\Z" if plan.offset_required else r"?\Z"
        return Annotated[str, Meta(pattern=CERTAIN_TIME + ending)] if certain_time else str
    if column.kind == "time_number":
        return int | Decimal  # the digits as written; of numbers in quotes as well
    if column.kind in ("time_any", "offset"):
        return int | float | str
    if column.kind in ("tag", "attribute", "zone", "register_name"):
        text = Annotated[str, Meta(min_length=1, max_length=column.max_length)]
        return _INTEGER | text if column.integer else text
    if column.kind == "labels":
        return list[str]
    if column.packed is not None or column.kind == "octets":
        return _packed_type(column, column.packed)
    bounds = certain_bounds(column.not_exact)
    if not column.scaled and column.text is None:
        bounds = certain_bounds(column.not_exact, column.min, column.max)
    number: Any = float if bounds is None else Annotated[float, bounds]
    if column.text is not None:
        return number | str if column.text.truth is None else bool | number | str
    return number if column.kind in ("number", "register_value") else Annotated[list[number], Meta(min_length=1)]


def _packed_type(column: Column, kind: Packed | None) -> Any:
    octet = Annotated[int, Meta(ge=0, le=255)]
    array: Any = list[octet]
    if kind is not None:
        array = Annotated[array, Meta(min_length=kind.size, max_length=None if kind.array else kind.size)]
    return {"auto": array | str, "array": array}.get(column.encoding, str)


def compile_getter(plan: DecodePlan, column: Column) -> Getter:
    """A function that gets a column's value from a record struct; UNSET where it is missing, None where it is null."""
    return _getter(plan, column.keys)


def _getter(plan: DecodePlan, keys: Path) -> Getter:
    if not keys:
        return _itself
    node, names, sure = plan.root, [], True
    for key in keys:
        assert isinstance(key, str | int)
        names.append(_attribute(node, key))
        if key in node.nodes:
            node = node.nodes[key]
            sure = sure and (key == keys[-1] or node.required(plan.columns))
    if sure:
        return operator.attrgetter(".".join(names))

    def get(record: Any) -> Any:
        for name in names:
            if record is UNSET or record is None:
                return UNSET
            record = getattr(record, name)
        return record

    return get


def _itself(record: Any) -> Any:
    return record


class KeyToken(msgspec.Struct, frozen=True):
    """A key that is read: its bytes with quotes, how often every record has it, and the optional members of that name:
    columns by number, and getters of objects (a record has one where it gives anything but UNSET)."""

    token: bytes
    required: int
    columns: list[int]
    objects: list[Getter]

    @property
    def optional(self) -> bool:
        """Whether a record may lack a member of that name."""
        return bool(self.columns or self.objects)


def key_tokens(plan: DecodePlan) -> list[KeyToken]:
    """The keys that are read of a record, each once."""
    tokens: dict[str, KeyToken] = {}

    def visit(node: Node, above: Path, sure: bool) -> None:
        members = {key: plan.columns[number].required for key, number in node.columns.items()}
        members |= {key: below.required(plan.columns) for key, below in node.nodes.items()}
        for key, required in members.items():
            if isinstance(key, int):  # items of an array have no key
                continue
            known = tokens.setdefault(key, KeyToken(f'"{key}"'.encode(), 0, [], []))
            if sure and required:
                tokens[key] = msgspec.structs.replace(known, required=known.required + 1)
            elif key in node.columns:
                known.columns.append(node.columns[key])
            else:
                known.objects.append(_getter(plan, (*above, key)))
        for key, below in node.nodes.items():
            visit(below, (*above, key), sure and members[key])

    visit(plan.root, (), True)
    return list(tokens.values())


def required_brackets(plan: DecodePlan) -> int:
    """The least number of objects and arrays in a record, itself included."""

    def count(node: Node) -> int:
        arrays = sum(
            plan.columns[number].required and plan.columns[number].kind in ("numbers", "labels")
            for number in node.columns.values()
        )
        return 1 + arrays + sum(count(below) for below in node.nodes.values() if below.required(plan.columns))

    if plan.root.value is not None:
        return int(plan.columns[plan.root.value].kind in ("numbers", "labels"))
    return count(plan.root)


def compile_quick_check(plan: DecodePlan, max_depth: int) -> Callable[[bytes], bool] | None:
    """A function that returns True, in a few microseconds, only for a body that is one JSON object without fault; False
    means that it is not certain. None for feeds whose records msgspec alone cannot check (optional members, times of
    other formats, packed or scaled numbers, registers, records inside a document)."""
    tokens = key_tokens(plan)
    kinds = {column.kind for column in plan.columns}
    optional = any(token.optional for token in tokens)
    beyond = kinds & {"time_number", "time_any", "offset", "packed", "packed_list", "text_number", "boolean", "octets"}
    beyond |= {
        column.kind
        for column in plan.columns
        if column.scaled or (column.kind == "time_text" and not plan.times.certain)
    }
    single = not plan.records and not plan.outer and plan.root.value is None and not plan.root.is_array
    single = single and not plan.columnar and plan.begin is None
    if not single or plan.except_keys is not None or optional or beyond or plan.derived:
        return None
    decode = msgspec.json.Decoder(compile_record(plan, certain_time=True)).decode
    expected = [(token.token, token.required) for token in tokens]

    def check(body: bytes) -> bool:
        try:
            decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if b"\\" in body or b"\x7f" in body or not body.isascii():
            return False
        if body.count(b"{") + body.count(b"[") > max_depth:
            return False
        return all(body.count(token) == count for token, count in expected)

    return check
