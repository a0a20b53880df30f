"""The columns of the answer to a question: aggregates of groups, expressions, raw points, and evidence. Frames in,
columns out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from tidemill.checks.expression.columns import to_polars
from tidemill.checks.expression.tree import Node, names_in
from tidemill.errors import Fault, InputError
from tidemill.model.ids import format_series, parse_series
from tidemill.query.aggregates import COUNTS
from tidemill.query.instants import format_instants
from tidemill.query.question_files import AnswerColumns
from tidemill.query.series_rows import Description

Group = tuple[tuple[str, str], ...]
Members = dict[tuple[Group, str], list[Description]]


def combined(
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


def selection_columns(key: tuple[Group, str], series: Sequence[Description], part: pl.DataFrame) -> AnswerColumns:
    """The aggregates of a group and selection, of a frame with a row for each window."""
    group, name = key
    units = {item.unit for item in series}
    return AnswerColumns(
        name=name,
        tags=dict(group),
        unit=(units.pop() or None) if len(units) == 1 else None,
        series=[format_series(item.series) for item in series],
        columns={column: part[column].to_list() for column in part.columns},
    )


def raw_columns(members: Members, points: pl.DataFrame, counts: Mapping[int, int], zone: str) -> list[AnswerColumns]:
    """Raw points (`series`, `ns`, `value`) of groups with one series each, in columns; `counts`: how many points of
    each series these were chosen from."""
    parts, empty = points.partition_by("series", as_dict=True, include_key=False), points.clear()
    columns = []
    for (group, name), (item,) in members.items():
        part, count = parts.get((item.series,), empty), counts.get(item.series, 0)
        columns.append(
            AnswerColumns(
                name=name,
                tags=dict(group),
                unit=item.unit or None,
                series=[format_series(item.series)],
                columns={"value": part["value"].to_list()},
                times=format_instants(part["ns"], zone).to_list(),
                thinned_from=count if count > len(part) else None,
            )
        )
    return columns


def with_group_evidence(item: AnswerColumns, evidence: Mapping[int, Mapping[str, list[Any]]]) -> AnswerColumns:
    """Columns with the evidence of the series that they were made of, added up; null where that of one is not known."""
    of_series = [evidence[parse_series(series)] for series in dict.fromkeys(item.series)]
    names = of_series[0] if of_series else ()
    added = {
        name: [_sum_known(values) for values in zip(*(columns[name] for columns in of_series), strict=True)]
        for name in names
    }
    return msgspec.structs.replace(item, evidence=added)


def _sum_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def computed_columns(
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
