"""The `tidemill` command: serve, settings, keys. Maps options to calls, without decisions of its own.

A TidemillError ends the command with its message on standard error and status 2 (a faulty file or option) or 1.
"""

import os
import sys
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tidemill import __version__
from tidemill.cli import (
    backup,
    describe,
    export,
    feed,
    forecast,
    health,
    import_files,
    jobs,
    keys,
    parts,
    query,
    receipts,
    replay,
    send,
    simulate,
    source,
    tail,
    verify,
    why,
)
from tidemill.cli.common import DataOption, err, out
from tidemill.errors import InputError, StartupError, TidemillError
from tidemill.settings import Settings, load_settings

app = typer.Typer(
    name="tidemill",
    help="The time-series service that can account for every point.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(backup.app, name="backup")
app.add_typer(feed.app, name="feed")
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="key")
app.add_typer(replay.app, name="replay")
app.add_typer(simulate.app, name="simulate")
app.add_typer(source.app, name="source")
app.command("receipts")(receipts.list_receipts)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def options(
    show: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """The time-series service that can account for every point."""


def main() -> None:
    """The entry point: run the command and turn each TidemillError into a message and an exit status.

    No message is wrapped, so that paths and commands in it can be copied.
    """
    try:
        app()
    except InputError as error:
        if len(error.faults) != 1 or error.faults[0].message != error.message:
            err.print(error.message.partition("\n")[0], style="red", highlight=False, markup=False, soft_wrap=True)
        for fault in error.faults:
            place = "" if fault.path == "$" else f"{fault.path}: "  # of a whole question or document
            line = f"  {place}{fault.message} ({fault.code})"
            err.print(line, highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except StartupError as error:
        err.print(error.message, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except TidemillError as error:
        err.print(error.message, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if find_spec("litestar") is not None:
            raise
        text = f"This needs the server, which is not installed ({error.name}): pip install 'tidemill[server]'"
        err.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
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

    Starts three processes (api, mill, store), and a worker while there are long jobs, and watches over them. Ready when
    `GET /readyz` answers 200.
    SIGTERM or Ctrl-C ends all of them within 10 seconds. `tidemill settings` lists every other setting.

    Example: `tidemill serve --data ./data --demo`
    """
    from tidemill.banner import announce_when_ready
    from tidemill.supervise import Supervisor
    from tidemill.telemetry import configure_logging

    settings = load_settings({"data": data, "listen": listen, "demo": demo, "log_level": log_level})
    configure_logging("serve", settings.log_level, settings.log_format)
    supervisor = Supervisor(settings)
    supervisor.prepare()
    announce_when_ready(out, supervisor.url, settings, open_access=supervisor.open_access)
    supervisor.supervise()


@app.command("settings")
def show_settings() -> None:
    """List every setting: its environment variable, value now, and meaning.

    Example: `tidemill settings | grep LOG`
    """
    from tidemill.feeds.recipes import recipe_variables

    settings = load_settings({})
    table = Table("variable", "value", "meaning", box=None)
    for name in Settings.__struct_fields__:
        meaning: Any = Settings.__annotations__[name]
        texts = f"TIDEMILL_{name.upper()}", str(getattr(settings, name)), meaning.__metadata__[0].description
        table.add_row(*map(escape, texts))  # `[source]` is no markup
    for name, default in recipe_variables().items():
        table.add_row(name, escape(os.environ.get(name) or default), "Where a feed recipe polls.")
    out.print(table)


@app.command()
def version() -> None:
    """Print the version.

    Example: `tidemill version`
    """
    out.print(__version__, highlight=False)


for _part in (parts.api, parts.mill, parts.store, parts.worker):
    app.command(_part.__name__)(_part)
app.command("health")(health.show_health)
app.command("verify")(verify.verify)
app.command("why")(why.why)
app.command("restore")(backup.restore)
app.command("send")(send.send)
app.command("query")(query.query)
app.command("metrics")(query.metrics)
app.command("forecast")(forecast.forecast)
app.command("describe")(describe.describe)
app.command("export")(export.export)
app.command("tail")(tail.tail)
app.command("import")(import_files.import_files)


if __name__ == "__main__":
    main()
