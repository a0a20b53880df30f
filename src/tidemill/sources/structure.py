"""Guesses the structure of an answer of an unknown kind: where its records are, and which members are their time, their
values and their tags. Each guess has an explanation in words; `draft.py` makes a feed of the guesses.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from tidemill.feeds.paths import is_readable_key, member_path, parse_path, path_text
from tidemill.model.iso8601 import parse_iso
from tidemill.sources.long_format import long_format
from tidemill.sources.odd_shapes import OddShape, odd_shapes

Role = Literal["time", "value", "values", "tag", "attribute", "labels", "unused"]
SAMPLE_RECORDS: Final = 500  # at most so many records are examined
_DEPTH: Final = 5
_MAX_MEMBERS: Final = 400
_EPOCHS: Final = (("unix_s", 1), ("unix_ms", 10**3), ("unix_us", 10**6), ("unix_ns", 10**9))
_YEARS: Final = (631_152_000, 4_102_444_800)  # 1990 to 2100, in seconds
_TIME_NAME: Final = re.compile(r"(time|date|epoch|clock|^ts$|^t$|^dt$|^at$|_at$|_ts$|At$)", re.IGNORECASE)
_OTHER_TIME: Final = re.compile(
    r"(creat|updat|modif|expir|publish|generat|receiv|insert|next|last|valid)", re.IGNORECASE
)
_ATTRIBUTE: Final = re.compile(r"(quality|status|state|note|comment|message|descr|unit|flag)", re.IGNORECASE)
_ID: Final = re.compile(r"(.*[_.-])?([iI][dD]|uuid|serial)|.*[a-z0-9]I[dD]")
_REGISTER: Final = re.compile(r"[0-9A-F]{8,}")
_NUMBER: Final = re.compile(r"\s*+[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?\s*+", re.ASCII)
_EXACT_DIGITS: Final = 15  # every integer of so many digits is a double
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?", re.ASCII)
_PACKED: Final = {4: "float32_le", 8: "float64_le"}


class AnswerMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the records. `explanation` says why it has its `role`; `required`: every record has the member. A
    time has a `format` (`zoned`: every text has an offset), a value has a `type`; `example` is the first value."""

    path: str
    role: Role
    explanation: str
    required: bool = True
    format: str = ""
    zoned: bool = True
    type: str = "number"
    example: Any = None

    @property
    def name(self) -> str:
        """The last key of the path; "" for the record itself."""
        return _last_key(self.path)


_Make = Callable[..., AnswerMember]


def _last_key(path: str) -> str:
    return str(parse_path(path)[-1]) if path != "$" else ""


class Structure(msgspec.Struct, frozen=True):
    """The structure of an answer: its `count` records are at the path `records`; `next` is the path where the cursor of
    a next page seems to be (None: nowhere); `registers`: the values are codes that no feed names one by one; `kind`:
    objects, or the odd shape that the records have (`odd_shapes.py`); `long`: the paths of name and value where each
    record names what it has the value of."""

    format: Literal["json", "ndjson"]
    records: str
    count: int
    members: tuple[AnswerMember, ...]
    registers: bool = False
    next: str | None = None
    kind: Literal["objects", "columns", "arrays", "keys"] = "objects"
    long: tuple[str, str] | None = None

    def with_roles(self, *roles: Role) -> list[AnswerMember]:
        """The members with these roles, in the order of the records."""
        return [member for member in self.members if member.role in roles]


def guess_structure(body: bytes, records: str | None = None) -> Structure | None:
    """The structure of a JSON or NDJSON body. `records`: the path of its records, if that is known. None for other
    formats, and if there is no object (at that path)."""
    kind, document = _parse_document(body)
    if kind is None:
        return None
    candidates = [(path, rows) for path, rows in _record_lists(document) if records in (None, path)]
    path, rows = max(candidates, key=lambda candidate: _record_likelihood(*candidate), default=("", []))
    if len(rows) < 2 and (odd := _odd_structure(kind, document, records)) is not None:
        return odd
    if not candidates:
        return None
    members, registers = _guess_members(rows)
    long = long_format(members, rows)
    if long is not None:
        members = tuple(_unused(m, "is the name of the field") if m.path == long[0] else m for m in members)
    return Structure(kind, path, len(rows), members, registers, _next_cursor_path(document), long=long)


def first_odd_shape(body: bytes) -> OddShape | None:
    """The first odd shape in a JSON or NDJSON body, whether or not paths can name its members; None: there is none."""
    return next(odd_shapes(_parse_document(body)[1], 1), None)


def _odd_structure(kind: Literal["json", "ndjson"], document: Any, records: str | None) -> Structure | None:
    """The structure of the first odd shape with values in a document (at `records`, if that is not None)."""
    for shape in odd_shapes(document, SAMPLE_RECORDS):
        if records not in (None, shape.path, shape.source):
            continue
        paths = dict.fromkeys(path for row in shape.rows for path in row)
        columns = {path: [row[path] for row in shape.rows if path in row] for path in paths}
        members = [_guess_odd_member(shape, path, values) for path, values in columns.items()]
        if any(member.role == "value" for member in members):
            members = _keep_one_time(members)
            return Structure(kind, shape.source, len(shape.rows), tuple(members), kind=shape.kind)
    return None


def _guess_odd_member(shape: OddShape, path: str, values: list[Any]) -> AnswerMember:
    member = _guess_member(path, values, len(shape.rows), timely=path == shape.time)
    if path == "$~" and member.role != "time":
        return msgspec.structs.replace(member, role="tag", explanation="is the key of a record, and tells series apart")
    if member.role == "labels" or (member.role == "values" and shape.kind != "columns"):
        return _unused(member, "is a list in each record")
    return member


def _parse_document(body: bytes) -> tuple[Literal["json", "ndjson"] | None, Any]:
    try:
        return "json", msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return "ndjson", msgspec.json.Decoder().decode_lines(body)
    except (msgspec.DecodeError, RecursionError):
        return None, None


def _record_lists(node: Any, path: str = "$", depth: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(path, objects) for every list of objects, and for the document itself, that could be the records."""
    if isinstance(node, list) and node and all(isinstance(item, dict) for item in node):
        yield path, node
    if not isinstance(node, dict):
        return
    if depth == 0:
        yield path, [node]
    for key, value in node.items():
        if depth < _DEPTH and is_readable_key(key):
            yield from _record_lists(value, member_path(path, key), depth + 1)


def _record_likelihood(path: str, rows: list[dict[str, Any]]) -> tuple[bool, bool, bool, int]:
    """A sort key: the larger it is, the more a list of objects looks like records."""
    members, registers = _guess_members(rows[:20])
    roles = {member.role for member in members}
    values = registers or bool(roles & {"value", "values"})
    return values and "time" in roles, values, path != "$", len(rows)


def _guess_members(rows: Sequence[dict[str, Any]]) -> tuple[tuple[AnswerMember, ...], bool]:
    """The members of records, and whether their values are registers: codes that no feed names one by one."""
    sample = rows[:SAMPLE_RECORDS]
    values_by_path: dict[str, list[Any]] = {}
    for row in sample:
        for path, value in _leaves(row):
            if path in values_by_path or len(values_by_path) < _MAX_MEMBERS:
                values_by_path.setdefault(path, []).append(value)
    parents = {path_text(keys[:end]) for keys in map(parse_path, values_by_path) for end in range(len(keys))}
    members = [_guess_member(path, values, len(sample)) for path, values in values_by_path.items()]
    members = [_unused(member, "is an object elsewhere") if member.path in parents else member for member in members]
    values = [member for member in members if member.role == "value"]
    codes = [member for member in values if len(parse_path(member.path)) == 1 and _REGISTER.fullmatch(member.name)]
    return tuple(_keep_one_time(members)), bool(codes) and len(codes) == len(values)


def _unused(member: AnswerMember, explanation: str) -> AnswerMember:
    return msgspec.structs.replace(member, role="unused", explanation=explanation)


def _leaves(node: dict[str, Any], path: str = "$", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if not is_readable_key(key):
            continue
        if isinstance(value, dict) and depth < _DEPTH:
            yield from _leaves(value, member_path(path, key), depth + 1)
        else:
            yield member_path(path, key), value


def _keep_one_time(members: list[AnswerMember]) -> list[AnswerMember]:
    """The members, with the likeliest of several times kept and the other times marked unused."""
    times = [member for member in members if member.role == "time"]
    if len(times) < 2:
        return members
    best = max(times, key=_time_likelihood)
    explanation = f"is a time too; {best.path} was taken"
    return [_unused(member, explanation) if member in times and member is not best else member for member in members]


def _time_likelihood(member: AnswerMember) -> tuple[bool, bool, bool, bool]:
    name = member.name
    return member.required, not _OTHER_TIME.search(name), bool(_TIME_NAME.search(name)), member.format == "iso8601"


def _guess_member(path: str, all_values: list[Any], count: int, *, timely: bool = False) -> AnswerMember:
    values = [value for value in all_values if value is not None]
    required, example = len(values) == count, values[0] if values else None

    def make(role: Role, explanation: str, **more: Any) -> AnswerMember:
        return AnswerMember(path=path, role=role, explanation=explanation, required=required, example=example, **more)

    name = _last_key(path)
    if not values:
        return make("unused", "was null wherever it was")
    if all(isinstance(value, bool) for value in values):
        return make("unused", 'is true or false; a field with type = "boolean" takes it as 1 or 0')
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        unit = _epoch_unit(values) if timely or _TIME_NAME.search(name) else None
        if _ID.fullmatch(name) and all(isinstance(value, int) and abs(value) < 2**63 for value in values):
            return _tag(values, count, make, type="integer")
        return make("time", f"like a time ({unit})", format=unit) if unit else make("value", "like a number")
    if all(isinstance(value, str) for value in values):
        return _guess_text(name, values, count, make)
    if all(isinstance(value, list) for value in values):
        return _guess_list(name, values, make)
    return make("unused", "has values of several types")


def _epoch_unit(values: Sequence[float]) -> str | None:
    low, high = _YEARS
    return next((unit for unit, per in _EPOCHS if all(low * per <= value < high * per for value in values)), None)


def _guess_text(name: str, values: list[str], count: int, make: _Make) -> AnswerMember:
    offsets = _offsets(values)
    if offsets is not None:
        zoned = all(offset is not None for offset in offsets)
        explanation = "like a time" if zoned else "like a time, without an offset from UTC"
        return make("time", explanation, format="iso8601", zoned=zoned)
    if all(_CLOCK.fullmatch(value) for value in values):
        return make("unused", "is a time of day without a date")
    if not _ID.fullmatch(name) and all(_NUMBER.fullmatch(value) and _is_exact(value) for value in values):
        return make("value", "like a number written as a text", type="text_number")
    if any(not 1 <= len(value) <= 256 for value in values):
        return make("unused", "is an empty or a long text")
    if any(_CONTROL.search(value) for value in values):
        return make("unused", "holds control characters, which no tag may")
    if _ATTRIBUTE.search(name):
        return make("attribute", "like a remark on the value")
    return _tag(values, count, make)


def _is_exact(text: str) -> bool:
    """Whether a text with a number is certainly a finite one, which loses no digit of an integer."""
    return math.isfinite(float(text)) and sum(map(str.isdigit, text)) <= _EXACT_DIGITS


def _tag(values: list[Any], count: int, make: _Make, **more: Any) -> AnswerMember:
    if len(values) >= 5 and len(set(values)) == len(values) == count:
        return make("unused", "differs in every record; as a tag each would be a series")
    return make("tag", "like a name that tells series apart", **more)


def _offsets(values: Sequence[str]) -> list[int | None] | None:
    """The offsets of texts that are all times; None where one is not, or has digits alone, which may be a number."""
    if any(value.isdigit() for value in values):
        return None
    try:
        return [parse_iso(value).offset_s for value in values]
    except ValueError:
        return None


def _guess_list(name: str, values: list[list[Any]], make: _Make) -> AnswerMember:
    flat = [member for value in values for member in value]
    if all(isinstance(member, str) for member in flat):
        return make("labels", "like words about the record")
    numbers = all(isinstance(member, int | float) and not isinstance(member, bool) for member in flat)
    sizes = {len(value) for value in values}
    octets = all(isinstance(member, int) and 0 <= member <= 255 for member in flat)
    if numbers and octets and len(sizes) == 1 and (size := sizes.pop()) in _PACKED:
        return make("value", f"like the {size} bytes of a number", type=_PACKED[size])
    if numbers and all(values):
        return make("values", "like many numbers", type="numbers")
    if all(isinstance(member, list | dict) for member in flat):
        return make("unused", "is a list of lists or objects; if these are the records, end [input] records there")
    return make("unused", "is a list of other things than numbers or words")


def _next_cursor_path(document: Any) -> str | None:
    """The path where the cursor of a next page seems to be; None: nowhere."""
    if isinstance(document, dict):
        for path, value in _leaves(document):
            name = str(parse_path(path)[-1]).lower()
            if name in ("next", "next_cursor", "nextcursor", "cursor", "next_page_token", "nextpagetoken"):
                return path if isinstance(value, str | int) and not isinstance(value, bool) and value else None
    return None
