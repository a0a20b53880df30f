"""`tidemill describe` says in sentences what a series is, with the figures behind them."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, out, plain_table
from tidemill.cli.points_options import (
    EndOption,
    EveryOption,
    FeedOption,
    FieldOption,
    SeriesArgument,
    StartOption,
    TagOption,
    check_choice,
    open_client,
    point_selection,
)
from tidemill.cli.sparkline import sparkline

_SHOWN: Final = {
    "count": "values",
    "missing": "missing",
    "from": "first",
    "to": "last",
    "interval": "interval",
    "coverage": "coverage",
    "longest_gap_s": "longest gap, s",
    "min": "smallest",
    "median": "median",
    "mean": "mean",
    "max": "largest",
    "stddev": "standard deviation",
    "zero_share": "share of zeros",
}


def describe(
    series: SeriesArgument = "",
    feed: FeedOption = "",
    field: FieldOption = "",
    tag: TagOption = None,
    start: StartOption = "",
    end: EndOption = "",
    every: EveryOption = "",
    agg: Annotated[str, typer.Option(help="What a window is worth.", show_default="mean")] = "",
    tz: Annotated[str, typer.Option(help="IANA zone of hours and days.", show_default="UTC")] = "",
    format: Annotated[str, typer.Option(help="table, or json: the document of the API.")] = "table",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Say what a series looks like: a load, a solar roof, a temperature, a counter, noise; by rules, with the figures.

    Example: `tidemill describe --feed meters --tag muid=m1 --tz Europe/Zurich`
    """
    check_choice("--format", format, ("table", "json"))
    selection = point_selection(series, feed, field, tag)
    with open_client(url, key) as client:
        series = series or client.resolve(feed, field or None, selection.get("tags")).id
        texts = {"start": start, "end": end, "every": every, "agg": agg, "tz": tz}
        described = client.describe(series, **{name: text or None for name, text in texts.items()})
    if format == "json":
        print(msgspec.json.format(msgspec.json.encode(described)).decode())
        return
    out.print(Text(f"{described.kind.replace('_', ' ')}", style="bold"))
    for sentence in described.sentences:
        out.print(sentence, highlight=False, soft_wrap=True)
    table = plain_table("figure", f"in {described.unit}" if described.unit else "")
    table.columns[1].justify = "right"
    for name, text in _rows(described.figures):
        table.add_row(name, text)
    out.print(table)
    day = described.figures.get("day")
    if day:
        plot = sparkline(day["hour_means"], len(day["hour_means"]))
        out.print(Text.assemble(("mean of the hours 0 to 23 ", "bold"), plot), soft_wrap=True)


def _rows(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures that a reader looks at first, and the periods."""
    for name, shown in _SHOWN.items():
        value = figures.get(name)
        if value is not None:
            yield shown, f"{value:.6g}" if isinstance(value, float) else str(value)
    for period in figures.get("periods", []):
        yield f"period: {period['name']}", f"{period['steps']} steps, {period['share']:.0%} of the variation"
