"""The parts that `query`, `metrics`, `export`, `send` and `tail` share: the client, and options that select points."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from tidemill.cli.common import err
from tidemill.errors import AccessError, InputError

if TYPE_CHECKING:
    from tidemill.client import Tidemill
    from tidemill.client.selection import PointSelection

READ_PATIENCE_S: Final = 3.0  # a person waits
SeriesArgument = Annotated[str, typer.Argument(help="The id of the series; or name it by --feed, --field and --tag.")]
FeedOption = Annotated[str, typer.Option(help="The feed of the series.")]
FieldOption = Annotated[str, typer.Option(help="The field of the series. A feed with one field needs none.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", help="A tag of the series; may be repeated.", metavar="NAME=VALUE")
]
StartOption = Annotated[str, typer.Option(help="First instant, included: RFC 3339, or a date.")]
EndOption = Annotated[str, typer.Option(help="Last instant, excluded: RFC 3339, or a date.")]
EveryOption = Annotated[str, typer.Option(help="Length of windows to aggregate over: 15m, 1h, 1d, 1mo.")]
AggOption = Annotated[str, typer.Option(help="Aggregates of the windows, such as mean,max,count.", show_default="mean")]
ZoneOption = Annotated[str, typer.Option(help="IANA zone of the times, and of calendar windows.", show_default="UTC")]


@contextmanager
def open_client(url: str, key: str, *, patience_s: float = READ_PATIENCE_S) -> "Iterator[Tidemill]":
    """A client of the server; a problem of its key names the option. Of one that tries again for long, the person who
    waits sees at once that no answer came."""
    from tidemill.client import Tidemill  # here, because httpx takes 0.2 s and most commands do not need it

    def say(why: str) -> None:
        if patience_s > READ_PATIENCE_S:
            text = f"{why} Trying again for {patience_s:g} s ..."
            err.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)

    try:
        with Tidemill(url, key, patience_s=patience_s, on_no_answer=say) as client:
            yield client
    except AccessError as error:
        raise AccessError(f"{error.message} Give one with --key or TIDEMILL_KEY.") from None


def parse_tags(texts: Sequence[str] | None) -> dict[str, str]:
    """Tags given as NAME=VALUE. Raises InputError."""
    tags = {}
    for text in texts or ():
        name, mark, value = text.partition("=")
        if not (mark and name.strip()):
            raise InputError(f"--tag is NAME=VALUE, such as pump=p1, not '{text}'")
        tags[name.strip()] = value
    return tags


def point_selection(series: str, feed: str, field: str, tags: Sequence[str] | None, **options: str) -> "PointSelection":
    """A selection for the client; an empty option is one that was not given. Raises InputError."""
    if not (series or feed):
        raise InputError("Name a series by its id, or with --feed, --field and --tag.")
    if series and (feed or field or tags):
        raise InputError("Name a series by its id or with --feed, --field and --tag, not by both.")
    given = {name: text for name, text in {"feed": feed, "field": field, **options}.items() if text}
    return cast("PointSelection", {**given, "tags": parse_tags(tags)})


def check_choice(option: str, chosen: str, allowed: Sequence[str]) -> None:
    """Raises InputError for an option that is none of what is allowed."""
    if chosen not in allowed:
        raise InputError(f"{option} is {', '.join(allowed[:-1])} or {allowed[-1]}, not '{chosen}'")
