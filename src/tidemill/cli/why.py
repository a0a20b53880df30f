"""`tidemill why`: the story of one instant of a series, each event with its sentence, and the verdict."""

import shutil
import textwrap
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, KeyOption, UrlOption, out
from tidemill.cli.points_options import check_choice, parse_tags
from tidemill.cli.remote import Remote

_COLOURS: Final = {
    "accepted": "green",
    "recovered": "green",
    "flagged": "yellow",
    "rejected": "red",
    "possibly_rejected": "red",
    "duplicate_lost": "red",
    "deleted": "red",
}


def why(
    time: Annotated[str, typer.Option(help="The instant: RFC 3339, or a number with --unit.")],
    feed: Annotated[str, typer.Option(help="The feed, where the series is named by --field and --tag.")] = "",
    field: Annotated[str, typer.Option(help="The field. A feed with one field needs none.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.", metavar="NAME=VALUE")] = None,
    series: Annotated[str, typer.Option(help="The series by its id, instead of feed, field and tags.")] = "",
    unit: Annotated[str, typer.Option(help="Unit of a --time that is a number: s, ms, us or ns.")] = "",
    format: Annotated[str, typer.Option(help="text, or json: the document of GET /v1/why.")] = "text",
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
) -> None:
    """Tell what became of one instant: what was received, what each rule said, and why there is a value or none.

    Example: `tidemill why --feed pumps --tag pump=p1 --field bar --time 2026-01-01T00:00:10Z`
    """
    check_choice("--format", format, ("text", "json"))
    params = {"feed": feed, "field": field, "series": series, "time": time, "unit": unit}
    chosen = {name: value for name, value in params.items() if value}
    chosen |= {f"tag.{name}": value for name, value in parse_tags(tag).items()}
    story = Remote(url, key).document("GET", "/v1/why", params=chosen, renamed=("$query.", "--"))
    if format == "json":
        print(msgspec.json.format(msgspec.json.encode(story)).decode())
    else:
        _print_story(story)


def _print_story(story: dict[str, Any]) -> None:
    """Print the events, then the verdict. On a terminal sentences are wrapped beside the column of events."""
    width = max([len(event["event"]) for event in story["events"]], default=0) + 2
    for event in story["events"]:
        _print_line(event["event"], event["text"], width)
    out.print(Text(story["verdict"]["sentence"], style="bold"), soft_wrap=True)


def _print_line(event: str, sentence: str, width: int) -> None:
    text = sentence
    if out.is_terminal:
        room = max(40, shutil.get_terminal_size().columns - width)
        text = f"\n{' ' * width}".join(textwrap.wrap(sentence, room, break_on_hyphens=False)) or sentence
    out.print(Text.assemble((event.ljust(width), _COLOURS.get(event, "")), text), soft_wrap=True)
