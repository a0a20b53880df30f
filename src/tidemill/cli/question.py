"""What `tidemill query` prints of several series: points side by side, groups, and what is computed with them."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from tidemill.cli.common import out, plain_table
from tidemill.cli.points_options import point_selection
from tidemill.cli.sparkline import sparkline
from tidemill.errors import InputError
from tidemill.model.time import parse_instant

if TYPE_CHECKING:
    from tidemill.client.documents import SeriesInfo

MAX_WIDE: Final = 8  # columns of values that are side by side; more are below each other
GroupOption = Annotated[
    str | None,
    typer.Option(
        "--group-by", help="Tags by which series belong together, separated by commas; '' puts all into one group."
    ),
]
AcrossOption = Annotated[str, typer.Option(help="What the series of a group become: sum, mean, min or max.")]
ExpressionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--expression",
        help="A number made of fields, or of names of --select, such as net=import-export; may be repeated.",
        metavar="NAME=TEXT",
    ),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", help="Series by ids under a name; may be repeated.", metavar="NAME=ID,ID"),
]


def named_texts(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Options given as NAME=TEXT. Raises InputError."""
    named = {}
    for text in texts or ():
        name, mark, value = text.partition("=")
        if not (mark and name.strip() and value.strip()):
            raise InputError(f"{option} is NAME=TEXT, such as net=import-export, not '{text}'")
        named[name.strip()] = value.strip()
    return named


def grouping(group_by: str | None, across: str, expressions: Mapping[str, str]) -> dict[str, Any]:
    """The members of a question that say how its series belong together; none: it is no question about groups."""
    members: dict[str, Any] = {"across": across, "expressions": dict(expressions)}
    groups = {} if group_by is None else {"group_by": [tag.strip() for tag in group_by.split(",") if tag.strip()]}
    return {name: value for name, value in members.items() if value} | groups


def selector(series: str, feed: str, field: str, tags: Sequence[str] | None) -> dict[str, Any]:
    """The series of a question, by ids or by feed, field and tags. Raises InputError."""
    selection = point_selection(series, feed, field, tags)
    given = {"feed": selection.get("feed"), "field": selection.get("field"), "tags": selection.get("tags")}
    return {"series": series.split(",")} if series else {name: value for name, value in given.items() if value}


def series_labels(infos: Sequence["SeriesInfo"]) -> dict[str, str]:
    """For each series what tells it apart from the others: its field and the tags that differ, else its id."""
    fields = {info.field for info in infos}
    tags = [name for name in {name: None for info in infos for name in info.tags} if _differs(infos, name)]
    labels = {}
    for info in infos:
        words = [info.field] if len(fields) > 1 else []
        words += [info.tags[name] for name in tags if name in info.tags]
        labels[info.id] = " ".join(words) or info.id
    return labels if len(set(labels.values())) == len(infos) else {info.id: info.id for info in infos}


def _differs(infos: Sequence["SeriesInfo"], tag: str) -> bool:
    return len({info.tags.get(tag) for info in infos}) > 1


def print_lines(lines: bytes, format: str, labels: Mapping[str, str], most: int) -> None:
    """Rows (lines of JSON, or the CSV) as they are, as one JSON array, or as a table with a plot of each column."""
    if format in ("csv", "ndjson"):
        sys.stdout.write(lines.decode())
        return
    rows = [msgspec.json.decode(line) for line in lines.splitlines()]
    if format == "json":
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        _print_table(rows, labels, most)


def _print_table(rows: list[dict[str, Any]], labels: Mapping[str, str], most: int) -> None:
    keys = [name for name in (rows[0] if rows else ()) if name in ("series", "name") or name.startswith("tag.")]
    values = [name for name in (rows[0] if rows else ("value",)) if name not in keys and name != "time"]
    columns: dict[str, list[Any]] = {}
    times = {time: number for number, time in enumerate(sorted({row["time"] for row in rows}, key=parse_instant))}
    order = {series: number for number, series in enumerate(labels)}
    for row in sorted(rows, key=lambda row: order.get(row.get("series", ""), 0)) if order else rows:
        label = " ".join(labels.get(str(row[key]), str(row[key])) for key in keys if row[key])
        for name in values:
            column = columns.setdefault(label if len(values) == 1 else f"{label} {name}", [None] * len(times))
            column[times[row["time"]]] = row[name]
    if len(columns) <= MAX_WIDE:
        table = [[time, *(column[at] for column in columns.values())] for time, at in times.items()]
        _print_cells(["time", *columns], table, most)
    else:
        _print_cells([*keys, "time", *values], [[row[name] for name in (*keys, "time", *values)] for row in rows], most)
    width = max(map(len, columns), default=0)
    for label, column in columns.items():
        plot = sparkline(column, max(20, out.width - width - 2))
        if plot:
            out.print(Text.assemble((f"{label:{width}} ", "bold"), plot), soft_wrap=True)


def _print_cells(names: Sequence[str], cells: Sequence[Sequence[Any]], most: int) -> None:
    """A table of the first and last rows."""
    hidden = max(0, len(cells) - most)
    head = len(cells) if not hidden else most - most // 2
    table = plain_table(*names)
    for at, row in enumerate(cells):
        if at < head or at >= head + hidden:
            table.add_row(*map(_cell, row))
        elif at == head:
            table.add_row(f"… {hidden:,} more", *("" for _ in names[1:]))
    out.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
