"""Decodes the body of `POST /v1/query`: a question about several series."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.errors import Fault, InputError
from tidemill.feeds.convert import Table
from tidemill.query.many_points_query import ManyPointsQuery, check_many_points_query
from tidemill.query.parameters import read_query
from tidemill.query.questions import ACROSS, Question

MAX_SELECTIONS: Final = 50
MAX_EXPRESSIONS: Final = 50
PARAMETERS: Final = (
    "start",
    "end",
    "unit",
    "every",
    "points",
    "thin",
    "agg",
    "tz",
    "closed",
    "fill",
    "quality",
    "marked",
    "as_of",
    "evidence",
    "limit",
    "cursor",
    "format",
)


class SelectorBody(Table, frozen=True):
    """Series by ids, or by feed, field, name and tags; a series must match all that is given."""

    series: list[str] | None = None
    feed: str | None = None
    field: str | None = None
    name: str | None = None
    tags: dict[str, str] = {}


class QuestionBody(Table, frozen=True):
    """A question. `select`: one selector, whose series have the names of their fields, or several selectors by name.
    The other members are those of `GET /v1/points`; `across` says how the series of a group become one. Without `limit`
    an answer is whole; with it a page of so many windows, and `next` is the `cursor` of the following one."""

    select: dict[str, Any]
    start: str | None = None
    end: str | None = None
    unit: str | None = None
    every: str | None = None
    points: int | None = None
    thin: str | None = None
    agg: str | list[str] | None = None
    tz: str | None = None
    closed: str | None = None
    fill: str | None = None
    quality: str | None = None
    marked: str | None = None
    as_of: str | None = None
    evidence: bool | None = None
    limit: int | None = None
    cursor: str | None = None
    format: str | None = None
    group_by: list[str] | None = None
    across: str | None = None
    expressions: dict[str, str] = {}


def decode_question(raw: bytes) -> Question:
    """The question of a body. Raises InputError naming every fault by its path."""
    body, faults = convert_document(decode_document(raw), QuestionBody)
    if body is None:
        refuse_faults(faults)
    assert body is not None
    selections = {name: _selection(data, name, faults) for name, data in _selectors(body.select, faults).items()}
    windows = _query({name: getattr(body, name) for name in PARAMETERS}, "$", faults)
    faults += [] if windows is None else _window_faults(windows, body)
    if body.across is not None and body.across not in ACROSS:
        faults.append(Fault("$.across", "invalid", f"must be one of {', '.join(ACROSS)}, not '{body.across[:40]}'"))
    if len(body.expressions) > MAX_EXPRESSIONS:
        faults.append(Fault("$.expressions", "too_many", f"at most {MAX_EXPRESSIONS} expressions at a time"))
    refuse_faults(faults)
    assert windows is not None
    return Question(
        selections={name: chosen for name, chosen in selections.items() if chosen is not None},
        windows=windows,
        group_by=None if body.group_by is None else tuple(body.group_by),
        across=body.across,
        expressions=body.expressions,
    )


def _window_faults(windows: ManyPointsQuery, body: QuestionBody) -> list[Fault]:
    """What the windows of a question lack, or contradict."""
    faults = []
    if not windows.in_windows and windows.thin is None:
        faults.append(
            Fault("$.every", "missing", "say how long windows are: 'every', 'points', or 'agg' for the range")
        )
    if windows.thin is not None and body.expressions:
        message = "raw points of several series have no times in common, to compute with; leave out 'thin'"
        faults.append(Fault("$.expressions", "contradiction", message))
    paged = next((name for name in ("limit", "cursor") if getattr(body, name) is not None), None)
    if paged is not None and windows.format != "json":
        faults.append(Fault(f"$.{paged}", "contradiction", f"a file is whole, without '{paged}'"))
    return faults


def _selectors(select: dict[str, Any], faults: list[Fault]) -> dict[str, tuple[str, Any]]:
    """The selectors by name, each with its path; a selector without a name has the name ""."""
    if not select:
        faults.append(Fault("$.select", "missing", "say which series: {'feed': ...}, or selectors by name"))
    if len(select) > MAX_SELECTIONS:
        faults.append(Fault("$.select", "too_many", f"at most {MAX_SELECTIONS} selectors at a time"))
        return {}
    plain = set(SelectorBody.__struct_fields__)
    if any(
        not isinstance(value, dict) or (name == "tags" and plain >= select.keys()) for name, value in select.items()
    ):
        return {"": ("$.select", select)}
    return {name: (f"$.select.{name}", value) for name, value in select.items()}


def _selection(selector: tuple[str, Any], name: str, faults: list[Fault]) -> ManyPointsQuery | None:
    path, data = selector
    body, wrong = convert_document(data, SelectorBody)
    faults += [msgspec.structs.replace(fault, path=path + fault.path[1:]) for fault in wrong]
    if body is None or wrong:
        return None
    if not (body.series or body.feed or body.field or body.name or body.tags):
        faults.append(Fault(f"{path}.series", "missing", "say which series: by ids, feed, field, name or tags"))
        return None
    given = {"series": body.series, "feed": body.feed, "field": body.field, "name": body.name}
    return _query(given | {f"tag.{tag}": value for tag, value in body.tags.items()}, path, faults)


def _query(given: Mapping[str, Any], path: str, faults: list[Fault]) -> ManyPointsQuery | None:
    """The members of a body as the query of `GET /v1/points`; lists stand for texts with commas."""
    pairs = [(name, _text(value)) for name, value in given.items() if value is not None]
    try:
        query = read_query(pairs, ManyPointsQuery)
        check_many_points_query(query)
    except InputError as error:
        faults += [msgspec.structs.replace(fault, path=fault.path.replace("$query", path)) for fault in error.faults]
        return None
    return query


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)
