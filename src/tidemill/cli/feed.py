"""`tidemill feed ...`: check, list, show, apply, remove, versions, diff. Maps options to a FeedDesk and prints its
answers; a feed is removed at a server only, which has the data."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidemill.cli.common import (
    DEFAULT_URL,
    DataOption,
    FolderOrUrlOption,
    TenantOption,
    UrlOption,
    err,
    open_catalog,
    out,
    plain_table,
    variable_scope,
)
from tidemill.errors import Fault, InputError, count_of_faults

if TYPE_CHECKING:
    from tidemill.cli.feed_desk import ApplyResult, FeedDesk
    from tidemill.model.feed_text import DefinitionChange

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Feeds: check a definition, apply it, list feeds and their versions, show what changed, remove a feed.",
)

FilesArgument = Annotated[list[Path], typer.Argument(help="Feed definitions (TOML).", metavar="FILE")]
NameArgument = Annotated[str, typer.Argument(help="The feed's name.")]
KeyOption = Annotated[str, typer.Option(help="An API key for it (changes need scope admin).", envvar="TIDEMILL_KEY")]
_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}
_COLOURS: Final = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan"}


@app.command("check")
def check_feeds(files: FilesArgument, tenant: TenantOption = "default") -> None:
    """Check definitions and explain every fault with its line.

    Nothing is changed and no server is needed: variables of [source] are those of this shell that the setting
    `source_variables` gives the tenant. Example: `tidemill feed check pumps.toml`
    """
    from tidemill.feeds.load import load_feed
    from tidemill.feeds.revise import check_revision

    environment = variable_scope(tenant).variables
    texts = _read(files)
    faults: list[Fault] = []
    for file, text in texts.items():
        try:
            feed = load_feed(text, source=str(file), environment=environment)
            check_revision(text, feed.name, None, source=str(file), environment=environment)
        except InputError as error:
            faults += error.faults
        else:
            out.print(f"{file}: feed '{feed.name}' is right.", highlight=False, soft_wrap=True)
    if faults:
        raise InputError(count_of_faults(len(faults)), tuple(faults))


@app.command("list")
def list_feeds(
    tenant: TenantOption = "default", data: DataOption = None, url: FolderOrUrlOption = "", key: KeyOption = ""
) -> None:
    """List the feeds, each with the version in force.

    Example: `tidemill feed list --data data`
    """
    table = plain_table("feed", "version", "shape", "", "title")
    for feed in _desk(tenant, data, url, key).list_feeds():
        table.add_row(feed.name, str(feed.version), feed.shape, "polls" if feed.polls else "", feed.title)
    out.print(table)


@app.command("show")
def show_feed(
    name: NameArgument,
    version: Annotated[int | None, typer.Option(help="This version.", show_default="the one in force")] = None,
    tenant: TenantOption = "default",
    data: DataOption = None,
    url: FolderOrUrlOption = "",
    key: KeyOption = "",
) -> None:
    """Print a definition, word for word as it was applied.

    Example: `tidemill feed show location > location.toml`, then edit it and `tidemill feed apply location.toml`
    """
    number, text = _desk(tenant, data, url, key).read_version(name, version)
    err.print(f"# {name}, version {number}", highlight=False)
    print(text, end="")


@app.command("apply")
def apply_feeds(
    files: FilesArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    tenant: TenantOption = "default",
    data: DataOption = None,
    url: FolderOrUrlOption = "",
    key: KeyOption = "",
) -> None:
    """Make definitions the current versions of their feeds, and print what changes.

    All of them or none: any fault in any file leaves every feed as it is. Running servers of the data folder take it up
    within a second. Example: `tidemill feed apply pumps.toml valves.toml --dry-run`, or at a server:
    `tidemill feed apply pumps.toml --url https://tidemill.example.com --key $KEY`
    """
    desk = _desk(tenant, data, url, key, make=True)
    texts = _read(files)
    faults: list[Fault] = []
    tried: list[ApplyResult] = []
    for file, text in texts.items():
        try:
            tried.append(desk.apply_text(str(file), text, dry_run=True))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(f"{count_of_faults(len(faults))}; nothing was changed", tuple(faults))
    if dry_run:
        for result in tried:
            out.print(_outcome(result, "would be"))
        return
    for file, text in texts.items():
        out.print(_outcome(desk.apply_text(str(file), text), "is"))


@app.command("remove")
def remove_feed(
    name: NameArgument,
    keep: Annotated[
        bool | None,
        typer.Option("--keep-data/--delete-data", help="What becomes of its data; kept data can still be read."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
) -> None:
    """Remove a feed at a server: its polls end and nothing is taken for it; its data is kept or deleted.

    Says first how much there is, and asks. The feed comes back when it is applied again. Example:
    `tidemill feed remove pumps --keep-data`
    """
    from tidemill.cli.remote import Remote

    server, path = Remote(url, key), f"/v1/feeds/{quote(name, safe='')}"
    contents = server.document("DELETE", path, params={"dry_run": "true"})["contents"]
    there = f"{contents['points']} points in {contents['series']} series, {contents['receipts']} receipts and"
    out.print(f"Feed '{name}' has {there} {contents['rejections']} rejections.", highlight=False, soft_wrap=True)
    if keep is None:
        raise InputError("Say what becomes of them: --keep-data (they can still be read) or --delete-data.")
    done = "and what it has is kept" if keep else "and everything of it is deleted"
    if not yes and not typer.confirm(f"The feed is removed {done}. Go on?"):
        raise InputError("Nothing was changed.")
    removed = server.document("DELETE", path, params={"data": "keep" if keep else "delete"})
    out.print(f"Feed '{name}' is removed (it was at version {removed['version']}).", highlight=False, soft_wrap=True)
    if removed["deletion"]:
        receipt = f"{removed['deletion']['id']} ({removed['deletion']['state']})"
        out.print(f"Deletion receipt: {receipt}", highlight=False, soft_wrap=True)


@app.command("versions")
def list_versions(
    name: NameArgument,
    tenant: TenantOption = "default",
    data: DataOption = None,
    url: FolderOrUrlOption = "",
    key: KeyOption = "",
) -> None:
    """List the versions of a feed, newest first, each with what it changed of the one before.

    Example: `tidemill feed versions location`
    """
    table = plain_table("version", "made", "sha256", "changed")
    for version in _desk(tenant, data, url, key).list_versions(name):
        table.add_row(str(version.version), f"{version.created_at[:19]}Z", version.sha256[:12], _diff(version.diff))
    out.print(table)


@app.command("diff")
def diff_versions(
    name: NameArgument,
    version: Annotated[int, typer.Argument(help="A version.", metavar="A")],
    other: Annotated[int, typer.Argument(help="Another.", metavar="B")],
    tenant: TenantOption = "default",
    data: DataOption = None,
    url: FolderOrUrlOption = "",
    key: KeyOption = "",
) -> None:
    """Show what changed from version A to version B: in what the feed does, and line by line.

    Example: `tidemill feed diff location 1 3`
    """
    difference = _desk(tenant, data, url, key).compare_versions(name, version, other)
    out.print(_diff(difference.diff))
    for line in (difference.text or "").splitlines():
        out.print(Text(line, style=_STYLES.get(line[:1], "")), soft_wrap=True)


def _desk(tenant: str, data: str | None, url: str, key: str, *, make: bool = False) -> "FeedDesk":
    from tidemill.cli.feed_desk import CatalogDesk, ServerDesk

    if url:
        return ServerDesk(url, key)
    from tidemill.feeds.book import FeedBook
    from tidemill.service import feed_texts

    catalog = open_catalog(data, make=make)
    texts = feed_texts(catalog, tenant)
    return CatalogDesk(texts, FeedBook(texts), tenant, variable_scope(tenant, catalog).variables)


def _read(files: Sequence[Path]) -> dict[Path, str]:
    """The texts of files. Raises InputError for the first that cannot be read."""
    texts = {}
    for file in files:
        try:
            texts[file] = file.read_bytes().decode()
        except OSError as error:
            raise InputError(f"Cannot read {file}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not UTF-8: byte {error.start} is wrong") from None
    return texts


def _outcome(applied: "ApplyResult", verb: str) -> RenderableType:
    head = Text.assemble("Feed '", (applied.name, "bold"), f"' {verb} at version {applied.version}")
    if not applied.changed:
        return head.append(" already: the same text.")
    if applied.diff is None:
        return head.append(": a new feed.")
    return Group(head.append(":"), Padding(_diff(applied.diff), (0, 0, 0, 2), expand=False))


def _diff(changes: "Iterable[DefinitionChange] | None") -> RenderableType:
    """Changes as a small table; a few words for the first version and for no changes."""
    if changes is None:
        return Text("the first", style="dim")
    table = Table.grid(padding=(0, 2))
    for change in changes:
        colour = _COLOURS[change.change]
        table.add_row(Text(_MARKS[change.change], style=colour), Text(change.path), _values(change))
    return table if table.row_count else Text("nothing but comments or layout", style="dim")


def _values(change: "DefinitionChange") -> Text:
    if change.hidden:
        return Text("(not shown)", style="dim")
    if change.change == "moved":
        return Text(f"was rule {change.old + 1}, is rule {change.new + 1}")
    if change.change == "changed":
        return Text.assemble((_shown(change.old), "red"), " → ", (_shown(change.new), "green"))
    return Text(_shown(change.new if change.change == "added" else change.old), style=_COLOURS[change.change])


def _shown(value: Any) -> str:
    """A value as TOML writes it inline; an empty text as `""`."""
    if isinstance(value, dict):
        inside = ", ".join(f"{name} = {_shown(each)}" for name, each in value.items() if each not in ({}, []))
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return json.dumps(value, ensure_ascii=False)
