"""Questions of `POST /v1/query`: windows of selected series, grouped by tags, with arithmetic between them.

All selected series come from one statement to the store. In each window the values of the series of one group and one
selection become one value (`across`), and expressions are then computed in columns, for each aggregate.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import polars as pl

from tidemill.checks.expression.kinds import check_number
from tidemill.checks.expression.parse import parse_expression
from tidemill.checks.expression.tokens import ExpressionError
from tidemill.checks.expression.tree import Node, names_in
from tidemill.checks.faults import name_hint
from tidemill.errors import Fault, InputError, TooBigQuestionError, count_of_faults
from tidemill.model.offset import Reach
from tidemill.query.aggregates import COUNTS, FROM_THE_POINT_BEFORE
from tidemill.query.answers import Page, json_page
from tidemill.query.chosen_series import choose_series
from tidemill.query.cursors import encode_cursor
from tidemill.query.gaps import ReasonedGap, WindowBounds, WindowEvidence
from tidemill.query.instants import format_instants
from tidemill.query.many_points import ManyPoints, answer_head, milliseconds_since, points_in, window_bounds
from tidemill.query.many_points_answers import Source
from tidemill.query.many_points_query import ManyPointsQuery, with_evidence
from tidemill.query.nearest import MAX_CELLS, MAX_WINDOWS, too_many_windows
from tidemill.query.question_columns import (
    Members,
    combined,
    computed_columns,
    raw_columns,
    selection_columns,
    with_group_evidence,
)
from tidemill.query.question_files import AnswerColumns, question_file, raw_file
from tidemill.query.readers import WindowLength
from tidemill.query.series import Hidden
from tidemill.query.series_rows import Description
from tidemill.query.states import Known, is_closed, series_tag, tagged, unchanged
from tidemill.query.thinned_points import thinned_points
from tidemill.query.window_frames import BEFORE_ALL, check_cells, span_of
from tidemill.store.client import Store

ACROSS: Final = ("sum", "mean", "min", "max")


class Question(msgspec.Struct, frozen=True):
    """A question: selections by name (a selection without a name, "": its fields are the names), the windows, the names
    of the tags by which series are grouped (None: by all tags), how the series of a group become one, and expressions
    by name."""

    selections: dict[str, ManyPointsQuery]
    windows: ManyPointsQuery
    group_by: tuple[str, ...] | None = None
    across: str | None = None
    expressions: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """The answer to a question. `time`: the starts of the windows; empty for raw points, whose `times` each item has.
    `every` null: the whole range is one window, or the points are raw. The members from `source` on are those of
    `GET /v1/points`; `next` is the `cursor` of the following page, null on the last one and without `limit`."""

    every: str | None
    tz: str
    source: Source
    ladder: list[str] | None
    windows: int
    points_read: int
    took_ms: float
    time: list[str]
    items: list[AnswerColumns]
    next: str | None = None
    gaps: list[ReasonedGap] | None = None


class ChosenMembers(msgspec.Struct, frozen=True):
    """What a question is about: the series of each group and selection, all series, and the expressions' trees."""

    members: Members
    series: list[Description]
    trees: dict[str, Node]

    @property
    def columns(self) -> int:
        """How many columns of each aggregate the store or the answer has, the larger of both."""
        return max(len(self.series), len(self.members) + len(self.trees))


class WindowRead(msgspec.Struct, frozen=True):
    """The windows of a page: their frame, their length (None: the range), and their begins (ns, ascending), followed by
    the first begin of the next page where there is one. `count`: how many windows the page has."""

    frame: pl.DataFrame
    every: WindowLength | None
    begins_ahead: pl.Series
    count: int

    @property
    def begins(self) -> pl.Series:
        """The begins of the windows of the page."""
        return self.begins_ahead.head(self.count)

    @property
    def next(self) -> str | None:
        """The cursor of the next page."""
        return encode_cursor(int(self.begins[-1]), 0, 0) if len(self.begins_ahead) > self.count else None


class Questions:
    """Answers questions. `applied` gives a tenant's applied offset in each partition."""

    def __init__(
        self,
        store: Store,
        hidden: Hidden,
        many_points: ManyPoints,
        evidence: WindowEvidence,
        applied: Callable[[str], Reach],
    ) -> None:
        self._store, self._hidden, self._many_points = store, hidden, many_points
        self._evidence, self._applied = evidence, applied

    def read_page(self, tenant: str, question: Question, now_ns: int, known: Known = ()) -> Page:
        """The answer as a page with the tag of its state, or none where `known` has that tag. Raises what `answer`
        does."""
        chosen = self._choose(tenant, question, now_ns)
        tag = self._tag(tenant, question, chosen)
        if tag is not None and tag in known:
            return unchanged(tag)
        answer = self._answer(tenant, question, chosen, now_ns)
        return tagged(answer if isinstance(answer, Page) else json_page(answer), tag)

    def answer(self, tenant: str, question: Question, now_ns: int) -> Answer | Page:
        """The answer; with a `format` other than json a file. Raises InputError for expressions that cannot be
        computed, for groups with several series where `across` is not given, and for an `as_of` of which the answer is
        not known; NotFoundError for unknown series, LimitError for a question that is too big."""
        return self._answer(tenant, question, self._choose(tenant, question, now_ns), now_ns)

    def _choose(self, tenant: str, question: Question, now_ns: int) -> ChosenMembers:
        members = self._members(tenant, question)
        trees = _trees(question.expressions, list(dict.fromkeys(name for _, name in members)))
        _check_members(question, members)
        series = list({item.series: item for items in members.values() for item in items}.values())
        check_cells(len(series), 1)
        self._many_points.check_as_of(tenant, question.windows, series, now_ns)
        return ChosenMembers(members=members, series=series, trees=trees)

    def _tag(self, tenant: str, question: Question, chosen: ChosenMembers) -> str | None:
        """The tag of an answer about a closed range that follows from the points in it alone."""
        query = question.windows
        of_more = query.evidence or query.as_of is not None or not FROM_THE_POINT_BEFORE.isdisjoint(query.agg)
        if of_more or not is_closed(query):
            return None
        rollup_s = self._many_points.rollup_seconds(tenant, query, chosen.series)
        return series_tag(self._store, tenant, question, chosen.series, span_of(query), rollup_s=rollup_s)

    def _answer(self, tenant: str, question: Question, chosen: ChosenMembers, now_ns: int) -> Answer | Page:
        began, query = time.perf_counter(), question.windows
        if query.thin is not None:
            return self._thinned(tenant, query, chosen, began)
        applied = self._applied(tenant) if query.evidence else ()  # before any point is read
        wanted = with_evidence(query) if query.evidence else query
        read = self._read(tenant, wanted, chosen)
        parts = combined(read.frame, read.begins, chosen.members, query.aggregates, question.across)
        items = [selection_columns(key, chosen.members[key], part) for key, part in parts.items()]
        items += computed_columns(chosen.trees, parts, chosen.members, query.aggregates)
        if query.format != "json":
            return question_file(read.begins, items, query, () if chosen.trees else COUNTS)
        head = answer_head(query, read.every, rollups=bool(self._rollup_s(tenant, wanted, chosen)))
        head |= {
            "windows": len(read.begins),
            "points_read": 0 if head["source"] == "rollups" else points_in(read.frame),
            "next": read.next,
        }
        if query.evidence and len(read.begins):
            windows = window_bounds(query, read.begins_ahead, read.count, read.every)
            bounds = WindowBounds(**windows, now=now_ns, applied=applied)
            evidence, head["gaps"] = self._evidence.read(tenant, chosen.series, read.frame, bounds)
            items = [with_group_evidence(item, evidence) for item in items]
        times = format_instants(read.begins, query.tz).to_list()
        return Answer(**head, took_ms=milliseconds_since(began), time=times, items=items)

    def _thinned(self, tenant: str, query: ManyPointsQuery, chosen: ChosenMembers, began: float) -> Answer | Page:
        """Raw points, of groups with one series each."""
        points, counts = thinned_points(self._store, tenant, query, chosen.series)
        if query.format != "json":
            return raw_file(points, {key: items[0].series for key, items in chosen.members.items()}, query)
        head = answer_head(query, None) | {"windows": 0, "points_read": sum(counts.values()), "time": []}
        items = raw_columns(chosen.members, points, counts, query.tz)
        return Answer(**head, took_ms=milliseconds_since(began), items=items)

    def _rollup_s(self, tenant: str, query: ManyPointsQuery, chosen: ChosenMembers) -> int:
        return self._many_points.rollup_seconds(tenant, query, chosen.series)

    def _read(self, tenant: str, query: ManyPointsQuery, chosen: ChosenMembers) -> WindowRead:
        """The windows of a question: all of them, or with `limit` those of a page."""
        after = query.cursor[0] if query.cursor else BEFORE_ALL
        limit = MAX_WINDOWS if query.limit is None else min(query.limit, max(1, MAX_CELLS // chosen.columns))
        frame, every = self._many_points.windows(tenant, query, chosen.series, after, limit + 1)
        begins = frame["ns"].unique().sort()
        if len(begins) > limit:
            if query.limit is None:
                raise _too_many_windows(query, begins, every, chosen.columns)
            begins = begins.head(limit + 1)
            frame = frame.filter(pl.col("ns") <= begins[limit - 1])
        count = min(len(begins), limit)
        check_cells(frame.height, 1)
        check_cells(len(chosen.members) + len(chosen.trees), count)
        return WindowRead(frame=frame, every=every, begins_ahead=begins, count=count)

    def _members(self, tenant: str, question: Question) -> Members:
        """The series of each group and selection."""
        members: Members = {}
        for name, chosen in question.selections.items():
            for item in choose_series(self._store, tenant, chosen, chosen.series, self._hidden):
                kept = item.tags if question.group_by is None else question.group_by
                group = tuple((tag, item.tags.get(tag, "")) for tag in sorted(kept))
                members.setdefault((group, name or item.field), []).append(item)
        return members


def _too_many_windows(
    query: ManyPointsQuery, begins: pl.Series, every: WindowLength | None, columns: int
) -> TooBigQuestionError:
    assert every is not None  # else the range is one window
    start = int(begins[0]) if query.start is None else query.start
    end = int(begins[-1]) + every.nominal_ns if query.end is None else query.end
    what = f"More than {MAX_WINDOWS} windows"
    most = MAX_CELLS // columns
    return too_many_windows("max_windows", MAX_WINDOWS, what, every=every, start_ns=start, end_ns=end, most=most)


def _check_members(question: Question, members: Members) -> None:
    """Raises InputError where several series would have to become one and `across` does not say how."""
    crowded = next((key for key, items in members.items() if len(items) > 1), None)
    if crowded is None or (question.across is not None and question.windows.thin is None):
        return
    group, name = crowded
    tags = ", ".join(f"{tag}={value}" for tag, value in group) or "the whole"
    if question.windows.thin is not None:
        message = (
            f"'{name}' has {len(members[crowded])} series in one group ({tags}); raw points are those of one series: "
            "group by more tags, or leave out 'group_by'"
        )
        raise InputError(message, (Fault("$.group_by", "contradiction", message),))
    message = (
        f"'{name}' has {len(members[crowded])} series in one group ({tags}); say with 'across' what their values in a "
        f"window become: {', '.join(ACROSS)}; or group by more tags"
    )
    raise InputError(message, (Fault("$.across", "missing", message),))


def _trees(expressions: Mapping[str, str], names: Sequence[str]) -> dict[str, Node]:
    """The expressions' trees by name. Raises InputError with a fault for each that is no number made of `names`."""
    trees, faults = {}, []
    for name, text in expressions.items():
        try:
            trees[name] = _tree(text, names)
        except ExpressionError as error:
            faults.append(Fault(f"$.expressions.{name}", "invalid", str(error)))
        if name in names:
            message = f"'{name}' is already the name of a selection"
            faults.append(Fault(f"$.expressions.{name}", "contradiction", message))
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the body: {faults[0].message}", tuple(faults))
    return trees


def _tree(text: str, names: Sequence[str]) -> Node:
    tree = parse_expression(text)
    for name in names_in(tree):
        if name.role != "field" or name.name not in names:
            raise ExpressionError(
                text, name.at, f"nothing of the name '{name.name}' is selected{_hint(name.name, names)}"
            )
    check_number(text, tree)
    return tree


def _hint(name: str, names: Sequence[str]) -> str:
    return name_hint(name, [known if known.isidentifier() else f"`{known}`" for known in names])
