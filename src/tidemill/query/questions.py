"""Questions of `POST /v1/query`: windows of selected series, grouped by tags, with arithmetic between them.

All selected series come from one statement to the store. In each window the values of the series of one group and one
selection become one value (`across`), and expressions are then computed in columns, for each aggregate.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.checks.expression.columns import to_polars
from tidemill.checks.expression.kinds import check_number
from tidemill.checks.expression.parse import parse_expression
from tidemill.checks.expression.tokens import ExpressionError
from tidemill.checks.expression.tree import Node, names_in
from tidemill.checks.faults import name_hint
from tidemill.errors import Fault, InputError, TooBigQuestionError, count_of_faults
from tidemill.model.ids import format_series
from tidemill.query.aggregates import COUNTS
from tidemill.query.answers import Page
from tidemill.query.chosen_series import choose_series
from tidemill.query.instants import format_instants
from tidemill.query.many_points import ManyPoints, answer_head, milliseconds_since, points_in
from tidemill.query.many_points_answers import Source
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.nearest import MAX_CELLS, MAX_WINDOWS, too_many_windows
from tidemill.query.question_files import AnswerColumns, question_file
from tidemill.query.readers import WindowLength
from tidemill.query.series import Description, Hidden
from tidemill.query.window_frames import BEFORE_ALL, check_cells
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
    """The answer to a question. `time`: the starts of the windows. `every` null: the whole range is one window. The
    members from `source` on are those of `GET /v1/points`."""

    every: str | None
    tz: str
    source: Source
    ladder: list[str] | None
    windows: int
    points_read: int
    took_ms: float
    time: list[str]
    items: list[AnswerColumns]


Group = tuple[tuple[str, str], ...]
Members = dict[tuple[Group, str], list[Description]]


class QuestionRead(msgspec.Struct, frozen=True):
    """What was read for a question: the begins of the windows (ns, ascending), the series of each group and selection
    and the frame of their aggregates, the expressions' trees, and members of the answer that say how it was made."""

    begins: pl.Series
    members: Members
    parts: dict[tuple[Group, str], pl.DataFrame]
    trees: dict[str, Node]
    head: dict[str, Any]


class Questions:
    """Answers questions."""

    def __init__(self, store: Store, hidden: Hidden, many_points: ManyPoints) -> None:
        self._store, self._hidden, self._many_points = store, hidden, many_points

    def answer(self, tenant: str, question: Question, now_ns: int) -> Answer | Page:
        """The answer; with a `format` other than json a file. Raises InputError for expressions that cannot be
        computed, for groups with several series where `across` is not given, and for an `as_of` of which the answer is
        not known; NotFoundError for unknown series, LimitError for a question that is too big."""
        began = time.perf_counter()
        read, query = self._read(tenant, question, now_ns), question.windows
        items = [_selection(key, read.members[key], part) for key, part in read.parts.items()]
        items += _computed(read.trees, read.parts, read.members, query.aggregates)
        if query.format != "json":
            return question_file(read.begins, items, query, () if read.trees else COUNTS)
        times = format_instants(read.begins, query.tz).to_list()
        return Answer(**read.head, took_ms=milliseconds_since(began), time=times, items=items)

    def _read(self, tenant: str, question: Question, now_ns: int) -> QuestionRead:
        members = self._members(tenant, question)
        names = list(dict.fromkeys(name for _, name in members))
        trees = _trees(question.expressions, names)
        _check_members(question, members)
        series = list({item.series: item for items in members.values() for item in items}.values())
        check_cells(len(series), 1)
        query = question.windows
        self._many_points.check_as_of(tenant, query, series, now_ns)
        frame, every = self._many_points.windows(tenant, query, series, BEFORE_ALL, MAX_WINDOWS + 1)
        begins = frame["ns"].unique().sort()
        if len(begins) > MAX_WINDOWS:
            raise _too_many_windows(query, begins, every, max(len(series), len(members) + len(trees)))
        check_cells(frame.height, 1)
        check_cells(len(members) + len(trees), len(begins))
        parts = _combined(frame, begins, members, query.aggregates, question.across)
        head = answer_head(query, every, rollups=bool(self._many_points.rollup_seconds(tenant, query, series)))
        head |= {"windows": len(begins), "points_read": 0 if head["source"] == "rollups" else points_in(frame)}
        return QuestionRead(begins=begins, members=members, parts=parts, trees=trees, head=head)

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
    if crowded is None or question.across is not None:
        return
    group, name = crowded
    tags = ", ".join(f"{tag}={value}" for tag, value in group) or "the whole"
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


def _combined(
    frame: pl.DataFrame, begins: pl.Series, members: Members, aggregates: Sequence[str], across: str | None
) -> dict[tuple[Group, str], pl.DataFrame]:
    """For each group and selection a frame of the aggregates with a row for each begin. A series without a value is
    left out; counts are added up."""
    keys = list(members)
    of_series = [(item.series, number) for number, key in enumerate(keys) for item in members[key]]
    schema = {"series": pl.UInt64, "key": pl.UInt32}
    joined = frame.join(pl.DataFrame(of_series, schema=schema, orient="row"), on="series")
    by_key = joined.group_by("key", "ns").agg(_across(name, across) for name in aggregates)
    parts = by_key.partition_by("key", as_dict=True, include_key=False)
    every, empty = pl.DataFrame({"ns": begins}), by_key.clear().drop("key")
    zero = pl.col([name for name in aggregates if name in COUNTS]).fill_null(0)
    return {
        key: every.join(parts.get((number,), empty), on="ns", how="left", maintain_order="left")
        .select(aggregates)
        .with_columns(zero)
        for number, key in enumerate(keys)
    }


def _across(name: str, across: str | None) -> pl.Expr:
    column = pl.col(name)
    if name in COUNTS:
        return column.sum()
    if across == "sum":
        return pl.when(column.count() > 0).then(column.sum()).alias(name)
    by_word = {"mean": column.mean(), "min": column.min(), "max": column.max()}
    return by_word.get(across or "", column.first())


def _selection(key: tuple[Group, str], series: Sequence[Description], part: pl.DataFrame) -> AnswerColumns:
    group, name = key
    units = {item.unit for item in series}
    return AnswerColumns(
        name=name,
        tags=dict(group),
        unit=(units.pop() or None) if len(units) == 1 else None,
        series=[format_series(item.series) for item in series],
        columns={column: part[column].to_list() for column in part.columns},
    )


def _computed(
    trees: Mapping[str, Node],
    parts: Mapping[tuple[Group, str], pl.DataFrame],
    members: Members,
    aggregates: Sequence[str],
) -> list[AnswerColumns]:
    """The expressions of each group that has all that they name. Raises InputError where no group has."""
    computed = []
    for name, tree in trees.items():
        needed = list(dict.fromkeys(found.name for found in names_in(tree)))
        groups = list(dict.fromkeys(group for group, _ in members))
        complete = [group for group in groups if all((group, needed_name) in parts for needed_name in needed)]
        if not complete:
            message = f"no group has all of {', '.join(needed)}: series belong together whose tags of 'group_by' agree"
            raise InputError(message, (Fault(f"$.expressions.{name}", "incomplete", message),))
        for group in complete:
            columns = {
                aggregate: _values(tree, {n: parts[group, n][aggregate] for n in needed}) for aggregate in aggregates
            }
            series = [format_series(item.series) for n in needed for item in members[group, n]]
            computed.append(AnswerColumns(name, dict(group), None, series, columns))
    return computed


def _values(tree: Node, named: Mapping[str, pl.Series]) -> list[float | None]:
    """The values of an expression in every window; null where one of its values is null, or it is not finite."""
    frame = pl.DataFrame({f"f.{name}": values.cast(pl.Float64) for name, values in named.items()})
    number = to_polars(tree)
    return frame.select(pl.when(number.is_finite()).then(number).alias("value"))["value"].to_list()
