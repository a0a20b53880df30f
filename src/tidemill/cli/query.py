"""`tidemill query` prints points of a series, raw or over windows; `tidemill metrics` prints its statistics."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, out, plain_table
from tidemill.cli.points_options import (
    AggOption,
    EndOption,
    EveryOption,
    FeedOption,
    FieldOption,
    SeriesArgument,
    StartOption,
    TagOption,
    ZoneOption,
    check_choice,
    open_client,
    point_selection,
)
from tidemill.cli.question import (
    AcrossOption,
    ExpressionOption,
    GroupOption,
    SelectOption,
    grouping,
    named_texts,
    print_lines,
    selector,
    series_labels,
)
from tidemill.cli.sparkline import sparkline

_BAR_WIDTH: Final = 24
_FORMATS: Final = ("table", "csv", "json", "ndjson")
_NOT_SHOWN: Final = ("time", "flags", "marks")
_NO_ROW: Final = ("value",)  # the columns of no rows


def query(
    series: SeriesArgument = "",
    feed: FeedOption = "",
    field: FieldOption = "",
    tag: TagOption = None,
    start: StartOption = "",
    end: EndOption = "",
    every: EveryOption = "",
    agg: AggOption = "",
    tz: ZoneOption = "",
    group_by: GroupOption = None,
    across: AcrossOption = "",
    expression: ExpressionOption = None,
    select: SelectOption = None,
    rows: Annotated[int, typer.Option(help="Most rows of a table: from both ends.", min=2)] = 40,
    format: Annotated[str, typer.Option(help="table, csv, json or ndjson; a table has no flags and marks.")] = "table",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Print points of one or several series, raw or over windows, as a table with a plot, or whole as csv, json or
    ndjson. Series are grouped by tags and computed with as `POST /v1/query` does.

    Example: `tidemill query --feed location --field speed --tag user_id=a1 --every 1h --agg mean,max`

    Example: `tidemill query --feed meters --every 1d --agg sum --group-by site --expression net=import-export`
    """
    check_choice("--format", format, _FORMATS)
    windows = {"start": start, "end": end, "every": every, "agg": agg, "tz": tz}
    groups = grouping(group_by, across, named_texts("--expression", expression))
    named = {name: ids.split(",") for name, ids in named_texts("--select", select).items()}
    with open_client(url, key) as client:
        if groups or named:
            members = {name: text for name, text in windows.items() if text}
            chosen = {name: {"series": ids} for name, ids in named.items()} or selector(series, feed, field, tag)
            text = client.query_text(_line_format(format), chosen, **members, **groups)
            print_lines(text, format, {}, rows)
            return
        selection = point_selection(series, feed, field, tag, **windows)
        infos = [] if series else client.series(feed=feed, field=field or None, tags=selection.get("tags"))
        if len(infos) > 1 or "," in series:
            ids = series.split(",") if series else ()
            text = client.many_points_text(_line_format(format), ids, **selection)
            print_lines(text, format, series_labels(infos) or dict(zip(ids, ids, strict=True)), rows)
            return
        if format == "table":
            text = b"".join(client.text_pages("ndjson", series or None, **selection))
            _print_rows([msgspec.json.decode(line) for line in text.splitlines()], rows)
        elif format == "json":
            lines = client.text_pages("ndjson", series or None, **selection)
            sys.stdout.writelines(_json_array(lines))
        else:
            kind: Any = format
            sys.stdout.writelines(page.decode() for page in client.text_pages(kind, series or None, **selection))


def _line_format(format: str) -> Literal["csv", "ndjson"]:
    return "csv" if format == "csv" else "ndjson"


def _json_array(pages: Iterator[bytes]) -> Iterator[str]:
    """The lines of JSON as one array."""
    before = "[\n"
    for page in pages:
        for line in page.splitlines():
            yield before + line.decode()
            before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _print_rows(items: list[dict[str, Any]], most: int) -> None:
    """A table of the first and last rows, the first column of values also as bars, and a plot of all of it."""
    names = [name for name in (items[0] if items else _NO_ROW) if name not in _NOT_SHOWN]
    first = names[0]
    values = [item[first] for item in items]
    hidden = max(0, len(items) - most)
    head = len(items) if not hidden else most - most // 2
    bars = _bars(values)
    table = plain_table("time", *names, "")
    for column in table.columns[1:-1]:
        column.justify = "right"
    for at, item in enumerate(items):
        if at < head or at >= head + hidden:
            table.add_row(item["time"], *(_number(item[name]) for name in names), bars[at])
        elif at == head:
            table.add_row(f"… {hidden:,} more", *("" for _ in names), "")
    out.print(table)
    plot = sparkline(values, max(20, out.width - len(first) - 2))
    if plot:
        out.print(Text.assemble((f"{first} ", "bold"), plot), soft_wrap=True)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _bars(values: list[Any]) -> list[str]:
    """A bar for each value, its length from zero or the lowest value."""
    present = [value for value in values if value is not None]
    if not present:
        return [""] * len(values)
    low, high = min(0, *present), max(0, *present)
    scale = _BAR_WIDTH / (high - low) if high > low else 0
    return ["" if value is None else "█" * round((value - low) * scale) for value in values]


def metrics(
    series: SeriesArgument = "",
    feed: FeedOption = "",
    field: FieldOption = "",
    tag: TagOption = None,
    start: StartOption = "",
    end: EndOption = "",
    format: Annotated[str, typer.Option(help="table, or json: the document of the API.")] = "table",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Print location, spread, shape, amplitude and sampling of the samples of a series.

    Example: `tidemill metrics --feed location --field speed --tag user_id=a1`
    """
    check_choice("--format", format, ("table", "json"))
    selection = point_selection(series, feed, field, tag)
    with open_client(url, key) as client:
        series = series or client.resolve(feed, field or None, selection.get("tags")).id
        document = client.metrics(series, start=start or None, end=end or None)
    if format == "json":
        print(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    table = plain_table("metric", "value")
    table.columns[1].justify = "right"
    for name, value in _flat(document):
        table.add_row(name, value)
    out.print(table)


def _flat(document: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The members of a document as names and texts; those of inner objects by `name.member`."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            yield f"{before}{name}", ", ".join(map(_number, value))
        else:
            yield f"{before}{name}", _number(value)
