"""`tidemill replay ...`: put payloads through the rules again at a server, see what changes, follow it, cancel it."""

from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, KeyOption, UrlOption, out
from tidemill.cli.jobs import follow_job
from tidemill.cli.remote import Remote
from tidemill.errors import TidemillError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Replays: put payloads through the rules again, after a rule was mended. Look at the difference first.",
)

IdArgument = Annotated[str, typer.Argument(help="The replay's id.", metavar="ID")]
_SHOWN: Final = 10


@app.command("start")
def start_replay(
    feed: Annotated[str, typer.Argument(help="The feed.")],
    begin: Annotated[str | None, typer.Option("--start", help="Payloads received from here on (RFC 3339).")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Payloads received before this.")] = None,
    receipt: Annotated[list[str] | None, typer.Option(help="This payload; may be repeated.")] = None,
    reason: Annotated[str | None, typer.Option(help="Payloads with records rejected for this reason.")] = None,
    version: Annotated[int | None, typer.Option(help="Version of the feed.", show_default="the one in force")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
) -> None:
    """Replay payloads of a feed, and print what changes.

    Example: `tidemill replay start pumps --reason outside_range --dry-run`, and when that is what you want, without
    `--dry-run`.
    """
    body: dict[str, Any] = {"feed": feed, "dry_run": dry_run}
    given = {"start": begin, "end": end, "receipts": receipt, "version": version}
    body |= {name: value for name, value in given.items() if value}
    if reason:
        body["rejections"] = {"reason": reason}
    server = Remote(url, key)
    replay = server.document("POST", "/v1/replays", json=body)
    _print(follow_job(server, "/v1/replays", replay))


@app.command("show")
def show_replay(id: IdArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """Follow a replay to its end, and print what changed.

    Example: `tidemill replay show 01936b1e-...`
    """
    server = Remote(url, key)
    _print(follow_job(server, "/v1/replays", server.document("GET", f"/v1/replays/{id}")))


@app.command("list")
def list_replays(url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """List replays, newest first.

    Example: `tidemill replay list`
    """
    table = Table("id", "feed", "version", "", "state", "payloads", "accepted anew", "rejected anew", box=None)
    for replay in Remote(url, key).document("GET", "/v1/replays")["items"]:
        difference = replay["difference"] or {}
        table.add_row(
            replay["id"],
            replay["feed"],
            str(replay["version"]),
            "dry run" if replay["dry_run"] else "",
            replay["state"],
            f"{replay['progress']['done']} of {replay['progress']['total']}",
            str(difference.get("newly_accepted_total", "")),
            str(difference.get("newly_rejected_total", "")),
        )
    out.print(table)


@app.command("cancel")
def cancel_replay(id: IdArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """Cancel a replay that is not published yet; it leaves no trace.

    Example: `tidemill replay cancel 01936b1e-...`
    """
    replay = Remote(url, key).document("DELETE", f"/v1/replays/{id}")
    out.print(f"replay {replay['id']} is {replay['state']}", highlight=False)


def _print(replay: dict[str, Any]) -> None:
    if replay["state"] != "done":
        raise TidemillError(f"Replay {replay['id']} is {replay['state']}: {replay['error'] or 'it changed nothing'}")
    out.print(render_difference(replay["id"], replay["difference"], replay["version"], dry_run=replay["dry_run"]))


def render_difference(replay: str, difference: dict[str, Any], version: int, *, dry_run: bool) -> RenderableType:
    """The changes by a replay, or by its dry run, as text for a person. `difference` is the document of them."""
    would = "would be" if dry_run else "are"
    records = f"{difference['records']} records of {difference['payloads']} payloads, version {version}"
    lines: list[RenderableType] = [
        Text(f"{'dry run' if dry_run else 'replay'} {replay}: {records}", style="bold"),
        _counts("accepted", difference["newly_accepted_total"], difference["newly_accepted"], would, "green"),
        _counts("rejected", difference["newly_rejected_total"], difference["newly_rejected"], would, "red"),
        Text(
            f"points: {difference['points_added']} added, {difference['points_changed']} changed, "
            f"{difference['points_removed']} removed; rollup windows changed: {difference['windows_changed']}"
        ),
    ]
    if difference["windows"]:
        lines.append(_windows(difference["windows"]))
    return Group(*lines)


def _counts(what: str, total: int, by_reason: dict[str, int], would: str, style: str) -> Text:
    reasons = ", ".join(f"{code} {count}" for code, count in by_reason.items())
    return Text(f"{total} {would} {what} anew{f' ({reasons})' if reasons else ''}", style=style if total else "")


def _windows(windows: list[dict[str, Any]]) -> Table:
    table = Table("window", "series", "mean", "points", box=None, title="largest changes", title_justify="left")
    for window in windows[:_SHOWN]:
        old, new = window["old"], window["new"]
        table.add_row(
            window["window"],
            window["series"],
            f"{_number(old['mean'])} -> {_number(new['mean'])}",
            f"{old['count']} -> {new['count']}",
        )
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
