"""The parts that the commands share: options, consoles, and the catalog of a data folder."""

import os
from typing import Annotated, Any

import typer
from rich.console import Console

from tidemill.errors import StartupError
from tidemill.settings import load_settings

out = Console()
err = Console(stderr=True)

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Folder that holds everything.", envvar="TIDEMILL_DATA", show_default="data"),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UrlOption = Annotated[str, typer.Option(help="The server to speak to.")]
KeyOption = Annotated[str, typer.Option(help="An API key for it, with scope admin.", envvar="TIDEMILL_KEY")]


def variable_scope(tenant: str, catalog: Any = None) -> Any:
    """The `VariableScope` of a tenant's feeds here: the shell's variables and the folder of secrets that a server with
    this shell's settings and this catalog lets [source] read (None: a catalog without keys)."""
    from tidemill.catalog.keys import ever_keys
    from tidemill.feeds.variables import Reaches

    closed = catalog is not None and ever_keys(catalog)
    return Reaches(os.environ, load_settings({}), lambda: closed).of(tenant)


def open_catalog(data: str | None, *, make: bool = True) -> Any:
    """The catalog of a data folder; with `make` False it must exist. Raises StartupError, also for a folder that lost
    its catalog."""
    from tidemill.catalog import opening
    from tidemill.data_folder import check_folder

    os.umask(0o077)
    folder = load_settings({"data": data}).folder
    check_folder(folder)
    if not make and not (folder / opening.FILE).exists():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    folder.mkdir(parents=True, exist_ok=True)
    return opening.open_catalog(folder)
