"""The `tidemill` command: serve, keys, feeds. Maps options to calls; decides nothing itself.

Errors of ours end the command with their message on standard error and status 2 (a faulty file or option) or 1.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tidemill import __version__, cli_simulate
from tidemill.errors import InputError, StartupError, TidemillError
from tidemill.settings import Settings, load

app = typer.Typer(
    name="tidemill",
    help="The time-series service that can account for every point.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
keys = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")
feeds = typer.Typer(no_args_is_help=True, help="Feeds: check a definition, list, show, apply.")
app.add_typer(keys, name="key")
app.add_typer(feeds, name="feed")
app.add_typer(cli_simulate.app, name="simulate")

out = Console()
err = Console(stderr=True)

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Folder that holds everything.", envvar="TIDEMILL_DATA", show_default="data"),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]


def main() -> None:
    """The entry point: run the command and turn our errors into messages and exit codes."""
    try:
        app()
    except InputError as error:
        if len(error.faults) != 1 or error.faults[0].message != error.message:
            err.print(error.message.partition("\n")[0], style="red", highlight=False, markup=False)
        for fault in error.faults:
            err.print(f"  {fault.path}: {fault.message} ({fault.code})", highlight=False, markup=False)
        sys.exit(2)
    except StartupError as error:
        err.print(error.message, style="red", highlight=False, markup=False)
        sys.exit(2)
    except TidemillError as error:
        err.print(error.message, style="red", highlight=False, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _help(name: str) -> str:
    """A setting's help, from the one table of settings."""
    annotated: Any = Settings.__annotations__[name]
    return f"{annotated.__metadata__[0].description} (TIDEMILL_{name.upper()})"


@app.command()
def serve(
    data: DataOption = None,
    listen: Annotated[str | None, typer.Option(help=_help("listen"), show_default="127.0.0.1:8080")] = None,
    demo: Annotated[bool | None, typer.Option("--demo/--no-demo", help=_help("demo"), show_default="no demo")] = None,
    log_level: Annotated[str | None, typer.Option(help=_help("log_level"), show_default="info")] = None,
) -> None:
    """Serve on one address, with everything in one folder.

    Starts three processes (api, mill, store) and watches over them. Ready when `GET /readyz` answers 200.
    SIGTERM or Ctrl-C ends all of them within 10 seconds. `tidemill settings` lists every other setting.
    """
    from tidemill.banner import announce_when_ready
    from tidemill.supervise import Supervisor
    from tidemill.telemetry import configure

    settings = load({"data": data, "listen": listen, "demo": demo, "log_level": log_level})
    configure("serve", settings.log_level)
    supervisor = Supervisor(settings)
    supervisor.prepare()
    announce_when_ready(out, supervisor.url, settings, open_access=supervisor.open_access)
    supervisor.run()


@app.command("settings")
def show_settings() -> None:
    """List every setting: its environment variable, value now, and meaning."""
    from tidemill.feeds.recipes import variables as recipe_variables

    settings = load({})
    table = Table("variable", "value", "meaning", box=None)
    for name in Settings.__struct_fields__:
        meaning: Any = Settings.__annotations__[name]
        table.add_row(f"TIDEMILL_{name.upper()}", str(getattr(settings, name)), meaning.__metadata__[0].description)
    for name, default in recipe_variables().items():
        table.add_row(name, os.environ.get(name) or default, "Where a feed recipe polls.")
    out.print(table)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


def _catalog(data: str | None, *, make: bool = True) -> Any:
    """The catalog of a data folder; `make` False: it must be there."""
    from tidemill.catalog.sqlite import SqliteCatalog

    os.umask(0o077)
    folder = load({"data": data}).folder
    if not make and not (folder / "catalog.sqlite").exists():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    folder.mkdir(parents=True, exist_ok=True)
    return SqliteCatalog(folder / "catalog.sqlite")


@keys.command("create")
def create_key(
    tenant: TenantOption,
    scope: Annotated[str, typer.Option(help="Comma-separated: read, write, admin (admin means all).")],
    name: Annotated[str, typer.Option(help="A note to tell keys apart by.")] = "",
    data: DataOption = None,
) -> None:
    """Create a key and print it, once: only its hash is kept.

    The first key of a data folder ends open access: from then on every request needs one.
    """
    from tidemill.catalog.keys import create_key as create
    from tidemill.service import feed_texts

    catalog = _catalog(data)
    info, secret = create(catalog, tenant, tuple(part.strip() for part in scope.split(",") if part.strip()), name)
    feed_texts(catalog, tenant)  # a new tenant starts with the recipes
    err.print(f"Key {info.key_id} for tenant {info.tenant} with scope {','.join(info.scopes)}. Shown once:")
    print(secret)


@keys.command("list")
def list_keys(data: DataOption = None) -> None:
    """List the keys, without their secrets."""
    from tidemill.catalog.keys import list_keys as listed
    from tidemill.model.time import format_instant

    table = Table("id", "tenant", "scopes", "name", "created", box=None)
    for info in listed(_catalog(data, make=False)):
        table.add_row(info.key_id, info.tenant, ",".join(info.scopes), info.name, format_instant(info.created_ns))
    out.print(table)


@keys.command("revoke")
def revoke_key(key_id: str, data: DataOption = None) -> None:
    """Revoke a key; running servers refuse it within a second."""
    from tidemill.catalog.keys import revoke

    revoke(_catalog(data, make=False), key_id)
    out.print(f"Key {key_id} is revoked.")


@feeds.command("check")
def check_feed(file: Annotated[Path, typer.Argument(help="A feed definition (TOML).")]) -> None:
    """Check a feed definition and explain every fault with its place."""
    from tidemill.feeds.load import load as load_feed

    feed = load_feed(_read(file), source=str(file))
    out.print(f"{file}: feed '{feed.name}' is right.", highlight=False)


@feeds.command("list")
def list_feeds(tenant: TenantOption = "default", data: DataOption = None) -> None:
    """List the feeds of a tenant."""
    from tidemill.service import open_book

    table = Table("feed", "version", "title", box=None)
    for feed in open_book(_catalog(data, make=False)).list(tenant):
        table.add_row(feed.name, str(feed.version), feed.title)
    out.print(table)


@feeds.command("show")
def show_feed(name: str, tenant: TenantOption = "default", data: DataOption = None) -> None:
    """Print the current definition of a feed, as it was applied."""
    from tidemill.service import feed_texts

    text = feed_texts(_catalog(data, make=False)).current(tenant, name)
    if text is None:
        raise InputError(f"Tenant '{tenant}' has no feed '{name}'. `tidemill feed list` names them.")
    err.print(f"# {name}, version {text.version}", highlight=False)
    print(text.text, end="")


@feeds.command("apply")
def apply_feed(
    file: Annotated[Path, typer.Argument(help="A feed definition (TOML).")],
    tenant: TenantOption = "default",
    data: DataOption = None,
) -> None:
    """Make a definition the current version of its feed; running servers take it up within a second."""
    from tidemill.feeds.load import load as load_feed
    from tidemill.service import feed_texts

    text = _read(file)
    feed = load_feed(text, source=str(file))
    applied = feed_texts(_catalog(data)).apply(tenant, feed.name, text)
    out.print(f"Feed '{feed.name}' of tenant '{tenant}' is at version {applied.version}.", highlight=False)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: byte {error.start} is wrong") from None


if __name__ == "__main__":
    main()
