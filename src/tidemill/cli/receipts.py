"""`tidemill receipts`: lists the receipts of a server, newest first."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.cli.common import DEFAULT_URL, UrlOption, out, plain_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.cli.remote import Remote

_PAGE = 200


def list_receipts(
    feed: Annotated[str, typer.Option(help="Only of this feed.")] = "",
    state: Annotated[
        str, typer.Option(help="Only in this state: stored (it waits), applied, refused, poison, deleted.")
    ] = "",
    start: Annotated[str, typer.Option(help="Only received at this time or later.")] = "",
    end: Annotated[str, typer.Option(help="Only received before this time.")] = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    url: UrlOption = DEFAULT_URL,
    key: Annotated[str, typer.Option(help="An API key for it (scope read).", envvar="TIDEMILL_KEY")] = "",
) -> None:
    """List receipts, newest first: what was sent, and what became of it.

    Example: `tidemill receipts --feed location --state refused --start 2026-01-31`
    """
    from tidemill.cli.remote import Remote

    chosen = {"feed": feed, "state": state, "start": start, "end": end}
    given = {name: text for name, text in chosen.items() if text}
    table = plain_table("received", "receipt", "feed", "state", "accepted", "rejected", "bytes", "reasons")
    for column, width in zip(table.columns, (20, 36), strict=False):  # whole, to be copied
        column.min_width = width
    for item in islice(_items(Remote(url, key), given, limit), limit):
        counts = ["" if item[name] is None else str(item[name]) for name in ("accepted", "rejected", "bytes")]
        reasons = ", ".join(f"{reason} {count}" for reason, count in item["reasons"].items())
        table.add_row(f"{item['received_at'][:19]}Z", item["id"], item["feed"], item["state"], *counts, reasons)
    out.print(table)


def _items(server: "Remote", given: dict[str, str], limit: int) -> "Iterator[dict[str, Any]]":
    cursor = ""
    while True:
        params = given | {"limit": str(min(limit, _PAGE))} | ({"cursor": cursor} if cursor else {})
        page = server.document("GET", "/v1/receipts", params=params)
        yield from page["items"]
        cursor = page["next"] or ""
        if not cursor:
            return
