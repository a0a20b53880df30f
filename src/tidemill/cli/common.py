"""The parts that the commands share: options, consoles, and the catalog of a data folder."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tidemill.errors import StartupError
from tidemill.settings import load_settings

# A pipe or a file has no width: tables are not cut to the 80 columns of a terminal that is not there.
_NO_TERMINAL: Final = 160
out = Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _NO_TERMINAL)
err = Console(stderr=True)
ShowProgress = Callable[[str, int, int], None]  # the current step, how much is done, of how much (0: unknown)

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Folder that holds everything.", envvar="TIDEMILL_DATA", show_default="data"),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UrlOption = Annotated[str, typer.Option("--url", help="The server to speak to.", envvar="TIDEMILL_URL")]
KeyOption = Annotated[str, typer.Option(help="An API key for it, with scope admin.", envvar="TIDEMILL_KEY")]
AnyKeyOption = Annotated[str, typer.Option("--key", help="An API key for it.", envvar="TIDEMILL_KEY")]
DEFAULT_URL: Final = "http://127.0.0.1:8080"


def _folder_before_variable(context: typer.Context, url: str) -> str:
    """The server to speak to; empty for a data folder that the command line names, whatever TIDEMILL_URL says."""
    sources = {name: context.get_parameter_source(name) for name in ("url", "data")}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return "" if given == {"data"} else url


FolderOrUrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        help="A server to speak to, instead of the data folder. Without it TIDEMILL_URL, unless --data is given.",
        envvar="TIDEMILL_URL",
        callback=_folder_before_variable,
    ),
]


def variable_scope(tenant: str, catalog: Any = None) -> Any:
    """The `VariableScope` of a tenant's feeds here: the shell's variables and the folder of secrets that a server with
    this shell's settings and this catalog lets [source] read (None: a catalog without keys)."""
    from tidemill.catalog.keys import ever_keys
    from tidemill.feeds.variables import TenantScopes

    closed = catalog is not None and ever_keys(catalog)
    return TenantScopes(os.environ, load_settings({}), lambda: closed).scope_of(tenant)


def open_catalog(data: str | None, *, make: bool = True) -> Any:
    """The catalog of a data folder; with `make` False it must exist. Raises StartupError, also for a folder that lost
    its catalog."""
    from tidemill.catalog import opening
    from tidemill.data_folder import check_folder

    os.umask(0o077)
    folder = load_settings({"data": data}).folder
    check_folder(folder)
    if not make and not (folder / opening.CATALOG_FILE).exists():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    folder.mkdir(parents=True, exist_ok=True)
    return opening.open_catalog(folder)


@contextmanager
def progress_bar(count: ProgressColumn | None = None) -> Iterator[ShowProgress]:
    """A progress bar on standard error; `count` is its column of numbers (None: done/total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), count or MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting", total=None)
        yield lambda step, done, total: progress.update(bar, description=step, completed=done, total=total or None)


def plain_table(*columns: str) -> Table:
    """A table without lines."""
    return Table(*columns, box=None, pad_edge=False, header_style="bold")
