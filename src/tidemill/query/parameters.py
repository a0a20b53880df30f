"""Query parameters as structs: the name, the reader and the meaning of each. No route parses its query otherwise.

The query of a route is a subclass of `QueryParameters` whose fields are annotated with a `Parameter`. `read_query`
checks a whole request and reports all of its faults at once, with paths such as `$query.start`. OpenAPI and
docs/reference are generated from the same declaration, so that they cannot differ from what is parsed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.query import readers
from tidemill.query.aggregates import AGGREGATES, MEANING, aggregates
from tidemill.query.cursors import cursor_reader, read_sealed_cursor

MAX_LENGTH: Final = 2048
FORMATS: Final = ("json", "ndjson", "csv", "arrow", "parquet")


class Parameter(msgspec.Struct, frozen=True):
    """The reader and the meaning of one query parameter. `schema` is its JSON Schema for OpenAPI. `name` is its name in
    a request, by default that of the annotated field; a name that ends with `.` accepts any name after the dot
    (`tag.user_id`), and its field is a dict by those names. `most`: how often the parameter may be given; if more than
    once, its field is a tuple of the values in the order of the request."""

    description: str
    reader: readers.Reader
    schema: dict[str, Any]
    name: str = ""
    most: int = 1


class QueryParameters(msgspec.Struct, frozen=True):
    """The query of a request; this base class has no parameters. Each field is annotated with a `Parameter`; its
    default is the value where a request leaves it out, and a field without a default is required."""


Q = TypeVar("Q", bound=QueryParameters)


class DeclaredParameter(msgspec.Struct, frozen=True):
    """One parameter of a route: its name in a request, its field, its declaration and its default."""

    name: str
    field: str
    parameter: Parameter
    default: Any
    required: bool


@cache
def declared_parameters(kind: type[QueryParameters]) -> tuple[DeclaredParameter, ...]:
    """The parameters of a route, in the order of their fields."""
    return tuple(_declared_parameter(field) for field in msgspec.structs.fields(kind))


def _declared_parameter(field: msgspec.structs.FieldInfo) -> DeclaredParameter:
    (parameter,) = field.type.__metadata__
    default = None if field.default is msgspec.NODEFAULT else field.default
    return DeclaredParameter(parameter.name or field.name, field.name, parameter, default, field.required)


def read_query(given: Iterable[tuple[str, str]], kind: type[Q], tags: Collection[str] = ()) -> Q:
    """The query of a request as a `kind`. `tags`: names of tags that may also be given without `tag.`; a tag with the
    name of a parameter needs the prefix.

    Raises InputError with a Fault for each: unknown, repeated, empty, overlong, holding NUL, unreadable, missing though
    required, a start that is after its end, and a tag that is given twice with different values.
    """
    pairs = list(given)
    context = dict(pairs)
    own = declared_parameters(kind)
    known = (*own, *_plain_tags(own, tags)) if tags else own
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    seen: Counter[str] = Counter()
    for name, text in pairs:
        declared = next((d for d in known if _matches_name(d.name, name)), None)
        most = 1 if declared is None else declared.parameter.most
        fault = _pair_fault(name, text, declared, known) if seen[name] < most else _repeated_fault(name, most)
        if declared is not None and fault is None:
            faults += _read_pair(name, text, declared, context, values)
        faults += [fault] if fault else []
        seen[name] += 1
    faults += [_fault(d.name, "missing", f"'{d.name}' is needed") for d in known if d.required and d.name not in seen]
    faults += [] if faults else _order_faults(values)
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))
    _join_tags(values, tags)
    return kind(**values)


def _plain_tags(own: Sequence[DeclaredParameter], tags: Collection[str]) -> Iterable[DeclaredParameter]:
    taken = {parameter.name for parameter in own}
    for name in tags:
        if name not in taken:
            word = Parameter(f"Only where the tag {name} has this value.", readers.word, {})
            yield DeclaredParameter(name, f"tag {name}", word, None, False)


def _join_tags(values: dict[str, Any], tags: Collection[str]) -> None:
    """Merges the tags that were given without `tag.` into `values["tags"]`. Raises InputError where two contradict."""
    plain = {name: values.pop(f"tag {name}") for name in tags if f"tag {name}" in values}
    if not plain:
        return
    dotted: dict[str, str] = values.get("tags", {})
    clash = [name for name, value in plain.items() if dotted.get(name, value) != value]
    if clash:
        faults = tuple(Fault(f"$query.{n}", "repeated", f"'{n}' and 'tag.{n}' contradict each other") for n in clash)
        raise InputError(faults[0].message, faults)
    values["tags"] = plain | dotted


def _read_pair(
    name: str, text: str, declared: DeclaredParameter, context: readers.Context, values: dict[str, Any]
) -> list[Fault]:
    """Reads one pair into `values`; returns its faults."""
    try:
        value = declared.parameter.reader(text, context)
    except readers.ItemsError as error:
        return [_fault(f"{name}[{index}]", "invalid", f"{name}: {message}") for index, message in error.items.items()]
    except ValueError as error:
        return [_fault(name, "invalid", f"{name}: {error}")]
    if declared.name.endswith("."):
        values.setdefault(declared.field, {})[name.removeprefix(declared.name)] = value
    elif declared.parameter.most > 1:
        values[declared.field] = (*values.get(declared.field, ()), value)
    else:
        values[declared.field] = value
    return []


def _pair_fault(
    name: str, text: str, declared: DeclaredParameter | None, known: Sequence[DeclaredParameter]
) -> Fault | None:
    """The fault of a pair that shows before its value is read, or None."""
    shown = name[:80].replace("\0", "\ufffd")
    if "\0" in text or "\0" in name:
        return _fault(shown, "invalid", "a NUL character cannot be part of a query")
    if len(text) > MAX_LENGTH or len(name) > MAX_LENGTH:
        return _fault(shown, "too_long", f"'{shown}' is longer than {MAX_LENGTH} characters")
    if declared is None:
        names = [d.name for d in known]
        listed = f"; known are {', '.join(map(_display_name, names))}" if names else "; none is taken here"
        hint = readers.nearest(name, names, _display_name) or listed
        return _fault(shown, "unknown_parameter", f"'{shown}' is not a parameter of this route{hint}")
    if text == "":
        return _fault(shown, "empty", f"'{shown}' is empty; leave it out or give it a value")
    return None


def _display_name(name: str) -> str:
    """A parameter's name for messages: `tag.NAME` for a parameter that accepts any name after its dot."""
    return f"{name}NAME" if name.endswith(".") else name


def _repeated_fault(name: str, most: int) -> Fault:
    often = "once" if most == 1 else f"{most} times"
    return _fault(name[:80], "repeated", f"'{name[:80]}' is given more than {often}")


def _matches_name(known: str, name: str) -> bool:
    """Whether the parameter of the name `known` is the one for `name` of a request."""
    return name.startswith(known) and len(name) > len(known) if known.endswith(".") else name == known


def _order_faults(values: dict[str, Any]) -> list[Fault]:
    """A fault if the start is after the end, else none."""
    for first, last in (("start", "end"), ("start", "stop"), ("time_start", "time_end")):
        start, end = values.get(first), values.get(last)
        if start is not None and end is not None and start > end:
            return [_fault(first, "out_of_order", f"'{first}' is after '{last}'")]
    return []


def _fault(name: str, code: str, message: str) -> Fault:
    return Fault(f"$query.{name}", code, message)


class TimeRange(msgspec.Struct, frozen=True):
    """[start, end) with both bounds *inclusive*, in ns, so that it can include the last representable instant."""

    first_ns: int = MIN_NS
    last_ns: int = MAX_NS


def time_range(start: int | None, end: int | None) -> TimeRange:
    """The range of a request's `start` and `end` (ns); None is unbounded."""
    return TimeRange(MIN_NS if start is None else start, MAX_NS if end is None else end - 1)


TEXT: Final = {"type": "string"}
INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31", "1769860800"]}
_INSTANT_TEXT: Final = "RFC 3339, a date (midnight in `tz` or UTC), or a number since the epoch with `unit`."


def one_of(description: str, *allowed: str) -> Parameter:
    """A parameter whose value is one of the allowed words."""
    return Parameter(description, readers.choice(*allowed), {"type": "string", "enum": list(allowed)})


def limit_to(maximum: int) -> Parameter:
    """A `limit` parameter with a maximum."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum}
    return Parameter(f"Most items of an answer, at most {maximum}.", readers.limit(maximum), schema)


def limit_of_files(what: str, page: int, largest_page: int, maximum: int) -> Parameter:
    """A `limit` parameter of a route whose JSON is a page, and whose files in other formats may hold more."""
    description = f"Most {what}: as json {page} unless given, up to {largest_page}; in other formats {maximum}."
    return Parameter(description, readers.limit(maximum), {"type": "integer", "minimum": 1, "maximum": maximum})


def page_cursor(*kinds: type) -> Parameter:
    """A `cursor` parameter whose parts have these types (int or str)."""
    return Parameter("Where the last page ended: its `next`, or from its `Link` header.", cursor_reader(*kinds), TEXT)


Start = Annotated[int | None, Parameter(f"First instant, included. {_INSTANT_TEXT}", readers.instant, INSTANT)]
End = Annotated[int | None, Parameter(f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, INSTANT)]
Stop = Annotated[int | None, Parameter(f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, INSTANT)]
Unit = Annotated[str | None, one_of("Unit of `start` and `end` where they are numbers.", *readers.UNITS_NS)]
Order = Annotated[Literal["asc", "desc"], one_of("Order in time.", "asc", "desc")]
Zone = Annotated[str, Parameter("IANA zone of the times in the answer, and of calendar windows.", readers.zone, TEXT)]
Format = Annotated[str, one_of("Format of the answer.", *FORMATS)]
Every = Annotated[
    readers.WindowLength | None,
    Parameter("Length of windows to aggregate over: 100ms, 15m, 1h, 1d, 1w, 1mo, 1q (3mo), 1y.", readers.window, TEXT),
]
Aggregates = Annotated[
    tuple[str, ...],
    Parameter(
        f"Aggregates of a window of `every` (without it, of the whole range), separated by commas: "
        f"{', '.join(AGGREGATES)}, and quantiles such as `p95` or `p99.9`; `mean` unless given. {MEANING}",
        aggregates,
        TEXT,
    ),
]
Closed = Annotated[
    Literal["left", "right"],
    one_of(
        "Which end of a window is part of it. With `right` a point at the end of a window (the stamp of what ended "
        "there) counts in it, and the range is (start, end]; `time` is the window's start either way.",
        "left",
        "right",
    ),
]
Fill = Annotated[
    str | float | None,
    Parameter(
        "What windows without points become: `null`, `previous`, `linear`, or a number by `value:0`; without it they "
        "are left out.",
        readers.filling,
        {"type": "string", "pattern": "^(null|previous|linear|value:[-+0-9.eE]+)$", "examples": ["null", "value:0"]},
    ),
]
FeedName = Annotated[str | None, Parameter("Only of this feed.", readers.word, TEXT)]
FieldName = Annotated[str | None, Parameter("Only this field.", readers.word, TEXT)]
SeriesName = Annotated[str | None, Parameter("Only series of exactly this name.", readers.word, TEXT)]
QUALITY_CONFLICT: Final = Fault(
    "$query.quality", "contradiction", "no point is both good and marked; ask for one of them"
)


def quality_params(quality: str | None, marked: str | None) -> dict[str, Any]:
    """The parameters `good` and `mark` of the queries that filter points by their quality."""
    return {"good": int(quality == "good"), "mark": marked or ""}


Quality = Annotated[Literal["good"] | None, one_of("`good`: only points that no rule flagged.", "good")]
Marked = Annotated[str | None, Parameter("Only points that a rule flagged with this reason code.", readers.word, TEXT)]
Tags = Annotated[
    dict[str, str],
    Parameter("Only where this tag has this value; `tag.user_id=a1`.", readers.word, TEXT, name="tag."),
]
SealedCursor = Annotated[
    str | None, Parameter("Where the last page ended: its `next`, or from its `Link` header.", read_sealed_cursor, TEXT)
]


class RangeParameters(QueryParameters, frozen=True):
    """The query of a time range [start, end)."""

    start: Start = None
    end: End = None
    unit: Unit = None
