"""Answers to questions in columns, and as files with a row for each group, selection or expression, and window."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from tidemill.query.answers import MEDIA_TYPES, Page
from tidemill.query.files import file_bytes
from tidemill.query.many_points_query import ManyPointsQuery


class AnswerColumns(msgspec.Struct, frozen=True):
    """A selection or an expression of one group: `columns` has an array for each aggregate, each as long as `time`; of
    raw points `value`, as long as `times`. `series`: the ids of the series that it was made of. `unit`: of the
    selection, where its series have one unit. `thinned_from`: how many points these were chosen from (null: all are
    here). `evidence`, if asked for, has the members of `GET /v1/points`, added up over the series."""

    name: str
    tags: dict[str, str]
    unit: str | None
    series: list[str]
    columns: dict[str, list[float | None]]
    times: list[str] | None = None
    thinned_from: int | None = None
    evidence: dict[str, list[float | None]] | None = None


def question_file(
    begins: pl.Series, items: Sequence[AnswerColumns], query: ManyPointsQuery, whole: Container[str]
) -> Page:
    """A file of the format of the question, with the columns `name`, `tag.NAME` for each tag of the groups, `time`, and
    the aggregates: item by item, each in time order. `begins` (ns) are those of the windows. `whole`: the aggregates
    that are whole numbers."""
    tags = sorted({tag for item in items for tag in item.tags})
    schema: dict[str, Any] = {"name": pl.String, **{f"tag.{tag}": pl.String for tag in tags}, "ns": pl.Int64}
    kinds = {name: pl.Int64 if name in whole else pl.Float64 for name in query.aggregates}
    empty = pl.DataFrame(schema=schema | kinds)
    frame = pl.concat([empty, *(_rows(begins, item, tags, kinds) for item in items)])
    return Page(file_bytes(frame, query.format, query.tz), MEDIA_TYPES[query.format])


def raw_file(
    points: pl.DataFrame, series: Mapping[tuple[tuple[tuple[str, str], ...], str], int], query: ManyPointsQuery
) -> Page:
    """The same of raw points (`series`, `ns`, `value`), with the column `value`; `series`: that of each group and
    selection."""
    tags = sorted({tag for group, _ in series for tag, _ in group})
    schema: dict[str, Any] = {"name": pl.String, **{f"tag.{tag}": pl.String for tag in tags}}
    frames = [pl.DataFrame(schema=schema | {"ns": pl.Int64, "value": pl.Float64})]
    for (group, name), number in series.items():
        said = [pl.lit(dict(group).get(tag), dtype=pl.String).alias(f"tag.{tag}") for tag in tags]
        own = points.filter(pl.col("series") == number)
        frames.append(own.select(pl.lit(name).alias("name"), *said, "ns", "value"))
    return Page(file_bytes(pl.concat(frames), query.format, query.tz), MEDIA_TYPES[query.format])


def _rows(begins: pl.Series, item: AnswerColumns, tags: Sequence[str], kinds: Mapping[str, Any]) -> pl.DataFrame:
    said = [pl.lit(item.tags.get(tag), dtype=pl.String).alias(f"tag.{tag}") for tag in tags]
    columns = [pl.Series(name, item.columns[name], dtype=kind) for name, kind in kinds.items()]
    frame = pl.DataFrame([begins.cast(pl.Int64).alias("ns"), *columns])
    return frame.select(pl.lit(item.name).alias("name"), *said, "ns", *kinds)
