"""`tidemill forecast` prints what comes next of a series, with bounds, a plot, and how it did in its back-test; with
`--store` it is stored, and with `--score` a stored one is scored by the values that came since."""

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

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
from tidemill.errors import InputError

if TYPE_CHECKING:
    from tidemill.client import KeptScore, SeriesForecast, Tidemill
    from tidemill.client.forecast_documents import ScoreFigures
    from tidemill.client.forecast_operations import ForecastOptions

_FAN_WIDTH: Final = 40
_SHOWN_MODELS: Final = 3


def forecast(
    series: SeriesArgument = "",
    feed: FeedOption = "",
    field: FieldOption = "",
    tag: TagOption = None,
    horizon: Annotated[int, typer.Option(help="How many values to forecast.", min=1)] = 24,
    level: Annotated[str, typer.Option(help="Bounds in percent, separated by commas.")] = "80,95",
    model: Annotated[str, typer.Option(help="The model; auto weighs all of them by their back-test.")] = "auto",
    minimum: Annotated[float | None, typer.Option(help="No value and no bound is below this.")] = None,
    start: StartOption = "",
    end: EndOption = "",
    every: EveryOption = "",
    agg: Annotated[str, typer.Option(help="What a window is worth.", show_default="mean")] = "",
    tz: Annotated[str, typer.Option(help="IANA zone of days, weeks and of the times.", show_default="UTC")] = "",
    store: Annotated[bool, typer.Option("--store", help="Store it, to be scored as values come.")] = False,
    score: Annotated[str, typer.Option(help="Score the stored forecast of this id instead.", metavar="ID")] = "",
    format: Annotated[str, typer.Option(help="table, csv, or json: the document of the API.")] = "table",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Forecast a series: a table with bounds and a plot, and in words how the forecast did on values it had not seen.

    Example: `tidemill forecast --feed meters --tag muid=m1 --horizon 24 --minimum 0 --tz Europe/Zurich`
    """
    check_choice("--format", format, ("table", "csv", "json"))
    if score:
        with open_client(url, key) as client:
            _print_score(client.forecasts.score(score), format)
        return
    selection = point_selection(series, feed, field, tag)
    texts = {"start": start, "end": end, "every": every, "agg": agg, "tz": tz}
    chosen = {"horizon": horizon, "level": _levels(level), "model": model, "minimum": minimum}
    options = cast("ForecastOptions", {**chosen, **{name: text for name, text in texts.items() if text}})
    with open_client(url, key) as client:
        series = series or client.resolve(feed, field or None, selection.get("tags")).id
        made, stored = _made(client, series, options, store=store)
    if format == "table":
        _print_forecast(made)
        if stored:
            out.print(f"Stored as {stored}: tidemill forecast --score {stored}", highlight=False, soft_wrap=True)
    else:
        _print_document(made, format)


def _made(client: "Tidemill", series: str, options: "ForecastOptions", *, store: bool) -> tuple["SeriesForecast", str]:
    """The forecast, and the id under which it is stored ("": it is not)."""
    if not store:
        return client.forecast(series, **options), ""
    kept = client.forecasts.create(series, **options)
    whole = kept.forecast or client.forecasts.get(kept.id).forecast
    assert whole is not None, "a stored forecast that is read by its id has its values"
    return whole, kept.id


def _levels(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"--level is percents separated by commas, such as 80,95, not '{text}'") from None


def _print_document(made: Any, format: str) -> None:
    if format == "json":
        print(msgspec.json.format(msgspec.json.encode(made)).decode())
    else:
        print(made.frame().write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ"), end="")


def _print_forecast(made: "SeriesForecast") -> None:
    """A table of values and bounds, each with its place in the fan of the widest bounds, a plot, and the back-test."""
    names = sorted(made.levels, key=float, reverse=True)
    table = plain_table("time", "value", *(f"{name} %" for name in sorted(made.levels, key=float)), "")
    for column in table.columns[1:-1]:
        column.justify = "right"
    widest = made.levels[names[0]]
    low, high = min(widest.lower), max(widest.upper)
    for at, (time, value) in enumerate(zip(made.times, made.values, strict=True)):
        bounds = [f"{_number(made.levels[name].lower[at])} – {_number(made.levels[name].upper[at])}" for name in names]
        fan = _fan([(made.levels[name].lower[at], made.levels[name].upper[at]) for name in names], value, low, high)
        table.add_row(time, _number(value), *reversed(bounds), fan)
    out.print(table)
    unit = f" in {made.unit}" if made.unit else ""
    out.print(Text.assemble((f"value{unit} ", "bold"), sparkline(made.values, max(20, out.width - 20))), soft_wrap=True)
    for sentence in sentences(made):
        out.print(sentence, highlight=False, soft_wrap=True)


def _fan(bounds: list[tuple[float, float]], value: float, low: float, high: float) -> str:
    """A line on which the bounds are shades, the widest first and the lightest, and the value is a mark."""
    scale = (_FAN_WIDTH - 1) / (high - low) if high > low else 0.0
    cells = [" "] * _FAN_WIDTH
    for shade, (lower, upper) in zip("░▒▓█", bounds, strict=False):
        for cell in range(round((lower - low) * scale), round((upper - low) * scale) + 1):
            cells[cell] = shade
    cells[round((value - low) * scale)] = "●"
    return "".join(cells).rstrip()


def sentences(made: "SeriesForecast") -> list[str]:
    """What a reader must know of a forecast: its models, its back-test, and what was left out."""
    heaviest = ", ".join(f"{each['model']} {each['weight']:.0%}" for each in made.chosen[:_SHOWN_MODELS])
    more = f" and {len(made.chosen) - _SHOWN_MODELS} more" if len(made.chosen) > _SHOWN_MODELS else ""
    used = made.used
    lines = [f"Made by {heaviest}{more}, of {used['points']:,} values from {used['from']} to {used['to']}."]
    test = made.backtest
    if test is None:
        return lines + [note.capitalize() + "." for note in made.notes]
    unit = f" {made.unit}" if made.unit else ""
    lines.append(
        f"Back-test: {test['origins']} forecasts of {made.horizon} values that it had not seen were off by "
        f"{_number(test['models'][0]['mae'])}{unit} on average{_beside(test['ratio_to_seasonal_naive'])}."
    )
    shares = [
        f"{share:.0%} within the {level} % bounds" for level, share in test["coverage"].items() if share is not None
    ]
    if shares:
        lines.append(f"Of these values {' and '.join(shares)}: back-tested, not guaranteed.")
    return lines + [note[:1].upper() + note[1:] + "." for note in made.notes]


def _beside(ratio: float | None) -> str:
    """The error beside that of the naive forecast."""
    if ratio is None:
        return ""
    change = abs(1 - ratio)
    if change < 0.005:
        return ", as much as repeating what was"
    return f", {change:.0%} {'less' if ratio < 1 else 'more'} than repeating what was"


def _print_score(score: "KeptScore", format: str) -> None:
    if format != "table":
        _print_document(score, format)
        return
    table = plain_table("time", "forecast", "truth", "first known")
    for column in table.columns[1:]:
        column.justify = "right"
    for time, value, truth, first in zip(score.times, score.values, score.truth, score.first_truth, strict=True):
        table.add_row(time, _number(value), _number(truth), "" if first == truth else _number(first))
    out.print(table)
    counts = f"Arrived: {score.arrived} of {score.horizon}; missing: {score.missing}; to come: {score.pending}"
    out.print(f"{counts}; restated: {score.restated}.", highlight=False, soft_wrap=True)
    _print_figures("As the values are now", score.now, score.unit)
    if score.restated:
        _print_figures("As they were first known", score.first, score.unit)


def _print_figures(which: str, figures: "ScoreFigures | None", unit: str | None) -> None:
    if figures is None:
        return
    inside = ", ".join(f"{share:.0%} within the {level} % bounds" for level, share in figures.coverage.items())
    off = f"off by {_number(figures.mae)}{f' {unit}' if unit else ''} on average{_beside(figures.ratio_to_baseline)}"
    mase = "" if figures.mase is None else f" (MASE {figures.mase:.2f})"
    out.print(f"{which}: {off}{mase}; {inside}.", highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
