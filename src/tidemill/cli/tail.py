"""`tidemill tail`: prints a feed's new points and changed values as they are applied.

Looks at the list of the feed's series, and reads the points of those whose newest point is later than before. A point
that is older than the newest of its series is seen only where it replaces a value.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, out
from tidemill.cli.points_options import check_choice, open_client
from tidemill.model.time import format_instant, parse_instant

if TYPE_CHECKING:
    from tidemill.client import SeriesInfo, Tidemill

_PATIENCE_S: Final = 60.0
_BEFORE_ALL: Final = -(2**63)


def tail(
    feed: Annotated[str, typer.Argument(help="The feed.")],
    count: Annotated[int, typer.Option(help="End after so many lines; 0: never.", min=0)] = 0,
    interval: Annotated[float, typer.Option(help="Seconds from look to look.", min=0.1)] = 1.0,
    format: Annotated[str, typer.Option(help="text or ndjson.")] = "text",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Follow a feed: print its new points, and values that changed, until Ctrl-C.

    Points that are older than the newest of their series are printed only where they replace a value.
    Example: `tidemill tail location`
    """
    check_choice("--format", format, ("text", "ndjson"))
    with open_client(url, key, patience_s=_PATIENCE_S) as client:
        for item in islice(_follow(client, feed, interval), count or None):
            if format == "ndjson":
                print(msgspec.json.encode(item).decode(), flush=True)
            else:
                _print_item(item)


def _follow(client: "Tidemill", feed: str, interval_s: float) -> Iterator[dict[str, Any]]:
    """Yields new points (members series, field, tags, time, value, marks) and changes (old, new and why, too)."""
    _, cursor = client.changes(feed=feed, since=datetime.now(UTC))
    newest = {series.id: _newest_ns(series) for series in client.series(feed=feed)}
    while True:
        named = {series.id: series for series in client.series(feed=feed)}
        for series in named.values():
            before = newest.get(series.id, _BEFORE_ALL)
            for point in _points_after(client, series, before):
                newest[series.id] = max(newest.get(series.id, _BEFORE_ALL), parse_instant(point["time"]))
                yield {**_naming(series), **point}
        changes, cursor = client.changes(feed=feed, cursor=cursor)
        for change in changes:
            if change["time"] is not None and change["series"] in named:
                yield {**_naming(named[change["series"]]), **change}
        if not changes:
            time.sleep(interval_s)


def _points_after(client: "Tidemill", series: "SeriesInfo", before_ns: int) -> Iterator[dict[str, Any]]:
    """The points of a series later than an instant."""
    if _newest_ns(series) <= before_ns:
        return
    start = None if before_ns == _BEFORE_ALL else format_instant(before_ns + 1)
    for page in client.text_pages("ndjson", series.id, start=start):
        yield from (msgspec.json.decode(line) for line in page.splitlines())


def _newest_ns(series: "SeriesInfo") -> int:
    return _BEFORE_ALL if series.last is None else parse_instant(series.last)


def _naming(series: "SeriesInfo") -> dict[str, Any]:
    return {"series": series.id, "field": series.field, "tags": series.tags}


def _print_item(item: dict[str, Any]) -> None:
    tags = " ".join(f"{name}={value}" for name, value in item["tags"].items())
    where = f"{item['time']}  {tags}  {item['field']}  "
    if "why" in item:
        text = Text.assemble(where, (f"{_shown(item['old'])} → {_shown(item['new'])} ({item['why']})", "yellow"))
    else:
        marks = f"  {' '.join(item['marks'])}" if item["marks"] else ""
        text = Text.assemble(where, (_shown(item["value"]), "bold"), (marks, "yellow"))
    out.print(text, soft_wrap=True)


def _shown(value: float | None) -> str:
    return "null" if value is None else f"{value:.10g}"
