"""Query parameters as one table: what each is called, how it is read, what it means. The only way they are parsed.

`read` checks a whole request and names everything that is wrong at once, with paths such as `$query.start`. The same
table documents the routes in OpenAPI, so that neither can say what the other does not.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.query import readers
from tidemill.query.cursor import cursor

MAX_LENGTH: Final = 2048
FORMATS: Final = ("json", "ndjson", "csv", "arrow", "parquet")
AGGREGATES: Final = ("mean", "min", "max", "sum", "count", "first", "last", "stddev", "median")


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter. A name that ends with `.` takes any name behind the dot (`tag.user_id`) and gives a dict.

    `schema` is its JSON Schema for OpenAPI; `default` is what a request without it means.
    """

    name: str
    description: str
    reader: readers.Reader
    schema: dict[str, Any]
    default: Any = None
    required: bool = False


Asked = dict[str, Any]


def read(given: Iterable[tuple[str, str]], known: Sequence[Parameter]) -> Asked:
    """The values of a request by parameter name; every parameter of `known` is there, with its default if not given.

    Raises InputError with a Fault for each: unknown, repeated, empty, overlong, holding NUL, unreadable, missing though
    required, and a start that is after its end.
    """
    pairs = list(given)
    context = dict(pairs)
    asked: Asked = {p.name: {} if p.name.endswith(".") else p.default for p in known}
    faults: list[Fault] = []
    seen: set[str] = set()
    for name, text in pairs:
        parameter = next((p for p in known if _names(p.name, name)), None)
        fault = _unfit(name, text, parameter, known) if name not in seen else _repeated(name)
        if parameter is not None and fault is None:
            faults += _take(name, text, parameter, context, asked)
        faults += [fault] if fault else []
        seen.add(name)
    faults += [_fault(p.name, "missing", f"'{p.name}' is needed") for p in known if p.required and p.name not in seen]
    faults += [] if faults else _disorder(asked)
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the query: {faults[0].message}", tuple(faults))
    return asked


def _take(name: str, text: str, parameter: Parameter, context: readers.Context, asked: Asked) -> list[Fault]:
    """Read one pair into `asked`; everything that is wrong with it."""
    try:
        value = parameter.reader(text, context)
    except readers.ItemsError as error:
        return [_fault(f"{name}[{place}]", "invalid", f"{name}: {wrong}") for place, wrong in error.items.items()]
    except ValueError as error:
        return [_fault(name, "invalid", f"{name}: {error}")]
    if parameter.name.endswith("."):
        asked[parameter.name][name.removeprefix(parameter.name)] = value
    else:
        asked[parameter.name] = value
    return []


def _unfit(name: str, text: str, parameter: Parameter | None, known: Sequence[Parameter]) -> Fault | None:
    """What is wrong with a pair before its value is read, if anything."""
    shown = name[:80].replace("\0", "\ufffd")
    if "\0" in text or "\0" in name:
        return _fault(shown, "invalid", "a NUL character cannot be part of a query")
    if len(text) > MAX_LENGTH or len(name) > MAX_LENGTH:
        return _fault(shown, "too_long", f"'{shown}' is longer than {MAX_LENGTH} characters")
    if parameter is None:
        names = [p.name for p in known]
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


def _disorder(asked: Asked) -> list[Fault]:
    """A start after its end."""
    for first, last in (("start", "end"), ("start", "stop")):
        start, end = asked.get(first), asked.get(last)
        if start is not None and end is not None and start > end:
            return [_fault(first, "out_of_order", f"'{first}' is after '{last}'")]
    return []


def _fault(name: str, code: str, message: str) -> Fault:
    return Fault(f"$query.{name}", code, message)


class Range(msgspec.Struct, frozen=True):
    """[start, end) as both bounds *inclusive* in ns, so that the last representable instant can be asked for."""

    first_ns: int = MIN_NS
    last_ns: int = MAX_NS


def time_range(asked: Asked, end: str = "end") -> Range:
    """The `start` and `end` of a request; everything where they are missing."""
    first = MIN_NS if asked["start"] is None else asked["start"]
    last = MAX_NS if asked[end] is None else asked[end] - 1
    return Range(first, last)


_TEXT: Final = {"type": "string"}
_INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31", "1769860800"]}
_INSTANT_TEXT: Final = "RFC 3339, a date (midnight in `tz` or UTC), or a number since the epoch with `unit`."

START: Final = Parameter("start", f"First instant, included. {_INSTANT_TEXT}", readers.instant, _INSTANT)
END: Final = Parameter("end", f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, _INSTANT)
STOP: Final = Parameter("stop", f"Last instant, excluded. {_INSTANT_TEXT}", readers.instant, _INSTANT)
UNIT: Final = Parameter(
    "unit", "Unit of `start` and `end` where they are numbers.", readers.choice(*readers.UNITS_NS), _TEXT
)
ORDER: Final = Parameter(
    "order", "Order in time.", readers.choice("asc", "desc"), {"type": "string", "enum": ["asc", "desc"]}, "asc"
)
ZONE: Final = Parameter(
    "tz", "IANA zone of the times in the answer, and of calendar windows.", readers.zone, _TEXT, "UTC"
)
FORMAT: Final = Parameter(
    "format", "Format of the answer.", readers.choice(*FORMATS), {"type": "string", "enum": list(FORMATS)}, "json"
)
EVERY: Final = Parameter(
    "every", "Length of windows to aggregate over: 100ms, 15m, 1h, 1d, 1w, 1mo, 1y.", readers.window, _TEXT
)
AGG: Final = Parameter(
    "agg",
    f"Aggregates of a window, separated by commas: {', '.join(AGGREGATES)}.",
    readers.choices(*AGGREGATES),
    _TEXT,
    ("mean",),
)
FILL: Final = Parameter(
    "fill",
    "What windows without points become; without it they are left out.",
    readers.choice("null", "previous", "linear"),
    {"type": "string", "enum": ["null", "previous", "linear"]},
)
CLOSED: Final = Parameter(
    "closed",
    "Which end of a window is part of it. With `right` a point at the end of a window (the stamp of what ended there)"
    " counts in it, and the range is (start, end]; `time` is the window's start either way.",
    readers.choice("left", "right"),
    {"type": "string", "enum": ["left", "right"]},
    "left",
)
FEED: Final = Parameter("feed", "Only of this feed.", readers.word, _TEXT)
FIELD: Final = Parameter("field", "Only this field.", readers.word, _TEXT)
NAME: Final = Parameter("name", "Only series of exactly this name.", readers.word, _TEXT)
QUALITY: Final = Parameter(
    "quality",
    "`good`: only points that no rule flagged.",
    readers.choice("good"),
    {"type": "string", "enum": ["good"]},
)
MARKED: Final = Parameter(
    "marked", "Only points that a rule flagged with this reason code.", readers.word, {"type": "string"}
)
TAGS: Final = Parameter("tag.", "Only where this tag has this value; `tag.user_id=a1`.", readers.word, _TEXT)
QUANTILES: Final = Parameter(
    "q", "Quantiles from 0 to 1, separated by commas.", readers.quantiles, _TEXT, (0.05, 0.25, 0.5, 0.75, 0.95)
)
VERSION: Final = Parameter(
    "version",
    "This version of the feed, exactly; without it the one in force.",
    readers.limit(999_999_999),
    {"type": "integer", "minimum": 1},
)


def limit(default: int, maximum: int) -> Parameter:
    """A `limit` with its default and its maximum."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return Parameter("limit", f"Most items of an answer, at most {maximum}.", readers.limit(maximum), schema, default)


def page_cursor(*kinds: type) -> Parameter:
    """A `cursor` whose parts are of these kinds (int or str)."""
    return Parameter(
        "cursor", "Where the last page ended: its `next`, or from its `Link` header.", cursor(*kinds), _TEXT
    )
