"""`tidemill verify`: proves for a data folder, or a running server, that every payload, record and point is accounted
for."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from tidemill.cli.common import DataOption, FolderOrUrlOption, KeyOption, ShowProgress, open_catalog, out, progress_bar
from tidemill.errors import Fault, InputError, NotFoundError, StartupError

if TYPE_CHECKING:
    from tidemill.model.verification import VerifyReport

_ROWS: Final = (
    ("payloads", "payloads"),
    ("deleted", "  of these deleted"),
    ("records", "records"),
    ("accepted", "accepted"),
    ("rejected", "rejected"),
    ("recovered", "recovered by replays"),
    ("points", "points"),
    ("replaced", "replaced values"),
    ("removed", "removed by deletion or retention"),
    ("windows", "rollup windows"),
    ("sealed", "  of these sealed"),
    ("log_entries", "payloads in the log"),
    ("waiting", "waiting in the log"),
)


def verify(
    data: DataOption = None,
    tenant: Annotated[str, typer.Option(help="Only this tenant.", show_default="all of the folder")] = "",
    feed: Annotated[str, typer.Option(help="Only this feed.", show_default="all")] = "",
    since: Annotated[str, typer.Option(help="Only what was received from here on (RFC 3339).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Of a data folder: put back what is damaged and of which a copy is left.")
    ] = False,
    url: FolderOrUrlOption = "",
    key: KeyOption = "",
) -> None:
    """Prove that every payload, record and point is accounted for, or list what does not add up.

    Of a data folder while no server runs on it; of a running server with `--url` (and the tenant of the key). Exit
    status 0: everything adds up; 1: it does not. With `--repair` log and store first give each other back what one of
    them has damaged, and a damaged file of the log is built anew. Example: `tidemill verify --data data`, or while a
    server runs: `tidemill verify --url http://127.0.0.1:8080`
    """
    since_ns = _instant(since)
    with progress_bar() as show_progress:
        if url:
            if tenant:
                raise StartupError("With --url the tenant is the key's: leave --tenant out.")
            if repair:
                raise StartupError("A running server mends by itself what it can: stop it, and give --repair --data.")
            report = _verify_server(url, key, feed, since, show_progress)
        else:
            report = _verify_folder(data, tenant, feed, since_ns, show_progress, repair=repair)
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(report | {"adds_up": not report["counts"]})).decode())
    else:
        print_report(report)
    if report["counts"]:
        raise typer.Exit(1)


def _verify_folder(
    data: str | None, tenant: str, feed: str, since_ns: int | None, show_progress: ShowProgress, *, repair: bool
) -> dict[str, Any]:
    import msgspec

    from tidemill.catalog.feeds import CatalogFeeds
    from tidemill.catalog.keys import list_keys
    from tidemill.cli.offline import open_store
    from tidemill.cli.repair import repair_after, repair_before, repair_with
    from tidemill.feeds.book import FeedBook
    from tidemill.log.opening import open_log_reader
    from tidemill.log.partitions import partition_count
    from tidemill.mill.state import progress_of
    from tidemill.mill.state_files import mill_states
    from tidemill.mill.verify.scope import check_feed, check_tenant
    from tidemill.mill.verify.verifier import Verifier, VerifyScope
    from tidemill.settings import load_settings

    settings = load_settings({"data": data})
    if repair:
        repair_before(settings.folder)
    states = mill_states(settings.folder, partition_count(settings.folder))
    catalog = open_catalog(data, make=False)
    try:
        with open_store(settings.folder) as store:
            texts = CatalogFeeds(catalog)
            book = FeedBook(texts, with_sources=False)
            tenants = {*texts.tenants(), *(info.tenant for info in list_keys(catalog))}
            try:
                check_feed(store, book, check_tenant(store, tenants, tenant), feed)
            except NotFoundError as error:
                raise StartupError(f"{error.message[0].upper()}{error.message[1:]}.") from None
            verifier = Verifier(
                store,
                book,
                lambda: open_log_reader(settings.folder, settings.log),
                lambda: progress_of(states),
                catalog=catalog,
                max_depth=settings.max_depth,
            )
            scope = VerifyScope(tenant=tenant, feed=feed, since_ns=since_ns)
            if repair:
                repair_with(settings.folder, store)
            report: VerifyReport = verifier.verify(scope, lambda now: show_progress(now.at, now.done, now.total))
            if repair and repair_after(settings.folder, store, report):
                report = verifier.verify(scope, lambda now: show_progress(now.at, now.done, now.total))
    finally:
        catalog.close()
    document: dict[str, Any] = msgspec.to_builtins(report)
    return document


def _verify_server(url: str, key: str, feed: str, since: str, show_progress: ShowProgress) -> dict[str, Any]:
    from tidemill.cli.remote import Remote
    from tidemill.errors import TidemillError

    params = {name: value for name, value in (("feed", feed), ("since", since)) if value}
    for line in Remote(url, key).lines("/v1/verify", params):
        if "progress" in line:
            show_progress(line["progress"]["at"], line["progress"]["done"], line["progress"]["total"])
        elif "error" in line:
            raise TidemillError(line["error"]["message"])
        else:
            report: dict[str, Any] = line["report"]
            return report
    raise TidemillError(f"{url} broke off before the report: was it stopped?")


def _instant(since: str) -> int | None:
    from tidemill.model.time import parse_instant

    try:
        return parse_instant(since) if since else None
    except ValueError as error:
        raise InputError(f"--since: {error}", (Fault("--since", "invalid", str(error)),)) from None


def print_report(report: dict[str, Any]) -> None:
    """Print the document of a report as text for a person."""
    from tidemill.mill.verify.kinds import MEANINGS

    table = Table(box=None, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name, label in _ROWS:
        table.add_row(label, f"{report['totals'][name]:,}")
    out.print(table)
    for note in report["notes"]:
        out.print(f"note: {note}", highlight=False, markup=False, style="yellow", soft_wrap=True)
    shown: dict[str, int] = {}
    for finding in report["findings"]:
        shown[finding["code"]] = shown.get(finding["code"], 0) + 1
        offset = f"offset {finding['seq']}" if finding["seq"] is not None else finding["feed"]
        whose = finding["receipt"] or offset or "log"
        text = (
            f"{finding['code']}: {whose}: {finding['what']}: expected {finding['expected']}, found {finding['found']}"
        )
        out.print(text, highlight=False, markup=False, style="red", soft_wrap=True)
    for code, count in report["counts"].items():
        beyond = count - shown.get(code, 0)
        more = f" ({beyond} more)" if beyond else ""
        out.print(f"{count} {code}{more}: {MEANINGS.get(code, '')}", highlight=False, markup=False, soft_wrap=True)
    verdict = "Everything adds up." if not report["counts"] else "This does not add up."
    out.print(f"{verdict} Checked in {report['seconds']:.1f} s.", highlight=False)
