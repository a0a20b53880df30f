"""`tidemill source ...`: try a URL before anything is saved; list the sources of a server, and their polls.

`source_trial.py` fetches and decodes the answer, `trial_output.py` prints it; this module maps options.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.text import Text

from tidemill.cli.common import DEFAULT_URL, DataOption, KeyOption, TenantOption, UrlOption, err, out, plain_table
from tidemill.cli.remote import Remote
from tidemill.cli.trial_output import clean_text, show_answer, show_draft, show_preview, show_structure
from tidemill.errors import InputError
from tidemill.model.time import format_instant

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Pull sources: try a URL before anything is saved, see how sources are doing and how their polls went.",
)

_COLOURS: Final = {"ok": "green", "data": "green", "slow": "yellow", "failing": "red", "open": "red"}
_QUIET: Final = ("starting", "empty", "unchanged", "truncated")


@app.command("try")
def try_source(
    url: Annotated[str, typer.Argument(help="What to ask.", show_default="the url of the feed's [source]")] = "",
    decode: Annotated[Path | None, typer.Option(help="Decode with this feed definition.", metavar="FEED.toml")] = None,
    feed: Annotated[str, typer.Option(help="Decode with this feed of the data folder.", metavar="NAME")] = "",
    data: DataOption = None,
    tenant: TenantOption = "default",
    format: Annotated[str, typer.Option(help="json or ndjson.", show_default="as it looks")] = "",
    records: Annotated[str | None, typer.Option(help="Where the records are.", metavar="PATH")] = None,
    time_path: Annotated[str | None, typer.Option("--time", help="Where their time is.", metavar="PATH")] = None,
    time_format: Annotated[str | None, typer.Option(help="rfc3339, unix_s, unix_ms, unix_us, unix_ns.")] = None,
    zone: Annotated[str | None, typer.Option(help="The zone of times without an offset.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.", metavar="NAME=PATH")] = None,
    field: Annotated[list[str] | None, typer.Option(help="A value; may be repeated.", metavar="NAME=PATH")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header to send.", metavar="'NAME: VALUE'")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A private network to reach.", metavar="CIDR")] = None,
    timeout: Annotated[float, typer.Option(help="Longest silence in seconds.", min=0.1, max=600)] = 10.0,
    limit: Annotated[int, typer.Option(help="Most records to show.", min=1, max=1000)] = 10,
    name: Annotated[str, typer.Option(help="The feed's name in the draft.", show_default="from the URL")] = "",
    draft: Annotated[Path | None, typer.Option(help="Write the draft of a feed here.", metavar="FILE")] = None,
) -> None:
    """Ask once, and show the answer decoded: what would be stored, and what would be rejected and why.

    Nothing is saved. Without a feed the structure is guessed, and a feed is drafted to start from; `--time`, `--field`
    and the like correct the guess. A source that gives each point only once gives these to you.

    Example: `tidemill source try https://api.example.com/readings --draft readings.toml`, look `readings.toml` through,
    then `tidemill feed apply readings.toml`.

    With a secret from the environment:
    `tidemill source try https://api.example.com/readings --header 'Authorization: Bearer ${TOKEN}'`

    On this machine: `tidemill source try http://127.0.0.1:8000/ --allow 127.0.0.0/8 --time '$.t' --field level='$.v'`

    The exit status is 0 when records were decoded, 1 when the source was not reached or nothing could be decoded.
    """
    from tidemill.cli.source_trial import Trial, decode_answer, load_given_feed
    from tidemill.sources.draft import DraftOptions

    wish = DraftOptions(
        name=name,
        format=format,
        records=records,
        time=time_path,
        time_format=time_format,
        zone=zone,
        tags=dict(_pair("--tag", text, "=") for text in tag or ()),
        fields=dict(_pair("--field", text, "=") for text in field or ()),
        headers=dict(_pair("--header", text, ":") for text in header or ()),
        allow=tuple(allow or ()),
    )
    given = load_given_feed(decode, feed, data, tenant, with_source=not url)
    if given is not None and (wish.time or wish.tags or wish.fields or records or format):
        raise InputError("The feed says how to decode: --time, --tag, --field, --records and --format go without one")
    if draft is not None and (given is not None or draft.exists()):
        why = f"{draft} exists already" if given is None else "a draft is made without --decode and --feed"
        raise InputError(f"--draft: {why}")
    trial = Trial(url, given, wish, timeout_s=timeout)
    answer = trial.fetch()
    show_answer(trial)
    if answer is None:
        raise typer.Exit(1)
    result = decode_answer(trial, answer, limit, time.time_ns())
    show_structure(result)
    if result.preview is not None:
        show_preview(result.preview, limit)
    elif result.why:
        err.print(clean_text(result.why), style="red", highlight=False, markup=False, soft_wrap=True)
        out.print(Text(f"it begins: {clean_text(answer.body[:300].decode('utf-8', 'replace'))}", style="dim"))
    if result.draft is not None:
        show_draft(result.draft, draft)
    if result.preview is None or not result.preview.decoded:
        raise typer.Exit(1)


@app.command("list")
def list_sources(url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """List the sources of a server: how each is doing, since when, and when it is polled next.

    Example: `tidemill source list --url https://tidemill.example.com --key $KEY`
    """
    now, why = time.time(), []
    shown = plain_table("feed", "item", "state", "since", "last poll", "next", "polls", "payloads")
    for source in Remote(url, key).document("GET", "/v1/sources")["items"]:
        due = _ago(source["next_due_at"], now)
        last_poll = _ago(source["last_poll_at"], now)
        times = (_ago(source["since_at"], now), last_poll, "now" if due.endswith("ago") else due)
        counts = (str(source["polls"]), str(source["payloads"]))
        shown.add_row(clean_text(source["feed"]), clean_text(source["item"]), _state(source["state"]), *times, *counts)
        if source["reason"]:
            name = " ".join(filter(None, (source["feed"], source["item"])))
            why.append(f"{clean_text(name)}: {source['reason']}: {clean_text(source['detail'] or '')}")
    out.print(shown)
    for line in why:
        out.print(Text(line, style="dim"), soft_wrap=True)


@app.command("polls")
def list_polls(
    feed: Annotated[str, typer.Argument(help="The feed.")],
    item: Annotated[str | None, typer.Option(help="Only this item of the source.")] = None,
    result: Annotated[str | None, typer.Option(help="Only with this result, such as timeout.")] = None,
    start: Annotated[str | None, typer.Option(help="Polls from here on (RFC 3339).")] = None,
    end: Annotated[str | None, typer.Option(help="Polls before this.")] = None,
    limit: Annotated[int, typer.Option(help="Most polls.", min=1, max=1000)] = 20,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
) -> None:
    """List the polls of a feed's sources, newest first, and for how long they were reached (unless a stretch of time is
    given, in the last day).

    Example: `tidemill source polls telemetry --result timeout`
    """
    server, now = Remote(url, key), time.time()
    path = f"/v1/sources/{quote(feed, safe='')}/polls"
    span = {name: value for name, value in (("item", item), ("start", start), ("end", end)) if value}
    chosen = span | {"limit": str(limit)} | ({"result": result} if result else {})
    shown = plain_table("started", "item", "result", "status", "ms", "bytes", "records", "detail")
    for poll in server.document("GET", path, params=chosen)["items"]:
        shown.add_row(
            Text(_ago(poll["started_at"], now)),
            clean_text(poll["item"]),
            _state(poll["result"]),
            str(poll["status"] or ""),
            f"{poll['latency_ms']:.0f}",
            str(poll["bytes"]),
            str(poll["records"]),
            clean_text(poll["detail"] or ""),
        )
    out.print(shown)
    day = format_instant(int((now - 86_400) * 1e9))
    _print_summary(server.document("GET", f"{path}/summary", params={"start": day} | span if not end else span), now)


def _pair(option: str, text: str, mark: str) -> tuple[str, str]:
    name, separator, value = text.partition(mark)
    if not (separator and name.strip() and value.strip()):
        how = "'NAME: VALUE'" if mark == ":" else "NAME=PATH, such as level='$.v'"
        raise InputError(f"{option} is {how}, not '{clean_text(text if mark == '=' else name)}'")
    return name.strip(), value.strip()


def _print_summary(summary: dict[str, Any], now: float) -> None:
    """Print for how long a source was reached."""
    if not summary["share"]:
        return
    words = {
        "data": "had data",
        "empty": "had nothing",
        "unusable": "gave what is of no use",
        "unreached": "not reached",
        "unpolled": "not asked",
    }
    parts = [f"{words[name]} {share:.1%}" for name, share in summary["share"].items() if share]
    out.print(Text(f"{summary['polls']} polls since {summary['start'][:19]}Z: {', '.join(parts)}"), soft_wrap=True)
    worst = summary["longest_outage"]
    if worst:
        what = " ".join(filter(None, (clean_text(worst["item"]), worst["result"])))
        until = "goes on" if worst["end"] is None else f"ended {_ago(worst['end'], now)}"
        out.print(Text(f"longest outage: {_length(worst['seconds'])}, {until} ({what})"), soft_wrap=True)


def _ago(text: str | None, now: float) -> str:
    """An RFC 3339 time relative to now; empty for null."""
    if text is None:
        return ""
    seconds = datetime.fromisoformat(f"{text[:19]}+00:00").astimezone(UTC).timestamp() - now
    return f"in {_length(seconds)}" if seconds > 0.5 else f"{_length(-seconds)} ago"


def _length(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _state(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, "" if word in _QUIET else "red"))
