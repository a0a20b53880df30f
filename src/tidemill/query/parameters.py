"""Query parameters as structs: what each is called, how it is read, what it means. The only way they are parsed.

The query of a route is a subclass of `QueryParameters` whose fields are annotated with a `Parameter`. `read` checks a
whole request and names everything that is wrong at once, with paths such as `$query.start`. The same declaration
documents the routes in OpenAPI and in docs/reference, so that none can say what another does not.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.query import readers
from tidemill.query.cursors import cursor, sealed

MAX_LENGTH: Final = 2048
FORMATS: Final = ("json", "ndjson", "csv", "arrow", "parquet")
AGGREGATES: Final = ("mean", "min", "max", "sum", "count", "first", "last", "stddev", "median")


class Parameter(msgspec.Struct, frozen=True):
    """How one query parameter is read, and what it means. `schema` is its JSON Schema for OpenAPI. It is called as the
    field that it annotates, or `name`; a name that ends with `.` takes any name behind the dot (`tag.user_id`) and its
    field is a dict of them."""

    description: str
    reader: readers.Reader
    schema: dict[str, Any]
    name: str = ""


class QueryParameters(msgspec.Struct, frozen=True):
    """The query of a request; by itself one without parameters. Each field is annotated with a `Parameter`; its default
    is what a request without it means, and a field without one is required."""


Q = TypeVar("Q", bound=QueryParameters)


class DeclaredParameter(msgspec.Struct, frozen=True):
    """One parameter of a route: its name in a request, the field that holds it, its default and what it is."""

    name: str
    field: str
    parameter: Parameter
    default: Any
    required: bool


@cache
def declared(kind: type[QueryParameters]) -> tuple[DeclaredParameter, ...]:
    """The parameters of a route, in the order of their fields."""
    return tuple(_declared(field) for field in msgspec.structs.fields(kind))


def _declared(field: msgspec.structs.FieldInfo) -> DeclaredParameter:
    (parameter,) = field.type.__metadata__
    default = None if field.default is msgspec.NODEFAULT else field.default
    return DeclaredParameter(parameter.name or field.name, field.name, parameter, default, field.required)


def read(given: Iterable[tuple[str, str]], kind: type[Q], tags: Collection[str] = ()) -> Q:
    """The query of a request. `tags`: names of tags that may also be given without `tag.`; one that is the name of a
    parameter is only reached with it.

    Raises InputError with a Fault for each: unknown, repeated, empty, overlong, holding NUL, unreadable, missing though
    required, a start that is after its end, and a tag that is given twice with different values.
    """
    pairs = list(given)
    context = dict(pairs)
    own = declared(kind)
    known = (*own, *_plain_tags(own, tags)) if tags else own
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    seen: set[str] = set()
    for name, text in pairs:
        one = next((d for d in known if _names(d.name, name)), None)
        fault = _unfit(name, text, one, known) if name not in seen else _repeated(name)
        if one is not None and fault is None:
            faults += _take(name, text, one, context, values)
        faults += [fault] if fault else []
        seen.add(name)
    faults += [_fault(d.name, "missing", f"'{d.name}' is needed") for d in known if d.required and d.name not in seen]
    faults += [] if faults else _disorder(values)
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
    """Put the tags that were given by their plain names among the others. Raises InputError where two contradict."""
    plain = {name: values.pop(f"tag {name}") for name in tags if f"tag {name}" in values}
    if not plain:
        return
    dotted: dict[str, str] = values.get("tags", {})
    clash = [name for name, value in plain.items() if dotted.get(name, value) != value]
    if clash:
        faults = tuple(Fault(f"$query.{n}", "repeated", f"'{n}' and 'tag.{n}' contradict each other") for n in clash)
        raise InputError(faults[0].message, faults)
    values["tags"] = plain | dotted


def _take(
    name: str, text: str, one: DeclaredParameter, context: readers.Context, values: dict[str, Any]
) -> list[Fault]:
    """Read one pair into `values`; everything that is wrong with it."""
    try:
        value = one.parameter.reader(text, context)
    except readers.ItemsError as error:
        return [_fault(f"{name}[{place}]", "invalid", f"{name}: {wrong}") for place, wrong in error.items.items()]
    except ValueError as error:
        return [_fault(name, "invalid", f"{name}: {error}")]
    if one.name.endswith("."):
        values.setdefault(one.field, {})[name.removeprefix(one.name)] = value
    else:
        values[one.field] = value
    return []


def _unfit(name: str, text: str, one: DeclaredParameter | None, known: Sequence[DeclaredParameter]) -> Fault | None:
    """What is wrong with a pair before its value is read, if anything."""
    shown = name[:80].replace("\0", "\ufffd")
    if "\0" in text or "\0" in name:
        return _fault(shown, "invalid", "a NUL character cannot be part of a query")
    if len(text) > MAX_LENGTH or len(name) > MAX_LENGTH:
        return _fault(shown, "too_long", f"'{shown}' is longer than {MAX_LENGTH} characters")
    if one is None:
        names = [d.name for d in known]
        listed = f"; known are {', '.join(map(_written, names))}" if names else "; none is taken here"
        hint = readers.nearest(name, names, _written) or listed
        return _fault(shown, "unknown_parameter", f"'{shown}' is not a parameter of this route{hint}")
    if text == "":
        return _fault(shown, "empty", f"'{shown}' is empty; leave it out or give it a value")
    return None


def _written(name: str) -> str:
    """A parameter's name as callers write it: what ends with a dot takes a name behind it."""
    return f"{name}NAME" if name.endswith(".") else name


def _repeated(name: str) -> Fault:
    return _fault(name[:80], "repeated", f"'{name[:80]}' is given more than once")


def _names(known: str, name: str) -> bool:
    """Whether a parameter called `known` is the one for `name`."""
    return name.startswith(known) and len(name) > len(known) if known.endswith(".") else name == known


def _disorder(values: dict[str, Any]) -> list[Fault]:
    """A start after its end."""
    for first, last in (("start", "end"), ("start", "stop")):
        start, end = values.get(first), values.get(last)
        if start is not None and end is not None and start > end:
            return [_fault(first, "out_of_order", f"'{first}' is after '{last}'")]
    return []


def _fault(name: str, code: str, message: str) -> Fault:
    return Fault(f"$query.{name}", code, message)


class TimeRange(msgspec.Struct, frozen=True):
    """[start, end) as both bounds *inclusive* in ns, so that the last representable instant can be asked for."""

    first_ns: int = MIN_NS
    last_ns: int = MAX_NS


def time_range(start: int | None, end: int | None) -> TimeRange:
    """What a request's `start` and `end` span; everything where they are missing."""
    return TimeRange(MIN_NS if start is None else start, MAX_NS if end is None else end - 1)


TEXT: Final = {"type": "string"}
INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31", "1769860800"]}
_INSTANT_TEXT: Final = "RFC 3339, a date (midnight in `tz` or UTC), or a number since the epoch with `unit`."


def one_of(description: str, *allowed: str) -> Parameter:
    """A parameter that is one of some words."""
    return Parameter(description, readers.choice(*allowed), {"type": "string", "enum": list(allowed)})


def limit_to(maximum: int) -> Parameter:
    """A `limit` with its maximum."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum}
    return Parameter(f"Most items of an answer, at most {maximum}.", readers.limit(maximum), schema)


def limit_of_files(what: str, page: int, largest_page: int, maximum: int) -> Parameter:
    """A `limit` where JSON is a page, and a file of another format may hold more."""
    description = f"Most {what}: as json {page} unless given, up to {largest_page}; in other formats {maximum}."
    return Parameter(description, readers.limit(maximum), {"type": "integer", "minimum": 1, "maximum": maximum})


def page_cursor(*kinds: type) -> Parameter:
    """A `cursor` whose parts are of these kinds (int or str)."""
    return Parameter("Where the last page ended: its `next`, or from its `Link` header.", cursor(*kinds), TEXT)


Start = Annotated[int | None, Parameter(f"First instant, included. {_INSTANT_TEXT}", readers.instant, INSTANT)]
End = Annotated[int | None, Parameter(f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, INSTANT)]
Stop = Annotated[int | None, Parameter(f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, INSTANT)]
Unit = Annotated[str | None, one_of("Unit of `start` and `end` where they are numbers.", *readers.UNITS_NS)]
Order = Annotated[Literal["asc", "desc"], one_of("Order in time.", "asc", "desc")]
Zone = Annotated[str, Parameter("IANA zone of the times in the answer, and of calendar windows.", readers.zone, TEXT)]
Format = Annotated[str, one_of("Format of the answer.", *FORMATS)]
Every = Annotated[
    readers.WindowLength | None,
    Parameter("Length of windows to aggregate over: 100ms, 15m, 1h, 1d, 1w, 1mo, 1y.", readers.window, TEXT),
]
Aggregates = Annotated[
    tuple[str, ...],
    Parameter(
        f"Aggregates of a window, separated by commas: {', '.join(AGGREGATES)}.", readers.choices(*AGGREGATES), TEXT
    ),
]
Fill = Annotated[
    Literal["null", "previous", "linear"] | None,
    one_of("What windows without points become; without it they are left out.", "null", "previous", "linear"),
]
FeedName = Annotated[str | None, Parameter("Only of this feed.", readers.word, TEXT)]
FieldName = Annotated[str | None, Parameter("Only this field.", readers.word, TEXT)]
SeriesName = Annotated[str | None, Parameter("Only series of exactly this name.", readers.word, TEXT)]
Quality = Annotated[Literal["good"] | None, one_of("`good`: only points that no rule flagged.", "good")]
Marked = Annotated[str | None, Parameter("Only points that a rule flagged with this reason code.", readers.word, TEXT)]
Tags = Annotated[
    dict[str, str],
    Parameter("Only where this tag has this value; `tag.user_id=a1`.", readers.word, TEXT, name="tag."),
]
SealedCursor = Annotated[
    str | None, Parameter("Where the last page ended: its `next`, or from its `Link` header.", sealed, TEXT)
]


class RangeParameters(QueryParameters, frozen=True):
    """The query of what lies in [start, end)."""

    start: Start = None
    end: End = None
    unit: Unit = None
